"""Online training: act with all seeds in one batched environment, then update each in one compiled program."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from goodpath.envs.vector import BatchedEnv, way
from goodpath.errors import GoodpathError
from goodpath.methods.contract import Metrics, OnlineMethod, Rollout, Seeding
from goodpath.oracles import NEITHER
from goodpath.policies import GaussianPolicy
from goodpath.reports.statistics import cvar
from goodpath.spec import Spec
from goodpath.training.acting import HostPolicies
from goodpath.training.initial import taken_over
from goodpath.training.states import fresh
from goodpath.trajectories import Outcomes, Trajectory

Number = TypeVar("Number", np.int8, np.float32)


@dataclass(frozen=True)
class OnlinePhase:
    """What the log calls a stretch of training."""

    name: str


@partial(
    jax.jit,
    static_argnames=("update", "config"),
    donate_argnames=("states",),
    # XLA's CPU uses half the width of the widest vectors unless told; other devices have no such choice.
    compiler_options={"xla_cpu_prefer_vector_width": 512},
)
def _update(
    update: Any, config: Any, cost_limit: Array, states: Any, rollouts: Rollout
) -> tuple[Any, Metrics]:
    return jax.vmap(partial(update, config, cost_limit))(states, rollouts)


@eqx.filter_jit
def _policies(policy: Any, states: Any) -> GaussianPolicy:
    folded: GaussianPolicy = jax.vmap(policy)(states)
    return folded


class OnlineProgram:
    """Trains all seeds of one online method.

    Every rollout begins with fresh episodes whose seeds are a function of the run's seed and the step, and ends
    with whole episodes. So nothing of the simulator has to be saved: a resumed run goes on bit for bit.

    Args:
        method: what to train.
        config: its options.
        env: an environment of seeds * num_envs copies.
        cost_limit: limit on the episode cost.
        seeds: one policy is trained for each.
        seeding: trajectories that every seed starts from.
    """

    unit = "steps"

    def __init__(
        self,
        method: OnlineMethod,
        config: Any,
        env: BatchedEnv,
        cost_limit: float,
        seeds: Sequence[int],
        seeding: Seeding | None = None,
    ) -> None:
        self.method, self.config, self.env, self.spec = method, config, env, env.spec
        self.seeds, self.cost_limit = tuple(seeds), cost_limit
        self.step = 0
        self.horizon = horizon(config, env.spec)
        self.stride = self.horizon * config.num_envs
        self.total_steps = -(-config.steps // self.stride) * self.stride
        self._oracle = None if method.oracle is None else method.oracle(config, cost_limit)
        keys = jnp.stack([jax.random.key(seed) for seed in self.seeds])
        self.states: Any = fresh(method.init, config, self.spec, keys)
        if seeding is not None and method.seed is not None:
            self.states = jax.vmap(partial(method.seed, config, seeding))(self.states)

    def begin_from(self, run: Path) -> None:
        """Takes over the networks of a run and its scale of observations, its seeds in turn; all else begins anew.

        Raises:
            GoodpathError: the run's networks are of another kind or size.
        """
        parts = {name: name for name in ("actor", "critic", "cost_critic", "scaler")}
        self.states = taken_over(self.states, run, parts)

    @property
    def learnt(self) -> Any:
        """What an update can spoil: all of the states."""
        return self.states

    def phase(self) -> tuple[OnlinePhase, int]:
        """There is one phase."""
        return OnlinePhase(self.method.name), self.total_steps

    def advance(self, until: int) -> Metrics:
        """Trains up to step `until`, a rollout and an update at a time; gives (seeds,) metrics of the last."""
        metrics: Metrics = {}
        while self.step < min(until, self.total_steps):
            rollouts, scores = self._roll()
            limit = jnp.asarray(self.cost_limit, jnp.float32)
            self.states, learnt = _update(self.method.update, self.config, limit, self.states, rollouts)
            metrics = jax.tree.map(np.asarray, learnt) | scores
            self.step += self.stride
        return metrics

    @property
    def updates(self) -> int:
        """Updates so far, each of many passes over one rollout."""
        return self.step // self.stride

    def policies(self) -> GaussianPolicy:
        """The current policies of all seeds, stacked along a leading axis."""
        return _policies(self.method.policy, self.states)

    def policy(self, index: int) -> GaussianPolicy:
        """The current policy of one seed."""
        return jax.tree.map(lambda leaf: leaf[index], self.policies())

    def _roll(self) -> tuple[Rollout, dict[str, NDArray[np.float64]]]:
        """Acts for one rollout with every seed; gives it and (seeds,) scores of its episodes."""
        number, copies, steps = len(self.seeds), self.config.num_envs, self.horizon
        policies = HostPolicies(self.policies())
        streams = [np.random.SeedSequence([seed, self.step]) for seed in self.seeds]
        starts = np.concatenate([stream.generate_state(copies) for stream in streams])
        noise = [np.random.default_rng(stream.spawn(1)[0]) for stream in streams]
        shape = (number, copies, steps)
        size, width = self.spec.observation_size, self.spec.action_size
        seen, following = np.empty((*shape, size), np.float32), np.empty((*shape, size), np.float32)
        raw, acted = np.empty((*shape, width), np.float32), np.empty((*shape, width), np.float32)
        rewards, costs = np.empty(shape, np.float32), np.empty(shape, np.float32)
        terminated, ended = np.empty(shape, np.bool_), np.empty(shape, np.bool_)

        observations = self.env.reset([int(start) for start in starts]).reshape(number, copies, size)
        for t in range(steps):
            seen[:, :, t] = observations
            draws = np.stack([rng.standard_normal((copies, width), np.float32) for rng in noise])
            raw[:, :, t], actions = policies.draw(seen[:, :, t], draws)
            acted[:, :, t] = actions
            step = self.env.step(actions.reshape(-1, width))
            observations = step.observations.reshape(number, copies, size)
            following[:, :, t] = step.final_observations.reshape(number, copies, size)
            paid = way(step.info, guarded=True) if self.config.explore else step.rewards
            rewards[:, :, t] = paid.reshape(number, copies)
            costs[:, :, t] = step.costs.reshape(number, copies)
            terminated[:, :, t] = step.terminated.reshape(number, copies)
            ended[:, :, t] = (step.terminated | step.truncated).reshape(number, copies)

        labels = np.zeros(shape, np.int8)
        returns = np.empty(shape, np.float32)
        tails = np.zeros(number, np.float32)
        scores = {name: np.zeros(number) for name in ("return", "cost", "episodes", "length")}
        if self._oracle is not None:
            scores |= {"good": np.zeros(number), "bad": np.zeros(number)}
        for index in range(number):
            fields = [array[index] for array in (seen, following, acted, rewards, costs, terminated, ended)]
            episodes = Episodes(*fields)
            outcomes = episodes.outcomes
            if len(outcomes) == 0:
                raise GoodpathError(
                    f"no episode of {self.spec.name} ended within {steps} steps; raise --rollout."
                )
            scores["return"][index] = outcomes.returns.mean()
            scores["cost"][index] = outcomes.costs.mean()
            tails[index] = cvar(outcomes.costs, 1 - self.config.cvar_level)
            scores["episodes"][index] = len(outcomes)
            scores["length"][index] = outcomes.lengths.mean()
            returns[index] = episodes.spread(outcomes.returns.astype(np.float32), -np.inf)
            if self._oracle is not None:
                given = self._oracle.updated(outcomes)(outcomes)
                labels[index] = episodes.spread(given, NEITHER)
                scores["good"][index], scores["bad"][index] = np.mean(given > 0), np.mean(given < 0)
        if self.method.blind(self.config):
            costs, tails = np.zeros_like(costs), np.zeros_like(tails)
        arrays = (seen, following, raw, acted, rewards, costs, terminated, ended, returns, labels, tails)
        return Rollout(*(jnp.asarray(array) for array in arrays)), scores


def horizon(config: Any, spec: Spec) -> int:
    """Steps of each copy in a rollout.

    Raises:
        GoodpathError: it would not be whole episodes.
    """
    steps, rest = divmod(config.rollout, config.num_envs)
    if rest or steps < spec.episode_length or steps % spec.episode_length:
        near = max(1, round(config.rollout / (config.num_envs * spec.episode_length)))
        raise GoodpathError(
            f"a rollout of {config.rollout} steps in {config.num_envs} copies of {spec.name or 'the task'} is not "
            f"whole episodes of {spec.episode_length} steps in each; try --rollout "
            f"{near * config.num_envs * spec.episode_length}."
        )
    return steps


class Episodes:
    """The whole episodes of one seed's rollout, in the order of copies and then of time."""

    def __init__(
        self,
        observations: NDArray[np.float32],
        next_observations: NDArray[np.float32],
        actions: NDArray[np.float32],
        rewards: NDArray[np.float32],
        costs: NDArray[np.float32],
        terminated: NDArray[np.bool_],
        ended: NDArray[np.bool_],
    ) -> None:
        self._shape = ended.shape
        copies, lasts = np.nonzero(ended)
        fresh = np.concatenate([[True], copies[1:] != copies[:-1]]) if len(copies) else np.zeros(0, np.bool_)
        firsts = np.where(fresh, 0, np.concatenate([[0], lasts[:-1] + 1])[: len(lasts)])
        self._places = list(zip(copies.tolist(), firsts.tolist(), (lasts + 1).tolist(), strict=True))

        def totals(values: NDArray[np.float32]) -> NDArray[np.float64]:
            sums = [values[c, first:last].sum(dtype=np.float64) for c, first, last in self._places]
            return np.array(sums, np.float64)

        def trajectory(index: int) -> Trajectory:
            copy, first, last = self._places[index]
            piece = (copy, slice(first, last))
            over = bool(terminated[copy, last - 1])
            return Trajectory(
                observations[piece],
                next_observations[piece],
                actions[piece],
                rewards[piece],
                costs[piece],
                terminated=over,
                truncated=not over,
            )

        self.outcomes = Outcomes(
            totals(rewards),
            totals(costs),
            (lasts + 1 - firsts).astype(np.int64),
            np.arange(len(lasts)),
            trajectory,
        )

    def spread(self, values: NDArray[Number], elsewhere: float) -> NDArray[Number]:
        """(E, T) the value of the episode that each step belongs to, and `elsewhere` where it did not end."""
        spread = np.full(self._shape, elsewhere, values.dtype)
        for (copy, first, last), value in zip(self._places, values, strict=True):
            spread[copy, first:last] = value
        return spread
