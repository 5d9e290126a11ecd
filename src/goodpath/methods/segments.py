"""The segments that TraC learns from: drawn, judged by the oracle, weighted, and served in batches."""

from typing import TYPE_CHECKING

import numpy as np

from goodpath.errors import GoodpathError
from goodpath.methods.contract import Batch, Shuffle
from goodpath.oracles import GOOD, NEITHER, Labels, SafeTop, within
from goodpath.trajectories import Booleans, Dataset, Doubles, Floats, Integers

if TYPE_CHECKING:
    from goodpath.methods.trac import Config

MAX_SEGMENTS = 1_000_000


class Segments:
    """The labelled segments of one seed, as start indices, weights and labels, and their batches.

    Attributes:
        length: L, steps in a segment.
        starts: (n,) first step of each in the flat data.
        labels: (n,) 1 desirable, 0 undesirable.
        weights: (n,) w.
    """

    def __init__(self, config: "Config", dataset: Dataset, cost_limit: float, seed: int) -> None:
        rng = np.random.default_rng([seed, 1])
        longest = int(dataset.lengths.max())
        self.length = segment_length(config.segment_ratio, longest)
        if self.length < 1:
            raise GoodpathError(
                f"segment_ratio {config.segment_ratio:g} of the longest trajectory ({longest} steps) is less "
                "than one step; raise it."
            )
        parents, starts = draw_segments(dataset, self.length, config.segment_ratio, rng)
        oracle = SafeTop(cost_limit, config.top, config.bottom)
        if config.labels == "trajectories":
            whole = dataset.outcomes()
            verdicts = oracle(whole)[parents]
            safe = within(whole.costs, cost_limit)[parents]
            returns = whole.returns[parents]
        else:
            limit = oracle.scaled(self.length / longest)
            outcomes = dataset.outcomes(starts, starts + self.length, parents)
            verdicts = limit(outcomes)
            safe = within(outcomes.costs, limit.limit)
            returns = outcomes.returns
        kept = verdicts != NEITHER
        self.starts = starts[kept]
        self.labels = (verdicts[kept] == GOOD).astype(np.float32)
        self.weights = _weights(returns, safe, verdicts, config.kappa)[kept]
        self._shuffle = Shuffle(len(self.starts), config.batch_size, (seed, 2), config.shuffles)
        self._transitions = self._cloned(config, dataset, cost_limit)
        size = config.clone_batch_size or config.batch_size * self.length
        self._clone_shuffle = Shuffle(max(len(self._transitions), 1), size, (seed, 3))
        self.summary = {
            "segments": float(len(starts)),
            "segment_length": float(self.length),
            "safe": float(safe.sum()),
            "desirable": float(self.labels.sum()),
            "undesirable": float(len(self.labels) - self.labels.sum()),
        }

    def _cloned(self, config: "Config", dataset: Dataset, cost_limit: float) -> Integers:
        """(n,) steps that the reference clones one by one; none where it clones whole labelled segments."""
        if config.clone_data == "all":
            return np.arange(dataset.num_steps)
        if config.clone_data == "safe":
            return np.flatnonzero(np.repeat(within(dataset.outcomes().costs, cost_limit), dataset.lengths))
        if config.clone_data == "labelled" and config.clone_batch_size == 0:
            return np.zeros(0, np.int64)
        edges = np.zeros(dataset.num_steps + 1, np.int64)
        np.add.at(edges, self.starts, 1)
        np.add.at(edges, self.starts + self.length, -1)
        return np.flatnonzero(np.cumsum(edges[:-1]) > 0)

    def batch(self, phase: str, step: int) -> Batch:
        """Segments of the step; while cloning, single transitions where the options say so."""
        if phase == "clone" and len(self._transitions):
            indices, mask = self._clone_shuffle(step)
            return {"steps": self._transitions[indices].astype(np.int32), "mask": mask}
        indices, mask = self._shuffle(step)
        return {
            "starts": self.starts[indices].astype(np.int32),
            "labels": self.labels[indices],
            "weights": self.weights[indices],
            "mask": mask,
        }


def segment_length(ratio: float, longest: int) -> int:
    """L for data whose longest trajectory has `longest` steps."""
    return int(longest * ratio)


def draw_segments(
    dataset: Dataset, length: int, ratio: float, rng: np.random.Generator
) -> tuple[Integers, Integers]:
    """Draws segments as the released code does.

    Trajectories of at least `length` steps are drawn uniformly with replacement, then the start uniformly. The
    number drawn is the number of trajectories of full length where the ratio is 1, otherwise
    ((Lmax - length) // 6) for each trajectory of the data, short ones counted, at least one and at most a million.

    Returns:
        parents: (n,) trajectory of each segment.
        starts: (n,) first step of each segment in the flat data.
    """
    longest = int(dataset.lengths.max())
    if ratio >= 1:
        number = int(np.sum(dataset.lengths == longest))
    else:
        number = min(max((longest - length) // 6, 1) * len(dataset), MAX_SEGMENTS)
    eligible = np.flatnonzero(dataset.lengths >= length)
    parents = rng.choice(eligible, number)
    starts = dataset.starts[parents] + rng.integers(0, dataset.lengths[parents] - length + 1)
    return parents.astype(np.int64), starts.astype(np.int64)


def _weights(returns: Doubles, safe: Booleans, verdicts: Labels, kappa: float) -> Floats:
    """w of each segment: by normalised return for desirable, by its opposite for safe undesirable, else 1."""
    low, high = returns[safe].min(), returns[safe].max()
    rank = (returns - low) / (high - low) if high > low else np.ones_like(returns)
    merit = np.where(verdicts == GOOD, rank, 1 - rank) if high > low else rank
    return np.where(safe, (1 - kappa) * merit + kappa, 1.0).astype(np.float32)
