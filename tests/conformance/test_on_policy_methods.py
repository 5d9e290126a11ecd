"""What every method has to keep that learns from rollouts in one program with its task."""

import json
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from goodpath.cli import main
from goodpath.data.demos import play as play_demonstrations
from goodpath.data.hdf5 import save
from goodpath.envs import pure
from goodpath.envs.marble_maze import SETTINGS
from goodpath.envs.pure import Outcome, PureTask
from goodpath.errors import GoodpathError
from goodpath.methods import METHODS, find
from goodpath.methods.contract import OnPolicyMethod, takes_data
from goodpath.networks import MLP
from goodpath.policies import CategoricalPolicy, load_policy, parameters_sha256
from goodpath.spec import Spec
from goodpath.training import checkpoint, compiled
from goodpath.training.compiled_rollouts import RolloutProgram, act, play
from goodpath.training.job import make_config
from goodpath.training.run import resume, train

ON_POLICY = [name for name in METHODS if isinstance(find(name), OnPolicyMethod)]
SMALL = {"hidden": (8,), "num_envs": 2, "rollout": 40, "minibatch": 16, "passes": 2, "steps": 200}
REVISED = {"iterations": 3, "own_episodes": 4, "backward_steps": 3, "constraint_hidden": (8,)}
MAZE = "MarbleMaze-v0"


def options(name):
    return SMALL | (REVISED if find(name).revise is not None else {})


@lru_cache
def demonstrations():
    return play_demonstrations(SETTINGS[MAZE], [0, 5], [[0, 7, 7, 7, 5, 5], [7, 7, 0, 3]]).dataset


@lru_cache
def config(name):
    return make_config(find(name), "default", options(name))


def program(name, seeds=(0, 1)):
    data = demonstrations() if takes_data(find(name)) else None
    return RolloutProgram(find(name), config(name), pure.find(MAZE), seeds, data)


def finish(trained):
    while trained.step < trained.total_steps:
        trained.advance(trained.step + trained.stride)
    return [parameters_sha256(trained.policy(i)) for i in range(len(trained.seeds))]


@pytest.mark.parametrize("name", ON_POLICY)
def test_seeds_determine_everything_and_a_checkpoint_continues_bit_for_bit(tmp_path, name):
    whole = finish(program(name))
    assert len(set(whole)) == 2
    at_once = program(name)
    at_once.advance(at_once.total_steps)
    assert [parameters_sha256(at_once.policy(i)) for i in range(2)] == whole
    for stop in (80, 160):  # before and after rollouts that begin an iteration
        first = program(name)
        first.advance(stop)
        checkpoint.save(tmp_path / str(stop), first.step, first.states, {"step": first.step})
        second = program(name)
        second.states, about = checkpoint.restore(tmp_path / str(stop), second.states)
        second.step = about["step"]
        assert finish(second) == whole


@pytest.mark.parametrize("name", ON_POLICY)
def test_metrics_are_finite_and_one_for_each_seed(name):
    trained = program(name)
    metrics = trained.advance(trained.total_steps)
    assert {"loss", "kl", "entropy", "return", "cost", "length", "goal", "episodes"} <= set(metrics)
    assert all(np.shape(values) == (2,) and np.isfinite(values).all() for values in metrics.values())
    assert (trained.step, trained.updates) == (200, 5)


@pytest.mark.parametrize("name", ON_POLICY)
def test_a_run_from_the_command_line(tmp_path, capsys, name):
    out, data = tmp_path / "run", tmp_path / "demos.h5"
    words = ["train", name, "--env", MAZE, "--seeds", "3", "4"]
    for key, value in options(name).items():
        values = value if isinstance(value, tuple) else (value,)
        words += [f"--{key.replace('_', '-')}", *map(str, values)]
    if takes_data(find(name)):
        save(demonstrations(), data)
        words += ["--data", str(data)]
    assert main([*words, "--quiet", "--out", str(out)]) == 0
    result = json.loads((out / "result.json").read_text())
    for index, entry in enumerate(result["seeds"]):
        assert entry["seed"] == 3 + index
        assert entry["training_environment_steps"] == 200
        assert entry["gradient_steps"] == 5
        assert entry["lists"]["test"]["games"] == entry["stochastic"]["lists"]["train"]["games"] == 40
    assert isinstance(load_policy(out / "policies" / "seed-3.npz").policy, CategoricalPolicy)
    assert (out / "report.html").is_file()
    before = [entry["parameters_sha256"] for entry in result["seeds"]]
    assert [entry["parameters_sha256"] for entry in resume(out, quiet=True).result["seeds"]] == before


def test_seeds_in_groups_are_in_the_same_order(monkeypatch):
    joint = program("ppo-discrete", seeds=(3, 4, 5))
    monkeypatch.setattr(compiled, "TOGETHER", 2)
    grouped = program("ppo-discrete", seeds=(3, 4, 5))
    assert [len(group.key) for group in grouped.states] == [2, 1]
    for index in range(3):
        pairs = zip(jax.tree.leaves(joint.policy(index)), jax.tree.leaves(grouped.policy(index)), strict=True)
        assert all(np.array_equal(a, b) for a, b in pairs)


# A count that begins at 0 or 10. Action 1 adds one; 3 ends the episode, and so do three steps elsewhere.
def count_step(state, action):
    count, time = state
    after = (count + action[1].astype(jnp.int32), time + 1)
    over = after[0] % 10 == 3
    return Outcome(after, action[1], action[:1], over, ~over & (after[1] == 4), over)


COUNT = PureTask(
    Spec("", 1, 2, 4, 0.0, 1.0, actions=2),
    ("idle",),
    lambda key: (10 * jax.random.randint(key, (), 0, 2), jnp.zeros((), jnp.int32)),
    lambda state: state[0].astype(jnp.float32)[None],
    count_step,
    lambda start: (start, jnp.zeros((), jnp.int32)),
    {"test": (0, 10)},
)


def test_a_stretch_holds_true_successors_and_episodes_go_on_in_the_next_one():
    method = find("ppo-discrete")
    chosen = make_config(method, "default", SMALL | {"num_envs": 8, "rollout": 40})
    trained = RolloutProgram(method, chosen, COUNT, (0,))
    state = jax.tree.map(lambda leaf: leaf[0], trained.states[0])
    stretches, means = [], []
    for _ in range(4):
        state, stretch, scores = act(method, chosen, COUNT, state)
        stretches.append(stretch)
        means.append({name: float(value) for name, value in scores.items()})
    whole = jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), *stretches)
    seen, actions = whole.observations[..., 0], whole.actions.argmax(-1)
    assert whole.observations.shape == (8, 20, 1)
    np.testing.assert_array_equal(whole.next_observations[..., 0], seen + actions)
    np.testing.assert_array_equal(whole.rewards, actions)
    np.testing.assert_array_equal(whole.terminated, (seen + actions) % 10 == 3)
    finished = []
    for copy in range(8):
        begun = 0
        for t in range(20):
            over = whole.terminated[copy, t] or t - begun == 3
            assert whole.ended[copy, t] == over
            if t < 19:
                following = [0, 10] if over else [whole.next_observations[copy, t, 0]]
                assert seen[copy, t + 1] in following
            if over:
                episode = slice(begun, t + 1)
                sums = actions[copy, episode].sum(), t + 1 - begun, whole.terminated[copy, t]
                finished.append((t // 5, *sums))
                begun = t + 1
    assert not whole.ended[:, 4].all()  # some went on in the second stretch
    for index, mean in enumerate(means):
        rows = np.array([row[1:] for row in finished if row[0] == index], float)
        assert mean["episodes"] == len(rows)
        expected = rows.mean(0)
        found = [mean["return"], mean["length"], mean["goal"]]
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        assert mean["cost"] == pytest.approx(mean["length"] - mean["return"], rel=1e-6)


def test_whole_episodes_are_marked_as_far_as_they_go():
    policy = CategoricalPolicy(MLP((jnp.zeros((1, 2)),), (jnp.array([0.0, 1.0]),)))
    episodes = play(COUNT, policy, 50, jax.random.key(1))
    assert episodes.observations.shape == (50, 4, 1)
    lengths = set()
    for seen, actions, taken in zip(*(np.asarray(x) for x in jax.tree.leaves(episodes)), strict=True):
        assert seen[0, 0] in (0, 10)
        steps = np.cumsum(actions[:, 1])
        length = 3 if steps[2] == 3 else 4
        assert taken.tolist() == [True] * length + [False] * (4 - length)
        np.testing.assert_array_equal(seen[1:length, 0], seen[0, 0] + steps[: length - 1])
        lengths.add(length)
    assert lengths == {3, 4}


def test_iterations_are_spread_evenly():
    trained = program("icrl")
    begins = []
    while trained.step < trained.total_steps:
        begins.append(trained._begins_iteration())
        trained.step += trained.stride
    assert begins == [False, False, True, False, True]


def test_bad_input_is_explained():
    with pytest.raises(GoodpathError, match="try --rollout 40"):
        RolloutProgram(
            find("ppo-discrete"),
            make_config(find("ppo-discrete"), "default", SMALL | {"rollout": 41}),
            pure.find(MAZE),
            (0,),
        )
    with pytest.raises(GoodpathError, match="give it a file with --data"):
        train("icrl", env=MAZE, cost_limit=0.0)
    with pytest.raises(GoodpathError, match="takes no --data"):
        train("ppo-discrete", demonstrations(), env=MAZE, cost_limit=0.0)
    with pytest.raises(GoodpathError, match="cannot be compiled"):
        train("ppo-discrete", env="SafetyPointGoal1-v0", cost_limit=0.0)
