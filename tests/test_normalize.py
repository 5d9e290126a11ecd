"""Normalisation: unit covariance, and a folded policy that acts the same on plain observations."""

import jax
import numpy as np
import pytest

from goodpath.networks import mlp
from goodpath.normalize import normalizer
from goodpath.policies import DeterministicPolicy


def observations():
    rng = np.random.default_rng(0)
    mixed = rng.normal(size=(5_000, 4)) @ rng.normal(size=(4, 4)) + 3
    return mixed.astype(np.float32)


def test_whitening_gives_unit_covariance():
    white = normalizer("whiten", observations())(observations())
    np.testing.assert_allclose(np.cov(white.T, bias=True), np.eye(4), atol=1e-3)
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-4)


def test_scaling_gives_unit_variances_and_leaves_the_axes():
    scaled = normalizer("scale", observations())(observations())
    np.testing.assert_allclose(scaled.std(axis=0), 1, atol=1e-3)
    plain = observations()
    np.testing.assert_allclose(np.corrcoef(scaled.T), np.corrcoef(plain.T), atol=1e-3)


def test_a_constant_component_is_not_blown_up():
    data = observations()
    data[:, 2] = 9.81
    for kind in ("scale", "whiten"):
        assert np.abs(normalizer(kind, data)(data)).max() < 100


@pytest.mark.parametrize("kind", ["none", "scale", "whiten"])
def test_a_folded_policy_acts_the_same(kind):
    policy = DeterministicPolicy(mlp((4, 32, 2), jax.random.key(0)), -1.0, 1.0)
    chosen = normalizer(kind, observations())
    np.testing.assert_allclose(chosen.fold(policy)(observations()), policy(chosen(observations())), atol=2e-5)
