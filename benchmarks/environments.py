"""What benchmarks share that measure a peer in a Python environment of its own."""

import os
import shlex
import subprocess
import sys
from pathlib import Path


def run(command: list[str], sources: Path | None = None) -> str:
    """The output of a command; the benchmark ends when it fails.

    Args:
        command: its words.
        sources: folder that its Python finds modules in, and no other of `PYTHONPATH`.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if sources is not None:
        environment["PYTHONPATH"] = str(sources)
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        sys.exit(f"`{shlex.join(command)}` failed with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def with_pytorch(folder: Path, *requirements: str) -> Path:
    """The Python of an environment with PyTorch and what else is required; one that is there is used."""
    python = folder / "bin" / "python"
    if python.is_file():
        return python
    if folder.is_dir() and any(folder.iterdir()):
        sys.exit(f"{folder} holds something else; give --venv an empty or a new folder.")
    print("making an environment for PyTorch; this takes minutes", flush=True)
    run([sys.executable, "-m", "venv", str(folder)])
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*pip, "numpy>=2", "torch==2.13.0", *requirements])
    return python
