"""Any Gymnasium environment that reports a cost, behind the batched contract.

An environment reports the cost of a step as `info["cost"]`, or as safety-gymnasium does, in a step of six
values: observation, reward, cost, terminated, truncated, info. Observations have to be a flat `Box`, actions
a flat and bounded one.
"""

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from goodpath.envs.checks import actions_of, seeds_of
from goodpath.envs.vector import Array, BatchedEnv, Step
from goodpath.errors import GoodpathError
from goodpath.spec import Spec

_REMEDIES = {
    "Dict": "wrap it in gymnasium.wrappers.FlattenObservation",
    "Tuple": "wrap it in gymnasium.wrappers.FlattenObservation",
    "Discrete": "goodpath's environments are continuous",
}


def adapt(
    make_env: Callable[[], Any],
    num_envs: int,
    name: str,
    *,
    episode_length: int | None = None,
    workers: int = 0,
) -> BatchedEnv:
    """Puts `num_envs` environments of somebody else's behind the batched contract.

    The first `reset` seeds each with its own seed, and what it draws later comes from its own stream, so an
    environment that takes its randomness from `reset(seed=...)` repeats itself exactly.

    Args:
        make_env: makes one environment, a new one each time. With workers it has to be a function that
            another process can import, or a `functools.partial` of one.
        num_envs: number of copies.
        name: what the task is called.
        episode_length: steps after which an episode is truncated; what the environment is registered with
            when left out.
        workers: processes to step them in, each a share of the copies; 0 steps them in this one.

    Raises:
        GoodpathError: observations or actions are of a kind that is not taken, nothing says how long an
            episode is, or `num_envs`, `episode_length` or `workers` makes no sense.
    """
    if workers < 0:
        raise GoodpathError(f"workers is {workers}; give the number of processes, or 0 for none.")
    if workers:
        from goodpath.envs.workers import WorkerEnv

        return WorkerEnv(make_env, num_envs, name, episode_length, min(workers, num_envs))
    return AdaptedEnv(make_env, num_envs, name, episode_length)


class AdaptedEnv:
    """Environments stepped one after the other in this process; see `adapt` for arguments and errors.

    Actions are clipped to their bounds. Where components have different bounds, actions lie in [-1, 1] and
    are stretched to them. `info` holds the numbers that every environment reports beside its cost.
    """

    def __init__(
        self, make_env: Callable[[], Any], num_envs: int, name: str, episode_length: int | None = None
    ) -> None:
        if num_envs < 1:
            raise GoodpathError(f"an environment needs at least one copy, but num_envs is {num_envs}.")
        self.num_envs = num_envs
        self._envs: list[Any] = []
        try:
            for _ in range(num_envs):
                self._envs.append(make_env())
            if len({id(env) for env in self._envs}) < num_envs:
                raise GoodpathError(
                    f"make_env of {name} gave the same environment twice; it has to make a new one each time."
                )
            first = self._envs[0]
            self._low, self._high, bounds = _action_bounds(first.action_space, name)
            self.spec = Spec(
                name=name,
                observation_size=_observation_size(first.observation_space, name),
                action_size=len(self._low),
                episode_length=_episode_length(first, name, episode_length),
                action_low=bounds[0],
                action_high=bounds[1],
            )
        except BaseException:
            self.close()
            raise
        self._action_type = first.action_space.dtype
        self._steps = np.zeros(num_envs, np.int64)
        self._started = False

    def reset(self, seed: int | Sequence[int] | None = None) -> Array:
        """Starts new episodes everywhere and returns (num_envs, observation) observations.

        Args:
            seed: a number s seeds environment i with s + i; a sequence gives each its own; None goes on with
                the random streams as they are.

        Raises:
            GoodpathError: a seed is outside [0, 2³²), a sequence has the wrong length, or an observation is
                not what its space says.
        """
        seeds = [None] * self.num_envs if seed is None else seeds_of(seed, self.num_envs)
        observations = np.stack([self._begin(row, value) for row, value in enumerate(seeds)])
        self._started = True
        return observations

    def step(self, actions: NDArray[Any]) -> Step:
        """Steps every environment with its row of the (num_envs, action) `actions`; see `Step`.

        Raises:
            GoodpathError: `actions` has the wrong shape or is not finite, `reset` was never called, or an
                environment gave no cost.
        """
        checked = actions_of(actions, self.spec, self.num_envs, self._started)
        clipped = np.clip(checked, self.spec.action_low, self.spec.action_high)
        share = (clipped - self.spec.action_low) / (self.spec.action_high - self.spec.action_low)
        given = clipped if _same(self._low, self._high) else self._low + share * (self._high - self._low)
        n = self.num_envs
        final = np.zeros((n, self.spec.observation_size))
        rewards, costs, terminated, truncated = np.zeros(n), np.zeros(n), np.zeros(n, bool), np.zeros(n, bool)
        infos = []
        for row, env in enumerate(self._envs):
            observation, rewards[row], costs[row], terminated[row], truncated[row], info = _outcome(
                env.step(given[row].astype(self._action_type)), self.spec.name
            )
            final[row] = self._flat(observation)
            infos.append(info)
        self._steps += 1
        truncated |= self._steps >= self.spec.episode_length
        observations = final
        ended = np.flatnonzero(terminated | truncated)
        if ended.size:
            observations = final.copy()
            for row in ended.tolist():
                observations[row] = self._begin(row, None)
        return Step(observations, rewards, costs, terminated, truncated, final, _gather(infos))

    def close(self) -> None:
        """Closes every environment."""
        for env in self._envs:
            env.close()
        self._envs = []

    def _begin(self, row: int, seed: int | None) -> Array:
        observation, _ = self._envs[row].reset(seed=seed)
        self._steps[row] = 0
        return self._flat(observation)

    def _flat(self, observation: Any) -> Array:
        flat = np.array(observation, np.float64)
        if flat.shape != (self.spec.observation_size,):
            raise GoodpathError(
                f"{self.spec.name} gave an observation of shape {flat.shape}, but its space says "
                f"({self.spec.observation_size},); mend the environment's observation_space."
            )
        return flat


def _same(low: Array, high: Array) -> bool:
    """Whether all components have the same bounds."""
    return bool((low == low[0]).all() and (high == high[0]).all())


def _observation_size(space: Any, name: str) -> int:
    kind = type(space).__name__
    if not isinstance(space, gymnasium.spaces.Box):
        remedy = _REMEDIES.get(kind, "give it a Box")
        raise GoodpathError(f"{name} has observations of kind {kind}, but a flat Box is needed; {remedy}.")
    if len(space.shape) != 1 or space.shape[0] < 1:
        what = "pixels" if len(space.shape) in (2, 3) and space.dtype == np.uint8 else "arrays"
        raise GoodpathError(
            f"{name} has {what} of shape {space.shape} for observations, but a flat Box is needed; flatten "
            f"them with gymnasium.wrappers.FlattenObservation or observe something smaller."
        )
    return int(space.shape[0])


def _action_bounds(space: Any, name: str) -> tuple[Array, Array, tuple[float, float]]:
    """Bounds of every component, and those that policies see."""
    if not isinstance(space, gymnasium.spaces.Box):
        raise GoodpathError(
            f"{name} has actions of kind {type(space).__name__}, but a flat and bounded Box is needed; "
            f"give it continuous actions."
        )
    if len(space.shape) != 1 or space.shape[0] < 1:
        raise GoodpathError(
            f"{name} has actions of shape {space.shape}, but a flat and bounded Box is needed; flatten them."
        )
    low, high = space.low.astype(np.float64), space.high.astype(np.float64)
    if not (np.isfinite(low) & np.isfinite(high) & (low < high)).all():
        raise GoodpathError(
            f"{name} has actions from {low} to {high}, but every component needs finite bounds, the lower "
            f"one first; give the Box such bounds."
        )
    return low, high, (float(low[0]), float(high[0])) if _same(low, high) else (-1.0, 1.0)


def _episode_length(env: Any, name: str, given: int | None) -> int:
    registered = getattr(getattr(env, "spec", None), "max_episode_steps", None)
    length = registered if given is None else given
    if length is None:
        raise GoodpathError(
            f"nothing says how long an episode of {name} is; register it with max_episode_steps, or give "
            f"adapt an episode_length."
        )
    if length < 1:
        raise GoodpathError(f"an episode of {name} has {length} steps; it needs at least one.")
    return int(length)


def _outcome(step: tuple[Any, ...], name: str) -> tuple[Any, float, float, bool, bool, dict[str, Any]]:
    """Observation, reward, cost, terminated, truncated and info, whichever way the cost is reported."""
    if len(step) == 6:
        observation, reward, cost, terminated, truncated, info = step
    elif len(step) == 5:
        observation, reward, terminated, truncated, info = step
        if "cost" not in info:
            raise GoodpathError(
                f"{name} reports no cost; put the cost of every step into info['cost'], or return six values "
                f"from step: observation, reward, cost, terminated, truncated, info."
            )
        cost = info["cost"]
    else:
        raise GoodpathError(
            f"the step of {name} returns {len(step)} values; five (with info['cost']) or six are needed."
        )
    if np.size(cost) != 1 or not np.isfinite(np.asarray(cost, np.float64)).all():
        raise GoodpathError(f"{name} reports the cost {cost!r}; it has to be one finite number.")
    return observation, float(reward), float(np.reshape(cost, ())), bool(terminated), bool(truncated), info


def _gather(infos: list[dict[str, Any]]) -> dict[str, NDArray[Any]]:
    """The single numbers that all of them report, apart from the cost itself."""
    shared = {
        key
        for key, value in infos[0].items()
        if key != "cost" and isinstance(value, bool | int | float | np.bool_ | np.number)
    }
    names = sorted(shared.intersection(*(info.keys() for info in infos)))
    return {key: np.array([info[key] for info in infos]) for key in names}


def make(name: str, num_envs: int, threads: int | None) -> BatchedEnv:
    """The environment that a module registers with Gymnasium, by `module:Id` such as `my_package:MyEnv-v0`.

    Args:
        name: the module to import, a colon, and the id that it registers.
        num_envs: number of copies.
        threads: more than one steps them in that many processes; this one does when left out.

    Raises:
        GoodpathError: the module cannot be imported, registers no such id, or see `adapt`.
    """
    length = find(name).max_episode_steps
    workers = threads if threads is not None and threads > 1 else 0
    return adapt(partial(_make_one, name), num_envs, name, episode_length=length, workers=workers)


def find(name: str) -> Any:
    """What Gymnasium knows of `module:Id`, after importing the module.

    Raises:
        GoodpathError: the module cannot be imported, or registers no such id.
    """
    module, _, identifier = name.partition(":")
    try:
        import_module(module)
    except ImportError as error:
        raise GoodpathError(
            f"'{module}' of '{name}' cannot be imported ({error}); install it, or run where Python finds it."
        ) from error
    try:
        return gymnasium.spec(identifier)
    except gymnasium.error.Error as error:
        raise GoodpathError(
            f"'{module}' does not register '{identifier}' with Gymnasium; call gymnasium.register there "
            f"(Gymnasium says: {error})"
        ) from error


def _make_one(name: str) -> Any:
    """One environment without Gymnasium's time limit, which knows no step of six values; we count instead."""
    find(name)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="gymnasium")
        return gymnasium.make(name.partition(":")[2], max_episode_steps=-1, disable_env_checker=True)
