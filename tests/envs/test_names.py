"""Finding environments by name."""

import json
import subprocess
import sys

import pytest

from goodpath import envs
from goodpath.cli import main
from goodpath.envs.vector import BatchedEnv
from goodpath.errors import GoodpathError


def test_every_name_makes_what_it_says():
    for name in envs.names():
        env = envs.make(name, num_envs=2, threads=1)
        assert isinstance(env, BatchedEnv)
        assert env.spec.name == name
        assert env.num_envs == 2
        assert envs.describe(name)
        env.close()


@pytest.mark.parametrize(
    "alias",
    ["SafetyPointCircle1-v0", "OfflinePointCircle1Gymnasium-v0", "SafetyPointCircle1Gymnasium-v0"],
)
def test_the_names_of_data_sets_mean_the_same_task(alias):
    assert envs.canonical(alias) == "SafetyPointCircle1-v0"
    assert envs.make(alias).spec.name == "SafetyPointCircle1-v0"


def test_an_unknown_name_gets_a_suggestion():
    with pytest.raises(GoodpathError, match="Did you mean 'SafetyPointCircle1-v0'"):
        envs.make("SafetyPointCirle1-v0")
    with pytest.raises(GoodpathError, match="no environment 'CartPole-v1'"):
        envs.describe("CartPole-v1")


def test_looking_at_names_imports_no_simulator():
    code = (
        "import sys, goodpath.envs as e; e.names(); e.describe(e.names()[0]); print('mujoco' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert out.stdout.strip() == "False"


def test_the_command_lists_them(capsys):
    assert main(["envs", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["name"] for row in rows] == envs.names()
    circle = next(row for row in rows if row["name"] == "SafetyPointCircle1-v0")
    assert (circle["observation"], circle["action"], circle["episode_length"]) == (28, 2, 500)
    assert main(["envs"]) == 0
    assert "SafetyPointGoal1-v0" in capsys.readouterr().out
