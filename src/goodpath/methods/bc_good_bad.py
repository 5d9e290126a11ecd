"""BC-GB: behaviour cloning of good trajectories that also makes bad ones unlikely (arXiv 2312.10385).

Maximises, with the weight w of the good set,

    w E_good[log pi(a|s)] - (1 - w) E_bad[max(log pi(a|s), floor)].

The means are over transitions. A trajectory is good if its cost is at most the cost limit and its return at least
`good_return`; it is bad if its cost is beyond the limit or its return below `bad_return`; the rest is not used.

Without the floor the second term has no bound: a policy could make bad actions ever less likely and forget the good
ones. A bad action whose log-density is below the floor is unlikely enough, and pushes no more. For a Gaussian policy
the floor is a log-density; a deterministic one has minus the squared distance to the action in its place, with bounds
scaled to [-1, 1], and then `floor=-0.25` asks for a distance of a half.

The paper states the objective and gives neither code nor w; half is the choice that treats both sets alike. With
w = 1 it is behaviour cloning of the good set. Where good and bad trajectories visit the same states with like actions
it loses return: the paper reports the same.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from goodpath.errors import GoodpathError
from goodpath.methods import bc
from goodpath.methods.bc import State
from goodpath.methods.contract import Batch, Data, Metrics, OfflineMethod, Phase, Shuffle
from goodpath.oracles import BAD, GOOD, All, CostLimit, Oracle, ReturnThreshold
from goodpath.policies import CategoricalPolicy, Policy
from goodpath.trajectories import Dataset


@dataclass(frozen=True)
class Config(bc.Cloning):
    """Options of BC-GB."""

    good_weight: float = 0.5
    """Weight w of the good set, in (0, 1]; the bad set has the rest."""
    floor: float = -5.0
    """Log-density of a bad action, for each of its components, below which it is unlikely enough."""
    good_return: float | None = None
    """Lowest return of a good trajectory; none is too low when left out."""
    bad_return: float | None = None
    """A lower return makes a trajectory bad whatever it costs; none does when left out."""
    batch_size: int = 256
    """Transitions of each set in an update."""
    policy: Literal["deterministic", "gaussian"] = "gaussian"
    """The density of a squashed Gaussian, or squared errors of a tanh output."""


def oracle(config: Config, cost_limit: float) -> Oracle:
    """Who tells good trajectories from bad."""
    good, bad = (-math.inf if limit is None else limit for limit in (config.good_return, config.bad_return))
    return All((CostLimit(cost_limit), ReturnThreshold(max(good, bad), bad)))


class Transitions:
    """Batches of transitions of both sets.

    Raises:
        GoodpathError: a set is empty, or the weight or the floor makes no sense.
    """

    def __init__(self, config: Config, dataset: Dataset, cost_limit: float, seed: int) -> None:
        if not 0 < config.good_weight <= 1:
            raise GoodpathError(f"the weight of the good set lies in (0, 1]; it is {config.good_weight:g}.")
        if not math.isfinite(config.floor):
            raise GoodpathError("the floor has to be finite, or bad actions could be pushed away for ever.")
        outcomes = dataset.outcomes()
        labels = oracle(config, cost_limit)(outcomes)
        known = f"costs are {outcomes.costs.min():g} to {outcomes.costs.max():g}, returns "
        known += f"{outcomes.returns.min():g} to {outcomes.returns.max():g}"
        if not (labels == GOOD).any():
            raise GoodpathError(
                f"no trajectory of the data is good at cost limit {cost_limit:g}: {known}; raise --cost-limit, lower "
                "--good-return or collect more careful data."
            )
        if not (labels == BAD).any():
            raise GoodpathError(
                f"no trajectory of the data is bad at cost limit {cost_limit:g}: {known}; lower --cost-limit, raise "
                "--bad-return, or clone the data with `bc`."
            )
        self._sets = [np.flatnonzero(np.repeat(labels == side, dataset.lengths)) for side in (GOOD, BAD)]
        self._shuffles = [
            Shuffle(len(steps), config.batch_size, (seed, stream)) for stream, steps in enumerate(self._sets)
        ]
        self.summary = {
            "good_trajectories": float((labels == GOOD).sum()),
            "bad_trajectories": float((labels == BAD).sum()),
            "good_transitions": float(len(self._sets[0])),
            "bad_transitions": float(len(self._sets[1])),
        }

    def batch(self, phase: str, step: int) -> Batch:
        """Positions (batch,) of both sets in the data and their masks."""
        batch: Batch = {}
        for name, steps, shuffle in zip(("good", "bad"), self._sets, self._shuffles, strict=True):
            indices, mask = shuffle(step)
            batch |= {name: steps[indices].astype(np.int32), f"{name}_mask": mask}
        return batch


def loss(
    config: Config, policy: Policy, data: Data, batch: dict[str, Array], key: Array
) -> tuple[Array, Metrics]:
    """() the negated objective, and the mean log-densities of both sets."""
    keys = jax.random.split(key)

    def log_prob(name: str, key: Array) -> Array:
        steps = batch[name]
        return policy.log_prob(data.observations[steps], data.actions[steps], key)

    def mean(name: str, values: Array) -> Array:
        mask = batch[f"{name}_mask"]
        return jnp.sum(mask * values) / jnp.sum(mask)

    good, bad = log_prob("good", keys[0]), log_prob("bad", keys[1])
    components = 1 if isinstance(policy, CategoricalPolicy) else data.actions.shape[1]
    floor = config.floor * components
    away = mean("bad", jnp.maximum(bad, floor))
    value = -config.good_weight * mean("good", good) + (1 - config.good_weight) * away
    return value, {"good_log_prob": mean("good", good), "bad_log_prob": mean("bad", bad)}


def update(config: Config, state: State, data: Data, batch: dict[str, Array]) -> tuple[State, Metrics]:
    """One step of Adam on `loss`."""
    key = jax.random.fold_in(state.key, state.step)
    slope = jax.value_and_grad(lambda policy: loss(config, policy, data, batch, key), has_aux=True)
    (value, metrics), gradient = slope(state.policy)
    changes, optimizer = bc.adam(config).update(gradient, state.optimizer)
    policy = optax.apply_updates(state.policy, changes)
    return State(policy, optimizer, state.key, state.step + 1), {"loss": value, **metrics}


_DEFAULT = Config()
BC_GB = OfflineMethod(
    name="bc-gb",
    title="BC-GB: behaviour cloning of the good, away from the bad",
    config=Config,
    presets={"default": _DEFAULT, "demo": replace(_DEFAULT, hidden=(128, 128), steps=8_000)},
    prepare=Transitions,
    init=bc.init,
    phases=lambda config: (Phase("clone", config.steps, update),),
    policy=lambda state: state.policy,
    document=__doc__ or "",
)
