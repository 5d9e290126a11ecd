"""A killed run goes on bit for bit; an interrupted one is saved; logs never repeat a line."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from goodpath.data.collect import collect
from goodpath.envs.navigation.controllers import controller
from goodpath.errors import GoodpathError
from goodpath.training import checkpoint
from goodpath.training.loop import Schedule
from goodpath.training.run import resume, train

TASK = "SafetyPointCircle1-v0"
OPTIONS = {"hidden": (16, 16), "steps": 400, "clone_fraction": 0.5, "batch_size": 8, "segment_ratio": 0.1}
SCHEDULE = Schedule(log_every=20, checkpoint_seconds=0.0, evaluate_every=200, episodes=1, final_episodes=1)
# The same run in a process of its own, saving after every 20 updates so that a kill often hits a checkpoint.
SCRIPT = f"""
import sys
from goodpath.training.loop import Schedule
from goodpath.training.run import resume, train
if sys.argv[1] == "resume":
    resume(sys.argv[2], quiet=True)
else:
    train("trac", sys.argv[3], env="{TASK}", cost_limit=20, seeds=(0, 1), out=sys.argv[2],
          options={OPTIONS!r}, schedule={SCHEDULE!r}, quiet=True)
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "circle.hdf5"
    collect(TASK, lambda env, rng: controller(env.spec.name, env.num_envs, rng), 16, path, num_envs=16)
    return path


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """The run that nobody disturbs."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(
        "trac",
        data,
        env=TASK,
        cost_limit=20,
        seeds=(0, 1),
        out=folder,
        options=OPTIONS,
        schedule=SCHEDULE,
        quiet=True,
    )
    return folder


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def outcome(folder):
    """Hashes of the parameters, scores, and the log without its clocks."""
    result = json.loads((folder / "result.json").read_text())
    seeds = [
        (seed["parameters_sha256"], seed["episode_returns"], seed["episode_costs"])
        for seed in result["seeds"]
    ]
    log = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for line in log:
        line.pop("seconds", None)
        line.pop("updates_per_second", None)
    return seeds, log


def test_killed_at_random_moments_it_ends_bit_for_bit_the_same(data, whole, tmp_path):
    folder = tmp_path / "run"
    dice = random.Random(os.getpid())
    kills = 0
    process = start("train", folder, data)
    while kills < 3:
        # Let it come at least one checkpoint further, then kill it wherever it is.
        before = checkpoint.steps(folder / "checkpoints")[-1:]
        while process.poll() is None and checkpoint.steps(folder / "checkpoints")[-1:] == before:
            time.sleep(0.01)
        time.sleep(dice.uniform(0, 0.3))
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += 1
        process = start("resume", folder)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert kills > 0
    assert outcome(folder) == outcome(whole)


def test_ctrl_c_saves_and_the_run_goes_on(data, whole, tmp_path):
    folder = tmp_path / "run"
    words = [
        "train",
        "trac",
        "--data",
        data,
        "--env",
        TASK,
        "--cost-limit",
        20,
        "--seeds",
        0,
        1,
        "--out",
        folder,
    ]
    words += [
        "--hidden",
        16,
        16,
        "--steps",
        400,
        "--clone-fraction",
        0.5,
        "--batch-size",
        8,
        "--segment-ratio",
        0.1,
    ]
    words += ["--log-every", 20, "--evaluate-every", 200, "--episodes", 1]
    process = subprocess.Popen(
        [sys.executable, "-m", "goodpath", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    log = folder / "metrics.jsonl"
    while not (log.exists() and log.stat().st_size) and process.poll() is None and not _saved(folder):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    if process.returncode == 0:
        pytest.fail("the run was over before it could be interrupted")
    assert process.returncode == 130, errors
    assert f"go on with `goodpath train --resume {folder}`" in errors
    assert _saved(folder)
    resume(folder, quiet=True)
    assert outcome(folder)[0] == outcome(whole)[0]


def _saved(folder):
    return checkpoint.steps(folder / "checkpoints")


def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(whole, tmp_path):
    state = {"x": jnp.arange(4.0), "key": jax.random.key(3)}
    for step in (10, 20):
        checkpoint.save(tmp_path, step, {**state, "x": state["x"] + step}, {"step": step})
    for file in (tmp_path / "000000020").rglob("*"):
        if file.is_file():
            file.write_bytes(b"spoiled")
    restored, about = checkpoint.restore(tmp_path, state)
    assert about == {"step": 10}
    np.testing.assert_array_equal(restored["x"], np.arange(4.0) + 10)
    np.testing.assert_array_equal(jax.random.key_data(restored["key"]), jax.random.key_data(state["key"]))
    for file in (tmp_path / "000000010").rglob("*"):
        if file.is_file():
            file.write_bytes(b"spoiled")
    with pytest.raises(GoodpathError, match=r"no checkpoint in .* can be read"):
        checkpoint.restore(tmp_path, state)


def test_half_a_checkpoint_is_none(tmp_path):
    (tmp_path / "000000030.orbax-checkpoint-tmp-1").mkdir()
    assert checkpoint.steps(tmp_path) == []
    assert checkpoint.restore(tmp_path, {"x": jnp.zeros(1)}) is None


def test_only_the_newest_checkpoints_stay(tmp_path):
    for step in (1, 2, 3, 4):
        checkpoint.save(tmp_path, step, {"x": jnp.zeros(1)}, {"step": step})
    assert checkpoint.steps(tmp_path) == [3, 4]


def test_what_cannot_be_resumed_is_explained(data, whole, tmp_path):
    with pytest.raises(GoodpathError, match="does not exist; is its folder a run"):
        resume(tmp_path)
    with pytest.raises(GoodpathError, match="already holds a run"):
        train("bc", data, cost_limit=20, out=whole, quiet=True)
    copy = tmp_path / "run"
    copy.mkdir()
    config = json.loads((whole / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "data_sha256": "0" * 64}))
    with pytest.raises(GoodpathError, match="is not the file the run began with"):
        resume(copy)
    (copy / "config.json").write_text(json.dumps({**config, "data": str(tmp_path / "gone.hdf5")}))
    with pytest.raises(GoodpathError, match="is gone"):
        resume(copy)
    (copy / "config.json").write_text(json.dumps({"schema": 99}))
    with pytest.raises(GoodpathError, match="not written by this version"):
        resume(copy)
