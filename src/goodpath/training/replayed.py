"""Off-policy training in a simulator: all seeds act in one batched environment, and learn in compiled rounds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from goodpath.envs.vector import BatchedEnv
from goodpath.errors import GoodpathError
from goodpath.methods.contract import Demonstrations, Metrics, OffPolicyMethod
from goodpath.policies import SquashedGaussianPolicy
from goodpath.replay import Table
from goodpath.spec import Spec
from goodpath.training.acting import Floats, HostSquashed
from goodpath.training.compiled import abreast, demonstrations, groups
from goodpath.training.guided import Composite, Guide, extra_fields
from goodpath.training.initial import taken_over
from goodpath.training.layout import Layout
from goodpath.training.states import fresh, joined
from goodpath.trajectories import Dataset


@dataclass(frozen=True)
class ReplayPhase:
    """What the log calls a stretch of training."""

    name: str


class Training(eqx.Module):
    """All that the training of a group of seeds is made of, besides its step and the simulator.

    Attributes:
        learners: the method's states, stacked.
        replay: the steps of each seed.
        keys: (seeds,) sources of randomness.
        episode_costs: (seeds,) mean costs of the episodes of the last stretch, with a guide (seeds, 2); NaN before the
            first.
    """

    learners: Any
    replay: Table
    keys: Array
    episode_costs: Array


@partial(
    jax.jit,
    static_argnames=("method", "config", "layout", "counts", "number", "wait"),
    donate_argnames=("states",),
)
def _learn(
    method: OffPolicyMethod,
    config: Any,
    layout: Layout,
    counts: tuple[int, ...],
    number: int,
    wait: bool,
    cost_limit: Array,
    states: Training,
    rows: Array,
    ring: Array,
    shown: Demonstrations | None,
) -> tuple[Training, Metrics, Any]:
    """Remembers (seeds, N, width) rows, each in its ring (seeds, N), then makes `number` updates of each seed.

    A batch holds `counts` steps of each ring. With `wait`, seeds learn only when each ring holds more than a batch.

    Returns:
        The new states, (seeds,) mean metrics, and the policies that act next.
    """
    replay = states.replay.push(rows, ring)
    if not number:
        return replace(states, replay=replay), {}, jax.vmap(method.acts)(states.learners)
    keys, draw_keys, update_keys = jnp.moveaxis(
        jax.vmap(lambda key: jax.random.split(key, 3))(states.keys), 1, 0
    )
    places = replay.draw(draw_keys, counts, number)

    def one_seed(learner: Any, its_places: Array, key: Array, cost: Array) -> tuple[Any, Metrics]:
        def step(learner: Any, drawn: tuple[Array, Array]) -> tuple[Any, Metrics]:
            place, key = drawn
            batch = replace(layout.unpack(replay.rows[place]), episode_cost=cost)
            return method.update(config, cost_limit, learner, batch, shown, key)

        learner, metrics = jax.lax.scan(step, learner, (its_places, jax.random.split(key, number)))
        return learner, jax.tree.map(jnp.mean, metrics)

    learners, metrics = jax.vmap(one_seed)(states.learners, places, update_keys, states.episode_costs)
    if wait:
        ready = jnp.all(replay.size > config.batch, axis=1)
        learners = jax.tree.map(
            lambda new, old: jnp.where(ready.reshape(-1, *[1] * (new.ndim - 1)), new, old),
            learners,
            states.learners,
        )
    after = replace(states, learners=learners, replay=replay, keys=keys)
    return after, metrics, jax.vmap(method.acts)(learners)


@partial(jax.jit, static_argnames=("which",))
def _policies(which: Any, learners: Any) -> Any:
    return jax.vmap(which)(learners)


class ReplayProgram:
    """Trains all seeds of one off-policy method in a batched environment.

    All copies start anew together after a stretch of steps, from seeds that are a function of the run's seed and
    the step; what ended before then goes on from there by the simulator's own draws. So nothing of the simulator
    has to be saved, and a resumed run goes on bit for bit. An episode that a stretch cuts short is not counted,
    and does not end for the learner.

    All seeds act together. On a CPU each learns in a thread of its own, elsewhere all side by side (`vmap`).

    Args:
        method: what to train.
        config: its options.
        env: an environment of seeds * num_envs copies.
        cost_limit: limit on the episode cost.
        seeds: one policy is trained for each.
        dataset: demonstrations, for methods that learn from them.
        guide: who takes part in acting, for methods that have a guide.
    """

    unit = "steps"

    def __init__(
        self,
        method: OffPolicyMethod,
        config: Any,
        env: BatchedEnv,
        cost_limit: float,
        seeds: Sequence[int],
        dataset: Dataset | None = None,
        guide: Guide | None = None,
    ) -> None:
        self.method, self.config, self.env, self.spec = method, config, env, env.spec
        self.seeds, self.cost_limit = tuple(seeds), jnp.asarray(cost_limit, jnp.float32)
        self.step = 0
        self.length = stretch(config, env.spec)
        self.stride = self.length * config.num_envs
        self.total_steps = -(-config.steps // self.stride) * self.stride
        self.demonstrations = None if dataset is None else demonstrations(dataset)
        self.guide = guide
        self._guidance = None if guide is None or method.guidance is None else method.guidance(config)
        extra = () if guide is None else extra_fields(env.spec.action_size)
        self._layout = Layout(env.spec.observation_size, env.spec.action_size, extra)
        apart = 0 if self._guidance is None else round(self._guidance.share * config.batch)
        self._counts = (config.batch - apart, apart) if apart else (config.batch,)
        self._round = config.every * config.num_envs
        capacity = max(min(config.capacity, config.steps), self._round)
        kinds = () if guide is None else (2,)

        def begin(keys: Array) -> Training:
            return Training(
                fresh(method.init, config, env.spec, keys),
                Table.empty(len(keys), len(self._counts), capacity, self._layout.width),
                jax.vmap(lambda key: jax.random.fold_in(key, 1))(keys),
                jnp.full((len(keys), *kinds), jnp.nan, jnp.float32),
            )

        self.states: Any = tuple(begin(keys) for keys in groups(self.seeds, on_cpu=1))

    def begin_from(self, run: Path) -> None:
        """Takes over the networks of a run, its seeds in turn; optimisers, duals and buffer begin anew.

        Raises:
            GoodpathError: the run's networks are of another kind or size.
        """
        parts = {"actor": "actor", "critics": "critics", "targets": "critics", "scaler": "scaler"}
        taken = taken_over(joined(self.learnt), run, parts)
        self.states = tuple(
            replace(group, learners=jax.tree.map(lambda leaf, its=its: leaf[its], taken))
            for group, its in zip(self.states, self._apart(np.arange(len(self.seeds))), strict=True)
        )

    @property
    def learnt(self) -> Any:
        """What an update can spoil: the methods' states, not what they remember."""
        return tuple(group.learners for group in self.states)

    def phase(self) -> tuple[ReplayPhase, int]:
        """There is one phase."""
        return ReplayPhase(self.method.name), self.total_steps

    def advance(self, until: int) -> Metrics:
        """Trains up to step `until`, a stretch at a time; gives (seeds,) metrics of the last."""
        metrics: Metrics = {}
        while self.step < min(until, self.total_steps):
            metrics = self._stretch()
        return metrics

    @property
    def updates(self) -> int:
        """Updates so far."""
        waited = min(self.step, self._wait()) // self._round
        return (self.step // self._round - waited) * self._number()

    def policies(self) -> SquashedGaussianPolicy:
        """The current policies of all seeds, stacked along a leading axis."""
        return self._stacked(self.method.policy)

    def _stacked(self, which: Any) -> Any:
        parts = [_policies(which, group.learners) for group in self.states]
        return joined(parts)

    def _apart(self, values: NDArray[Any]) -> list[NDArray[Any]]:
        """(seeds, ...) values as the groups have them."""
        return np.split(values, np.cumsum([len(group.keys) for group in self.states])[:-1])

    def policy(self, index: int) -> SquashedGaussianPolicy:
        """The current policy of one seed."""
        return jax.tree.map(lambda leaf: leaf[index], self.policies())

    def _wait(self) -> int:
        """Steps after which learning begins: the buffer then holds more than a batch."""
        return max(self.config.batch, self.config.start)

    def _number(self) -> int:
        """Updates in a round."""
        return max(1, round(self.config.updates * self._round))

    def _stretch(self) -> Metrics:
        """Acts and learns until all copies start anew; gives (seeds,) means over it."""
        number, copies, every = len(self.seeds), self.config.num_envs, self.config.every
        size, width = self.spec.observation_size, self.spec.action_size
        streams = [np.random.SeedSequence([seed, self.step]) for seed in self.seeds]
        starts = np.concatenate([stream.generate_state(copies) for stream in streams])
        draws = [np.random.default_rng(stream.spawn(1)[0]) for stream in streams]
        policies = HostSquashed(self._stacked(self.method.acts))
        seen = self.env.reset([int(start) for start in starts]).reshape(number, copies, size)
        tally, learnt = Tally(number, copies), []
        composite = None
        if self.guide is not None and self._guidance is not None:
            half = (self.spec.action_high - self.spec.action_low) / 2
            composite = Composite(self._guidance, self.guide, (number, copies), half, self.step)
        for _ in range(self.length // every):
            rows = np.empty((number, every, copies, self._layout.width), np.float32)
            ring = np.zeros((number, every, copies), np.int32)
            noise = np.stack([rng.standard_normal((every, copies, width), np.float32) for rng in draws])
            anything = np.stack([rng.random((every, copies, max(width, 2)), np.float32) for rng in draws])
            for t in range(every):
                observations = seen.astype(np.float32)
                extra: dict[str, NDArray[Any]] = {}
                if composite is not None:
                    progress = self.step / self.total_steps
                    actions, extra = composite.act(
                        policies, observations, noise[:, t], anything[:, t, :, :2], progress
                    )
                    ring[:, t] = composite.guided if len(self._counts) > 1 else 0
                elif self.step + t * copies < self.config.start:
                    low, high = self.spec.action_low, self.spec.action_high
                    actions = low + (high - low) * anything[:, t, :, :width]
                else:
                    _, actions = policies.draw(observations, noise[:, t])
                step = self.env.step(actions.reshape(-1, width))
                rewards, costs = step.rewards, step.costs
                if self.method.earn is not None:
                    rewards = self.method.earn(self.config, rewards, step.info)
                if self.method.charge is not None:
                    costs = self.method.charge(self.config, costs, step.info)
                shaped = {
                    "rewards": rewards.reshape(number, copies),
                    "costs": costs.reshape(number, copies),
                    "terminated": step.terminated.reshape(number, copies),
                }
                self._layout.pack(
                    rows[:, t],
                    observations=observations,
                    actions=actions,
                    next_observations=step.final_observations.reshape(number, copies, size),
                    **shaped,
                    **extra,
                )
                ended = (step.terminated | step.truncated).reshape(number, copies)
                own = step.costs.reshape(number, copies)
                tally.add(shaped["rewards"], own, ended, shaped["costs"])
                if composite is not None:
                    composite.after(shaped["costs"], ended)
                seen = step.observations.reshape(number, copies, size)
            self.step += self._round
            learns = self.step > self._wait()
            metrics, acting = self._learn(
                rows.reshape(number, -1, self._layout.width), ring.reshape(number, -1), learns
            )
            policies = HostSquashed(acting)
            if learns:
                learnt.append(metrics)
        means = {name: np.mean([one[name] for one in learnt], axis=0) for name in (learnt or [{}])[0]}
        full = self.spec.episode_length if self.method.full_length(self.config) else 0
        scores, charged = tally.scores(), tally.charged(full)
        if composite is not None:
            alone = np.broadcast_to(composite.alone, (number, copies))
            charged = np.stack([tally.charged(full, ~alone), tally.charged(full, alone)], axis=1)
            scores |= composite.scores()
            if alone.any():
                scores |= {f"alone_{name}": tally.scores(alone)[name] for name in ("return", "cost")}
        self.states = tuple(
            replace(group, episode_costs=jnp.asarray(costs, jnp.float32))
            for group, costs in zip(self.states, self._apart(charged), strict=True)
        )
        return means | scores

    def _learn(self, rows: Floats, ring: NDArray[np.int32], learns: bool) -> tuple[Metrics, Any]:
        """Remembers (seeds, N, width) rows and learns, each group in a thread; gives metrics and who acts next."""

        def advance(group: tuple[Training, Floats, NDArray[np.int32]]) -> tuple[Training, Any]:
            states, its_rows, its_ring = group
            after, metrics, acting = _learn(
                self.method,
                self.config,
                self._layout,
                self._counts,
                self._number() if learns else 0,
                self._guidance is not None and self._guidance.wait,
                self.cost_limit,
                states,
                jnp.asarray(its_rows),
                jnp.asarray(its_ring),
                self.demonstrations,
            )
            return after, (metrics, acting)

        parts = zip(self.states, self._apart(rows), self._apart(ring), strict=True)
        self.states, (metrics, acting) = abreast(advance, list(parts))
        return metrics, acting


class Tally:
    """Counts the episodes of a stretch.

    Args:
        seeds: number of seeds.
        copies: of each.
    """

    def __init__(self, seeds: int, copies: int) -> None:
        # Return, cost, length and what they are charged, of the episodes under way.
        self._sums = np.zeros((4, seeds, copies))
        self._finished = np.zeros((5, seeds, copies))  # the same of those that ended, and their number
        self._cost, self._steps = np.zeros(seeds), 0

    def add(
        self,
        rewards: NDArray[Any],
        costs: NDArray[Any],
        ended: NDArray[np.bool_],
        charged: NDArray[Any],
    ) -> None:
        """One step: (seeds, copies) rewards, costs, which episodes it ended, and costs as the limit counts them."""
        self._sums += np.stack([rewards, costs, np.ones_like(costs), charged])
        self._cost += costs.mean(axis=1)
        self._steps += 1
        if ended.any():
            self._finished[:4] += self._sums * ended
            self._finished[4] += ended
            self._sums *= ~ended

    def scores(self, where: NDArray[np.bool_] | bool = True) -> dict[str, NDArray[np.float64]]:
        """(seeds,) means over the episodes that ended in some copies, their number, and the cost of a step in all."""
        finished = self._finished.sum(axis=2, where=where)
        sums = finished[:3] / np.maximum(finished[4], 1)
        names = dict(zip(("return", "cost", "length"), sums, strict=True))
        return names | {"episodes": finished[4], "cost_rate": self._cost / self._steps}

    def charged(self, full: int = 0, where: NDArray[np.bool_] | bool = True) -> NDArray[np.float64]:
        """(seeds,) mean cost of an episode as the limit counts it; NaN where none has ended.

        Args:
            full: steps of an episode which one that ended sooner is taken to go on for, at the same cost a step.
            where: (seeds, copies) or all, which copies.
        """
        _, _, steps, charged, number = self._finished.sum(axis=2, where=where)
        among = steps / full if full else number
        return np.where(number > 0, charged / np.where(number > 0, among, 1), np.nan)


def stretch(config: Any, spec: Spec) -> int:
    """Steps of each copy between two restarts of all.

    Raises:
        GoodpathError: they would not be whole episodes, or not whole rounds.
    """
    length: int = config.stretch or max(1, 1000 // spec.episode_length) * spec.episode_length
    if length < spec.episode_length or length % spec.episode_length:
        near = max(1, round(length / spec.episode_length)) * spec.episode_length
        raise GoodpathError(
            f"a stretch of {length} steps is not whole episodes of {spec.episode_length} steps of "
            f"{spec.name or 'the task'}; try --stretch {near}."
        )
    if length % config.every:
        raise GoodpathError(
            f"a stretch of {length} steps is not whole rounds of {config.every} steps; choose an --every that "
            f"divides it."
        )
    return length
