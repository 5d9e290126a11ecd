import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goodpath.cli.report import main
from goodpath.errors import GoodpathError
from goodpath.reports.html import write
from goodpath.reports.plots import picture

LIMIT = 20.0
NASTY = '<script>alert("&")</script>'


def write_run(folder: Path, method: str, costs: list[list[float]], **changes: Any) -> Path:
    """A run folder as training leaves it: two seeds of three episodes on a circle between walls."""
    folder.mkdir(parents=True)
    returns = [[30.0, 31.0, 35.0], [40.25, 41.0, 42.0]]
    seeds = [
        {
            "seed": seed,
            "return": float(np.mean(returns[seed])),
            "cost": float(np.mean(costs[seed])),
            "normalized_return": None,
            "normalized_cost": float(np.mean(costs[seed])) / LIMIT,
            "cost_limit": LIMIT,
            "episodes": 3,
            "violations": 0,
            "environment_steps": 1500,
            "gradient_steps": 4321,
            "seconds": 12.5,
            "throughput": 345.7,
            "parameters_sha256": f"{seed}abcdef0123456789",
            "episode_returns": returns[seed],
            "episode_costs": costs[seed],
        }
        for seed in range(2)
    ]
    result = {
        "schema": 1,
        "goodpath": "0.1.0",
        "method": method,
        "preset": "default",
        "environment": "SafetyPointCircle1-v0",
        "cost_limit": LIMIT,
        "evaluation_cost_limit": LIMIT,
        "steps": 4321,
        "command": f"goodpath train {method} --note {NASTY}",
        "seeds": seeds,
        "summary": {},
        "versions": {"python": "3.11.9", "jax": "0.10.2"},
    } | changes
    angles = np.linspace(0, 6, 50)
    path = {
        "seed": 0,
        "episode": 0,
        "return": 30.0,
        "cost": 10.0,
        "scene": {
            "extent": 2.0,
            "shapes": [
                {"kind": "circle", "role": "track", "position": [0, 0], "size": 1.5, "angle": 0.0},
                {"kind": "box", "role": "wall", "position": [1.125, 0], "size": [0.05, 3.5], "angle": 0.0},
            ],
        },
        "positions": np.stack([1.2 * np.cos(angles), 1.2 * np.sin(angles)], 1).tolist(),
        "costs": (np.abs(1.2 * np.cos(angles)) > 1.125).astype(float).tolist(),
    }
    data = {
        "path": "somewhere/circle.h5",
        "sha256": "f00d" * 16,
        "environment": "SafetyPointCircle1-v0",
        "trajectories": 4,
        "steps": 2000,
        "returns": [10.0, 37.5, 50.0, 20.0],
        "costs": [0.0, 15.0, 90.0, 200.0],
    }
    lines: list[dict[str, Any]] = [
        {"kind": "update", "step": 100, "phase": "clone", "seconds": 1.0, "metrics": {"loss": [1.0, 2.0]}},
        {"kind": "evaluation", "step": 0, "returns": [[1.0], [2.0]], "costs": [[5.0], [6.0]]},
        {"kind": "evaluation", "step": 4321, "returns": returns, "costs": costs},
    ]
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "config.json").write_text(
        json.dumps({"schema": 1, "options": {"batch_size": 256, "note": NASTY}})
    )
    (folder / "data.json").write_text(json.dumps(data))
    (folder / "paths.json").write_text(json.dumps({"episodes": [path]}))
    (folder / "metrics.jsonl").write_text("\n".join(json.dumps(line) for line in lines) + "\n")
    return folder


def three_runs(folder: Path) -> Path:
    """One run keeps the limit, one keeps it on one seed of two, one never does."""
    write_run(folder / "a-bc", "bc", [[90.0, 100.0, 110.0], [80.0, 80.0, 83.0]])
    write_run(folder / "b-bc-safe", "bc-safe", [[10.0, 10.0, 13.0], [21.0, 24.0, 30.0]])
    write_run(folder / "c-trac", "trac", [[10.0, 12.0, 14.0], [0.0, 25.0, 8.0]])
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return three_runs(tmp_path / "runs")


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    return page(three_runs(tmp_path_factory.mktemp("page")))


def page(folder: Path) -> str:
    write([folder], folder / "report.html")
    return (folder / "report.html").read_text(encoding="utf-8")


class Text(HTMLParser):
    """The words of a page as a reader sees them, and whether its tags nest."""

    VOID = ("meta", "br", "path", "use", "rect")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.open: list[str] = []
        self.ids: list[str] = []
        self.feed(html)
        self.close()
        self.text = " ".join(" ".join(self.words).replace("\N{NO-BREAK SPACE}", " ").split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value for name, value in attrs if name == "id" and value]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_page_stands_alone(html: str) -> None:
    for reference in ("http", "src=", "<script", "@import", "<link", "url(//", "javascript"):
        assert reference not in html
    assert set(re.findall(r"""href=["'](.)""", html)) == {"#"}


def test_the_page_is_well_formed_and_every_reference_inside_it_has_one_target(html: str) -> None:
    parsed = Text(html)
    assert parsed.open == []
    assert set(re.findall(r'(?:url\(#|href="#)([^")]+)', html)) <= set(parsed.ids)


def test_the_page_says_what_the_runs_did(html: str) -> None:
    text = Text(html).text
    assert "TraC kept the limit of 20 on both seeds (mean cost 11.5; 1 of 6 episodes above it)." in text
    assert "BC-Safe kept it on only 1 of 2 seeds (mean cost 18.0, 25.0 on the worst seed; 3 of 6" in text
    assert (
        "BC broke it on both seeds (mean cost 90.5, 4.5 times the limit; 6 of 6 episodes above it)." in text
    )
    assert "TraC is the only method that kept it throughout, with a return of 36.5 ± 6.4" in text
    assert "Two seeds say little" in text


def test_the_page_holds_the_figures_and_where_they_come_from(html: str) -> None:
    text = Text(html).text
    crossed = sum(abs(1.2 * math.cos(6 * step / 49)) > 1.125 for step in range(50))
    for figure in (
        "11.5 ± 0.7",  # mean and spread of TraC's cost over seeds
        "0.57 \N{MULTIPLICATION SIGN}",  # of the limit
        "17% 3\N{EN DASH}56%",  # Wilson's interval of 1 of 6
        "0.40",  # normalised return by DSRL's extremes
        "2 keep the limit, the best returning 37.5",
        "20, in training and here",
        f"return 30.0, cost {crossed}.0",  # of the drawn episode
        "cost limit 20",
        "f00d" * 16,
        "1abcdef01234",
        "python 3.11.9, jax 0.10.2",
        f"goodpath train trac --note {NASTY}",
        "4,321",
        "Interquartile mean",
    ):
        assert figure in text


def test_strings_from_the_runs_are_escaped(runs: Path) -> None:
    write_run(runs / "d", NASTY, [[1.0, 2.0, 3.0]] * 2)
    html = page(runs)
    assert "<script" not in html
    assert NASTY in Text(html).text


def test_the_same_runs_give_the_same_bytes(runs: Path) -> None:
    assert page(runs) == page(runs)


def test_runs_judged_by_different_limits_are_not_put_into_one_table(runs: Path) -> None:
    write_run(runs / "d", "trac", [[1.0, 2.0, 3.0]] * 2, evaluation_cost_limit=40.0)
    text = Text(page(runs)).text
    assert text.count("Safety report") == 2
    assert "Cost limit 40 here Limit in training 20" in text


def test_runs_of_one_method_are_told_apart(runs: Path) -> None:
    write_run(runs / "d", "trac", [[1.0, 2.0, 3.0]] * 2, preset="paper")
    write_run(runs / "e", "trac", [[1.0, 2.0, 3.0]] * 2, preset="paper")
    text = Text(page(runs)).text
    for label in ("TraC (default)", "TraC (paper) (d)", "TraC (paper) (e)"):
        assert label in text


def test_a_run_without_data_curves_or_paths_has_a_page(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", "sim", [[0.0, 0.0, 0.0]] * 2, environment="MyTask-v0")
    for name in ("data.json", "metrics.jsonl", "paths.json"):
        (folder / name).unlink()
    text = Text(page(folder)).text
    assert "SIM kept the limit" in text
    assert "Figure 2" in text
    assert "Figure 3" not in text
    assert "Method against method" not in text


def test_a_picture_is_one_wide_png(runs: Path, tmp_path: Path) -> None:
    picture([runs], tmp_path / "picture.png")
    header = (tmp_path / "picture.png").read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = int.from_bytes(header[16:20], "big"), int.from_bytes(header[20:24], "big")
    assert width > 3 * height


def test_the_command_writes_into_the_folder_and_prints_the_verdict(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(runs / "a-bc"), str(runs / "c-trac"), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["report"] == str(runs / "report.html")
    assert printed["verdicts"][0].startswith("TraC kept the limit of 20")
    assert (runs / "report.html").is_file()
    assert main([str(runs / "a-bc")]) == 0
    assert (runs / "a-bc" / "report.html").is_file()


def test_the_command_asks_where_to_write_for_runs_in_different_folders(runs: Path, tmp_path: Path) -> None:
    elsewhere = write_run(tmp_path / "other" / "run", "trac", [[1.0, 2.0, 3.0]] * 2)
    with pytest.raises(GoodpathError, match="--out"):
        main([str(runs / "a-bc"), str(elsewhere)])


def test_folders_that_are_no_runs_are_refused_with_advice(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(GoodpathError, match="is not a folder"):
        main([str(tmp_path / "missing")])
    with pytest.raises(GoodpathError, match=r"has no result\.json"):
        main([str(tmp_path / "empty")])
    result = json.loads((runs / "a-bc" / "result.json").read_text())
    del result["seeds"][0]["episode_costs"]
    (runs / "a-bc" / "result.json").write_text(json.dumps(result))
    with pytest.raises(GoodpathError, match="lacks the field 'episode_costs'"):
        main([str(runs)])
    assert not (runs / "report.html").exists()
