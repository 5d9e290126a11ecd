"""Behaviour cloning: imitate the actions in the data, all of them or those of safe trajectories only.

Minimises the mean over transitions of -log pi(a|s). With a deterministic policy that is the squared distance
to the recorded action (`policies.DeterministicPolicy`). Where actions are discrete the policy is a softmax
(`policies.CategoricalPolicy`), and it is the cross-entropy.

* `bc` clones every trajectory, so it inherits the data's mean cost, whatever the limit is.
* `bc-safe` clones the trajectories whose cost is at or under the limit: the baseline to beat in offline safe
  reinforcement learning (BC-Safe of the DSRL benchmark, arXiv 2306.09303).
"""

from dataclasses import dataclass, replace
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from goodpath.errors import GoodpathError
from goodpath.methods.contract import Batch, Data, Metrics, OfflineMethod, Phase, Shuffle
from goodpath.networks import mlp
from goodpath.oracles import GOOD, CostLimit
from goodpath.policies import CategoricalPolicy, DeterministicPolicy, Policy, SquashedGaussianPolicy
from goodpath.spec import Spec
from goodpath.trajectories import Dataset


@dataclass(frozen=True)
class Cloning:
    """Options of whatever clones."""

    steps: int = 20_000
    """Updates."""
    batch_size: int = 512
    """Transitions in an update."""
    learning_rate: float = 1e-3
    """Of Adam; it falls to zero along half a cosine over the run."""
    hidden: tuple[int, ...] = (256, 256)
    """Sizes of the hidden layers."""
    dropout: float = 0.0
    """Probability that a hidden unit is dropped while training."""
    policy: Literal["deterministic", "gaussian"] = "deterministic"
    """Squared error of a tanh output, or the density of a squashed Gaussian; a softmax where actions are discrete."""
    normalize: Literal["none", "scale", "whiten"] = "whiten"
    """What is done to observations before the network: nothing, unit variances, or unit covariance."""


@dataclass(frozen=True)
class Config(Cloning):
    """Options of behaviour cloning."""

    subset: Literal["all", "safe"] = "all"
    """Which trajectories are cloned: all, or those at or under the cost limit."""


class State(eqx.Module):
    """Everything that changes in training."""

    policy: Policy
    optimizer: optax.OptState
    key: Array
    step: Array


class Transitions:
    """Batches of transitions of the chosen trajectories."""

    def __init__(self, config: Config, dataset: Dataset, cost_limit: float, seed: int) -> None:
        outcomes = dataset.outcomes()
        chosen = np.ones(len(dataset), np.bool_)
        if config.subset == "safe":
            chosen = CostLimit(cost_limit)(outcomes) == GOOD
            if not chosen.any():
                raise GoodpathError(
                    f"no trajectory of the data keeps the cost limit {cost_limit:g}: the lowest cost is "
                    f"{outcomes.costs.min():g}; raise --cost-limit or collect more careful data."
                )
        self._steps = np.flatnonzero(np.repeat(chosen, dataset.lengths))
        self._shuffle = Shuffle(len(self._steps), config.batch_size, (seed, 0))
        self.summary = {"trajectories": float(chosen.sum()), "transitions": float(len(self._steps))}

    def batch(self, phase: str, step: int) -> Batch:
        """Positions (batch,) in the data and their mask."""
        indices, mask = self._shuffle(step)
        return {"steps": self._steps[indices].astype(np.int32), "mask": mask}


def make_policy(
    kind: Literal["deterministic", "gaussian"],
    hidden: tuple[int, ...],
    dropout: float,
    spec: Spec,
    key: Array,
) -> Policy:
    """A fresh policy with orthogonal weights for the spec's observations and actions."""
    if spec.actions:
        network = mlp((spec.observation_size, *hidden, spec.actions), key, dropout_rate=dropout)
        return CategoricalPolicy(network)
    if kind == "deterministic":
        network = mlp((spec.observation_size, *hidden, spec.action_size), key, dropout_rate=dropout)
        return DeterministicPolicy(network, spec.action_low, spec.action_high)
    network = mlp((spec.observation_size, *hidden, 2 * spec.action_size), key, dropout_rate=dropout)
    return SquashedGaussianPolicy(network, spec.action_low, spec.action_high)


def init(config: Cloning, spec: Spec, key: Array) -> State:
    """A fresh state."""
    policy_key, key = jax.random.split(key)
    policy = make_policy(config.policy, config.hidden, config.dropout, spec, policy_key)
    return State(policy, adam(config).init(policy), key, jnp.zeros((), jnp.int32))


def adam(config: Cloning) -> optax.GradientTransformation:
    """Adam, whose learning rate falls to zero over the run."""
    return optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps))


def clone_loss(policy: Policy, observations: Array, actions: Array, mask: Array, key: Array) -> Array:
    """Mean of -log pi(a|s) over the transitions whose mask is one."""
    return -jnp.sum(mask * policy.log_prob(observations, actions, key)) / jnp.sum(mask)


def update(config: Config, state: State, data: Data, batch: dict[str, Array]) -> tuple[State, Metrics]:
    """One step of Adam on `clone_loss`."""
    steps = batch["steps"]
    loss, gradient = jax.value_and_grad(clone_loss)(
        state.policy,
        data.observations[steps],
        data.actions[steps],
        batch["mask"],
        jax.random.fold_in(state.key, state.step),
    )
    changes, optimizer = adam(config).update(gradient, state.optimizer)
    policy = optax.apply_updates(state.policy, changes)
    return State(policy, optimizer, state.key, state.step + 1), {"loss": loss}


def _method(name: str, title: str, subset: Literal["all", "safe"]) -> OfflineMethod:
    default = Config(subset=subset)
    return OfflineMethod(
        name=name,
        title=title,
        config=Config,
        presets={
            "default": default,
            # The size of the demonstration: small enough for a minute on two cores.
            "demo": replace(default, hidden=(128, 128), steps=8_000),
        },
        prepare=Transitions,
        init=init,
        phases=lambda config: (Phase("clone", config.steps, update),),
        policy=lambda state: state.policy,
        document=__doc__ or "",
    )


BC = _method("bc", "Behaviour cloning of all data", "all")
BC_SAFE = _method("bc-safe", "Behaviour cloning of the safe trajectories", "safe")
