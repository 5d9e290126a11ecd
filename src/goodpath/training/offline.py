"""Offline training as one compiled program: many updates of all seeds between two looks from outside."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from goodpath.methods.contract import Data, Metrics, OfflineMethod, Phase
from goodpath.normalize import normalizer
from goodpath.policies import Policy
from goodpath.spec import Spec
from goodpath.trajectories import Dataset


@partial(jax.jit, static_argnames=("init", "config", "spec"))
def _init(init: Any, config: Any, spec: Spec, keys: Array) -> Any:
    return jax.vmap(lambda key: init(config, spec, key))(keys)


@partial(jax.jit, static_argnames=("update", "config", "together"))
def _advance(
    update: Any, config: Any, together: int, states: Any, data: Data, derived: Any, batches: dict[str, Array]
) -> tuple[Any, Metrics]:
    """Runs the updates of (seeds, updates, ...) batches; gives new states and (seeds,) mean metrics."""

    def one_seed(seed: tuple[Any, Any, dict[str, Array]]) -> tuple[Any, Metrics]:
        state, own, its_batches = seed
        its_data = Data(data.observations, data.actions, data.longest, own)
        state, metrics = jax.lax.scan(lambda s, batch: update(config, s, its_data, batch), state, its_batches)
        return state, jax.tree.map(jnp.mean, metrics)

    return jax.lax.map(one_seed, (states, derived, batches), batch_size=together)


@partial(jax.jit, static_argnames=("derive", "config"))
def _derive(derive: Any, config: Any, states: Any, data: Data) -> Any:
    return jax.lax.map(lambda state: derive(config, state, data), states)


class OfflineProgram:
    """Trains all seeds of one method on one data set.

    On an accelerator all seeds run side by side (`vmap`); on a CPU, whose cores one seed already fills, they
    take turns inside the same program. Both give each seed the numbers it gets alone, up to rounding.

    Args:
        method: what to train.
        config: its options.
        dataset: what to learn from.
        spec: sizes and bounds of the task.
        cost_limit: limit on the episode cost.
        seeds: one policy is trained for each.
        together: seeds that run side by side; chosen by the device when left out.
    """

    unit = "updates"
    stride = 100

    def __init__(
        self,
        method: OfflineMethod,
        config: Any,
        dataset: Dataset,
        spec: Spec,
        cost_limit: float,
        seeds: Sequence[int],
        together: int | None = None,
    ) -> None:
        self.method, self.config, self.spec, self.seeds = method, config, spec, tuple(seeds)
        self.step = 0
        self.phases = [phase for phase in method.phases(config) if phase.steps > 0]
        self.total_steps = sum(phase.steps for phase in self.phases)
        self.sources = [method.prepare(config, dataset, cost_limit, seed) for seed in self.seeds]
        self._normalizer = normalizer(config.normalize, dataset.observations)
        self.data = Data(
            jnp.asarray(self._normalizer(dataset.observations)),
            jnp.asarray(dataset.actions),
            int(dataset.lengths.max()),
        )
        keys = jnp.stack([jax.random.key(seed) for seed in self.seeds])
        self.states: Any = _init(method.init, config, spec, keys)
        if together is None:
            together = 1 if jax.default_backend() == "cpu" else len(self.seeds)
        self._together = together
        self._derived: Any = None
        self._derived_for = ""

    @property
    def learnt(self) -> Any:
        """What an update can spoil: all of the states."""
        return self.states

    def phase(self) -> tuple[Phase, int]:
        """The phase that the next update belongs to, and the step at which it ends."""
        end = 0
        for phase in self.phases:
            end += phase.steps
            if self.step < end:
                return phase, end
        return self.phases[-1], end

    def advance(self, until: int) -> Metrics:
        """Trains up to step `until`, which must not lie beyond the current phase; gives (seeds,) mean metrics."""
        phase, end = self.phase()
        if self.step == end - phase.steps and phase.enter is not None:
            self.states = jax.vmap(partial(phase.enter, self.config))(self.states)
        if phase.derive is not None and self._derived_for != phase.name:
            self._derived = _derive(phase.derive, self.config, self.states, self.data)
        elif phase.derive is None:
            self._derived = None
        self._derived_for = phase.name
        batches = [
            [source.batch(phase.name, step) for step in range(self.step, min(until, end))]
            for source in self.sources
        ]
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *[_stack(seed) for seed in batches])
        self.states, metrics = _advance(
            phase.update, self.config, self._together, self.states, self.data, self._derived, stacked
        )
        self.step = min(until, end)
        return jax.tree.map(np.asarray, metrics)

    @property
    def updates(self) -> int:
        """Updates so far."""
        return self.step

    def policies(self) -> Policy:
        """The current policies of all seeds, stacked along a leading axis, for observations as they are."""
        return jax.vmap(lambda state: self._normalizer.fold(self.method.policy(state)))(self.states)

    def policy(self, index: int) -> Policy:
        """The current policy of one seed."""
        return jax.tree.map(lambda leaf: leaf[index], self.policies())


def _stack(batches: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {name: np.stack([batch[name] for batch in batches]) for name in batches[0]}


def is_finite(tree: Any) -> bool:
    """Whether every floating-point leaf is free of NaN and infinity."""
    leaves = jax.tree.leaves(eqx.filter(tree, eqx.is_inexact_array))
    return all(bool(jnp.isfinite(leaf).all()) for leaf in leaves)
