"""TraC's classification updates: speed and memory of goodpath against a plain PyTorch loop, in the same run.

    python benchmarks/trac_updates.py --torch-python PATH --out results/trac_updates.json

Both sides train by the preset `release` (96 segments of 375 steps, networks 256-256, dropout 0.25) on synthetic
data of the size of DSRL's PointCircle1: 1,098 trajectories of 500 steps, 28 observations, 2 actions. All options
of the method come from that preset, for both sides; both start with classification, from a fresh reference.

* goodpath's side is the library itself: `OfflineProgram` on a file that `goodpath.data.hdf5` reads.
* The peer is what a straightforward program does, as the released code does: every drawn segment is written out
  in float64, the labelled ones are copied, then converted to float32; a batch is picked from them by index, and
  the reference scores it anew in every update; eager PyTorch, dropout in the policy, Adam with warm-up.

Each side has a process and so a peak memory of its own, and they take turns, so that a busy machine slows both
alike: trust the ratios more than the figures. "Added" memory is the peak less what was resident after the
imports. The share of peak is what the matrix products of an update need (not those of a reference scored anew)
against the best of several large ones in XLA. All of it runs on the CPU. PyTorch is needed for this benchmark
alone and may live in another environment (`--torch-python`).
"""

import argparse
import itertools
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

# goodpath and torch are imported where they are used: neither has to be there in the other one's process.

OBSERVATION, ACTION, STEPS, COST_LIMIT = 28, 2, 500, 40.0
TORCH = "2.13.0"
NEVER_ENDING = 1_000_000  # updates of the schedule, of which a few are run
SPEED, MEMORY, SHARE = 1.5, 10.0, 0.6  # what is aimed at
TITLES = {"peer": "PyTorch, eager", "goodpath": "goodpath", "seeds": "three seeds, in all"}

Numbers = dict[str, Any]
Run = Callable[[int], Numbers]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--torch-python", default="", help="a Python that has torch and numpy")
    parser.add_argument("--trajectories", type=int, default=1098, help="size of the data")
    parser.add_argument("--rounds", type=int, default=5, help="turns that each side takes")
    parser.add_argument("--updates", type=int, default=20, help="updates in a turn")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--out", type=Path, help="write that object to a file")
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)  # role and folder: this is a worker
    options = parser.parse_args()
    if options.work:
        serve(options.work[0], Path(options.work[1]))
        return
    if not Path("/proc/self/status").exists():
        sys.exit("This benchmark reads memory from /proc, which this system lacks; run it on Linux.")
    for name, least in (("trajectories", 10), ("rounds", 1), ("updates", 1)):
        if getattr(options, name) < least:
            sys.exit(f"--{name} is {getattr(options, name)}, but it has to be at least {least}.")
    result = measure(options, *find_torch(options.torch_python))
    if options.out:
        from goodpath.files import write_json

        write_json(options.out, result)
    print(json.dumps(result, indent=1) if options.json else describe(result))


def find_torch(python: str) -> tuple[str, str]:
    """The Python to run the peer with and its version of torch; two empty strings where there is none."""
    command = [python or sys.executable, "-c", "import numpy, torch; print(torch.__version__)"]
    try:
        return command[0], subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        if python:
            sys.exit(f"{python} cannot import torch and numpy; name a Python that has both of them.")
    print(
        "No torch here, so goodpath is measured alone; to compare, run `python3 -m venv torch-env &&"
        f" torch-env/bin/pip install torch=={TORCH} numpy` and add `--torch-python torch-env/bin/python`.",
        file=sys.stderr,
    )
    return "", ""


def measure(options: argparse.Namespace, torch_python: str, torch_version: str) -> Numbers:
    """Lets the workers take turns and puts their figures together."""
    from goodpath.training.results import versions

    load = os.getloadavg()[0]
    pythons = dict.fromkeys(("peer", "goodpath", "peak", "seeds"), sys.executable) | {"peer": torch_python}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        config = prepare(Path(name), options.trajectories)
        roles = [role for role, python in pythons.items() if python]
        workers = {role: stack.enter_context(worker(pythons[role], role, name)) for role in roles}
        # The first turn starts up and compiles; it does not count.
        turns = [[run(options.updates) for run in workers.values()] for _ in range(options.rounds + 1)][1:]
    replies = dict(zip(workers, zip(*turns, strict=True), strict=True))
    rates = {
        role: options.updates * np.array([turn["seeds"] / turn["seconds"] for turn in replies[role]])
        for role in workers
    }
    gflop = flop_of_update(config) / 1e9
    peaks = np.array([turn["gflops"] for turn in replies["peak"]])

    def side(role: str) -> Numbers:
        last = replies[role][-1]
        return {
            "updates_per_second": float(np.median(rates[role])),
            "updates_per_second_of_rounds": rates[role].tolist(),
            "memory_peak_mib": last["peak_mib"],
            "memory_added_mib": last["peak_mib"] - last["imports_mib"],
            "loss": statistics.mean(turn["loss"] for turn in replies[role]),
        }

    sides = {role: side(role) for role in TITLES if role in workers}
    result = {
        "command": shlex.join(["python", *sys.argv]).replace(options.torch_python or "PATH", "PATH"),
        "versions": {**versions(), "torch": torch_version or None},
        "cores": os.cpu_count(),
        "load_before": load,
        "trajectories": options.trajectories,
        "steps_of_a_trajectory": STEPS,
        "config": config,
        "updates_in_a_turn": options.updates,
        "gflop_of_an_update": gflop,
        "peak_gflops_of_rounds": peaks.tolist(),
        "sides": sides,
        "share_of_peak": middle(rates["goodpath"] * gflop / peaks),
        "three_seeds_to_one": middle(rates["seeds"] / rates["goodpath"]),
        "targets": {"speed_ratio": SPEED, "memory_ratio": MEMORY, "share_of_peak": SHARE},
    }
    if torch_python:
        result["speed_ratio"] = middle(rates["goodpath"] / rates["peer"])
        result["memory_ratio"] = {
            kind: sides["peer"][f"memory_{kind}_mib"] / sides["goodpath"][f"memory_{kind}_mib"]
            for kind in ("peak", "added")
        }
    return result


def middle(values: "np.ndarray[Any, Any]") -> Numbers:
    """Median and range over the rounds."""
    return {"median": float(np.median(values)), "least": float(values.min()), "most": float(values.max())}


def flop_of_update(config: Numbers) -> int:
    """Floating-point operations of its matrix products; the first layer needs no gradient of its inputs."""
    weights = [a * b for a, b in itertools.pairwise([OBSERVATION, *config["hidden"], ACTION])]
    rows = int(config["batch_size"]) * int(STEPS * config["segment_ratio"])
    return 2 * rows * (3 * sum(weights) - weights[0])


def describe(result: Numbers) -> str:
    """The figures as a few lines of text."""
    sides, peak = result["sides"], max(result["peak_gflops_of_rounds"])
    lines = [f"{'':24}{'updates/s':>10}{'peak MiB':>10}{'added MiB':>10}{'loss':>8}"]
    for role, side in sides.items():
        rate, loss = f"{side['updates_per_second']:10.2f}", f"{side['loss']:8.3f}"
        memory = f"{side['memory_peak_mib']:10.0f}{side['memory_added_mib']:10.0f}"
        lines.append(f"{TITLES[role]:24}{rate}{memory}{loss}")
    lines.append("")
    if "speed_ratio" in result:
        added, whole = (result["memory_ratio"][kind] for kind in ("added", "peak"))
        lines += [
            f"updates per second, goodpath to peer: {ranged(result['speed_ratio'])} (target {SPEED})",
            f"memory, peer to goodpath: added {added:.1f}, peak {whole:.1f} (target {MEMORY})",
        ]
    lines += [
        f"share of the matrix peak ({peak:.0f} GFLOP/s): {ranged(result['share_of_peak'])} (target {SHARE})",
        f"all updates of three seeds to those of one: {ranged(result['three_seeds_to_one'])}",
    ]
    return "\n".join(lines)


def ranged(values: Numbers) -> str:
    return f"{values['median']:.2f}, over the rounds {values['least']:.2f} to {values['most']:.2f}"


def prepare(folder: Path, trajectories: int) -> Numbers:
    """Writes data in which episodes differ in risk, and risk pays; gives the options of the method."""
    from goodpath.data import hdf5
    from goodpath.methods import find
    from goodpath.training.job import make_config
    from goodpath.trajectories import Dataset

    rng = np.random.default_rng(0)
    number, risk = trajectories * STEPS, np.repeat(rng.uniform(0.0, 0.25, trajectories), STEPS)
    arrays: dict[str, Any] = {
        "observations": rng.standard_normal((number, OBSERVATION), np.float32),
        "actions": rng.uniform(-1.0, 1.0, (number, ACTION)).astype(np.float32),
        "rewards": (0.05 + 0.3 * risk + 0.1 * rng.standard_normal(number)).astype(np.float32),
        "costs": (rng.random(number) < risk).astype(np.float32),
    }
    for key, array in arrays.items():
        np.save(folder / f"{key}.npy", array)
    arrays["next_observations"] = np.roll(arrays["observations"], -1, axis=0)
    arrays["terminals"] = np.zeros(number, np.bool_)
    arrays["timeouts"] = np.arange(1, number + 1) % STEPS == 0
    hdf5.save(Dataset(**arrays), folder / "data.hdf5")
    config = asdict(make_config(find("trac"), "release", {"steps": NEVER_ENDING, "clone_fraction": 0.0}))
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return config


@contextmanager
def worker(python: str, role: str, folder: str) -> Iterator[Run]:
    """A process that plays one role; the function makes it run some updates and gives its answer."""
    command, environment = [python, __file__, "--work", role, folder], {**os.environ, "JAX_PLATFORMS": "cpu"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as process:
        requests, replies = process.stdin, process.stdout
        assert requests is not None
        assert replies is not None

        def run(updates: int) -> Numbers:
            try:
                requests.write(f"{updates}\n")
                requests.flush()
                return dict(json.loads(replies.readline()))
            except (BrokenPipeError, json.JSONDecodeError):
                sys.exit(
                    f"The process of '{role}' ended with code {process.wait()}; see what it wrote above."
                )

        try:
            yield run
        finally:
            process.kill()


def serve(role: str, folder: Path) -> None:
    """Plays a role: for every number read, runs so many updates and prints one line of JSON."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    seeds = (0, 1, 2) if role == "seeds" else (0,)
    if role == "peer":
        run, imports = start_peer(folder, config)
    elif role == "peak":
        run, imports = start_peak()
    else:
        run, imports = start_goodpath(folder, config, seeds)
    for line in sys.stdin:
        start = time.perf_counter()
        reply = run(int(line))
        reply |= {"seconds": time.perf_counter() - start, "seeds": len(seeds)}
        reply |= {"imports_mib": imports, "peak_mib": memory_mib("VmHWM")}
        print(json.dumps(reply), flush=True)


def memory_mib(field: str) -> float:
    """Resident memory of this process, now (`VmRSS`) or at its peak (`VmHWM`)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 2**10


def start_goodpath(folder: Path, config: Numbers, seeds: tuple[int, ...]) -> tuple[Run, float]:
    """The library's own way through classification."""
    from goodpath.data import hdf5
    from goodpath.methods import find
    from goodpath.methods.contract import OfflineMethod
    from goodpath.spec import Spec
    from goodpath.training.job import make_config
    from goodpath.training.offline import OfflineProgram

    method = find("trac")
    assert isinstance(method, OfflineMethod)
    imports = memory_mib("VmRSS")
    spec = Spec("", OBSERVATION, ACTION, STEPS)
    dataset = hdf5.load(folder / "data.hdf5", spec)
    options = make_config(method, "release", config)
    program = OfflineProgram(method, options, dataset, spec, COST_LIMIT, seeds)

    def run(updates: int) -> Numbers:
        metrics = program.advance(program.step + updates)
        return {"loss": float(np.mean(metrics["loss"]))}

    return run, imports


def start_peak() -> tuple[Run, float]:
    """Large matrix products, whatever the number of updates."""
    import jax
    import jax.numpy as jnp

    imports = memory_mib("VmRSS")
    multiply = jax.jit(jnp.matmul)

    def flops(size: int) -> float:
        matrix = jnp.full((size, size), 0.5).block_until_ready()
        start = time.perf_counter()
        multiply(matrix, matrix).block_until_ready()
        return 2 * size**3 / (time.perf_counter() - start)

    sizes = [1024] * 20 + [2048] * 8 + [4096] * 2
    return lambda _: {"gflops": max(map(flops, sizes)) / 1e9}, imports


def start_peer(folder: Path, config: Numbers) -> tuple[Run, float]:
    """Classification in eager PyTorch on written-out segments."""
    import torch

    imports = memory_mib("VmRSS")
    arrays = write_out_segments(folder, config)
    policy, reference = peer_network(config), peer_network(config)
    reference.load_state_dict(policy.state_dict())
    reference.eval()
    optimizer = torch.optim.Adam(policy.parameters(), lr=config["learning_rate"])
    warmup = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: min(1.0, (k + 1) / config["warmup"]))
    length, floor = int(STEPS * config["segment_ratio"]), config["clamp"]
    powers = torch.logspace(0, length - 1, length, base=config["discount"])

    def log_prob(network: Any, observations: Any, actions: Any) -> Any:
        return -torch.sum((network(observations) - actions) ** 2, dim=-1)

    def update(indices: Any) -> float:
        observations, actions, weights, labels = (torch.from_numpy(array[indices]) for array in arrays)
        ours = log_prob(policy, observations, actions)
        with torch.no_grad():
            theirs = log_prob(reference, observations, actions)
        desirable = torch.sigmoid((config["alpha"] * powers * (ours - theirs)).sum(dim=-1))
        log_yes = torch.log(torch.clamp(desirable, min=floor))
        log_no = torch.log(torch.clamp(1 - desirable, min=floor))
        balance = torch.where(labels > 0, 1.0, config["eta"] * labels.sum() / (1 - labels).sum())
        loss = -(balance * weights * torch.where(labels > 0, log_yes, log_no)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        warmup.step()
        return float(loss.item())

    def batches() -> Iterator[Any]:
        rng = np.random.default_rng(1)
        while True:
            order = rng.permutation(len(arrays[0]))
            yield from np.split(order, range(config["batch_size"], len(order), config["batch_size"]))

    source = batches()

    def run(updates: int) -> Numbers:
        return {"loss": statistics.mean(update(next(source)) for _ in range(updates))}

    return run, imports


def peer_network(config: Numbers) -> Any:
    import torch
    from torch import nn

    torch.manual_seed(0)
    layers: list[Any] = []
    for inputs, outputs in itertools.pairwise([OBSERVATION, *config["hidden"]]):
        layers += [nn.Linear(inputs, outputs), nn.Dropout(config["dropout"]), nn.ReLU()]
    network = nn.Sequential(*layers, nn.Linear(config["hidden"][-1], ACTION), nn.Tanh())
    for layer in network:
        if isinstance(layer, nn.Linear):
            nn.init.orthogonal_(layer.weight)
            nn.init.zeros_(layer.bias)
    return network


def write_out_segments(folder: Path, config: Numbers) -> list[Any]:
    """(n, L, observation), (n, L, action), weights (n,), labels (n,); big copies are let go as early as can be."""
    length, rng = int(STEPS * config["segment_ratio"]), np.random.default_rng(0)
    flat = {key: np.load(folder / f"{key}.npy") for key in ("observations", "actions", "rewards", "costs")}
    actions_inside = np.clip(flat["actions"], -1 + 1e-5, 1 - 1e-5)
    trajectories = len(flat["rewards"]) // STEPS
    number = (STEPS - length) // 6 * trajectories
    starts = rng.integers(trajectories, size=number) * STEPS + rng.integers(STEPS - length + 1, size=number)
    observations, actions = np.empty((number, length, OBSERVATION)), np.empty((number, length, ACTION))
    returns, costs = np.empty(number), np.empty(number)
    for index, start in enumerate(starts):
        piece = slice(start, start + length)
        observations[index], actions[index] = flat["observations"][piece], actions_inside[piece]
        returns[index], costs[index] = flat["rewards"][piece].sum(), flat["costs"][piece].sum()
    is_safe = costs <= COST_LIMIT * length / STEPS
    ranked = np.flatnonzero(is_safe)
    ranked = ranked[np.argsort(returns[ranked])]
    merit = (returns - returns[ranked[0]]) / (returns[ranked[-1]] - returns[ranked[0]])
    top = ranked[-int(np.ceil(config["top"] * len(ranked))) :]
    bottom = ranked[: int(np.ceil(config["bottom"] * len(ranked)))]
    labels, weights = np.where(is_safe, -1.0, 0.0), np.ones(number)
    labels[top], labels[bottom] = 1.0, 0.0
    weights[top] = (1 - config["kappa"]) * merit[top] + config["kappa"]
    weights[bottom] = (1 - config["kappa"]) * (1 - merit[bottom]) + config["kappa"]
    dropped = np.flatnonzero(labels < 0)
    observations = np.delete(observations, dropped, axis=0)
    observations32 = observations.astype(np.float32)
    del observations
    rest = (np.delete(array, dropped, axis=0) for array in (actions, weights, labels))
    return [observations32, *(array.astype(np.float32) for array in rest)]


if __name__ == "__main__":
    main()
