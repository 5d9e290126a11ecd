"""What the on-policy methods share: options, state, advantages, and Adam over shuffled minibatches.

Each of them alternates between acting with a fixed policy (`training/online.py`) and an update, which is one
compiled program: advantages, all passes over the rollout, actor and both critics.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax import Array

from goodpath.methods.contract import Metrics, Rollout
from goodpath.networks import ACTIVATIONS, MLP, Activation, mlp
from goodpath.normalize import Scaler
from goodpath.policies import GaussianPolicy, gaussian_log_prob
from goodpath.replay import different
from goodpath.returns import advantages
from goodpath.spec import Spec

Rows = dict[str, Array]


@dataclass(frozen=True)
class Config:
    """Options of every on-policy method."""

    steps: int = 5_000_000
    """Environment steps of each seed."""
    num_envs: int = 10
    """Copies of the environment for each seed."""
    rollout: int = 10_000
    """Environment steps of each seed between two updates: whole episodes in every copy."""
    hidden: tuple[int, ...] = (64, 64)
    """Sizes of the hidden layers of actor and critics."""
    activation: Literal["relu", "tanh"] = "tanh"
    """What stands between the layers."""
    squash: bool = False
    """Actions are the tanh of the Gaussian; else it is clipped to the bounds."""
    initial_std: float = 0.6
    """Standard deviation of the Gaussian at the start; it is learnt."""
    normalize: bool = True
    """Observations are scaled by their running mean and standard deviation."""
    learning_rate: float = 6e-4
    """Of Adam, for the actor."""
    critic_learning_rate: float = 1e-3
    """Of Adam, for both critics."""
    anneal: bool = True
    """Learning rates fall linearly to zero over the run."""
    passes: int = 5
    """Passes over the rollout in an update, at most."""
    minibatch: int = 500
    """Steps in a minibatch."""
    target_kl: float = 0.02
    """An update ends after the pass that moved the policy further than this."""
    max_gradient_norm: float = 1.0
    """Gradients of each network are shortened to this length."""
    discount: float = 0.99
    """Of rewards."""
    cost_discount: float = 0.99
    """Of costs."""
    trace: float = 0.95
    """Lambda of the advantage estimate of rewards."""
    cost_trace: float = 0.95
    """Lambda of the advantage estimate of costs."""
    free_steps: int = 250_000
    """Environment steps at the start in which the limit does not count: who cannot earn anything yet learns from
    a price to stand still, and unlearns it late."""
    cvar_level: float = 1.0
    """Share of the worst episodes whose mean cost is held to the limit; 1 is the mean of all."""
    explore: bool = False
    """Each step is paid by the metres that the agent moves, and not by the task; an episode ends beyond the arena. For
    pre-training in navigation tasks."""
    initial: str = ""
    """Folder of a run of this family with the same networks, which this one goes on from."""


class State(eqx.Module):
    """Everything that changes in training.

    Attributes:
        actor: policy on scaled observations.
        critic: scaled observations to the value of rewards.
        cost_critic: scaled observations to the value of costs.
        optimizer: moments of Adam over all three.
        scaler: running mean and variance of the observations.
        dual: state of the multiplier; None where there is none.
        extra: what a method keeps besides.
        key: source of randomness.
        step: () updates so far.
    """

    actor: GaussianPolicy
    critic: MLP
    cost_critic: MLP
    optimizer: optax.OptState
    scaler: Scaler
    dual: Any
    extra: Any
    key: Array
    step: Array


_ADAM = optax.scale_by_adam(eps=1e-8)


def init(config: Config, spec: Spec, key: Array, dual: Any = None, extra: Any = None) -> State:
    """A fresh state: orthogonal weights, a nearly zero mean."""
    keys = jax.random.split(key, 4)
    size, actions = spec.observation_size, spec.action_size

    def network(key: Array, outputs: int, last_gain: float) -> MLP:
        sizes = (size, *config.hidden, outputs)
        return mlp(sizes, key, gain=2**0.5, last_gain=last_gain, activation=config.activation)

    log_std = jnp.full(actions, jnp.log(config.initial_std))
    actor = GaussianPolicy(
        network(keys[0], actions, 0.01), log_std, spec.action_low, spec.action_high, config.squash
    )
    critics = network(keys[1], 1, 1.0), network(keys[2], 1, 1.0)
    optimizer = _ADAM.init(Trio.join(actor, *critics).flat())
    step = jnp.zeros((), jnp.int32)
    return State(actor, *critics, optimizer, Scaler.empty(size), dual, extra, keys[3], step)


def policy(state: State) -> GaussianPolicy:
    """The policy for plain observations."""
    return state.scaler.fold(state.actor)


def rows(config: Config, state: State, rollout: Rollout, rewards: Array | None = None) -> Rows:
    """One row for each of the N steps of a rollout, with all that losses need.

    Args:
        config: discounts and traces.
        state: networks that acted.
        rollout: what they did.
        rewards: (E, T) rewards to learn from, where they are not those of the rollout.

    Returns:
        observations (N, observation), scaled; raw (N, action); log_prob (N,); mean (N, action), of the Gaussian
        that acted; advantage, cost_advantage, target, cost_target (N,). Advantages are as they are: neither
        centred nor scaled.
    """
    seen, following = state.scaler(rollout.observations), state.scaler(rollout.next_observations)

    def estimate(critic: MLP, gains: Array, discount: float, trace: float) -> tuple[Array, Array]:
        values = critic(seen)[..., 0]
        found = advantages(
            gains, values, critic(following)[..., 0], rollout.terminated, rollout.ended, discount, trace
        )
        return found, found + values

    gains = rollout.rewards if rewards is None else rewards
    advantage, target = estimate(state.critic, gains, config.discount, config.trace)
    cost_advantage, cost_target = estimate(
        state.cost_critic, rollout.costs, config.cost_discount, config.cost_trace
    )
    mean = state.actor.network(seen)
    table = {
        "observations": seen,
        "raw": rollout.raw,
        "log_prob": gaussian_log_prob(mean, state.actor.log_std, rollout.raw),
        "mean": mean,
        "advantage": advantage,
        "cost_advantage": cost_advantage,
        "target": target,
        "cost_target": cost_target,
    }
    return {name: column.reshape(-1, *column.shape[2:]) for name, column in table.items()}


def standardized(values: Array) -> Array:
    """Values with mean zero and standard deviation one."""
    return (values - jnp.mean(values)) / (jnp.std(values) + 1e-8)


def divergence(mean: Array, log_std: Array, old_mean: Array, old_log_std: Array) -> Array:
    """(N,) KL divergence of a Gaussian from an older one, KL(old || new); means are (N, action)."""
    apart = (old_mean - mean) ** 2 + jnp.exp(2 * old_log_std)
    return jnp.sum(log_std - old_log_std + 0.5 * apart * jnp.exp(-2 * log_std) - 0.5, axis=-1)


def entropy(log_std: Array) -> Array:
    """() entropy of the Gaussian."""
    return jnp.sum(log_std + 0.5 * math.log(2 * math.pi * math.e))


class ActorLoss(Protocol):
    """What a method minimises for its policy."""

    def __call__(self, mean: Array, log_std: Array, batch: Rows) -> Array:
        """() loss of one minibatch, for (N, action) means and (action,) log standard deviations now."""


@jax.custom_vjp
def product(rows: Array, weight: Array) -> Array:
    """`rows @ weight`, (..., N, inputs) and (..., inputs, outputs), with a faster slope of the weight.

    Left to itself, XLA folds the transposition of the rows into that slope's product, which takes its CPU
    half as long again as to transpose first.
    """
    return rows @ weight


def _product(rows: Array, weight: Array) -> tuple[Array, tuple[Array, Array]]:
    return rows @ weight, (rows, weight)


def _product_slopes(kept: tuple[Array, Array], slope: Array) -> tuple[Array, Array]:
    rows, weight = kept
    columns = jax.lax.optimization_barrier(jnp.swapaxes(rows, -1, -2))  # type: ignore[no-untyped-call]
    return slope @ jnp.swapaxes(weight, -1, -2), columns @ slope


product.defvjp(_product, _product_slopes)


class Trio(eqx.Module):
    """Actor and both critics as one network of three: one product a layer instead of three.

    Attributes:
        weights: (3, inputs, outputs) for each layer; a critic's one output stands first, the rest is zero.
        biases: (3, outputs) for each layer.
        log_std: (action,) of the actor.
        activation: what stands between the layers.
    """

    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    log_std: Array
    activation: Activation = eqx.field(static=True)

    @classmethod
    def join(cls, actor: GaussianPolicy, critic: MLP, cost_critic: MLP) -> "Trio":
        """The three as one."""
        networks = (actor.network, critic, cost_critic)

        def stack(leaves: Sequence[Array]) -> Array:
            width = leaves[0].shape[-1]
            return jnp.stack(
                [jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, width - x.shape[-1])]) for x in leaves]
            )

        weights = tuple(stack(layer) for layer in zip(*(net.weights for net in networks), strict=True))
        biases = tuple(stack(layer) for layer in zip(*(net.biases for net in networks), strict=True))
        return cls(weights, biases, actor.log_std, actor.network.activation)

    def split(self, state: State) -> State:
        """The state with these three networks."""

        def network(index: int, outputs: int | None) -> MLP:
            weights, biases = [w[index] for w in self.weights], [b[index] for b in self.biases]
            weights[-1], biases[-1] = weights[-1][:, :outputs], biases[-1][:outputs]
            return MLP(tuple(weights), tuple(biases), activation=self.activation)

        actor = eqx.tree_at(lambda a: (a.network, a.log_std), state.actor, (network(0, None), self.log_std))
        networks = (actor, network(1, 1), network(2, 1))
        return eqx.tree_at(lambda s: (s.actor, s.critic, s.cost_critic), state, networks)

    def __call__(self, observations: Array) -> tuple[Array, Array, Array]:
        """Means (N, action), values (N,) and cost values (N,) for (N, observation) scaled observations."""
        hidden = jnp.broadcast_to(observations, (3, *observations.shape))
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden = ACTIVATIONS[self.activation](product(hidden, weight) + bias[:, None])
        out = product(hidden, self.weights[-1]) + self.biases[-1][:, None]
        return out[0], out[1, :, 0], out[2, :, 0]

    def flat(self) -> Array:
        """(3, P) all parameters, a row for each network."""
        log_std = jnp.zeros((3, self.log_std.shape[0])).at[0].set(self.log_std)
        return jnp.concatenate([*(x.reshape(3, -1) for x in self.weights + self.biases), log_std], axis=1)

    def unflat(self, flat: Array) -> "Trio":
        """The trio of these shapes whose `flat` that is."""
        leaves, start = [], 0
        for like in self.weights + self.biases:
            width = like[0].size
            leaves.append(flat[:, start : start + width].reshape(like.shape))
            start += width
        layers = len(self.weights)
        return Trio(tuple(leaves[:layers]), tuple(leaves[layers:]), flat[0, start:], self.activation)


def fit(config: Config, state: State, table: Rows, actor_loss: ActorLoss | None) -> tuple[State, Metrics]:
    """Passes of Adam over shuffled minibatches, actor and critics together.

    The critics minimise half the mean squared distance to their targets. After each pass the mean KL divergence
    of the actor from the one that acted is measured on all rows; beyond `target_kl` the update is over. All
    parameters are one matrix meanwhile: on a CPU each of the thousands of small steps costs as much in calls as
    in arithmetic.

    Args:
        config: passes, minibatch, learning rates, annealing, `target_kl`.
        state: where to start; `state.key` is used and replaced.
        table: what `rows` gave, and columns of the method's own; each (N, ...) float.
        actor_loss: what the actor minimises; None leaves it as it is, and the critics learn for all passes.

    Returns:
        The state with `actor`, critics, `optimizer` and `key` replaced, and metrics over all rows.
    """
    count = table["raw"].shape[0]
    size = min(config.minibatch, count)
    blocks = count // size
    widths = {name: column[0].size for name, column in table.items() if name != "observations"}
    packed = jnp.concatenate([table[name].reshape(count, -1) for name in widths], axis=1)
    trio = Trio.join(state.actor, state.critic, state.cost_critic)
    rates = jnp.array([config.learning_rate, config.critic_learning_rate, config.critic_learning_rate])
    if config.anneal:
        rates = rates * (1 - state.step / total_updates(config))
    key, shuffle_key = jax.random.split(state.key)

    def columns(indices: Array) -> Rows:
        block, start = packed[indices], 0
        found = {"observations": table["observations"][indices]}
        for name, width in widths.items():
            found[name] = block[:, start : start + width].reshape(-1, *table[name].shape[1:])
            start += width
        return found

    def losses(networks: Trio, batch: Rows) -> tuple[Array, Array, Array]:
        mean, value, cost_value = networks(batch["observations"])
        actor = jnp.zeros(()) if actor_loss is None else actor_loss(mean, networks.log_std, batch)
        error = 0.5 * jnp.mean((value - batch["target"]) ** 2)
        return actor, error, 0.5 * jnp.mean((cost_value - batch["cost_target"]) ** 2)

    def step(carry: tuple[Array, Any], indices: Array) -> tuple[tuple[Array, Any], None]:
        flat, moments = carry
        slope = jax.grad(lambda nets, batch: sum(losses(nets, batch)))(
            trio.unflat(flat), columns(indices)
        ).flat()
        length = jnp.sqrt(jnp.sum(slope**2, axis=1, keepdims=True))
        slope = slope * jnp.minimum(1.0, config.max_gradient_norm / (length + 1e-12))
        change, moments = _ADAM.update(slope, moments)
        return (flat - rates[:, None] * change, moments), None

    def one_pass(carry: tuple[Array, Array, Any, Array]) -> tuple[Array, Array, Any, Array]:
        index, flat, moments, _ = carry
        order = different(jax.random.fold_in(shuffle_key, index), count, count)
        (flat, moments), _ = jax.lax.scan(step, (flat, moments), order[: blocks * size].reshape(blocks, size))
        if actor_loss is None:
            return index + 1, flat, moments, jnp.zeros(())
        now = trio.unflat(flat).split(state).actor
        mean = now.network(table["observations"])
        kl = divergence(mean, now.log_std, table["mean"], state.actor.log_std)
        return index + 1, flat, moments, jnp.mean(kl)

    done, flat, moments, kl = jax.lax.while_loop(
        lambda carry: (carry[0] < config.passes) & ~(carry[3] > config.target_kl),
        one_pass,
        (jnp.zeros((), jnp.int32), trio.flat(), state.optimizer, jnp.zeros(())),
    )
    networks = trio.unflat(flat)
    actor, error, cost_error = losses(networks, table)
    metrics = {
        "loss": actor,
        "critic_loss": error,
        "cost_critic_loss": cost_error,
        "kl": kl,
        "passes": done.astype(jnp.float32),
        "std": jnp.mean(jnp.exp(networks.log_std)),
    }
    after = networks.split(state)
    return eqx.tree_at(lambda s: (s.optimizer, s.key), after, (moments, key)), metrics


def is_free(config: Config, state: State) -> Array:
    """() bool, whether the limit does not count yet."""
    return state.step * config.rollout < config.free_steps


def violation(config: Config, cost_limit: Array, state: State, rollout: Rollout) -> Array:
    """() cost above the limit, for a multiplier; never positive while the limit does not count."""
    above = rollout.cost - cost_limit
    return jnp.where(is_free(config, state), jnp.minimum(above, 0.0), above)


def total_updates(config: Config) -> int:
    """Updates in a whole run."""
    return max(1, -(-config.steps // config.rollout))


def finish(config: Config, state: State, rollout: Rollout) -> State:
    """The state after an update: one step further, with observations counted."""
    scaler = state.scaler.updated(rollout.observations) if config.normalize else state.scaler
    return eqx.tree_at(lambda s: (s.scaler, s.step), state, (scaler, state.step + 1))
