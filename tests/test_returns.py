"""Advantages against sums written out by hand."""

import jax.numpy as jnp
import numpy as np

from goodpath.returns import advantages


def by_hand(rewards, values, next_values, terminated, ended, discount, trace):
    result = np.zeros(len(rewards))
    for t in range(len(rewards)):
        factor = 1.0
        for k in range(t, len(rewards)):
            future = 0.0 if terminated[k] else discount * next_values[k]
            result[t] += factor * (rewards[k] + future - values[k])
            if ended[k]:
                break
            factor *= discount * trace
    return result


def test_equals_the_sum_of_discounted_differences_within_each_episode():
    rng = np.random.default_rng(0)
    rewards, values, following = rng.standard_normal((3, 2, 40))
    terminated = rng.random((2, 40)) < 0.1
    ended = terminated | (rng.random((2, 40)) < 0.1)
    found = advantages(*map(jnp.asarray, (rewards, values, following, terminated, ended)), 0.9, 0.8)
    expected = [
        by_hand(*row, 0.9, 0.8) for row in zip(rewards, values, following, terminated, ended, strict=True)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_exact_values_leave_no_advantage_at_a_time_limit():
    # One unit of reward for ever is worth 1 / (1 - 0.9); a time limit must not make the last step look worse.
    ones, value = jnp.ones(5), jnp.full(5, 10.0)
    ended = jnp.arange(5) == 4
    found = advantages(ones, value, value, jnp.zeros(5, bool), ended, 0.9, 0.95)
    np.testing.assert_allclose(found, np.zeros(5), atol=1e-5)
    # Where the environment itself ends the episode, nothing comes after.
    last = advantages(ones, value, value, ended, ended, 0.9, 0.95)[-1]
    np.testing.assert_allclose(last, 1.0 - 10.0, atol=1e-5)


def test_nothing_leaks_into_the_episode_before():
    rewards = jnp.array([0.0, 0.0, 100.0, 100.0])
    ended = jnp.array([False, True, False, True])
    found = advantages(rewards, jnp.zeros(4), jnp.zeros(4), jnp.zeros(4, bool), ended, 0.99, 0.95)
    np.testing.assert_allclose(found[:2], 0.0)
    assert found[2] > 100
