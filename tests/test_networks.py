"""The perceptron against NumPy, and dropout against what it promises."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from goodpath.networks import Near, dropout, mlp, normal, orthogonal


def test_network_equals_numpy():
    network = mlp((3, 8, 5, 2), jax.random.key(0))
    inputs = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    hidden = inputs
    for weight, bias in zip(network.weights[:-1], network.biases[:-1], strict=True):
        hidden = np.maximum(hidden @ np.asarray(weight) + np.asarray(bias), 0)
    expected = hidden @ np.asarray(network.weights[-1]) + np.asarray(network.biases[-1])
    np.testing.assert_allclose(network(inputs), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(network(inputs[0]), expected[0], rtol=1e-5, atol=1e-6)


def test_the_network_by_columns_is_the_network():
    network = mlp((3, 7, 5, 2), jax.random.key(0), activation="tanh")
    inputs = jax.random.normal(jax.random.key(1), (11, 3))
    np.testing.assert_allclose(network.columns(inputs), network(inputs).T, atol=1e-6)


def test_what_is_near_is_seen_twice():
    inputs = np.array([[0.5, -0.3, 0.9], [1.0, 7.0, 0.0]], np.float32)
    near = Near((0, 2), 3.0)
    expected = [[0.5, -0.3, 0.9, 0.125, 0.729], [1.0, 7.0, 0.0, 1.0, 0.0]]
    np.testing.assert_allclose(near(jnp.asarray(inputs)), expected, rtol=1e-6)
    np.testing.assert_allclose(near(inputs, np), expected, rtol=1e-6)
    np.testing.assert_allclose(near(np.full((1, 3), -0.5, np.float32), np)[:, 3:], [[0, 0]])
    network = replace(mlp((5, 4, 2), jax.random.key(0)), near=near)
    plain = mlp((5, 4, 2), jax.random.key(0))(near(inputs))
    np.testing.assert_allclose(network(inputs), plain, atol=1e-6)
    np.testing.assert_allclose(network.columns(jnp.asarray(inputs)), plain.T, atol=1e-6)


@pytest.mark.parametrize(("rows", "columns"), [(16, 16), (256, 256), (28, 256), (256, 2), (1, 1)])
def test_orthogonal_matrices(rows, columns):
    keys = jax.random.split(jax.random.key(1), 3)
    for matrix in np.asarray(jax.vmap(lambda key: orthogonal(key, rows, columns))(keys)):
        product = matrix @ matrix.T if rows < columns else matrix.T @ matrix
        np.testing.assert_allclose(product, np.eye(min(rows, columns)), atol=1e-5)


def test_orthogonal_matrices_are_uniform():
    keys = jax.random.split(jax.random.key(0), 4_000)
    matrices = np.asarray(jax.vmap(lambda key: orthogonal(key, 4, 4))(keys))
    # Of a uniform one, every entry has mean 0 and mean square 1/4, and the determinant either sign alike.
    np.testing.assert_allclose(matrices.mean(axis=0), 0, atol=5 * 0.5 / np.sqrt(4_000))
    np.testing.assert_allclose((matrices**2).mean(axis=0), 0.25, atol=0.02)
    assert abs(np.sign(np.linalg.det(matrices)).mean()) < 5 / np.sqrt(4_000)


def test_making_networks_for_many_seeds_never_waits_for_itself():
    program = jax.jit(jax.vmap(lambda key: mlp((28, 64, 64, 64, 2), key)))
    for seed in range(200):
        made = program(jax.random.split(jax.random.key(seed), 3))
    assert np.isfinite(made.weights[0]).all()


def test_biases_start_at_zero():
    network = mlp((4, 16, 16, 2), jax.random.key(1))
    assert all((np.asarray(bias) == 0).all() for bias in network.biases)


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5])
def test_dropout_drops_its_share_and_keeps_the_mean(rate):
    ones = jnp.ones((400, 256))
    dropped = np.asarray(dropout(ones, rate, jax.random.key(0)))
    share = (dropped == 0).mean()
    # Five standard errors of a fair coin tossed 102,400 times.
    assert abs(share - rate) < 5 * np.sqrt(rate * (1 - rate) / dropped.size)
    np.testing.assert_allclose(np.unique(dropped), [0, 1 / (1 - rate)], rtol=1e-6)


def test_dropout_masks_are_independent_of_each_other_and_of_position():
    ones = jnp.ones((500, 128))
    masks = [np.asarray(dropout(ones, 0.5, jax.random.key(seed))) > 0 for seed in range(6)]
    limit = 5 / np.sqrt(masks[0].size)
    for i, first in enumerate(masks):
        signs = 2.0 * first - 1
        assert abs((signs[:, 1:] * signs[:, :-1]).mean()) < limit  # neighbours in a row
        assert abs((signs[1:] * signs[:-1]).mean()) < limit  # neighbours in a column
        for second in masks[i + 1 :]:
            assert abs((signs * (2.0 * second - 1)).mean()) < limit
    columns = np.stack(masks).mean(axis=(0, 1))
    assert np.abs(columns - 0.5).max() < 5 * np.sqrt(0.25 / 3000)


def test_dropout_only_with_a_key():
    network = mlp((3, 64, 1), jax.random.key(0), dropout_rate=0.5)
    inputs = jnp.ones((4, 3))
    np.testing.assert_array_equal(network(inputs), network(inputs))
    assert not np.array_equal(network(inputs, jax.random.key(1)), network(inputs))


def test_hashed_noise_is_standard_normal_and_differs_with_the_key():
    keys = jax.random.split(jax.random.key(3), 2)
    first, second = (np.asarray(normal(key, (400, 500))) for key in keys)
    for numbers in (first, second):
        assert np.isfinite(numbers).all()
        moments = [np.mean(numbers**power) for power in (1, 2, 3, 4)]
        np.testing.assert_allclose(moments, [0, 1, 0, 3], atol=0.05)
        np.testing.assert_allclose(np.mean(np.abs(numbers) > 1.959964), 0.05, atol=0.003)
        neighbours = np.mean(numbers[:, 1:] * numbers[:, :-1])
        assert abs(neighbours) < 0.01
    assert abs(np.mean(first * second)) < 0.01
