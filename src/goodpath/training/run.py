"""A run: one method, several seeds, a data set or a task to act in, in a folder of its own.

The folder holds `config.json` (all that is needed to go on), `metrics.jsonl`, `checkpoints/`, `policies/`,
`result.json`, and for the report `data.json` and `paths.json`.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

import goodpath
from goodpath import envs, methods
from goodpath.data import hdf5
from goodpath.data.collect import Driver, PolicyDriver, collect
from goodpath.envs import pure
from goodpath.envs.vector import BatchedEnv
from goodpath.errors import GoodpathError
from goodpath.files import read_json, sha256, write_json
from goodpath.labels import LabelFile
from goodpath.methods.contract import (
    OfflineMethod,
    OffPolicyMethod,
    OnlineMethod,
    OnPolicyMethod,
    Seeding,
    Sources,
    takes_data,
)
from goodpath.oracles import GOOD
from goodpath.policies import TrainedPolicy, load_policy, parameters_sha256
from goodpath.reports.statistics import summarize
from goodpath.reports.transfer import beginning
from goodpath.spec import Spec
from goodpath.training.compiled import CompiledProgram
from goodpath.training.compiled_rollouts import RolloutProgram
from goodpath.training.evaluate import EVALUATION_SEED
from goodpath.training.guided import Guide, find_guide, rehearse
from goodpath.training.job import SCHEMA, Job, load_job, make_config
from goodpath.training.judge import Judge, Lists, Nobody, Simulator, Verdict
from goodpath.training.loop import Schedule, train_loop
from goodpath.training.offline import OfflineProgram
from goodpath.training.online import OnlineProgram
from goodpath.training.replayed import ReplayProgram
from goodpath.training.results import (
    find_policies,
    policy_path,
    seed_scores,
    training_tail,
    versions,
    write_paths,
)
from goodpath.trajectories import Dataset

AnyProgram = OfflineProgram | OnlineProgram | CompiledProgram | RolloutProgram | ReplayProgram


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: where it is.
        result: what `result.json` says.
    """

    folder: Path
    result: dict[str, Any]

    def policy(self, seed: int | None = None) -> TrainedPolicy:
        """The policy of one seed, the first when left out."""
        seeds = [entry["seed"] for entry in self.result["seeds"]]
        chosen = seeds[0] if seed is None else seed
        if chosen not in seeds:
            raise GoodpathError(f"{self.folder} has no seed {chosen}; it has {seeds}.")
        return load_policy(policy_path(self.folder, chosen))


def train(
    method: str,
    data: str | Path | Dataset | None = None,
    *,
    env: str = "",
    cost_limit: float,
    report_limit: float | None = None,
    seeds: Sequence[int] = (0,),
    out: str | Path | None = None,
    preset: str = "default",
    options: dict[str, Any] | None = None,
    schedule: Schedule | None = None,
    quiet: bool = False,
    command: str = "",
) -> Run:
    """Trains a method, on a data set or in an environment, and evaluates the policies.

    Args:
        method: name of the method, such as `trac`; `goodpath methods` lists them.
        data: an HDF5 file in DSRL layout, or a data set, which is then saved into the run's folder; nothing for
            online methods.
        env: task that evaluates the policies; without one nothing is simulated and the result holds no scores.
            Online methods learn in it.
        cost_limit: limit on the undiscounted cost of an episode.
        report_limit: limit that evaluations are held against; the cost limit when left out.
        seeds: one policy is trained for each.
        out: folder of the run; `runs/<method>-<task>-<time>` when left out.
        preset: named options of the method.
        options: options of the method that differ from the preset.
        schedule: how often to log, evaluate and save.
        quiet: show no progress.
        command: what to name as the run's origin.

    Raises:
        GoodpathError: bad input, or a loss that became NaN or infinite.
    """
    chosen = methods.find(method)
    config = make_config(chosen, preset, options or {})
    if not np.isfinite(cost_limit) or cost_limit < 0:
        raise GoodpathError(f"the cost limit is {cost_limit}, but it has to be a number of at least 0.")
    if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0:
        raise GoodpathError(
            f"the seeds are {list(seeds)}, but they have to be different numbers of at least 0."
        )
    environment = envs.canonical(env) if env else ""
    folder = Path(out) if out is not None else _new_folder(method, environment)
    if (folder / "config.json").exists():
        raise GoodpathError(
            f"{folder} already holds a run; resume it with `goodpath train --resume {folder}` or choose another --out."
        )
    job = Job(
        method=method,
        preset=preset,
        options=asdict(config),
        data="",
        data_sha256="",
        environment=environment,
        cost_limit=float(cost_limit),
        report_limit=float(cost_limit if report_limit is None else report_limit),
        seeds=tuple(int(seed) for seed in seeds),
        schedule=schedule or Schedule(),
        command=command,
    )
    if not isinstance(chosen, OfflineMethod) and not environment:
        raise GoodpathError(f"{method} learns by acting; say in which task with --env.")
    if not takes_data(chosen):
        if data is not None:
            raise GoodpathError(f"{method} learns by acting and takes no --data; leave it out.")
        return _start(job, None, folder, quiet)
    if data is None:
        raise GoodpathError(f"{method} learns from data; give it a file with --data.")
    path = Path(data) if not isinstance(data, Dataset) else folder / "data.hdf5"
    if isinstance(data, Dataset):
        hdf5.save(data, path)
    dataset = hdf5.load(path, _spec_of(environment))
    return _start(replace(job, data=str(path.resolve()), data_sha256=sha256(path)), dataset, folder, quiet)


def _start(job: Job, dataset: Dataset | None, folder: Path, quiet: bool) -> Run:
    # Everything that can be wrong with the input shows before the folder exists.
    with _program(job, dataset, folder) as program:
        write_json(folder / "config.json", {"schema": SCHEMA, **asdict(job), "steps": program.total_steps})
        return _execute(job, program, dataset, folder, quiet)


def resume(folder: str | Path, quiet: bool = False) -> Run:
    """Goes on with an interrupted run; the parameters end up bit for bit as if it had never stopped.

    Raises:
        GoodpathError: the folder holds no run, or its data file changed.
    """
    folder = Path(folder)
    job = load_job(folder)
    dataset = _data_of(job) if job.data else None
    with _program(job, dataset, folder) as program:
        return _execute(job, program, dataset, folder, quiet)


def _data_of(job: Job) -> Dataset:
    path = Path(job.data)
    if not path.is_file():
        raise GoodpathError(f"the run's data file {path} is gone; put it back to resume.")
    if sha256(path) != job.data_sha256:
        raise GoodpathError(
            f"{path} is not the file the run began with; put that one back, or start a new run."
        )
    return hdf5.load(path, _spec_of(job.environment))


@contextmanager
def _program(job: Job, dataset: Dataset | None, folder: Path) -> Iterator[AnyProgram]:
    method = methods.find(job.method)
    if isinstance(method, OffPolicyMethod):
        config = job.config()
        if pure.known(job.environment) or not hasattr(config, "num_envs"):
            task = pure.find(job.environment)
            yield CompiledProgram(method, config, task, job.cost_limit, job.seeds, dataset)
        else:
            with _simulator(job, config.num_envs, method.guard(config)) as env:
                guide = _guide(job, method, env.spec, folder)
                program = ReplayProgram(method, config, env, job.cost_limit, job.seeds, dataset, guide)
                if config.initial:
                    program.begin_from(Path(config.initial))
                yield program
    elif isinstance(method, OnPolicyMethod):
        yield RolloutProgram(method, job.config(), pure.find(job.environment), job.seeds, dataset)
    elif isinstance(method, OnlineMethod):
        config, seeding = _seeding(job, method, folder)
        with _simulator(job, config.num_envs, "end" if config.explore else "") as env:
            online = OnlineProgram(method, config, env, job.cost_limit, job.seeds, seeding)
            if config.initial:
                online.begin_from(Path(config.initial))
            yield online
    else:
        assert dataset is not None
        spec = _spec_of(job.environment) or Spec(
            dataset.environment, dataset.observation_size, dataset.action_size, int(dataset.lengths.max())
        )
        yield OfflineProgram(method, job.config(), dataset, spec, job.cost_limit, job.seeds)


@contextmanager
def _simulator(job: Job, copies: int, guard: Literal["", "tell", "end"] = "") -> Iterator[BatchedEnv]:
    """The task with so many copies for each seed, and with a guard where it has one."""
    choices = envs.choices(job.environment)
    fast: Literal["fast"] | None = "fast" if "physics" in choices else None
    watched = guard if guard and "guard" in choices else None
    env = envs.make(job.environment, len(job.seeds) * copies, physics=fast, guard=watched)
    try:
        yield env
    finally:
        env.close()


def _guide(job: Job, method: OffPolicyMethod, spec: Spec, folder: Path) -> Guide | None:
    """Who guides, where anybody does; what it does in the task before the student learns goes into `guide.json`."""
    if method.guidance is None:
        return None
    config = job.config()
    guide = find_guide(method.guidance(config), spec, config.hidden, job.seeds)
    if not (folder / "guide.json").is_file():
        with _simulator(job, job.schedule.final_episodes) as env:
            done = rehearse(guide, env, len(job.seeds), EVALUATION_SEED)
        limits = {"cost_limit": guide.about.get("cost_limit"), "target_cost_limit": job.cost_limit}
        write_json(folder / "guide.json", {"about": guide.about, **limits, **done})
    return guide


def _seeding(job: Job, method: OnlineMethod, folder: Path) -> tuple[Any, Seeding | None]:
    """The configuration, and the trajectories to start from; an expert is trained where one is asked for."""
    config = job.config()
    sources = None if method.sources is None else method.sources(config)
    if sources is None or not (sources.expert or sources.data):
        return config, None
    if sources.expert and sources.data:
        raise GoodpathError(f"{job.method} starts from an expert or from data, not from both; leave one out.")
    path = Path(sources.data) if sources.data else folder / "expert.hdf5"
    if not sources.data and not path.is_file():
        collect(job.environment, _expert(job, sources, folder), sources.expert_episodes, path)
    dataset = hdf5.load(path, _spec_of(job.environment))
    outcomes = dataset.outcomes()
    if sources.good_return:
        config = replace(config, **{sources.good_return: float(outcomes.returns.mean())})
    assert method.oracle is not None
    oracle = LabelFile(sources.labels) if sources.labels else method.oracle(config, job.cost_limit)
    labels = oracle.updated(outcomes)(outcomes)
    if not (labels == GOOD).any():
        raise GoodpathError(
            f"none of the {len(outcomes)} trajectories to start from is good: the lowest cost is "
            f"{outcomes.costs.min():g}, the highest return {outcomes.returns.max():g}; raise --cost-limit, lower "
            "--min-good, or start from others."
        )
    return config, Seeding(dataset, labels)


def _expert(job: Job, sources: Sources, folder: Path) -> Callable[[BatchedEnv, np.random.Generator], Driver]:
    """The driver that acts as the expert does."""
    home = folder / "expert" if sources.expert == "train" else Path(sources.expert)
    if sources.expert == "train" and not (home / "result.json").is_file():
        if (home / "config.json").is_file():
            resume(home)
        else:
            train(
                "ppo-lag",
                env=job.environment,
                cost_limit=sources.expert_limit,
                seeds=job.seeds[:1],
                out=home,
                options=dict(sources.expert_options),
                command=f"expert of {job.command}",
            )
    expert = find_policies(home)[0]
    return lambda env, rng: PolicyDriver(expert, 0.0, rng)


def _describe_data(job: Job, dataset: Dataset, folder: Path) -> None:
    outcomes = dataset.outcomes()
    write_json(
        folder / "data.json",
        {
            "path": Path(job.data).name,
            "sha256": job.data_sha256,
            "environment": dataset.environment,
            "trajectories": len(dataset),
            "steps": dataset.num_steps,
            "returns": [round(float(x), 6) for x in outcomes.returns],
            "costs": [round(float(x), 6) for x in outcomes.costs],
        },
    )


def _execute(job: Job, program: AnyProgram, dataset: Dataset | None, folder: Path, quiet: bool) -> Run:
    if dataset is not None:
        _describe_data(job, dataset, folder)
    judge = _judge(job, program)
    try:
        seconds = train_loop(program, folder, job.schedule, judge.look, job.report_limit, quiet)
        verdict = judge.verdict(program.policies())
    finally:
        judge.close()
    for index, seed in enumerate(job.seeds):
        about = {
            "method": job.method,
            "preset": job.preset,
            "seed": seed,
            "cost_limit": job.cost_limit,
            "steps": program.step,
            "goodpath": goodpath.__version__,
        }
        TrainedPolicy(program.policy(index), program.spec, about).save(policy_path(folder, seed))
    result = _result(job, program, verdict, folder, seconds)
    if verdict.final is not None:
        write_paths(folder, verdict.final, job.seeds)
    write_json(folder / "result.json", result)
    return Run(folder, result)


def _judge(job: Job, program: AnyProgram) -> Judge:
    if not job.environment:
        return Nobody(len(job.seeds))
    sampled = isinstance(program, OnlineProgram | ReplayProgram)
    if not sampled and pure.known(job.environment):
        return Lists(pure.find(job.environment), len(job.seeds), job.schedule.drawn)
    return Simulator(job.environment, len(job.seeds), job.schedule, job.report_limit, sampled)


def _result(job: Job, program: AnyProgram, verdict: Verdict, folder: Path, seconds: float) -> dict[str, Any]:
    limit, final = job.report_limit, verdict.final
    tails = None if isinstance(program, OfflineProgram) else training_tail(folder)
    beginnings = beginning(folder, limit) if isinstance(program, ReplayProgram) else None
    seeds = []
    for index, seed in enumerate(job.seeds):
        entry: dict[str, Any] = {"seed": seed, "cost_limit": job.cost_limit}
        if final is not None:
            entry |= seed_scores(final, index, limit, job.environment)
        entry |= verdict.more[index]
        entry |= {
            "gradient_steps": program.updates,
            "training_environment_steps": 0 if isinstance(program, OfflineProgram) else program.step,
            "seconds": seconds,
            "throughput": program.step / max(seconds, 1e-9),
            "parameters_sha256": parameters_sha256(program.policy(index)),
        }
        if tails is not None:
            entry["training"] = tails[index]
        if beginnings is not None:
            entry["beginning"] = beginnings[index]
        if isinstance(program, OfflineProgram):
            entry["learned_from"] = program.sources[index].summary
        seeds.append(entry)
    summary = (
        None
        if final is None
        else summarize(final.returns.tolist(), final.costs.tolist(), limit, job.environment)
    )
    guide = folder / "guide.json"
    return {
        "schema": SCHEMA,
        "goodpath": goodpath.__version__,
        **({"guide": read_json(guide)} if guide.is_file() else {}),
        "method": job.method,
        "preset": job.preset,
        "environment": job.environment,
        "cost_limit": job.cost_limit,
        "evaluation_cost_limit": limit,
        "steps": program.step,
        "command": job.command,
        "seeds": seeds,
        "summary": summary,
        "versions": versions(),
    }


def _spec_of(environment: str) -> Spec | None:
    if not environment:
        return None
    env = envs.make(environment, 1)
    try:
        return env.spec
    finally:
        env.close()


def _new_folder(method: str, environment: str) -> Path:
    task = (environment or "data").replace(":", "-").replace("/", "-")
    return Path("runs") / f"{method}-{task}-{time.strftime('%Y%m%d-%H%M%S')}"
