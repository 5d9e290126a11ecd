"""GAIL: imitation by a reward for what a classifier takes for the expert (arXiv 1606.03476), on discrete SAC.

A classifier D(s, a) learns to tell the expert's steps from those in the replay buffer, with an equal number of
both in a batch. Its loss is the mean of

    -log D(s, a) over the expert's steps  +  the mean of  -log(1 - D(s, a)) over its own

plus, with `gradient_penalty`, that weight times the mean of (|gradient of D's logit by (s, a)| - 1)^2 at points
between pairs of both. At the optimum D is expert / (expert + own), a ratio of densities. After its step, discrete SAC
(`methods/sac_discrete.py`) learns from the same batch with the reward

    log D(s, a),               or with `constraint`               r(s, a) + log D(s, a).

The second is GAIL-constraint, a baseline of ICRL (arXiv 2011.09999): the task's reward, and a classifier that stands
for what is allowed. log D is never positive, so that a step of any kind costs something. With -log(1 - D), which is
never negative, a task that ends at its goal would pay for staying away from it.

The classifier's size is that of the code of SafeQIL's authors (arXiv 2602.23816), whose penalty has weight 0.005.
"""

from dataclasses import dataclass, replace

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax import Array

from goodpath.methods import sac_discrete
from goodpath.methods.contract import Demonstrations, Metrics, OffPolicyMethod, Transitions
from goodpath.networks import MLP, xavier_mlp
from goodpath.replay import sample
from goodpath.spec import Spec


@dataclass(frozen=True)
class Config(sac_discrete.Config):
    """Options of GAIL."""

    constraint: bool = False
    """The task's reward counts too."""
    discriminator_hidden: tuple[int, ...] = (32, 32)
    """Sizes of the hidden layers of the classifier."""
    discriminator_learning_rate: float = 3e-4
    """Of Adam, for the classifier."""
    gradient_penalty: float = 0.0
    """Weight of the penalty on the slope of the classifier's logit."""


class State(eqx.Module):
    """Everything that changes in training.

    Attributes:
        sac: of discrete SAC.
        discriminator: observation and action, one behind the other, to the logit of D.
        optimizer: moments of Adam of the discriminator.
    """

    sac: sac_discrete.State
    discriminator: MLP
    optimizer: optax.OptState


def _adam(config: Config) -> optax.GradientTransformation:
    return optax.adam(config.discriminator_learning_rate)


def init(config: Config, spec: Spec, key: Array) -> State:
    """A fresh state."""
    sac = sac_discrete.init(config, spec, key)
    sizes = (spec.observation_size + spec.action_size, *config.discriminator_hidden, 1)
    discriminator = xavier_mlp(sizes, jax.random.fold_in(key, 0))
    return State(sac, discriminator, _adam(config).init(discriminator))


def logits(discriminator: MLP, observations: Array, actions: Array) -> Array:
    """(...,) logits of D for (..., observation) observations and (..., action) actions."""
    return discriminator(jnp.concatenate([observations, actions], axis=-1))[..., 0]


def discriminator_loss(
    config: Config, discriminator: MLP, shown: Demonstrations, batch: Transitions, key: Array
) -> tuple[Array, Metrics]:
    """() cross-entropy and penalty, and how often each side is taken for what it is.

    Args:
        config: weight of the penalty.
        discriminator: what to judge.
        shown: steps of the expert, as many as in the batch.
        batch: steps of its own.
        key: draws where the penalty is measured.
    """
    expert = logits(discriminator, shown.observations, shown.actions)
    own = logits(discriminator, batch.observations, batch.actions)
    loss = jnp.mean(jax.nn.softplus(-expert)) + jnp.mean(jax.nn.softplus(own))
    if config.gradient_penalty:
        share = jax.random.uniform(key, (len(batch.rewards), 1))
        between = [
            share * a + (1 - share) * b
            for a, b in ((batch.observations, shown.observations), (batch.actions, shown.actions))
        ]
        slopes = jax.vmap(jax.grad(logits, argnums=(1, 2)), in_axes=(None, 0, 0))(discriminator, *between)
        length = jnp.linalg.norm(jnp.concatenate(slopes, axis=-1), axis=-1)
        loss = loss + config.gradient_penalty * jnp.mean((length - 1) ** 2)
    return loss, {"expert_recognized": jnp.mean(expert > 0), "own_recognized": jnp.mean(own < 0)}


def rewards(config: Config, discriminator: MLP, batch: Transitions) -> Array:
    """(batch,) log D, and the task's rewards where they count."""
    imitation = -jax.nn.softplus(-logits(discriminator, batch.observations, batch.actions))
    return batch.rewards + imitation if config.constraint else imitation


def update(
    config: Config,
    cost_limit: Array,
    state: State,
    batch: Transitions,
    demonstrations: Demonstrations,
    key: Array,
) -> tuple[State, Metrics]:
    """One update of the classifier, then of SAC with its rewards."""
    draw_key, penalty_key = jax.random.split(key)
    shown = sample(draw_key, demonstrations, len(batch.rewards))

    def lost(discriminator: MLP) -> tuple[Array, Metrics]:
        return discriminator_loss(config, discriminator, shown, batch, penalty_key)

    (loss, parts), slope = jax.value_and_grad(lost, has_aux=True)(state.discriminator)
    change, optimizer = _adam(config).update(slope, state.optimizer)
    discriminator = optax.apply_updates(state.discriminator, change)
    given = jax.lax.stop_gradient(rewards(config, discriminator, batch))
    judged = eqx.tree_at(lambda steps: steps.rewards, batch, given)
    sac, metrics = sac_discrete.learn(config, state.sac, judged)
    metrics = metrics | parts | {"discriminator_loss": loss, "imitation_reward": jnp.mean(given)}
    return State(sac, discriminator, optimizer), metrics


_DEFAULT = Config()
GAIL = OffPolicyMethod(
    name="gail",
    title="GAIL: imitation with a classifier, on discrete SAC",
    config=Config,
    presets={
        "default": _DEFAULT,
        "constraint": replace(_DEFAULT, constraint=True),
        "safeqil": replace(_DEFAULT, gradient_penalty=0.005),
    },
    init=init,
    update=update,
    acts=lambda state: state.sac.actor,
    policy=lambda state: state.sac.averaged,
    document=__doc__ or "",
    demonstrated=True,
)
