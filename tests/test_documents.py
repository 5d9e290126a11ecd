"""Commands in the documents are commands: their options exist, and take such values."""

import re
import shlex
from pathlib import Path

import pytest

from goodpath.cli import reproduce, train

HOME = Path(__file__).parents[1]
DOCUMENTS = [HOME / "README.md", *sorted((HOME / "docs").glob("*.md"))]
TEXTS = [path.read_text() for path in DOCUMENTS]


def commands(verb):
    """What follows `goodpath VERB` in blocks of code, without comments."""
    blocks = "\n".join(block for text in TEXTS for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    lines = blocks.replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines if line.startswith(f"goodpath {verb} ")]
    return sorted(
        {tuple(line[2:]) for line in words if len(line) > 2 and line[2][0].isalpha() and "..." not in line}
    )


class Parsed(Exception):
    pass


def stop(*args, **kwargs):
    raise Parsed


@pytest.mark.parametrize("words", commands("train"), ids=" ".join)
def test_training_commands_are_understood(monkeypatch, words):
    monkeypatch.setattr("goodpath.training.run.train", stop)
    with pytest.raises(Parsed):
        train.main(list(words))


@pytest.mark.parametrize("words", commands("reproduce"), ids=" ".join)
def test_reproducing_commands_are_understood(monkeypatch, words):
    monkeypatch.setattr(reproduce, "_make", stop)
    with pytest.raises(Parsed):
        reproduce.main(list(words))


def test_switches_are_named_as_they_are():
    for path, text in zip(DOCUMENTS, TEXTS, strict=True):
        assert not re.search(r"--[a-z-]+\s(True|False)", text), f"{path.name}: --x and --no-x, not --x True"
