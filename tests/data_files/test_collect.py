"""Collecting: which episodes are kept."""

import numpy as np
import pytest

from goodpath.data import hdf5
from goodpath.data.collect import collect
from goodpath.errors import GoodpathError


class Fan:
    """Copy i of four runs at speed i / 3: its episode of ten steps costs 10 (i / 3)^2."""

    def __init__(self, env, rng):
        self.actions = np.linspace(-1, 1, env.num_envs)[:, None]

    def __call__(self, observations):
        return self.actions

    def redraw(self, mask):
        pass


def test_episodes_that_cost_too_much_are_not_kept(tmp_path):
    kept = collect("ProbeLine-v0", Fan, 8, tmp_path / "kept.hdf5", num_envs=4, max_cost=5.0)
    np.testing.assert_allclose(sorted(kept.costs), [0, 0, 10 / 9, 10 / 9, 40 / 9, 40 / 9], rtol=1e-5)
    assert kept.steps == 60
    np.testing.assert_allclose(hdf5.load(tmp_path / "kept.hdf5").outcomes().costs, kept.costs, rtol=1e-5)


def test_where_none_is_cheap_enough_there_is_no_file(tmp_path):
    with pytest.raises(GoodpathError, match="none of the 4 episodes costs at most -1; the cheapest costs 0"):
        collect("ProbeLine-v0", Fan, 4, tmp_path / "none.hdf5", num_envs=4, max_cost=-1.0)
    assert list(tmp_path.iterdir()) == []
