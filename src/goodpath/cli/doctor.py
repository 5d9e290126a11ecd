"""`goodpath doctor`: check what works on this machine."""

import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tyro


@dataclass(frozen=True)
class Arguments:
    """Check what works on this machine; exit code 1 when something that goodpath needs does not."""


def main(arguments: list[str]) -> int:
    """Runs the command."""
    tyro.cli(Arguments, args=arguments, prog="goodpath doctor")
    healthy = True
    for name, check in CHECKS.items():
        try:
            print(f"ok       {name:<14} {check()}")
        except Exception as error:  # a check may fail in any way, and the next ones are still wanted
            healthy = False
            print(f"BROKEN   {name:<14} {type(error).__name__}: {error}")
    for package, use in OPTIONAL.items():
        found = importlib.util.find_spec(package) is not None
        print(f"{'ok' if found else 'missing':<8} {package:<14} {use}")
    return 0 if healthy else 1


def _python() -> str:
    return f"{platform.python_version()} on {sys.platform} {platform.machine()}, {os.cpu_count()} cores"


def _goodpath() -> str:
    import goodpath

    return f"{goodpath.__version__} in {Path(goodpath.__file__).parent}"


def _versions() -> str:
    from goodpath.training.results import versions

    shown = {
        name: value for name, value in versions().items() if name not in ("goodpath", "python", "system")
    }
    return ", ".join(f"{name} {value}" for name, value in shown.items())


def _jax() -> str:
    import jax
    import jax.numpy as jnp

    x = jnp.ones((64, 64))
    if float((x @ x)[0, 0]) != 64.0:
        raise ArithmeticError("a matrix product came out wrong")
    return f"{jax.device_count()} {jax.default_backend()} device(s): {jax.devices()[0].device_kind}"


def _simulator() -> str:
    import numpy as np

    from goodpath import envs

    env = envs.make("SafetyPointCircle1-v0", 2)
    try:
        env.reset(0)
        for _ in range(10):
            step = env.step(np.ones((2, 2)))
        if not np.isfinite(step.observations).all():
            raise ArithmeticError("an observation is not finite")
    finally:
        env.close()
    return f"{len(envs.names())} environments; SafetyPointCircle1-v0 steps"


def _checkpoints() -> str:
    import jax
    import jax.numpy as jnp

    from goodpath.training import checkpoint

    state = {"x": jnp.arange(3.0), "key": jax.random.key(0)}
    with tempfile.TemporaryDirectory() as folder:
        checkpoint.save(Path(folder), 1, state, {"step": 1})
        restored = checkpoint.restore(Path(folder), state)
    if restored is None or restored[0]["x"].tolist() != [0.0, 1.0, 2.0]:
        raise OSError("what was saved did not come back")
    return "written and read back"


def _disk() -> str:
    from goodpath.data.download import data_folder

    free = shutil.disk_usage(Path.cwd()).free / 2**30
    if free < 1:
        raise OSError(f"only {free:.1f} GiB free in the current folder")
    return f"{free:.0f} GiB free here; data sets go to {data_folder()}"


CHECKS: dict[str, Callable[[], str]] = {
    "python": _python,
    "goodpath": _goodpath,
    "versions": _versions,
    "jax": _jax,
    "simulator": _simulator,
    "checkpoints": _checkpoints,
    "disk": _disk,
}

OPTIONAL = {
    "pybullet": "Bullet-Safety-Gym tasks (extra `bullet`)",
}
