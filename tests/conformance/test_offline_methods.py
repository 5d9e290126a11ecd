"""What every offline method has to keep, on a probe whose optimum is known. A new method adds a line to `CASES`."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from goodpath import envs
from goodpath.data.collect import collect
from goodpath.data.hdf5 import load
from goodpath.envs.probe import PROBES
from goodpath.errors import GoodpathError
from goodpath.methods import METHODS, find
from goodpath.methods.contract import OfflineMethod
from goodpath.policies import TrainedPolicy, load_policy, parameters_sha256
from goodpath.training import checkpoint
from goodpath.training.evaluate import evaluate
from goodpath.training.job import make_config
from goodpath.training.loop import Schedule, train_loop
from goodpath.training.offline import OfflineProgram

PROBE = PROBES["ProbeLine-v0"]
LIMIT = 2.5  # the best speed under it is 0.5: action 0, return 5
SMALL = {"hidden": (32, 32), "steps": 60}
OFFLINE = [name for name in METHODS if isinstance(find(name), OfflineMethod)]
# Presets that differ in code, not only in numbers.
CASES = [
    (name, preset)
    for name in OFFLINE
    for preset in ("default", "release", "paper")
    if preset in find(name).presets
]


class SteadyDriver:
    """Keeps one speed a trajectory, with a little noise; every speed is as likely as any other."""

    def __init__(self, env, rng):
        self._rng = rng
        self._mean = rng.uniform(-1, 1, (env.num_envs, 1))

    def __call__(self, observations):
        return self._mean + 0.05 * self._rng.standard_normal(self._mean.shape)

    def redraw(self, mask):
        self._mean = np.where(mask[:, None], self._rng.uniform(-1, 1, self._mean.shape), self._mean)


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Iterator[Path]:
    file = tmp_path_factory.mktemp("probe") / "line.hdf5"
    collect("ProbeLine-v0", SteadyDriver, 300, file, num_envs=30)
    return file


@pytest.fixture(scope="module")
def dataset(path):
    return load(path, PROBE.spec)


def program(dataset, name, preset="default", seeds=(0, 1), together=None, **options):
    method = find(name)
    config = make_config(method, preset, {**SMALL, **options})
    return OfflineProgram(method, config, dataset, PROBE.spec, LIMIT, seeds, together)


def finish(trained):
    while trained.step < trained.total_steps:
        trained.advance(min((trained.step // 20 + 1) * 20, trained.phase()[1]))
    return trained


def hashes(trained):
    return [parameters_sha256(trained.policy(i)) for i in range(len(trained.seeds))]


@pytest.mark.parametrize(("name", "preset"), CASES)
def test_shapes_and_finite_metrics(dataset, name, preset):
    trained = program(dataset, name, preset)
    metrics = trained.advance(min(20, trained.phase()[1]))
    assert "loss" in metrics
    assert all(values.shape == (2,) and np.isfinite(values).all() for values in metrics.values())
    finish(trained)
    policy = trained.policy(0)
    assert policy(jnp.zeros(2)).shape == (1,)
    assert policy(jnp.zeros((7, 2))).shape == (7, 1)
    assert sum(phase.steps for phase in trained.phases) == trained.step == 60


@pytest.mark.parametrize("name", OFFLINE)
def test_seeds_determine_everything(dataset, name):
    first, second = finish(program(dataset, name)), finish(program(dataset, name))
    assert hashes(first) == hashes(second)
    assert len(set(hashes(first))) == 2
    assert hashes(finish(program(dataset, name, normalize="none"))) != hashes(first)


@pytest.mark.parametrize("name", OFFLINE)
def test_all_seeds_at_once_equal_one_after_another(dataset, name):
    joint = finish(program(dataset, name, seeds=(4, 5, 6), together=3))
    for index, seed in enumerate(joint.seeds):
        alone = finish(program(dataset, name, seeds=(seed,)))
        pairs = zip(jax.tree.leaves(joint.policy(index)), jax.tree.leaves(alone.policy(0)), strict=True)
        for a, b in pairs:
            np.testing.assert_allclose(a, b, atol=2e-4)


@pytest.mark.parametrize(("name", "preset"), CASES)
def test_a_checkpoint_continues_bit_for_bit(dataset, tmp_path, name, preset):
    stop = 40  # of 60: while cloning in `default`, while classifying in `release` and `paper`
    whole = finish(program(dataset, name, preset, dropout=0.25))
    first = program(dataset, name, preset, dropout=0.25)
    while first.step < stop:
        first.advance(min((first.step // 20 + 1) * 20, first.phase()[1]))
    checkpoint.save(tmp_path, first.step, first.states, {"step": first.step})
    second = program(dataset, name, preset, dropout=0.25)
    second.states, about = checkpoint.restore(tmp_path, second.states)
    second.step = about["step"]
    assert hashes(finish(second)) == hashes(whole)


@pytest.mark.parametrize("name", OFFLINE)
def test_a_saved_policy_acts_as_in_evaluation(dataset, tmp_path, name):
    trained = finish(program(dataset, name))
    TrainedPolicy(trained.policy(1), PROBE.spec, {}).save(tmp_path / "policy.npz")
    loaded = load_policy(tmp_path / "policy.npz")
    assert parameters_sha256(loaded.policy) == hashes(trained)[1]
    env = envs.make("ProbeLine-v0", 10)
    result = evaluate(trained.policies(), env, 5)
    observations = env.reset(0)
    total = np.zeros(10)
    for _ in range(10):
        step = env.step(loaded(observations))
        total += step.rewards
        observations = step.observations
    np.testing.assert_allclose(result.returns[1], total[:5], atol=1e-4)


@pytest.mark.parametrize("name", OFFLINE)
def test_nan_stops_training_and_keeps_the_last_good_checkpoint(dataset, tmp_path, name):
    trained = program(dataset, name)
    schedule = Schedule(log_every=20, checkpoint_seconds=0.0)
    sound = trained.advance

    def spoiled(until):
        metrics = sound(until)
        if trained.step >= 40:
            trained.states = jax.tree.map(
                lambda leaf: leaf * jnp.nan if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf,
                trained.states,
            )
        return metrics

    trained.advance = spoiled
    with pytest.raises(GoodpathError, match="NaN or infinity"):
        train_loop(trained, tmp_path, schedule, lambda policies: None, LIMIT, quiet=True)
    assert checkpoint.steps(tmp_path / "checkpoints") == [20]


@pytest.mark.parametrize("name", OFFLINE)
def test_huge_rewards_and_a_constant_observation_do_no_harm(dataset, name):
    hard = replace(
        dataset,
        rewards=dataset.rewards * np.float32(1e6),
        observations=np.concatenate(
            [dataset.observations[:, :1], np.full_like(dataset.observations[:, 1:], 9.81)], 1
        ),
    )
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(finish(program(hard, name)).policy(0)))


# What each method has to learn from the probe: returns and costs of its policies, against closed forms.

LEARNING = {
    # All speeds u in [0, 1] alike: the mean speed is 1/2, whatever the limit.
    "bc": (5.0, 2.5),
    # Safe speeds are those with 10 u^2 <= 2.5, u <= 1/2: their mean is 1/4.
    "bc-safe": (2.5, 0.625),
}


@pytest.mark.parametrize("name", LEARNING)
def test_cloning_finds_the_mean_of_its_data(dataset, name):
    trained = finish(program(dataset, name, steps=1_000))
    result = evaluate(trained.policies(), envs.make("ProbeLine-v0", 10), 5)
    expected_return, expected_cost = LEARNING[name]
    np.testing.assert_allclose(result.returns.mean(axis=1), expected_return, rtol=0.15)
    np.testing.assert_allclose(result.costs.mean(axis=1), expected_cost, rtol=0.3)


@pytest.mark.parametrize("preset", ["default", "paper"])
def test_trac_comes_near_the_best_speed_within_the_limit(dataset, preset):
    options = {
        "clone_fraction": 0.5,
        "top": 0.25,
        "segment_ratio": 0.5,
        "learning_rate": 1e-3,
        "hidden": (32, 32),
    }
    trained = finish(program(dataset, "trac", preset, steps=1_000, clone_learning_rate=1e-3, **options))
    result = evaluate(trained.policies(), envs.make("ProbeLine-v0", 10), 5)
    safe = finish(program(dataset, "bc-safe", steps=1_000))
    cloned = evaluate(safe.policies(), envs.make("ProbeLine-v0", 10), 5)
    assert (result.costs.mean(axis=1) <= LIMIT).all()
    assert (result.returns.mean(axis=1) > cloned.returns.mean(axis=1) + 1).all()
    assert (result.returns.mean(axis=1) <= PROBE.best_return(LIMIT)).all()
