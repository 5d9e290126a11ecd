"""The check of a guide's blindness, where it is known whether what it does not see matters."""

import numpy as np
import pytest

from goodpath import envs
from goodpath.training.guided import Guide
from goodpath.training.irrelevance import compare, visits


def test_costs_that_hang_on_what_is_not_seen_open_a_gap():
    rng = np.random.default_rng(0)
    seen, unseen = rng.random((2, 4000))
    source = (seen[:, None], np.sin(3 * seen) + 0.1 * rng.standard_normal(4000))
    alike = (seen[:, None], np.sin(3 * seen) + 0.1 * rng.standard_normal(4000))
    dearer = (seen[:, None], np.sin(3 * seen) + 0.5 + 0.1 * unseen)
    same, other = compare(source, alike), compare(source, dearer)
    assert same["gap"] < 0.05
    assert same["noise"] < 0.05
    assert other["gap"] == pytest.approx(0.55, abs=0.05)


def test_values_are_the_discounted_costs_that_followed():
    def still(observations):
        zero = np.zeros((*observations.shape[:-1], 1), np.float32)
        return zero, zero - 20.0

    # Half speed costs a quarter at each of ten steps; those with less than a tenth to come are left out.
    states, values = visits(Guide(still, np.array([1]), {}), envs.make("ProbeLine-v0", 3), discount=0.5)
    np.testing.assert_allclose(np.unique(states.round(3)), np.arange(7) / 10)
    expected = [0.25 * (1 - 0.5 ** (10 - t)) / 0.5 for t in range(7)]
    np.testing.assert_allclose(values.reshape(7, 3), np.array(expected)[:, None].repeat(3, 1), atol=1e-5)
