"""Measures of transfer against curves whose figures can be read off."""

import json

import numpy as np
import pytest

from goodpath.reports.transfer import Curve, beginning, compare, curves, smooth, times


def curve(costs, returns=None, every=10_000):
    steps = every * np.arange(1, len(costs) + 1, dtype=float)
    return Curve(steps, np.array(returns if returns is not None else costs, float), np.array(costs, float))


def test_a_beginning_is_an_epoch():
    assert curve([9, 6, 3, 100], [1, 2, 3, 100]).beginning() == (2.0, 6.0)
    assert curve([9, 100], every=50_000).beginning() == (9.0, 9.0)


def test_safety_has_to_last():
    assert curve([1] * 30).time_to_safety(5) == 0
    assert curve([50] * 30).time_to_safety(5) is None
    # Smoothed by 0.8, a fall from 50 to 0 is below 5 after eleven lines: 50 * 0.8 ** 11 = 4.3.
    assert curve([50] + [0] * 30).time_to_safety(5) == 120_000
    # A relapse within three epochs of the first kept line starts the count anew.
    relapse = [0] * 5 + [100] + [0] * 40
    first = np.flatnonzero(smooth(np.array(relapse, float)) > 5)[-1]
    assert curve(relapse).time_to_safety(5) == 10_000 * (first + 2)


def test_what_is_worth_what():
    scratch = [curve([45] * 10 + [0] * 90, np.arange(100)), curve([25] * 10 + [0] * 90, np.arange(100))]
    guided = [curve([2] * 100, 2.0 * np.arange(100)), curve([4] * 100, 2.0 * np.arange(100))]
    found = compare(scratch, guided, limit=5, best=50.0)
    assert found["safety_jump_start"] == 30.0
    assert found["time_to_safety"] == np.mean([one.time_to_safety(5) for one in scratch])
    assert found["return_jump_start"] is None  # from scratch it was not safe
    assert found["time_to_optimum"] == scratch[0].time_to_return(47.5) - guided[0].time_to_return(47.5) > 0
    safe = [curve([1] * 100, np.arange(100) + 4.0)]
    assert compare(safe, guided, 5, 50.0)["return_jump_start"] == pytest.approx(2.0 - 5.0)
    assert compare(safe, guided, 5, 1e9)["time_to_optimum"] is None
    alone = times([*guided, *safe], 5, 120.0)
    assert alone["time_to_optimum"] == [*(one.time_to_return(114.0) for one in guided), None]
    assert alone["time_to_safety"][-1] == 0.0


def test_curves_are_read_from_the_log_and_behaviour_is_not_the_target_policy(tmp_path):
    lines = [
        {"kind": "update", "step": 10, "metrics": {"return": [1.0, 2.0], "cost": [9.0, 0.0]}},
        {"kind": "evaluation", "step": 10, "returns": [[3, 5], [1, 1]], "costs": [[0, 2], [8, 8]]},
        {"kind": "update", "step": 20, "metrics": {"loss": [0.0, 0.0]}},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"kind"')
    first, second = curves(tmp_path, "behaviour")
    assert (first.costs.tolist(), second.returns.tolist()) == ([9.0], [2.0])
    assert [one.returns.tolist() for one in curves(tmp_path, "target")] == [[4.0], [1.0]]
    seeds = beginning(tmp_path, 5.0)
    assert seeds[0]["behaviour"]["above_limit"] == 4.0
    assert seeds[0]["target"]["cost"] == 1.0
    assert (seeds[0]["behaviour"]["always_safe"], seeds[1]["behaviour"]["always_safe"]) == (False, True)
    assert seeds[1]["target"]["time_to_safety"] is None
