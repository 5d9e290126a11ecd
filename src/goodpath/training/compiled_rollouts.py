"""Training as compiled programs for methods that learn from rollouts: one acts and updates, one revises."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from goodpath.envs.pure import PureTask
from goodpath.errors import GoodpathError
from goodpath.methods.contract import Demonstrations, Episodes, Metrics, OnPolicyMethod, Stretch
from goodpath.policies import Policy
from goodpath.training.compiled import (
    TALLIES,
    CompiledPhase,
    abreast,
    demonstrations,
    groups,
    move,
)
from goodpath.training.states import joined, strong
from goodpath.trajectories import Dataset


class Training(eqx.Module):
    """All that one seed's training is made of, besides its step.

    Attributes:
        learner: the method's state.
        episodes: the task's states, one for each of E copies.
        tally: (E, 4) sums over the episodes so far, see `TALLIES`.
        finished: (4,) means over the newest episodes that ended.
        key: source of randomness.
    """

    learner: Any
    episodes: Any
    tally: Array
    finished: Array
    key: Array


@partial(jax.jit, static_argnames=("method", "config", "task"))
def _init(method: OnPolicyMethod, config: Any, task: PureTask, keys: Array) -> Training:
    def one(key: Array) -> Training:
        key, learner_key, episodes_key = jax.random.split(key, 3)
        return Training(
            learner=method.init(config, task.spec, learner_key),
            episodes=jax.vmap(task.reset)(jax.random.split(episodes_key, config.num_envs)),
            tally=jnp.zeros((config.num_envs, len(TALLIES))),
            finished=jnp.zeros(len(TALLIES)),
            key=key,
        )

    return strong(jax.vmap(one)(keys))


def act(
    method: OnPolicyMethod, config: Any, task: PureTask, state: Training
) -> tuple[Training, Stretch, Metrics]:
    """One rollout of all copies of one seed: the state after it, what they did, and () means over ended episodes."""
    policy = method.policy(state.learner)
    key, steps_key = jax.random.split(state.key)

    def one(episode: Any, tally: Array, key: Array) -> tuple[tuple[Any, Array], tuple[Stretch, Array]]:
        act_key, reset_key = jax.random.split(key)
        seen = task.observe(episode)
        action = policy(seen, act_key)
        outcome, following, tally, over = move(task, episode, tally, action, reset_key)
        done = Stretch(seen, action, outcome.reward, task.observe(outcome.state), outcome.terminated, over)
        return (following, jnp.where(over, 0.0, tally)), (done, jnp.where(over, tally, 0.0))

    def turn(carry: tuple[Any, Array], key: Array) -> tuple[tuple[Any, Array], tuple[Stretch, Array]]:
        return jax.vmap(one)(*carry, jax.random.split(key, config.num_envs))

    keys = jax.random.split(steps_key, config.rollout // config.num_envs)
    (episodes, tally), (done, totals) = jax.lax.scan(turn, (state.episodes, state.tally), keys)
    stretch: Stretch = jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), done)
    number = jnp.sum(stretch.ended)
    # Where no episode ended, the newest ones before speak.
    means = jnp.where(number > 0, jnp.sum(totals, (0, 1)) / jnp.maximum(number, 1), state.finished)
    scores = dict(zip(TALLIES, means, strict=True)) | {"episodes": number.astype(jnp.float32)}
    return Training(state.learner, episodes, tally, means, key), stretch, scores


def play(task: PureTask, policy: Policy, number: int, key: Array) -> Episodes:
    """Whole episodes from their beginning, of sampled actions."""
    begin_key, steps_key = jax.random.split(key)

    def turn(carry: tuple[Any, Array], key: Array) -> tuple[tuple[Any, Array], Episodes]:
        states, active = carry
        seen = jax.vmap(task.observe)(states)
        actions = policy(seen, key)
        outcome = jax.vmap(task.step)(states, actions)
        after = active & ~(outcome.terminated | outcome.truncated)
        return (outcome.state, after), Episodes(seen, actions, active)

    begun = jax.vmap(task.reset)(jax.random.split(begin_key, number)), jnp.ones(number, jnp.bool_)
    _, episodes = jax.lax.scan(turn, begun, jax.random.split(steps_key, task.spec.episode_length))
    played: Episodes = jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), episodes)
    return played


@partial(jax.jit, static_argnames=("method", "config", "task"), donate_argnames=("states",))
def _advance(
    method: OnPolicyMethod,
    config: Any,
    task: PureTask,
    states: Training,
    demonstrations: Demonstrations | None,
) -> tuple[Training, Metrics]:
    """One rollout and the update from it, of all seeds side by side; gives new states and (seeds,) metrics."""

    def one(state: Training) -> tuple[Training, Metrics]:
        state, stretch, scores = act(method, config, task, state)
        key, update_key = jax.random.split(state.key)
        learner, metrics = method.update(config, state.learner, stretch, demonstrations, update_key)
        return eqx.tree_at(lambda s: (s.learner, s.key), state, (learner, key)), metrics | scores

    return jax.vmap(one)(states)


@partial(jax.jit, static_argnames=("method", "config", "task"), donate_argnames=("states",))
def _revise(
    method: OnPolicyMethod,
    config: Any,
    task: PureTask,
    states: Training,
    demonstrations: Demonstrations | None,
) -> tuple[Training, Metrics]:
    """New episodes and the revision from them, of all seeds side by side."""
    assert method.revise is not None
    revise = method.revise

    def one(state: Training) -> tuple[Training, Metrics]:
        key, episodes_key = jax.random.split(state.key)
        episodes = play(task, method.policy(state.learner), config.own_episodes, episodes_key)
        learner, metrics = revise(config, state.learner, episodes, demonstrations)
        return eqx.tree_at(lambda s: (s.learner, s.key), state, (learner, key)), metrics

    return jax.vmap(one)(states)


@partial(jax.jit, static_argnames=("method",))
def _policies(method: OnPolicyMethod, learners: Any) -> Policy:
    return jax.vmap(method.policy)(learners)


class RolloutProgram:
    """Trains all seeds of one on-policy method in one task of pure functions.

    Up to ten seeds run side by side, as in `CompiledProgram`. Between two iterations of a method that revises
    something, new episodes are played for it from their beginning; their steps are not among those counted.

    Args:
        method: what to train.
        config: its options.
        task: what to act in.
        seeds: one policy is trained for each.
        dataset: demonstrations, for methods that learn from them.

    Raises:
        GoodpathError: a rollout is not as many steps in every copy.
    """

    unit = "steps"

    def __init__(
        self,
        method: OnPolicyMethod,
        config: Any,
        task: PureTask,
        seeds: Sequence[int],
        dataset: Dataset | None = None,
    ) -> None:
        if config.rollout % config.num_envs or config.rollout < config.num_envs:
            near = max(1, round(config.rollout / config.num_envs)) * config.num_envs
            raise GoodpathError(
                f"a rollout of {config.rollout} steps is not as many in each of {config.num_envs} copies of the "
                f"task; try --rollout {near}."
            )
        self.method, self.config, self.task, self.spec = method, config, task, task.spec
        self.seeds = tuple(seeds)
        self.stride = config.rollout
        self._rollouts = -(-config.steps // self.stride)
        self.step, self.total_steps = 0, self._rollouts * self.stride
        self.demonstrations = None if dataset is None else demonstrations(dataset)
        self.states: Any = tuple(_init(method, config, task, keys) for keys in groups(self.seeds))

    def phase(self) -> tuple[CompiledPhase, int]:
        """There is one phase."""
        return CompiledPhase(self.method.name), self.total_steps

    def advance(self, until: int) -> Metrics:
        """Trains up to step `until`, a rollout and an update at a time; gives (seeds,) metrics of the last ones."""
        metrics: Metrics = {}
        while self.step < min(until, self.total_steps):
            if self._begins_iteration():
                metrics |= self._each(_revise)
            metrics |= self._each(_advance)
            self.step += self.stride
        return metrics

    def _begins_iteration(self) -> bool:
        """Whether the next rollout is the first of an iteration, not the very first; they are spread evenly."""
        if self.method.revise is None:
            return False
        done, number = self.step // self.stride, self.config.iterations
        before, now = ((done + offset) * number // self._rollouts for offset in (-1, 0))
        return done > 0 and now > before

    def _each(self, program: Any) -> Metrics:
        """Runs one of the programs for every group; gives (seeds,) metrics."""

        def run(group: Any) -> Any:
            return program(self.method, self.config, self.task, group, self.demonstrations)

        self.states, metrics = abreast(run, self.states)
        return metrics

    @property
    def learnt(self) -> Any:
        """What of the states an update can spoil."""
        return self.states

    @property
    def updates(self) -> int:
        """Updates so far, each of many passes over one rollout."""
        return self.step // self.stride

    def policies(self) -> Policy:
        """The current policies of all seeds, stacked along a leading axis."""
        parts = [_policies(self.method, group.learner) for group in self.states]
        return joined(parts)

    def policy(self, index: int) -> Policy:
        """The current policy of one seed."""
        return jax.tree.map(lambda leaf: leaf[index], self.policies())
