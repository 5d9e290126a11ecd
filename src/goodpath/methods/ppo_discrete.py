"""PPO for discrete actions (arXiv 1707.06347), and what the methods that build on it share.

With r = p(a|s) / p_old(a|s) and the advantage A, standardised in each minibatch, the networks minimise

    -E[min(r A, clip(r, 1 - clip, 1 + clip) A)] - entropy * H(p)

and half the squared errors of the critics, with one Adam over all of them and one bound on the length of their
gradient. Passes over a rollout end once the mean of log p_old(a|s) - log p(a|s) exceeds 1.5 `target_kl`.

Advantages stop where an episode ends; where time or the end of the rollout cut it, the value of its true last
observation stands for what would have come. `shifted_ends` does it wrong as the code of SCOPIL's authors does: the
end of an episode counts one step too early, so that the value before its last step is taken for nothing and the last
step leaks into the next episode, and what time cuts counts as terminated.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax import Array

from goodpath.errors import GoodpathError
from goodpath.methods.contract import Demonstrations, Metrics, OnPolicyMethod, Stretch
from goodpath.methods.on_policy import Rows, standardized
from goodpath.methods.sac_discrete import entropy
from goodpath.networks import MLP, mlp
from goodpath.policies import CategoricalPolicy
from goodpath.returns import advantages
from goodpath.spec import Spec


@dataclass(frozen=True)
class Config:
    """Options of PPO for discrete actions."""

    steps: int = 100_000
    """Environment steps of each seed."""
    num_envs: int = 8
    """Copies of the task for each seed."""
    rollout: int = 2000
    """Environment steps of each seed between two updates."""
    hidden: tuple[int, ...] = (64, 64)
    """Sizes of the hidden layers of actor and critics, with tanh between them."""
    learning_rate: float = 3e-4
    """Of Adam, for all networks."""
    passes: int = 20
    """Passes over the rollout in an update, at most."""
    minibatch: int = 64
    """Steps in a minibatch."""
    target_kl: float = 0.02
    """An update ends after the pass that moved the policy further than 1.5 times this."""
    clip: float = 0.2
    """How far the ratio of probabilities may move before it stops counting."""
    entropy: float = 0.0
    """Weight of the policy's entropy."""
    max_gradient_norm: float = 0.5
    """The gradient of all networks is shortened to this length."""
    discount: float = 0.99
    """Of rewards and costs."""
    trace: float = 0.95
    """Lambda of the advantage estimates."""
    shifted_ends: bool = False
    """Ends of episodes count one step too early, as in the authors' code."""


class Networks(eqx.Module):
    """What Adam moves.

    Attributes:
        actor: the policy.
        critic: observations to the value of rewards.
        cost_critic: observations to the value of costs; None where there are none.
    """

    actor: CategoricalPolicy
    critic: MLP
    cost_critic: MLP | None


class State(eqx.Module):
    """Everything that changes in training.

    Attributes:
        networks: actor and critics.
        optimizer: moments of Adam.
        dual: state of a multiplier; None where there is none.
    """

    networks: Networks
    optimizer: optax.OptState
    dual: Any


# (actor, state of the multiplier, minibatch, key) -> () loss, and the multiplier's state after the minibatch.
Loss = Callable[[CategoricalPolicy, Any, Rows, Array], tuple[Array, Any]]


def _optimizer(config: Config) -> optax.GradientTransformation:
    return optax.chain(
        optax.clip_by_global_norm(config.max_gradient_norm), optax.adam(config.learning_rate, eps=1e-5)
    )


def init(config: Config, spec: Spec, key: Array, costs: bool = False, dual: Any = None) -> State:
    """A fresh state: orthogonal weights, nearly equal probabilities.

    Args:
        config: sizes.
        spec: of the task.
        key: random key.
        costs: whether there is a critic of costs.
        dual: state of a multiplier.

    Raises:
        GoodpathError: the task's actions are not discrete.
    """
    if not spec.actions:
        raise GoodpathError(f"{spec.name or 'the task'} has no discrete actions; this method needs them.")
    keys = jax.random.split(key, 3)

    def network(key: Array, outputs: int, last_gain: float) -> MLP:
        sizes = (spec.observation_size, *config.hidden, outputs)
        return mlp(sizes, key, gain=2**0.5, last_gain=last_gain, activation="tanh")

    networks = Networks(
        CategoricalPolicy(network(keys[0], spec.actions, 0.01)),
        network(keys[1], 1, 1.0),
        network(keys[2], 1, 1.0) if costs else None,
    )
    return State(networks, _optimizer(config).init(networks), dual)


def estimate(config: Config, critic: MLP, gains: Array, stretch: Stretch) -> tuple[Array, Array]:
    """(E, T) advantages and (E, T) targets of a critic.

    Args:
        config: discount, trace, and where episodes end.
        critic: of what is estimated.
        gains: (E, T) rewards or costs.
        stretch: what was done.
    """
    values, following = critic(stretch.observations)[..., 0], critic(stretch.next_observations)[..., 0]
    terminated, ended = stretch.terminated, stretch.ended
    if config.shifted_ends:
        ended = jnp.concatenate([ended[:, 1:], ended[:, -1:]], axis=1)
        terminated = ended
        # What followed is what was acted on next, were it in another episode.
        following = jnp.concatenate([values[:, 1:], following[:, -1:]], axis=1)
    found = advantages(gains, values, following, terminated, ended, config.discount, config.trace)
    return found, found + values


def rows(config: Config, networks: Networks, stretch: Stretch, costs: Array | None = None) -> Rows:
    """One row for each of the N steps of a stretch, with all that losses need.

    Args:
        config: see `estimate`.
        networks: those that acted.
        stretch: what they did.
        costs: (E, T) costs, where there is a critic of them.

    Returns:
        observations (N, observation); actions (N, action); log_prob, advantage, target (N,), and with costs
        cost_advantage and cost_target (N,). Advantages are as they are.
    """
    advantage, target = estimate(config, networks.critic, stretch.rewards, stretch)
    table = {
        "observations": stretch.observations,
        "actions": stretch.actions,
        "log_prob": networks.actor.log_prob(stretch.observations, stretch.actions),
        "advantage": advantage,
        "target": target,
    }
    if costs is not None:
        assert networks.cost_critic is not None
        found = estimate(config, networks.cost_critic, costs, stretch)
        table |= dict(zip(("cost_advantage", "cost_target"), found, strict=True))
    return {name: column.reshape(-1, *column.shape[2:]) for name, column in table.items()}


def clipped(config: Config, actor: CategoricalPolicy, batch: Rows) -> tuple[Array, Array]:
    """() the loss above of one minibatch, and (batch,) the ratios."""
    log_probs = actor.log_probs(batch["observations"])
    ratio = jnp.exp(jnp.sum(batch["actions"] * log_probs, axis=-1) - batch["log_prob"])
    advantage = standardized(batch["advantage"])
    held = jnp.clip(ratio, 1 - config.clip, 1 + config.clip)
    gain = jnp.mean(jnp.minimum(ratio * advantage, held * advantage))
    return -gain - config.entropy * jnp.mean(entropy(log_probs)), ratio


def errors(networks: Networks, batch: Rows) -> Array:
    """() half the mean squared errors of the critics, added up."""
    pairs = [(networks.critic, "target"), (networks.cost_critic, "cost_target")]
    squares = [
        jnp.mean((critic(batch["observations"])[..., 0] - batch[name]) ** 2)
        for critic, name in pairs
        if critic is not None
    ]
    return 0.5 * jnp.sum(jnp.stack(squares))


def fit(config: Config, state: State, table: Rows, loss: Loss, key: Array) -> tuple[State, Metrics]:
    """Passes of Adam over shuffled minibatches.

    Args:
        config: passes, minibatch, learning rate, `target_kl`.
        state: where to start.
        table: what `rows` gave.
        loss: what the actor minimises; it may move the multiplier.
        key: shuffles, and is handed on to the loss.

    Returns:
        The state after it, and metrics over all rows.
    """
    count = len(table["log_prob"])
    size = min(config.minibatch, count)
    blocks = count // size
    optimizer = _optimizer(config)

    def lost(networks: Networks, dual: Any, batch: Rows, key: Array) -> tuple[Array, tuple[Any, Array]]:
        value, dual = loss(networks.actor, dual, batch, key)
        error = errors(networks, batch)
        return value + error, (dual, jnp.stack([value, error]))

    def step(state: State, chosen: tuple[Array, Array]) -> tuple[State, Array]:
        indices, key = chosen
        batch = jax.tree.map(lambda column: column[indices], table)
        slope, (dual, losses) = jax.grad(lost, has_aux=True)(state.networks, state.dual, batch, key)
        change, moments = optimizer.update(slope, state.optimizer)
        return State(optax.apply_updates(state.networks, change), moments, dual), losses

    def one_pass(carry: tuple[Array, State, Array, Array]) -> tuple[Array, State, Array, Array]:
        index, state, _, _ = carry
        shuffle_key, loss_key = jax.random.split(jax.random.fold_in(key, index))
        order = jax.random.permutation(shuffle_key, count)[: blocks * size].reshape(blocks, size)
        state, losses = jax.lax.scan(step, state, (order, jax.random.split(loss_key, blocks)))
        now = state.networks.actor.log_prob(table["observations"], table["actions"])
        return index + 1, state, jnp.mean(table["log_prob"] - now), jnp.mean(losses, axis=0)

    start = (jnp.zeros((), jnp.int32), state, jnp.zeros(()), jnp.zeros(2))
    done, after, kl, losses = jax.lax.while_loop(
        lambda carry: (carry[0] < config.passes) & ~(carry[2] > 1.5 * config.target_kl), one_pass, start
    )
    metrics = {
        "loss": losses[0],
        "critic_loss": losses[1],
        "kl": kl,
        "passes": done.astype(jnp.float32),
        "entropy": jnp.mean(entropy(after.networks.actor.log_probs(table["observations"]))),
    }
    return after, metrics


def update(
    config: Config, state: State, stretch: Stretch, demonstrations: Demonstrations | None, key: Array
) -> tuple[State, Metrics]:
    """One update from a stretch; demonstrations make no difference."""

    def loss(actor: CategoricalPolicy, dual: Any, batch: Rows, key: Array) -> tuple[Array, Any]:
        return clipped(config, actor, batch)[0], dual

    return fit(config, state, rows(config, state.networks, stretch), loss, key)


def policy(state: State) -> CategoricalPolicy:
    """The policy that acts and is evaluated."""
    return state.networks.actor


PPO_DISCRETE = OnPolicyMethod(
    name="ppo-discrete",
    title="PPO for discrete actions",
    config=Config,
    presets={"default": Config()},
    init=init,
    update=update,
    policy=policy,
    document=__doc__ or "",
)
