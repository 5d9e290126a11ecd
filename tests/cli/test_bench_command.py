"""`goodpath bench envs`."""

import json

from goodpath.cli import main


def test_it_measures_tasks_against_their_physics(capsys):
    words = ["bench", "envs", "--task", "SafetyPointCircle1-v0", "SafetyPointButton0-v0"]
    assert main([*words, "--num-envs", "4", "--threads", "1", "--rounds", "1", "--json"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["task"] for record in records] == words[3:]
    for record in records:
        assert record["steps"] == 200
        share = record["steps_per_second"] / record["raw_steps_per_second"]
        assert abs(share - record["share_of_raw"]) < 1e-9
        assert 0.0 < share < 1.5


def test_people_get_a_table(capsys):
    assert main(["bench", "envs", "--num-envs", "2", "--rounds", "1"]) == 0
    assert "SafetyPointGoal1-v0" in capsys.readouterr().out


def test_mistakes_are_named(capsys):
    assert main(["bench", "envs", "--task", "SafetyPointGaol1-v0"]) == 2
    assert "Did you mean" in capsys.readouterr().err
    assert main(["bench", "trac"]) == 2
    assert "goodpath bench envs" in capsys.readouterr().err
    assert main(["bench"]) == 2
    assert main(["bench", "envs", "--threads", "0"]) == 2
