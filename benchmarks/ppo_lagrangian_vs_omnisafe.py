"""PPO-Lagrangian end to end: environment steps a second of goodpath against OmniSafe 0.5.0, in the same run.

    python benchmarks/ppo_lagrangian_vs_omnisafe.py --out results/ppo_lagrangian.json

Both sides train on SafetyPointGoal1 with OmniSafe's own hyper-parameters: networks 64-64, epochs of 20,000 steps, up
to 40 passes in minibatches of 64 until the divergence exceeds its target. Seconds are of training alone, that is
simulating, learning and logging; imports, construction and the last evaluation are left out.

OmniSafe needs PyTorch and pins packages that cannot live beside a current JAX, so this script makes an environment
for it and throws it away at the end, or keeps it with `--venv DIR` for the next time. That needs a package index,
Python 3.11 or 3.12, and minutes. PyTorch runs on the CPU; where the index offers its CUDA build, that is several GB.

* OmniSafe runs as it comes (`benchmarks/peer_omnisafe.py`), on the same MuJoCo as goodpath instead of the
  2.3.3 that safety-gymnasium asks for.
* It gets its best setting: short runs try each of `--threads` with each of `--peer-envs`, and the fastest one is
  measured over `--peer-epochs` whole epochs. Its configuration says 16 threads and one environment; several
  environments have a process each.
* How many passes an epoch has decides much of its time. `passes` says it for every epoch of both.
"""

import argparse
import itertools
import json
import os
import platform
import shlex
import sys
import tempfile
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

from environments import run

from goodpath.files import write_json, write_text

PEER = Path(__file__).with_name("peer_omnisafe.py")
TASK, COST_LIMIT = "SafetyPointGoal1-v0", 25.0
STEPS_PER_EPOCH, EPISODE = 20_000, 1_000

# OmniSafe asks for pandas 2.0.3, safety-gymnasium for Gymnasium 0.28.1, and both packages use a NumPy before 2.
# What else they pin has no build for a current Python, or is not used here.
PINNED = ["numpy==1.26.4", "mujoco==4.0.0", "gymnasium==0.28.1", "torch==2.13.0", "pandas==2.0.3"]
FREE = ["xmltodict", "pyyaml", "imageio", "rich", "tensorboard", "wandb", "gdown", "matplotlib", "seaborn"]
REQUIREMENTS = [*PINNED, *FREE, "tqdm", "moviepy"]
WITHOUT_DEPENDENCIES = ["omnisafe==0.5.0", "safety-gymnasium==1.0.0"]

Numbers = dict[str, Any]


def measure_goodpath(epochs: int) -> Numbers:
    """Steps a second of goodpath over `epochs` epochs; the first, which compiles, is told apart."""
    from goodpath.training.loop import Schedule
    from goodpath.training.run import train

    with tempfile.TemporaryDirectory() as name:
        train(
            "ppo-lag",
            env=TASK,
            cost_limit=COST_LIMIT,
            preset="omnisafe",
            options={"steps": epochs * STEPS_PER_EPOCH},
            schedule=Schedule(episodes=1, final_episodes=1),
            out=Path(name) / "run",
            quiet=True,
        )
        text = (Path(name) / "run" / "metrics.jsonl").read_text(encoding="utf-8")
    lines = [line for line in map(json.loads, text.splitlines()) if line["kind"] == "update"]
    seconds = lines[-1]["seconds"] - lines[0]["seconds"]
    steps = lines[-1]["step"] - lines[0]["step"]
    return {
        "steps": steps,
        "seconds": seconds,
        "steps_per_second": steps / seconds,
        "first_epoch_seconds": lines[0]["seconds"],
        "steps_per_second_with_compilation": lines[-1]["step"] / lines[-1]["seconds"],
        "passes": [line["metrics"]["passes"][0] for line in lines],
    }


def measure_peer(python: Path, args: argparse.Namespace) -> Numbers:
    """Steps a second of OmniSafe at the fastest of its settings, and what the others did in the short runs."""
    settings = list(itertools.product(args.threads, args.peer_envs))
    trials = []
    if len(settings) > 1:
        steps = max(args.trial_steps, EPISODE * max(args.peer_envs))  # its update needs a finished episode
        for threads, num_envs in settings:
            found = ask_peer(python, threads, num_envs, 1, steps)
            found.pop("hyper_parameters")
            trials.append(found)
            print(
                f"OmniSafe, threads: {threads}, environments: {num_envs}, {steps:,} steps to try:"
                f" {found['steps_per_second']:,.0f} steps/s",
                flush=True,
            )
        best = max(trials, key=lambda found: float(found["steps_per_second"]))
        settings = [(best["threads"], best["num_envs"])]
    return ask_peer(python, *settings[0], args.peer_epochs, STEPS_PER_EPOCH) | {"trials": trials}


def ask_peer(python: Path, threads: int, num_envs: int, epochs: int, steps_per_epoch: int) -> Numbers:
    """What `peer_omnisafe.py` answers under another Python."""
    options = {
        "--threads": threads,
        "--num-envs": num_envs,
        "--epochs": epochs,
        "--steps-per-epoch": steps_per_epoch,
    }
    words = [TASK, *(str(word) for option in options.items() for word in option)]
    load = os.getloadavg()[0]
    answer: Numbers = json.loads(run([str(python), "-W", "ignore", str(PEER), *words]).splitlines()[-1])
    return answer | {"load_average": load}


def make_environment(folder: Path) -> Path:
    """The Python of an environment with OmniSafe; what an earlier run has made there is used again."""
    python, stamp = folder / "bin" / "python", folder / "made-for-omnisafe.txt"
    wanted = "\n".join([*REQUIREMENTS, *WITHOUT_DEPENDENCIES, ""])
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    if folder.is_dir() and any(folder.iterdir()) and not stamp.is_file():
        sys.exit(f"{folder} holds something else; give --venv an empty or a new folder.")
    print("making an environment for OmniSafe; this takes minutes", flush=True)
    run([sys.executable, "-m", "venv", "--clear", str(folder)])
    write_text(stamp, "unfinished\n")
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*pip, *REQUIREMENTS])
    run([*pip, "--no-deps", *WITHOUT_DEPENDENCIES])
    write_text(stamp, wanted)
    return python


def describe(result: Numbers) -> str:
    """The result in a few lines."""
    lines = [f"{'':<10}{'steps/s':>10}{'steps':>10}{'seconds':>10}"]
    for title, name in (("OmniSafe", "peer"), ("goodpath", "goodpath")):
        if name in result:
            side = result[name]
            lines.append(
                f"{title:<10}{side['steps_per_second']:>10,.0f}{side['steps']:>10,}{side['seconds']:>10,.1f}"
            )
    found = result["peer"]
    lines.append(f"OmniSafe's best setting: threads {found['threads']}, environments {found['num_envs']}")
    lines += [
        f"  epoch {number}: {epoch['rollout_seconds']:.1f} s to simulate, {epoch['update_seconds']:.1f} s to learn"
        f" in {epoch['passes']:.0f} passes"
        for number, epoch in enumerate(found["epochs"], start=1)
    ]
    if "ratio" in result:
        lines.append(f"ratio: {result['ratio']:.1f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--venv", type=Path, help="make OmniSafe's environment here, and keep it")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="of PyTorch, to try")
    parser.add_argument(
        "--peer-envs", type=int, nargs="+", default=[1, 2], help="environments of OmniSafe, to try"
    )
    parser.add_argument("--trial-steps", type=int, default=2_000, help="steps of the short runs")
    parser.add_argument("--peer-epochs", type=int, default=1, help="whole epochs of OmniSafe")
    parser.add_argument("--epochs", type=int, default=5, help="whole epochs of goodpath")
    parser.add_argument("--peer-only", action="store_true", help="leave goodpath out")
    parser.add_argument("--out", type=Path, help="where to write everything as JSON")
    args = parser.parse_args()
    for name in ("threads", "peer_envs", "trial_steps", "peer_epochs", "epochs"):
        if min(values if isinstance(values := getattr(args, name), list) else [values]) < 1:
            sys.exit(f"--{name.replace('_', '-')} has to be at least 1.")
    if args.epochs < 2:
        sys.exit("--epochs has to be at least 2: goodpath compiles in the first.")
    if any(STEPS_PER_EPOCH % number for number in args.peer_envs):
        sys.exit(f"--peer-envs is {args.peer_envs}, but each has to divide {STEPS_PER_EPOCH}.")

    words = ["DIR" if args.venv and word == str(args.venv) else word for word in sys.argv[1:]]
    with ExitStack() as stack:
        folder = args.venv or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        result: Numbers = {
            "command": shlex.join(["python", f"benchmarks/{Path(__file__).name}", *words]),
            "note": "others use the machine too: load_average is of the minute before a side began",
            "task": TASK,
            "python": platform.python_version(),
            "processors": os.cpu_count(),
            "versions": {name: version(name) for name in ("goodpath", "jax", "mujoco", "numpy")},
            "peer": measure_peer(make_environment(folder), args),
        }
    if not args.peer_only:
        load = os.getloadavg()[0]
        result["goodpath"] = measure_goodpath(args.epochs) | {"load_average": load}
        result["ratio"] = result["goodpath"]["steps_per_second"] / result["peer"]["steps_per_second"]
    print(describe(result))
    if args.out:
        write_json(args.out, result)
        print(f"written to {args.out}")


if __name__ == "__main__":
    main()
