"""Who evaluates a run: a simulator behind the batched contract, or a task of pure functions with lists of starts."""

from typing import Any, NamedTuple, Protocol

import jax

from goodpath import envs
from goodpath.envs.pure import PureTask
from goodpath.envs.vector import BatchedEnv
from goodpath.policies import Policy
from goodpath.training import evaluate as evaluation
from goodpath.training.evaluate import Evaluation
from goodpath.training.games import Games, play
from goodpath.training.loop import Schedule
from goodpath.training.results import seed_scores


class Verdict(NamedTuple):
    """The evaluation at the end of a run.

    Attributes:
        final: of the most likely actions; None where nothing was simulated.
        more: for each seed, what `result.json` says besides.
    """

    final: Evaluation | None
    more: list[dict[str, Any]]


class Judge(Protocol):
    """Evaluates stacked policies during training and at its end."""

    def look(self, policies: Policy) -> Evaluation | None:
        """A short evaluation during training."""

    def verdict(self, policies: Policy) -> Verdict:
        """The evaluation at the end."""

    def close(self) -> None:
        """Frees what was held."""


class Nobody:
    """Where there is no task, nothing is evaluated."""

    def __init__(self, seeds: int) -> None:
        self._seeds = seeds

    def look(self, policies: Policy) -> None:
        """See `Judge`."""

    def verdict(self, policies: Policy) -> Verdict:
        """See `Judge`."""
        return Verdict(None, [{} for _ in range(self._seeds)])

    def close(self) -> None:
        """See `Judge`."""


class Simulator:
    """Seeded episodes in a batched environment.

    Args:
        environment: the task.
        seeds: number of policies.
        schedule: how many episodes.
        limit: cost limit that the scores are held against.
        sampled: at the end, evaluate sampled actions too.
    """

    def __init__(self, environment: str, seeds: int, schedule: Schedule, limit: float, sampled: bool) -> None:
        self._environment, self._seeds, self._schedule = environment, seeds, schedule
        self._limit, self._sampled = limit, sampled
        self._env: BatchedEnv = envs.make(environment, seeds * schedule.episodes)

    def look(self, policies: Policy) -> Evaluation:
        """See `Judge`."""
        return evaluation.evaluate(policies, self._env, self._schedule.episodes)

    def verdict(self, policies: Policy) -> Verdict:
        """See `Judge`."""
        episodes = self._schedule.final_episodes
        env = envs.make(self._environment, self._seeds * episodes)
        more: list[dict[str, Any]] = [{} for _ in range(self._seeds)]
        try:
            final = evaluation.evaluate(policies, env, episodes, draw=self._schedule.drawn)
            if self._sampled:
                sampled = evaluation.evaluate(policies, env, episodes, stochastic=True)
                for index, entry in enumerate(more):
                    entry["stochastic"] = seed_scores(sampled, index, self._limit, self._environment)
        finally:
            env.close()
        return Verdict(final, more)

    def close(self) -> None:
        """See `Judge`."""
        self._env.close()


class Lists:
    """One game from every start of each of a task's lists; the last list is what a run is judged by.

    Args:
        task: what to play.
        seeds: number of policies.
        drawn: games of each policy that the report draws.
    """

    def __init__(self, task: PureTask, seeds: int, drawn: int) -> None:
        self._task, self._seeds, self._drawn = task, seeds, drawn
        self._test = list(task.lists)[-1]

    def look(self, policies: Policy) -> Evaluation:
        """See `Judge`."""
        return play(self._task, policies, self._task.lists[self._test]).evaluation()

    def verdict(self, policies: Policy) -> Verdict:
        """See `Judge`."""
        key = jax.random.key(evaluation.EVALUATION_SEED)
        greedy = {name: play(self._task, policies, starts) for name, starts in self._task.lists.items()}
        sampled = {name: play(self._task, policies, starts, key) for name, starts in self._task.lists.items()}
        more = [
            {"lists": self._scores(greedy, index), "stochastic": {"lists": self._scores(sampled, index)}}
            for index in range(self._seeds)
        ]
        final = greedy[self._test].evaluation()
        final.paths.extend(self._paths(policies))
        return Verdict(final, more)

    def _scores(self, games: dict[str, Games], index: int) -> dict[str, Any]:
        return {name: played.scores(index, self._task.kinds) for name, played in games.items()}

    def _paths(self, policies: Policy) -> list[dict[str, Any]]:
        """Games to draw, from starts of their own: drawing is the batched environment's business."""
        if not self._drawn:
            return []
        env = envs.make(self._task.spec.name, self._seeds * self._drawn)
        try:
            return evaluation.evaluate(policies, env, self._drawn, draw=self._drawn).paths
        finally:
            env.close()

    def close(self) -> None:
        """See `Judge`."""
