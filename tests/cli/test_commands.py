"""The command line as a person uses it."""

import json
import subprocess
import sys

import pytest

from goodpath.cli import COMMANDS, main


def run(*words, code=0, capsys=None):
    assert main([str(word) for word in words]) == code
    return capsys.readouterr()


def test_help_lists_every_command_and_imports_nothing_heavy(capsys):
    assert all(name in run("--help", capsys=capsys).out for name in COMMANDS)
    heavy = (
        "import sys, goodpath.cli; goodpath.cli.main(['--help']); "
        "print(sorted({'jax', 'numpy', 'tyro'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("envs", "data")])
def test_every_command_has_help(name, capsys):
    with pytest.raises(SystemExit) as stop:
        raise SystemExit(main([name, "--help"]))
    assert stop.value.code == 0
    assert f"goodpath {name}" in capsys.readouterr().out


def test_methods_and_explain(capsys):
    shown = run("methods", capsys=capsys).out
    assert "trac" in shown
    assert "2412.15429" in shown
    page = run("explain", "trac", capsys=capsys).out
    assert "--segment-ratio (0.4)\n    L / Lmax" in page
    assert "release: steps=100001" in page


def test_doctor_is_content_here(capsys):
    shown = run("doctor", capsys=capsys).out
    assert "BROKEN" not in shown
    assert "ok       simulator" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "no command 'trian'. Did you mean 'train'?"),
        (["train", "tarc"], "no method 'tarc'"),
        (["train", "--resume"], "takes one folder"),
        (["train", "--resume", "nowhere"], "does not exist"),
        (["explain", "trak"], "Did you mean 'trac'?"),
        (["evaluate", "nowhere"], "no policy in nowhere"),
        (["report", "nowhere"], "nowhere"),
        (["collect", "SafetyPointCircle9-v0", "--out", "x.hdf5"], "no environment"),
        (["train", "bc", "--data", "missing.hdf5", "--cost-limit", "20"], "missing.hdf5"),
    ],
)
def test_mistakes_get_one_sentence_and_code_2(words, message, capsys):
    shown = run(*words, code=2, capsys=capsys)
    assert shown.out == ""
    assert shown.err.startswith("goodpath: ")
    assert shown.err.count("\n") == 1
    assert message in shown.err


def test_debug_shows_where_it_came_from():
    from goodpath.errors import GoodpathError

    with pytest.raises(GoodpathError):
        main(["explain", "trak", "--debug"])


def test_the_whole_path(tmp_path, capsys):
    data, folder = tmp_path / "circle.h5", tmp_path / "run"
    shown = run("collect", "SafetyPointCircle1-v0", "--episodes", 8, "--out", data, capsys=capsys)
    assert "8 episodes, 4000 steps" in shown.out
    words = [
        "--data",
        data,
        "--env",
        "SafetyPointCircle1-v0",
        "--cost-limit",
        20,
        "--seeds",
        0,
        1,
        "--steps",
        40,
    ]
    run("train", "bc", *words, "--hidden", 16, 16, "--episodes", 2, "--out", folder, "--quiet", capsys=capsys)
    assert (folder / "report.html").read_text().startswith("<!doctype html>")
    scores = json.loads(run("evaluate", folder, "--episodes", 2, "--json", capsys=capsys).out)
    assert [seed["seed"] for seed in scores["seeds"]] == [0, 1]
    run("evaluate", folder, "--episodes", 2, "--out", tmp_path / "scores.json", capsys=capsys)
    assert json.loads((tmp_path / "scores.json").read_text())["summary"] == scores["summary"]
    run("report", folder, "--out", tmp_path / "report.html", capsys=capsys)
    assert (tmp_path / "report.html").exists()
    own = tmp_path / "own.h5"
    run(
        "collect",
        "SafetyPointCircle1-v0",
        "--episodes",
        2,
        "--policy",
        folder,
        "--noise",
        0.1,
        "--out",
        own,
        capsys=capsys,
    )
    shown = run("data", "inspect", own, capsys=capsys)
    assert "1,000" in shown.out or "1000" in shown.out
