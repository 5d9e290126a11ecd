"""Policies: what they do on observations, their densities, and their files."""

import itertools
import json
import pickle
import zipfile
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate

from goodpath.errors import GoodpathError
from goodpath.networks import Near, mlp
from goodpath.policies import (
    CategoricalPolicy,
    DeterministicPolicy,
    SquashedGaussianPolicy,
    TrainedPolicy,
    load_policy,
    parameters_sha256,
)
from goodpath.spec import Spec

SPEC = Spec("SafetyPointCircle1-v0", observation_size=5, action_size=2, episode_length=500)


def deterministic(seed=0, low=-1.0, high=1.0):
    return DeterministicPolicy(mlp((5, 16, 2), jax.random.key(seed)), low, high)


def gaussian(seed=0, actions=1, low=-1.0, high=1.0):
    return SquashedGaussianPolicy(mlp((5, 16, 2 * actions), jax.random.key(seed)), low, high)


def test_actions_stay_within_their_bounds():
    observations = 100 * np.random.default_rng(0).normal(size=(50, 5)).astype(np.float32)
    for policy in (deterministic(low=-2.0, high=6.0), gaussian(actions=2, low=-2.0, high=6.0)):
        for key in (None, jax.random.key(0)):
            actions = np.asarray(policy(observations, key))
            assert actions.shape == (50, 2)
            assert actions.min() >= -2
            assert actions.max() <= 6
            assert actions.std() > 1


def test_deterministic_log_prob_is_minus_the_squared_error_in_half_ranges():
    policy = deterministic(low=-2.0, high=6.0)
    observations = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)
    actions = np.random.default_rng(1).uniform(-2, 6, (9, 2)).astype(np.float32)
    expected = -(((np.asarray(policy(observations)) - actions) / 4) ** 2).sum(axis=1)
    np.testing.assert_allclose(policy.log_prob(observations, actions), expected, rtol=1e-4)


OBSERVATION = jnp.asarray([[0.3, -1.0, 0.2, 0.5, 1.0]])


def density(policy, actions):
    """(n,) density of (n,) actions at `OBSERVATION`."""
    seen = jnp.repeat(OBSERVATION, len(actions), axis=0)
    return np.exp(np.asarray(policy.log_prob(seen, jnp.asarray(actions, jnp.float32)[:, None]), np.float64))


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (-2.0, 6.0)])
@pytest.mark.parametrize("seed", range(4))
def test_gaussian_density_integrates_to_one(low, high, seed):
    # With a = low + (tanh(u) + 1) (high - low) / 2 the integrand is smooth up to the bounds.
    u = np.linspace(-5, 5, 4_001)
    actions = low + (np.tanh(u) + 1) * (high - low) / 2
    slope = (1 - np.tanh(u) ** 2) * (high - low) / 2
    policy = gaussian(seed, low=low, high=high)
    scaled = SquashedGaussianPolicy(
        type(policy.network)(tuple(0.3 * w for w in policy.network.weights), policy.network.biases), low, high
    )
    assert abs(integrate.trapezoid(density(scaled, actions) * slope, u) - 1) < 1e-3


def test_gaussian_samples_follow_its_density():
    policy = gaussian(low=-2.0, high=6.0)
    samples = np.asarray(policy(jnp.repeat(OBSERVATION, 40_000, axis=0), jax.random.key(0)))[:, 0]
    for left, right in itertools.pairwise(np.linspace(-1.9, 5.9, 14)):
        grid = np.linspace(left, right, 401)
        probability = integrate.simpson(density(policy, grid), grid)
        error = np.sqrt(probability / 40_000)
        assert abs(((samples > left) & (samples <= right)).mean() - probability) < 5 * error + 1e-4


def seeing_near():
    return DeterministicPolicy(replace(mlp((7, 8, 2), jax.random.key(0)), near=Near((1, 4), 5.0)), -1.0, 1.0)


@pytest.mark.parametrize("policy", [deterministic(), gaussian(actions=2), seeing_near()])
def test_a_saved_policy_acts_the_same(tmp_path, policy):
    trained = TrainedPolicy(policy, SPEC, {"method": "bc", "seed": 3})
    trained.save(tmp_path / "policy.npz")
    loaded = load_policy(tmp_path / "policy.npz")
    observations = np.random.default_rng(0).normal(size=(20, 5))
    np.testing.assert_array_equal(loaded(observations), trained(observations))
    assert loaded.spec == SPEC
    assert loaded.about == {"method": "bc", "seed": 3}
    assert parameters_sha256(loaded.policy) == parameters_sha256(policy)
    assert loaded(observations[0]).shape == (2,)


def test_the_hash_sees_one_bit():
    policy = deterministic()
    bias = np.asarray(policy.network.biases[0]).copy()
    bias[3] = np.nextafter(np.float32(0), np.float32(1))
    other = DeterministicPolicy(
        type(policy.network)(policy.network.weights, (jnp.asarray(bias), policy.network.biases[1])), -1.0, 1.0
    )
    assert parameters_sha256(other) != parameters_sha256(policy)


def test_bad_observations_are_explained():
    trained = TrainedPolicy(deterministic(), SPEC, {})
    with pytest.raises(GoodpathError, match=r"takes observations of length 5, got shape \(4,\)"):
        trained(np.zeros(4))
    with pytest.raises(GoodpathError, match="NaN"):
        trained([0, 0, np.nan, 0, 0])


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("loading ran code",))


def test_bad_files_are_explained_and_run_nothing(tmp_path):
    with pytest.raises(GoodpathError, match="no policy at"):
        load_policy(tmp_path / "missing.npz")
    path = tmp_path / "policy.npz"
    TrainedPolicy(deterministic(), SPEC, {}).save(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(GoodpathError, match="not a policy of goodpath, or is damaged"):
        load_policy(path)
    beyond = replace(seeing_near().network, near=Near((1, 5), 5.0))
    TrainedPolicy(DeterministicPolicy(beyond, -1.0, 1.0), SPEC, {}).save(path)
    with pytest.raises(GoodpathError, match="beyond the observation"):
        load_policy(path)
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(GoodpathError, match="not a policy"):
        load_policy(path)
    array = np.empty(1, object)
    array[0] = 1
    np.savez(path, header=array)
    with pytest.raises(GoodpathError, match="not a policy"):
        load_policy(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.json", json.dumps({}))
    with pytest.raises(GoodpathError, match="not a policy"):
        load_policy(path)


def categorical(seed=0):
    return CategoricalPolicy(mlp((5, 16, 4), jax.random.key(seed)))


def test_a_categorical_policy_takes_the_likeliest_action_or_draws_in_proportion(tmp_path):
    policy = categorical()
    seen = jnp.asarray([[0.3, -1.0, 0.2, 0.5, 1.0]])
    shares = np.exp(np.asarray(policy.log_probs(seen)))[0]
    assert shares.sum() == pytest.approx(1)
    assert np.asarray(policy(seen))[0].tolist() == np.eye(4)[shares.argmax()].tolist()
    draws = np.asarray(policy(jnp.repeat(seen, 20_000, axis=0), jax.random.key(0)))
    assert (draws.sum(1) == 1).all()
    np.testing.assert_allclose(draws.mean(0), shares, atol=0.015)
    densities = policy.log_prob(jnp.repeat(seen, 4, axis=0), jnp.eye(4))
    np.testing.assert_allclose(np.exp(densities), shares, rtol=1e-5)


def test_a_categorical_policy_comes_back_from_its_file(tmp_path):
    spec = Spec("MarbleMaze-v0", 5, 4, 200, 0.0, 1.0, actions=4)
    TrainedPolicy(categorical(), spec, {"seed": 1}).save(tmp_path / "policy.npz")
    loaded = load_policy(tmp_path / "policy.npz")
    assert isinstance(loaded.policy, CategoricalPolicy)
    assert loaded.spec == spec
    assert parameters_sha256(loaded.policy) == parameters_sha256(categorical())
