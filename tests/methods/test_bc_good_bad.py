"""BC-GB on one observation, whose optimum can be computed by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from goodpath.errors import GoodpathError
from goodpath.methods.bc_good_bad import BC_GB, Config, Transitions, oracle
from goodpath.oracles import BAD, GOOD, NEITHER
from goodpath.spec import Spec
from goodpath.training.job import make_config
from goodpath.training.offline import OfflineProgram
from goodpath.trajectories import Dataset

SPEC = Spec("One-v0", observation_size=1, action_size=1, episode_length=1)
LIMIT = 1.0


def data(actions, costs, returns=None):
    """Trajectories of one step, all seen from the same place."""
    number = len(actions)
    ones = np.ones((number, 1), np.float32)
    return Dataset(
        observations=ones,
        next_observations=ones,
        actions=np.array(actions, np.float32)[:, None],
        rewards=np.zeros(number, np.float32) if returns is None else np.array(returns, np.float32),
        costs=np.array(costs, np.float32),
        terminals=np.ones(number, np.bool_),
        timeouts=np.zeros(number, np.bool_),
        environment=SPEC.name,
    )


def learn(dataset, **options):
    shared = {"steps": 600, "hidden": (8,), "batch_size": 8, "normalize": "none", "learning_rate": 0.02}
    program = OfflineProgram(
        BC_GB, make_config(BC_GB, "default", shared | options), dataset, SPEC, LIMIT, (0,)
    )
    while program.step < program.total_steps:
        program.advance(program.step + 300)
    return program.policy(0)


# Minimising w (m - g)^2 - (1 - w) min((m - b)^2, -floor) over the action m, with g = 0.2 and b = 0.4.
@pytest.mark.parametrize(
    ("weight", "floor", "best"),
    [
        (1.0, -5.0, 0.2),  # cloning of the good
        (0.75, -5.0, 0.1),  # (w g - (1 - w) b) / (2 w - 1)
        (0.75, -0.0625, 0.15),  # a quarter from the bad is far enough
        (0.5, -0.16, 0.0),  # both weigh alike: as far from the bad as the floor asks for
        (0.5, -0.01, 0.2),  # the good is far enough as it is
    ],
)
def test_squared_errors_balance_where_they_must(weight, floor, best):
    policy = learn(
        data([0.2] * 8 + [0.4] * 8, [0.0] * 8 + [2.0] * 8),
        policy="deterministic",
        good_weight=weight,
        floor=floor,
    )
    assert float(policy(jnp.ones(1))[0]) == pytest.approx(best, abs=0.01)


def test_where_bad_actions_are_far_the_gaussian_is_that_of_the_good():
    """They lie below the floor, so the good set's mean and deviation before the tanh are the optimum."""
    good = np.linspace(0.2, 0.4, 8)
    policy = learn(data([*np.tanh(good), *[-0.9] * 8], [0.0] * 8 + [2.0] * 8))
    mean, log_std = policy.moments(jnp.ones(1), None)
    assert float(mean[0]) == pytest.approx(good.mean(), abs=0.01)
    assert float(jnp.exp(log_std[0])) == pytest.approx(good.std(), rel=0.1)
    assert float(policy.log_prob(jnp.ones(1), jnp.full(1, -0.9))) < -5.0


def test_training_stays_finite_where_good_and_bad_are_the_same_actions():
    same = np.linspace(-0.9, 0.9, 8)
    policy = learn(data([*same, *same], [0.0] * 8 + [2.0] * 8), good_weight=0.2)
    assert np.isfinite(float(policy.log_prob(jnp.ones(1), jnp.zeros(1))))
    assert abs(float(policy(jnp.ones(1))[0])) <= 1.0


def test_labels_follow_cost_and_return():
    outcomes = data([0.0] * 4, [0.0, 0.0, 0.0, 2.0], [9.0, 5.0, 1.0, 9.0]).outcomes()
    config = Config(good_return=6.0, bad_return=3.0)
    assert oracle(config, LIMIT)(outcomes).tolist() == [GOOD, NEITHER, BAD, BAD]
    assert oracle(Config(), LIMIT)(outcomes).tolist() == [GOOD, GOOD, GOOD, BAD]
    assert oracle(Config(bad_return=3.0), LIMIT)(outcomes).tolist() == [GOOD, GOOD, BAD, BAD]


def test_every_batch_holds_both_sets():
    source = Transitions(Config(batch_size=4), data([0.0] * 8, [0.0, 2.0] * 4), LIMIT, 0)
    batch = source.batch("clone", 3)
    assert sorted(batch["good"]) == [0, 2, 4, 6]
    assert sorted(batch["bad"]) == [1, 3, 5, 7]
    assert source.summary["bad_trajectories"] == 4


@pytest.mark.parametrize(
    ("costs", "options", "message"),
    [
        ([2.0, 3.0], {}, "is good at cost limit 1: costs are 2 to 3"),
        ([0.0, 0.5], {}, "is bad at cost limit 1: costs are 0 to 0.5"),
        ([0.0, 2.0], {"good_weight": 0.0}, "lies in"),
        ([0.0, 2.0], {"floor": -np.inf}, "finite"),
    ],
)
def test_data_without_both_sets_is_refused(costs, options, message):
    with pytest.raises(GoodpathError, match=message):
        Transitions(Config(**options), data([0.0, 0.0], costs), LIMIT, 0)
