from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goodpath.errors import GoodpathError
from goodpath.trajectories import Dataset, Trajectory


def make(lengths: list[int], seed: int = 0) -> Dataset:
    random = np.random.default_rng(seed)
    total = sum(lengths)
    ends = np.zeros(total, np.bool_)
    ends[np.cumsum(lengths) - 1] = True
    terminals = ends & (random.random(total) < 0.5)
    return Dataset(
        observations=random.normal(size=(total, 3)).astype(np.float32),
        next_observations=random.normal(size=(total, 3)).astype(np.float32),
        actions=random.uniform(-1, 1, (total, 2)).astype(np.float32),
        rewards=random.normal(size=total).astype(np.float32),
        costs=random.choice([0.0, 0.25, 1.0], total).astype(np.float32),
        terminals=terminals,
        timeouts=ends & (~terminals | (random.random(total) < 0.2)),
        environment="Made",
    )


datasets = st.builds(make, st.lists(st.integers(1, 12), min_size=1, max_size=8), st.integers(0, 1000))


@given(datasets)
def test_iteration_gives_every_step_once_and_in_order(data: Dataset) -> None:
    trajectories = list(data)
    assert len(trajectories) == len(data) == len(data.lengths)
    for name in ("observations", "next_observations", "actions", "rewards", "costs"):
        joined = np.concatenate([getattr(trajectory, name) for trajectory in trajectories])
        np.testing.assert_array_equal(joined, getattr(data, name))
    for trajectory, end in zip(trajectories, data.ends, strict=True):
        assert (trajectory.terminated, trajectory.truncated) == (
            data.terminals[end - 1],
            data.timeouts[end - 1],
        )


@given(datasets)
def test_splitting_and_joining_is_the_identity(data: Dataset) -> None:
    again = Dataset.from_trajectories(list(data), data.environment)
    for key in Dataset.KEYS:
        np.testing.assert_array_equal(getattr(again, key), getattr(data, key))
        assert getattr(again, key).dtype == getattr(data, key).dtype
    assert again.environment == data.environment


@given(datasets, st.data())
def test_selecting_by_index_and_by_mask(data: Dataset, draw: st.DataObject) -> None:
    chosen = draw.draw(st.lists(st.integers(0, len(data) - 1), min_size=1, max_size=10))
    selected = data.select(chosen)
    assert len(selected) == len(chosen)
    for index, trajectory in zip(chosen, selected, strict=True):
        np.testing.assert_array_equal(trajectory.observations, data[index].observations)
        assert trajectory.terminated == data[index].terminated

    mask = np.zeros(len(data), np.bool_)
    mask[chosen] = True
    np.testing.assert_array_equal(data.select(mask).rewards, data.select(sorted(set(chosen))).rewards)


@given(datasets, st.data())
def test_outcomes_equal_sums_in_a_loop(data: Dataset, draw: st.DataObject) -> None:
    whole = data.outcomes()
    assert whole.parents.tolist() == list(range(len(data)))
    assert whole.lengths.tolist() == data.lengths.tolist()
    for index, trajectory in enumerate(data):
        assert whole.returns[index] == pytest.approx(sum(map(float, trajectory.rewards)), abs=1e-9)
        assert whole.costs[index] == sum(map(float, trajectory.costs))  # quarters add up exactly

    parents = np.array(draw.draw(st.lists(st.integers(0, len(data) - 1), min_size=1, max_size=6)))
    offsets = [draw.draw(st.integers(0, int(data.lengths[p]) - 1)) for p in parents]
    sizes = [
        draw.draw(st.integers(1, int(data.lengths[p]) - o)) for p, o in zip(parents, offsets, strict=True)
    ]
    starts = data.starts[parents] + offsets
    cut = data.outcomes(starts, starts + sizes)
    assert cut.parents.tolist() == parents.tolist()
    for i, (parent, offset, size) in enumerate(zip(parents, offsets, sizes, strict=True)):
        piece = slice(offset, offset + size)
        assert cut.costs[i] == sum(map(float, data[parent].costs[piece]))
        assert cut.returns[i] == pytest.approx(sum(map(float, data[parent].rewards[piece])), abs=1e-9)
        np.testing.assert_array_equal(cut.trajectory(i).actions, data[parent].actions[piece])


def test_sums_keep_their_precision_over_millions_of_steps() -> None:
    data = make([1000] * 2000)
    data = replace(data, costs=np.full(data.num_steps, np.float32(0.1)))
    expected = 1000 * float(np.float32(0.1))
    np.testing.assert_allclose(data.outcomes().costs, expected, rtol=0, atol=1e-7)


def test_a_trajectory_without_an_end_is_cut_by_time() -> None:
    open_ended = Trajectory(*(np.ones((4, 2), np.float32),) * 3, *(np.ones(4, np.float32),) * 2, False, False)
    joined = Dataset.from_trajectories([open_ended, open_ended])
    assert joined.timeouts.tolist() == [False, False, False, True] * 2
    assert not joined.terminals.any()


def test_a_data_set_without_an_end_has_no_trajectories() -> None:
    data = replace(make([3]), terminals=np.zeros(3, np.bool_), timeouts=np.zeros(3, np.bool_))
    assert len(data) == len(data.starts) == len(data.lengths) == len(list(data)) == 0
    assert len(data.outcomes()) == 0


def test_negative_indices_count_from_the_end() -> None:
    data = make([2, 3])
    assert len(data[-1]) == 3
    with pytest.raises(IndexError, match="trajectory 2 of a data set with 2"):
        data[2]


def test_what_cannot_be_selected_or_joined_is_refused() -> None:
    data = make([2, 3])
    with pytest.raises(GoodpathError, match="no trajectory of the 2"):
        data.select(np.zeros(2, np.bool_))
    with pytest.raises(GoodpathError, match="a mask of 3 entries"):
        data.select(np.ones(3, np.bool_))
    with pytest.raises(GoodpathError, match="trajectory 2 was selected, but the data set has 0 to 1"):
        data.select([0, 2])
    with pytest.raises(GoodpathError, match="trajectory -1 was selected"):
        data.select([-1])
    with pytest.raises(GoodpathError, match="at least one"):
        Dataset.from_trajectories([])
    with pytest.raises(GoodpathError, match="both starts and ends"):
        data.outcomes(starts=np.array([0]))
    empty = Trajectory(*(np.ones((0, 2), np.float32),) * 3, *(np.ones(0, np.float32),) * 2, True, False)
    with pytest.raises(GoodpathError, match="trajectory 1 has no steps"):
        Dataset.from_trajectories([data[0], empty])
