import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goodpath.data import hdf5
from goodpath.errors import GoodpathError
from goodpath.spec import Spec
from goodpath.trajectories import Dataset, Trajectory


def make(lengths: list[int], seed: int = 0, observation_size: int = 3) -> Dataset:
    random = np.random.default_rng(seed)
    total = sum(lengths)
    ends = np.zeros(total, np.bool_)
    ends[np.cumsum(lengths) - 1] = True
    terminals = ends & (random.random(total) < 0.5)
    return Dataset(
        observations=random.normal(size=(total, observation_size)).astype(np.float32),
        next_observations=random.normal(size=(total, observation_size)).astype(np.float32),
        actions=random.uniform(-1, 1, (total, 2)).astype(np.float32),
        rewards=random.normal(size=total).astype(np.float32),
        costs=random.choice([0.0, 0.25, 1.0], total).astype(np.float32),
        terminals=terminals,
        timeouts=ends & ~terminals,
    )


def assert_same(left: Dataset, right: Dataset) -> None:
    for key in Dataset.KEYS:
        np.testing.assert_array_equal(getattr(left, key), getattr(right, key), err_msg=key)
        assert getattr(left, key).dtype == getattr(right, key).dtype


def store(path: Path, **arrays: Any) -> Path:
    """A file as another program would write it."""
    with h5py.File(path, "w") as file:
        for key, array in arrays.items():
            file.create_dataset(key, data=array, compression="gzip")
    return path


def arrays_of(data: Dataset) -> dict[str, Any]:
    return {key: getattr(data, key) for key in Dataset.KEYS}


def files_in(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.integers(0, 99), st.integers(1, 40))
def test_what_is_saved_is_loaded(tmp_path: Path, lengths: list[int], seed: int, size: int) -> None:
    data = replace(make(lengths, seed, size), environment="SafetyPointCircle1-v0")
    hdf5.save(data, tmp_path / "data.hdf5")
    loaded = hdf5.load(tmp_path / "data.hdf5")
    assert_same(data, loaded)
    assert loaded.environment == "SafetyPointCircle1-v0"

    with hdf5.Writer(tmp_path / "streamed.hdf5") as writer:
        for trajectory in data:
            writer.append(trajectory)
    assert_same(data, hdf5.load(tmp_path / "streamed.hdf5"))


def test_many_trajectories_are_written_in_several_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hdf5, "_BUFFER_BYTES", 1000)
    monkeypatch.setattr(hdf5, "_CHUNK_BYTES", 500)
    data = make([30, 50, 1, 200, 70])
    with hdf5.Writer(tmp_path / "data.hdf5") as writer:
        for trajectory in data:
            writer.append(trajectory)
        assert writer.num_steps == 351
    assert_same(data, hdf5.load(tmp_path / "data.hdf5"))


def test_a_reader_that_keeps_the_conventions_of_dsrl_reads_our_file(tmp_path: Path) -> None:
    data = make([5, 7, 2])
    hdf5.save(data, tmp_path / "data.hdf5")
    found = {}
    with h5py.File(tmp_path / "data.hdf5") as file:
        file.visititems(lambda name, item: found.update({name: item[()]}))
        assert all(file[key].compression == "gzip" for key in found)
    assert sorted(found) == sorted(
        ["observations", "next_observations", "actions", "rewards", "costs", "terminals", "timeouts"]
    )
    steps = len(found["observations"])
    assert found["observations"].shape == found["next_observations"].shape == (steps, 3)
    assert found["actions"].shape == (steps, 2)
    assert all(found[key].shape == (steps,) for key in ("rewards", "costs", "terminals", "timeouts"))
    assert all(found[key].dtype == np.float32 for key in found if key not in ("terminals", "timeouts"))
    ends = [i for i in range(steps) if found["terminals"][i] == 1 or found["timeouts"][i] == 1]
    assert ends == [4, 11, 13]


@pytest.mark.parametrize("flag", [np.uint8, np.bool_, np.float32, np.int64])
def test_layouts_of_other_programs_are_read(tmp_path: Path, flag: type) -> None:
    data = make([5, 7, 2])
    foreign = {
        key: array.astype(np.float64 if array.dtype == np.float32 else flag)
        for key, array in arrays_of(data).items()
    }
    for key in ("rewards", "costs", "terminals", "timeouts"):
        foreign[key] = foreign[key][:, None]
    path = store(tmp_path / "SafetyPointCircle1Gymnasium-v0-200-1098.hdf5", **foreign, extra=np.zeros(3))
    loaded = hdf5.load(path)
    assert_same(data, loaded)
    assert (
        loaded.environment == "SafetyPointCircle1-v0"
    )  # from the name of the file, as DSRL has no attribute


def test_integer_costs_and_a_bytes_attribute_are_read(tmp_path: Path) -> None:
    data = make([4])
    path = store(tmp_path / "data.hdf5", **arrays_of(data) | {"costs": np.array([0, 1, 0, 2], np.int32)})
    with h5py.File(path, "a") as file:
        file.attrs["environment"] = np.bytes_("Mine-v0")
    loaded = hdf5.load(path)
    assert loaded.costs.tolist() == [0.0, 1.0, 0.0, 2.0]
    assert loaded.environment == "Mine-v0"


def change(key: str, row: int, value: float) -> Callable[[dict[str, Any]], None]:
    def apply(arrays: dict[str, Any]) -> None:
        arrays[key] = arrays[key].copy()
        arrays[key][row] = value

    return apply


def cut(*keys: str) -> Callable[[dict[str, Any]], None]:
    return lambda arrays: arrays.update({key: arrays[key][:-1] for key in keys})


DEFECTS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "missing key": (lambda a: a.pop("costs"), r"lacks costs; the keys are .*it holds actions, next_obs"),
    "all keys missing": (
        lambda a: a.clear(),
        "lacks observations, next_observations, actions, rewards, costs",
    ),
    "unequal lengths": (cut("rewards"), "differ in their number of steps: observations 12, .*rewards 11"),
    "NaN": (change("observations", 3, np.nan), "observations hold NaN or infinity, first at step 3"),
    "infinity": (change("rewards", 7, -np.inf), "rewards hold NaN or infinity, first at step 7"),
    "NaN action": (change("actions", 0, np.nan), "actions hold NaN or infinity, first at step 0"),
    "no end": (
        lambda a: a.update(terminals=np.zeros(12, np.bool_), timeouts=np.zeros(12, np.bool_)),
        "no trajectory ends in 12 steps.*set timeouts on the last step, or load the file with repair=True",
    ),
    "steps after the end": (
        lambda a: a.update(timeouts=np.arange(12) == 4, terminals=np.zeros(12, np.bool_)),
        "ends at step 4, and 7 of 12 steps after it would belong to none; set timeouts",
    ),
    "action out of range": (
        change("actions", 5, -1.00001),
        r"in \[-1, 1\], but step 5 has \[-1.0000.*scale them",
    ),
    "negative cost": (change("costs", 2, -0.5), "costs are not negative, but the cost of step 2 is -0.5"),
    "no steps": (lambda a: a.update({key: a[key][:0] for key in a}), "not a single step"),
    "flat observations": (
        lambda a: a.update(observations=np.zeros(12, np.float32)),
        r"observations have shape \(12,\), but need \(steps, size\)",
    ),
    "wide rewards": (
        lambda a: a.update(rewards=np.zeros((12, 2), np.float32)),
        r"rewards have shape \(12, 2\), but need \(steps,\)",
    ),
    "other successor": (
        lambda a: a.update(next_observations=np.zeros((12, 4), np.float32)),
        "observations of length 3 have next_observations of length 4",
    ),
    "flag of 2": (
        lambda a: a.update(timeouts=np.full(12, 2)),
        r"timeouts are true or false.*but step 0 has 2",
    ),
    "NaN flag": (lambda a: a.update(terminals=np.full(12, np.nan)), "terminals are true or false.*has nan"),
    "text": (lambda a: a.update(rewards=np.full(12, b"high")), "rewards are of type .*have to be numbers"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_each_defect_has_its_sentence(tmp_path: Path, name: str) -> None:
    spoil, sentence = DEFECTS[name]
    arrays = arrays_of(make([5, 7]))
    spoil(arrays)
    path = store(tmp_path / "spoilt.hdf5", **arrays)
    with pytest.raises(GoodpathError, match=sentence) as caught:
        hdf5.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bound_may_be_rounded_up(tmp_path: Path) -> None:
    data = make([4])
    data.actions[1] = np.float32(1 + 5e-7)
    hdf5.save(data, tmp_path / "data.hdf5")
    assert_same(data, hdf5.load(tmp_path / "data.hdf5"))


def test_repair_makes_a_trajectory_of_the_rest(tmp_path: Path) -> None:
    data = make([5, 7])
    loose = replace(data, timeouts=data.timeouts.copy(), terminals=data.terminals.copy())
    loose.timeouts[-1] = loose.terminals[-1] = False
    path = store(tmp_path / "loose.hdf5", **arrays_of(loose))
    mended = hdf5.load(path, repair=True)
    assert mended.lengths.tolist() == [5, 7]
    assert mended.timeouts[-1]
    assert not mended.terminals[-1]

    whole = store(tmp_path / "whole.hdf5", **arrays_of(data))
    assert_same(hdf5.load(whole, repair=True), data)


def test_sizes_and_bounds_of_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "data.hdf5"
    hdf5.save(make([4]), path)
    hdf5.load(path, Spec("Fits-v0", 3, 2, 4))
    with pytest.raises(GoodpathError, match="observations have length 3, but Wide-v0 has 28"):
        hdf5.load(path, Spec("Wide-v0", 28, 2, 4))
    with pytest.raises(GoodpathError, match="actions have length 2, but the environment has 6"):
        hdf5.load(path, Spec("", 3, 6, 4))
    with pytest.raises(GoodpathError, match=r"actions lie in \[-0.001, 0.001\]"):
        hdf5.load(path, Spec("Tight-v0", 3, 2, 4, -0.001, 0.001))


def test_files_that_are_no_data_sets(tmp_path: Path) -> None:
    hdf5.save(make([500]), tmp_path / "circle.hdf5")
    with pytest.raises(GoodpathError, match=r"there is no file .*circel.hdf5. Did you mean 'circle.hdf5'"):
        hdf5.load(tmp_path / "circel.hdf5")
    with pytest.raises(GoodpathError, match="there is no file"):
        hdf5.load(tmp_path / "nowhere" / "circle.hdf5")
    with pytest.raises(GoodpathError, match="is a folder"):
        hdf5.load(tmp_path)
    (tmp_path / "empty.hdf5").touch()
    with pytest.raises(GoodpathError, match=r"empty.hdf5 is empty \(0 bytes\)"):
        hdf5.load(tmp_path / "empty.hdf5")
    (tmp_path / "text.hdf5").write_text("<html>503</html>" * 100)
    with pytest.raises(GoodpathError, match=r"text\.hdf5 is no HDF5 file"):
        hdf5.load(tmp_path / "text.hdf5")


def test_damage_never_passes_as_another_exception(tmp_path: Path) -> None:
    hdf5.save(make([50, 50]), tmp_path / "whole.hdf5")
    raw = (tmp_path / "whole.hdf5").read_bytes()
    random = np.random.default_rng(0)
    damaged = tmp_path / "damaged.hdf5"
    for size in random.integers(1, len(raw), 40):
        damaged.write_bytes(raw[:size])
        with pytest.raises(GoodpathError, match="cut short or damaged"):
            hdf5.load(damaged)
    for _ in range(100):
        copy = bytearray(raw)
        for place in random.integers(0, min(8000, len(raw)), 4):
            copy[place] = random.integers(256)
        damaged.write_bytes(copy)
        with suppress(GoodpathError):  # a changed number can be sound; any other exception fails the test
            hdf5.load(damaged)


def test_a_writer_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    old, new = make([5]), make([6], seed=1)
    path = tmp_path / "data.hdf5"
    hdf5.save(old, path)

    def write_half(error: type[BaseException]) -> None:
        with hdf5.Writer(path) as writer:
            writer.extend(new)
            raise error

    for error in (RuntimeError, KeyboardInterrupt):
        with pytest.raises(error):
            write_half(error)
        assert_same(hdf5.load(path), old)
        assert files_in(tmp_path) == ["data.hdf5"]


def test_a_writer_that_is_killed_leaves_the_old_file(tmp_path: Path) -> None:
    old = make([5])
    path = tmp_path / "data.hdf5"
    hdf5.save(old, path)
    script = (
        "import sys, time; from goodpath.data import hdf5\n"
        "d = hdf5.load(sys.argv[1]); hdf5._BUFFER_BYTES = 0\n"
        "with hdf5.Writer(sys.argv[1]) as w:\n"
        "    w.extend(d); w.extend(d); print('half', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half\n"
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert_same(hdf5.load(path), old)


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    data = make([4000], observation_size=50)
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(GoodpathError, match=r"cannot write .*data\.hdf5: File too large; make room"):
            hdf5.save(data, tmp_path / "data.hdf5")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert files_in(tmp_path) == []


def test_the_writer_refuses_what_load_would_refuse(tmp_path: Path) -> None:
    path = tmp_path / "data.hdf5"
    good = make([5])[0]
    with pytest.raises(GoodpathError, match="costs are not negative"):
        hdf5.save(replace(make([5]), costs=np.full(5, -1, np.float32)), path)
    with hdf5.Writer(tmp_path / "first.hdf5") as writer:
        writer.append(good)
        with pytest.raises(GoodpathError, match=r"after 5 steps: obs.* lengths \(4, 2\), but .* \(3, 2\)"):
            writer.append(make([5], observation_size=4)[0])
    (tmp_path / "first.hdf5").unlink()
    with pytest.raises(GoodpathError, match="differ in their number of steps"), hdf5.Writer(path) as writer:
        writer.append(replace(good, observations=good.observations[:4]))
    with (
        pytest.raises(GoodpathError, match="but Wide-v0 has 28"),
        hdf5.Writer(path, spec=Spec("Wide-v0", 28, 2, 5)) as w,
    ):
        w.append(good)
    with pytest.raises(GoodpathError, match="no trajectory was written"), hdf5.Writer(path):
        pass
    assert files_in(tmp_path) == []
    with pytest.raises(GoodpathError, match="is a folder; name a file"):
        hdf5.save(make([5]), tmp_path)
    path.touch()
    with pytest.raises(GoodpathError, match="cannot make the folder"):
        hdf5.save(make([5]), path / "inside" / "data.hdf5")


def test_a_refused_trajectory_can_be_passed_over(tmp_path: Path) -> None:
    good = make([5])[0]
    bad: Trajectory = replace(good, costs=-np.ones(5, np.float32))
    with hdf5.Writer(tmp_path / "new" / "data.hdf5") as writer:
        writer.append(good)
        with pytest.raises(GoodpathError):
            writer.append(bad)
        writer.append(good)
    assert hdf5.load(tmp_path / "new" / "data.hdf5").lengths.tolist() == [5, 5]
