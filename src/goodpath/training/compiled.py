"""Training as one compiled program: acting in a task of pure functions, a replay buffer, and updates."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from goodpath.envs.pure import Outcome, PureTask
from goodpath.methods.contract import Demonstrations, Metrics, OffPolicyMethod, Transitions
from goodpath.policies import Policy
from goodpath.replay import Ring
from goodpath.training.layout import Layout
from goodpath.training.states import joined, strong
from goodpath.trajectories import Dataset

TOGETHER = 5  # seeds, on a CPU
TALLIES = ("return", "cost", "length", "goal")


@dataclass(frozen=True)
class CompiledPhase:
    """What the log calls a stretch of training."""

    name: str


class Training(eqx.Module):
    """All that one seed's training is made of, besides its step.

    Attributes:
        learner: the method's state.
        replay: the agent's steps, each a row as `Layout` makes it.
        episode: the task's state.
        tally: (4,) sums over the episode so far, see `TALLIES`.
        finished: (4,) of the newest episode that ended.
        key: source of randomness.
    """

    learner: Any
    replay: Ring
    episode: Any
    tally: Array
    finished: Array
    key: Array


def _layout(task: PureTask) -> Layout:
    return Layout(task.spec.observation_size, task.spec.action_size)


@partial(jax.jit, static_argnames=("method", "config", "task"))
def _init(method: OffPolicyMethod, config: Any, task: PureTask, keys: Array) -> Training:
    def one(key: Array) -> Training:
        key, learner_key, episode_key = jax.random.split(key, 3)
        return Training(
            learner=method.init(config, task.spec, learner_key),
            replay=Ring.empty(min(config.capacity, config.steps), jnp.zeros(_layout(task).width)),
            episode=task.reset(episode_key),
            tally=jnp.zeros(len(TALLIES)),
            finished=jnp.zeros(len(TALLIES)),
            key=key,
        )

    return strong(jax.vmap(one)(keys))


def move(
    task: PureTask, episode: Any, tally: Array, action: Array, key: Array
) -> tuple[Outcome, Any, Array, Array]:
    """One step of one episode.

    Args:
        task: what to act in.
        episode: its state.
        tally: (4,) sums over the episode so far, see `TALLIES`.
        action: (action,).
        key: for the episode that follows where this one ends.

    Returns:
        The outcome, the state to go on from, (4,) the tally with this step, and () whether the episode is over.
    """
    outcome = task.step(episode, action)
    over = outcome.terminated | outcome.truncated
    gained = jnp.stack([outcome.reward, jnp.sum(outcome.violations), jnp.ones(()), outcome.goal])
    following = jax.tree.map(partial(jnp.where, over), task.reset(key), outcome.state)
    return outcome, following, tally + gained, over


def _act(method: OffPolicyMethod, config: Any, task: PureTask, state: Training, step: Array) -> Training:
    """One step in the task, remembered."""
    key, act_key, random_key, episode_key = jax.random.split(state.key, 4)
    seen = task.observe(state.episode)
    action = method.acts(state.learner)(seen, act_key)
    if config.start:
        number = task.spec.actions
        anything = jax.nn.one_hot(jax.random.randint(random_key, (), 0, number), number)
        action = jnp.where(step < config.start, anything, action)
    outcome, following, tally, over = move(task, state.episode, state.tally, action, episode_key)
    cost = jnp.sum(outcome.violations)
    row = Transitions(seen, action, outcome.reward, cost, task.observe(outcome.state), outcome.terminated)
    return Training(
        learner=state.learner,
        replay=state.replay.add(_layout(task).join(row)),
        episode=following,
        tally=jnp.where(over, 0.0, tally),
        finished=jnp.where(over, tally, state.finished),
        key=key,
    )


def _learn(
    method: OffPolicyMethod,
    config: Any,
    task: PureTask,
    cost_limit: Array,
    state: Training,
    demonstrations: Demonstrations | None,
) -> tuple[Training, Metrics]:
    """The updates of one step, and the metrics of the last."""
    metrics: Metrics = {}
    learner, key = state.learner, state.key
    for _ in range(config.updates):
        key, batch_key, update_key = jax.random.split(key, 3)
        batch = _layout(task).unpack(state.replay.sample(batch_key, config.batch))
        learner, metrics = method.update(config, cost_limit, learner, batch, demonstrations, update_key)
    return eqx.tree_at(lambda s: (s.learner, s.key), state, (learner, key)), metrics


@partial(jax.jit, static_argnames=("method", "config", "task", "learns"), donate_argnames=("states",))
def _advance(
    method: OffPolicyMethod,
    config: Any,
    task: PureTask,
    learns: bool,
    cost_limit: Array,
    states: Training,
    demonstrations: Demonstrations | None,
    first: Array,
    until: Array,
) -> tuple[Training, Metrics]:
    """Runs steps `first` to `until` of all seeds side by side; gives new states and (seeds,) mean metrics."""

    def one(state: Training, step: Array) -> tuple[Training, tuple[Metrics, Array, Array]]:
        acted = _act(method, config, task, state, step)
        ended = acted.tally[2] == 0
        after: Training = acted
        metrics: Metrics = {}
        if learns:
            after, metrics = _learn(method, config, task, cost_limit, acted, demonstrations)
        return after, (metrics, ended.astype(jnp.float32), jnp.where(ended, acted.finished, 0.0))

    together = jax.vmap(one, in_axes=(0, None))

    def turn(step: Array, carry: tuple[Training, Any]) -> tuple[Training, Any]:
        after, found = together(carry[0], step)
        return after, jax.tree.map(jnp.add, carry[1], found)

    shapes = jax.eval_shape(together, states, first)[1]
    nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    # A loop of unknown length, so that one program does for every distance between two lines of the log.
    states, (sums, episodes, finished) = jax.lax.fori_loop(first, until, turn, (states, nothing))
    means = jax.tree.map(lambda total: total / (until - first), sums)
    # Where no episode ended, the newest one before speaks.
    scores = jnp.where(episodes[:, None] > 0, finished / jnp.maximum(episodes, 1)[:, None], states.finished)
    return states, means | dict(zip(TALLIES, scores.T, strict=True)) | {"episodes": episodes}


@partial(jax.jit, static_argnames=("method",))
def _policies(method: OffPolicyMethod, learners: Any) -> Policy:
    return jax.vmap(method.policy)(learners)


def demonstrations(dataset: Dataset) -> Demonstrations:
    """The steps of a data set as what an expert did."""
    return Demonstrations(
        observations=jnp.asarray(dataset.observations),
        actions=jnp.asarray(dataset.actions),
        next_observations=jnp.asarray(dataset.next_observations),
        terminated=jnp.asarray(dataset.terminals),
    )


def groups(seeds: Sequence[int], on_cpu: int = 0) -> list[Array]:
    """Random keys of the seeds, in groups of those that are trained side by side.

    Args:
        seeds: of all.
        on_cpu: how many a group has on a CPU, at most; `TOGETHER` when left out. Elsewhere all are one group.
    """
    together = (on_cpu or TOGETHER) if jax.default_backend() == "cpu" else len(seeds)
    number = -(-len(seeds) // together)
    return [
        jnp.stack([jax.random.key(seed) for seed in group.tolist()])
        for group in np.array_split(np.array(seeds), number)
    ]


def abreast(advance: Callable[[Any], tuple[Any, Any]], states: Sequence[Any]) -> tuple[Any, Any]:
    """All groups one stretch further, each in a thread and so on a core of its own where there are enough.

    What one thread asks for JAX computes on a CPU one after another, also where nothing waits for it.

    Args:
        advance: group -> group after the stretch, and its (seeds, ...) metrics.
        states: of the groups.

    Returns:
        The groups, and the metrics of all seeds in NumPy.
    """
    starting = Lock()  # so that groups of one size are compiled once

    def run(group: Any) -> tuple[Any, Any]:
        with starting:
            after, metrics = advance(group)
        return after, jax.tree.map(np.asarray, metrics)  # which waits for them

    if len(states) == 1:
        ran = [run(states[0])]
    else:
        with ThreadPoolExecutor(len(states)) as threads:
            ran = list(threads.map(run, states))
    after, metrics = zip(*ran, strict=True)
    return after, jax.tree.map(lambda *parts: np.concatenate(parts), *metrics)


class CompiledProgram:
    """Trains all seeds of one off-policy method in one task.

    On a CPU up to five seeds run side by side (`vmap`): one seed's matrices are too small to fill a core, and what
    more than five need does not stay in its cache. Each such group has a thread, see `abreast`. Elsewhere all do.

    Args:
        method: what to train.
        config: its options.
        task: what to act in.
        cost_limit: limit on the episode cost, for methods that keep one.
        seeds: one policy is trained for each.
        dataset: demonstrations, for methods that learn from them.
    """

    unit = "steps"
    stride = 1000

    def __init__(
        self,
        method: OffPolicyMethod,
        config: Any,
        task: PureTask,
        cost_limit: float,
        seeds: Sequence[int],
        dataset: Dataset | None = None,
    ) -> None:
        self.method, self.config, self.task, self.spec = method, config, task, task.spec
        self.seeds = tuple(seeds)
        self.step, self.total_steps = 0, config.steps
        self.cost_limit = jnp.asarray(cost_limit, jnp.float32)
        self.demonstrations = None if dataset is None else demonstrations(dataset)
        self.states: Any = tuple(_init(method, config, task, keys) for keys in groups(self.seeds))

    @property
    def learnt(self) -> Any:
        """What an update can spoil: all of the states."""
        return self.states

    def phase(self) -> tuple[CompiledPhase, int]:
        """Filling the buffer, then learning."""
        wait = self._wait()
        if self.step < wait:
            return CompiledPhase("fill"), wait
        return CompiledPhase(self.method.name), self.total_steps

    def _wait(self) -> int:
        """Steps before the first that is learnt from: the buffer then holds more than a batch."""
        return min(max(self.config.batch, self.config.start), self.total_steps)

    def advance(self, until: int) -> Metrics:
        """Trains up to step `until`, within the current phase; gives (seeds,) mean metrics."""
        learns = self.step >= self._wait()
        until = min(until, self.total_steps)
        first, last = jnp.asarray(self.step, jnp.int32), jnp.asarray(until, jnp.int32)
        demonstrations = self.demonstrations if learns else None

        def advance(group: Training) -> tuple[Training, Metrics]:
            fixed = (self.method, self.config, self.task, learns, self.cost_limit)
            return _advance(*fixed, group, demonstrations, first, last)

        self.states, metrics = abreast(advance, self.states)
        self.step = until
        return metrics

    @property
    def updates(self) -> int:
        """Updates so far."""
        return max(0, self.step - self._wait()) * self.config.updates

    def policies(self) -> Policy:
        """The current policies of all seeds, stacked along a leading axis."""
        parts = [_policies(self.method, group.learner) for group in self.states]
        return joined(parts)

    def policy(self, index: int) -> Policy:
        """The current policy of one seed."""
        return jax.tree.map(lambda leaf: leaf[index], self.policies())
