"""Probe environments: tiny tasks with cost whose optimum is known in closed form.

They are pure JAX functions. `ProbeEnv` puts any of them behind the batched contract; a compiled method may call
`reset` and `step` itself. Each says what the best policy earns under a cost limit, so that a method can be
tested by what it learns rather than by that it runs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from goodpath.envs.checks import seeds_of
from goodpath.envs.vector import Step
from goodpath.errors import GoodpathError
from goodpath.spec import Spec


@dataclass(frozen=True)
class Probe:
    """A task with one action in [-1, 1].

    Attributes:
        spec: sizes and bounds.
        reset: key -> state (observation,), which is also the observation.
        step: (state, action (1,), key) -> (next state, reward, cost).
        best_action: (observation (n, observation), cost limit) -> (n,) what the optimal policy does.
        best_return: cost limit -> expected return of the optimal policy.
        best_multiplier: cost limit -> its Lagrange multiplier: what one unit of the limit is worth in return.
    """

    spec: Spec
    reset: Callable[[Array], Array]
    step: Callable[[Array, Array, Array], tuple[Array, Array, Array]]
    best_action: Callable[[NDArray[Any], float], NDArray[np.float64]]
    best_return: Callable[[float], float]
    best_multiplier: Callable[[float], float]


def _bandit_step(state: Array, action: Array, key: Array) -> tuple[Array, Array, Array]:
    return state, -((action[0] - 1.0) ** 2), action[0] ** 2


# One step. Reward -(a - 1)^2, cost a^2: under a limit d < 1 the best action is sqrt(d), and stationarity of
# -(a - 1)^2 - m (a^2 - d) gives the multiplier m = (1 - a) / a.
BANDIT = Probe(
    spec=Spec("ProbeBandit-v0", observation_size=1, action_size=1, episode_length=1),
    reset=lambda key: jnp.ones(1),
    step=_bandit_step,
    best_action=lambda observations, limit: np.full(len(observations), min(np.sqrt(limit), 1.0)),
    best_return=lambda limit: -((min(np.sqrt(limit), 1.0) - 1.0) ** 2),
    best_multiplier=lambda limit: max(1.0 / np.sqrt(limit) - 1.0, 0.0),
)


def _context_step(state: Array, action: Array, key: Array) -> tuple[Array, Array, Array]:
    return state, -((action[0] - state[0]) ** 2), jnp.maximum(action[0], 0.0)


# One step. The observation x is uniform in [-1, 1]; reward -(a - x)^2, cost max(a, 0). Where x > 0, stationarity
# of -(a - x)^2 - m a gives a = max(x - m / 2, 0), whose expected cost (1 - m / 2)^2 / 4 has to be the limit d:
# m = 2 - 4 sqrt(d) for d < 1/4. The return is -(E[(m/2)^2; x > m/2] + E[x^2; 0 < x < m/2]).
def _context_multiplier(limit: float) -> float:
    return max(2.0 - 4.0 * float(np.sqrt(limit)), 0.0)


def _context_action(observations: NDArray[Any], limit: float) -> NDArray[np.float64]:
    x = np.asarray(observations, np.float64)[:, 0]
    return np.where(x > 0, np.maximum(x - _context_multiplier(limit) / 2, 0.0), x)


def _context_return(limit: float) -> float:
    half = _context_multiplier(limit) / 2
    return -(half**2 * (1 - half) + half**3 / 3) / 2


CONTEXT = Probe(
    spec=Spec("ProbeContext-v0", observation_size=1, action_size=1, episode_length=1),
    reset=lambda key: jax.random.uniform(key, (1,), minval=-1.0, maxval=1.0),
    step=_context_step,
    best_action=_context_action,
    best_return=_context_return,
    best_multiplier=_context_multiplier,
)


def _line_step(state: Array, action: Array, key: Array) -> tuple[Array, Array, Array]:
    speed = (action[0] + 1.0) / 2.0
    moved = jnp.stack([state[0] + speed, state[1] + 0.1])
    return moved, speed, speed**2


# Ten steps along a line that only the time limit ends. Reward is the speed u in [0, 1], cost u^2. By symmetry and
# convexity the best speed under a limit d < 10 is sqrt(d / 10) at every step; the multiplier is 1 / (2 u).
LINE = Probe(
    spec=Spec("ProbeLine-v0", observation_size=2, action_size=1, episode_length=10),
    reset=lambda key: jnp.zeros(2),
    step=_line_step,
    best_action=lambda observations, limit: np.full(len(observations), 2 * min(np.sqrt(limit / 10), 1.0) - 1),
    best_return=lambda limit: 10 * min(float(np.sqrt(limit / 10)), 1.0),
    best_multiplier=lambda limit: 0.5 / float(np.sqrt(limit / 10)) if limit < 10 else 0.0,
)

PROBES = {probe.spec.name: probe for probe in (BANDIT, CONTEXT, LINE)}


@jax.jit
def _split(keys: Array) -> tuple[Array, Array]:
    pairs = jax.vmap(jax.random.split)(keys)
    return pairs[:, 0], pairs[:, 1]


class ProbeEnv:
    """`num_envs` copies of a probe behind the contract `goodpath.envs.vector.BatchedEnv`."""

    def __init__(self, probe: Probe, num_envs: int) -> None:
        if num_envs < 1:
            raise GoodpathError(f"{num_envs} environments were asked for; make at least one.")
        self.spec, self.num_envs = probe.spec, num_envs
        self._reset = jax.jit(jax.vmap(probe.reset))
        self._step = jax.jit(jax.vmap(probe.step))
        entropy = int(np.random.SeedSequence().generate_state(1)[0])
        self._keys = jax.random.split(jax.random.key(entropy), num_envs)
        self._states: Array | None = None
        self._time = 0

    def reset(self, seed: int | Sequence[int] | None = None) -> NDArray[np.float64]:
        """See `BatchedEnv`."""
        if seed is not None:
            seeds = seeds_of(seed, self.num_envs)
            self._keys = jax.vmap(jax.random.key)(jnp.asarray(seeds, jnp.uint32))
        self._keys, draws = _split(self._keys)
        self._states = self._reset(draws)
        self._time = 0
        return np.asarray(self._states, np.float64)

    def step(self, actions: NDArray[Any]) -> Step:
        """See `BatchedEnv`; all copies end their episodes together, by the time limit."""
        if self._states is None:
            raise GoodpathError("reset the environment before its first step.")
        if np.shape(actions) != (self.num_envs, 1) or not np.isfinite(actions).all():
            raise GoodpathError(
                f"actions have to be finite and of shape {(self.num_envs, 1)}, got {np.shape(actions)}."
            )
        self._keys, draws = _split(self._keys)
        allowed = jnp.clip(jnp.asarray(actions, jnp.float32), -1.0, 1.0)
        self._states, rewards, costs = self._step(self._states, allowed, draws)
        final = np.asarray(self._states, np.float64)
        self._time += 1
        over = self._time == self.spec.episode_length
        return Step(
            observations=self.reset() if over else final,
            rewards=np.asarray(rewards, np.float64),
            costs=np.asarray(costs, np.float64),
            terminated=np.zeros(self.num_envs, np.bool_),
            truncated=np.full(self.num_envs, over),
            final_observations=final,
            info={},
        )

    def close(self) -> None:
        """There is nothing to free."""


def make(name: str, num_envs: int, threads: int | None = None) -> ProbeEnv:
    """A probe environment by name; probes need no threads."""
    return ProbeEnv(PROBES[name], num_envs)
