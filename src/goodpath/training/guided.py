"""Acting with a guide: policies of one task that act in another, and who acts when (arXiv 2307.14316)."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from goodpath.envs.vector import BatchedEnv
from goodpath.errors import GoodpathError
from goodpath.methods.contract import Guidance
from goodpath.networks import xavier_mlp
from goodpath.policies import GaussianPolicy, SquashedGaussianPolicy, TrainedPolicy
from goodpath.spec import Spec
from goodpath.training.acting import Floats, HostNetworks, HostSquashed
from goodpath.training.results import find_policies

Moments = Callable[[Floats], tuple[Floats, Floats]]
COMPOSITIONS = ("control-switch", "linear-decay", "student", "guide")
_EDGE = np.float32(1 - 1e-3)  # as far as a Gaussian's mean may lie towards the bounds


def extra_fields(actions: int) -> tuple[tuple[str, int], ...]:
    """What is kept of each step besides, as `Layout` has it, for so many numbers in an action."""
    numbers = [(name, 0) for name in ("guide_log_prob", "guided", "ratio")]
    return (*numbers, ("guide_mean", actions), ("guide_log_std", actions))


class Guide:
    """A policy for each seed that acts on what it knows of another task's observations.

    Args:
        moments: means and log standard deviations (P, E, action), before tanh, for (P, E, its observation).
        columns: which numbers of the task's observation it sees, in its order.
        about: where it comes from.
    """

    def __init__(self, moments: Moments, columns: NDArray[np.int64], about: dict[str, Any]) -> None:
        self._moments, self.columns, self.about = moments, columns, about

    def moments(self, observations: Floats) -> tuple[Floats, Floats]:
        """Means and log standard deviations (P, E, action), before tanh, for (P, E, observation) of the task."""
        return self._moments(observations[..., self.columns])


def abstraction(source: Spec, target: Spec) -> NDArray[np.int64]:
    """Which numbers of a target task's observation make one of the source task's: the map from states to states.

    Raises:
        GoodpathError: the target lacks a part of the source's observation, or nobody has named the parts and the
            lengths differ.
    """
    if not source.observation_keys or not target.observation_keys:
        if source.observation_size != target.observation_size:
            raise GoodpathError(
                f"the guide of {source.name or 'its task'} takes observations of length "
                f"{source.observation_size}, but {target.name} has {target.observation_size}, and their parts have no "
                "names; take a guide of a task with the same observations."
            )
        return np.arange(source.observation_size)
    places = target.places
    missing = [
        f"{key[0]} ({key[1]})" for key in source.observation_keys if key not in target.observation_keys
    ]
    if missing:
        raise GoodpathError(
            f"the guide of {source.name} sees {', '.join(missing)}, which {target.name} does not show; take a guide "
            "of a task whose observations are a part of the student's."
        )
    return np.concatenate([np.asarray(places[name]) for name in source.places])


def find_guide(guidance: Guidance, spec: Spec, hidden: tuple[int, ...], seeds: Sequence[int]) -> Guide:
    """The guide of each seed: policies of a run in turn, one file for all, or a random network.

    Args:
        guidance: where the guide is, and its deviation where it has none.
        spec: of the task that it will act in.
        hidden: sizes of the hidden layers of a random guide.
        seeds: one guide for each.

    Raises:
        GoodpathError: there is no guide, or it does not fit the task.
    """
    if not guidance.guide:
        raise GoodpathError("say who guides with --guide: a run, a file of a policy, or `random`.")
    if guidance.guide == "random":
        sizes = (spec.observation_size, *hidden, 2 * spec.action_size)
        keys = jnp.stack([jax.random.fold_in(jax.random.key(seed), 2) for seed in seeds])
        networks = jax.jit(jax.vmap(lambda key: xavier_mlp(sizes, key)))(keys)
        policies = SquashedGaussianPolicy(networks, spec.action_low, spec.action_high)
        return Guide(HostSquashed(policies).moments, np.arange(spec.observation_size), {"method": "random"})
    if Path(guidance.guide).suffix == ".onnx":
        return _onnx(guidance, spec)
    found = find_policies(guidance.guide)
    trained = [found[index % len(found)] for index in range(len(seeds))]
    source = trained[0].spec
    if (source.action_size, source.action_low, source.action_high, source.actions) != (
        spec.action_size,
        spec.action_low,
        spec.action_high,
        spec.actions,
    ):
        raise GoodpathError(
            f"the guide of {source.name or 'its task'} has other actions than {spec.name}; guide and student need the "
            "same robot."
        )
    return Guide(_moments(trained, guidance.std), abstraction(source, spec), dict(trained[0].about))


def _moments(trained: Sequence[TrainedPolicy], std: float) -> Moments:
    policy: Any = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[each.policy for each in trained])
    if isinstance(policy, SquashedGaussianPolicy):
        return HostSquashed(policy).moments
    networks = HostNetworks(policy.network)
    if isinstance(policy, GaussianPolicy):
        own, squash = np.asarray(policy.log_std)[:, None], policy.squash

        def gaussian(seen: Floats) -> tuple[Floats, Floats]:
            mean = networks(seen)
            if not squash:
                mean = np.arctanh(np.clip(mean, -_EDGE, _EDGE))
            return mean, np.broadcast_to(own, mean.shape)

        return gaussian

    def certain(seen: Floats) -> tuple[Floats, Floats]:
        mean = networks(seen)
        return mean, np.full_like(mean, np.log(std))

    return certain


def _onnx(guidance: Guidance, spec: Spec) -> Guide:
    """A guide from an ONNX file, which maps (batch, observation) to (batch, action)."""
    path = Path(guidance.guide)
    if not path.is_file():
        raise GoodpathError(f"there is no file {path}.")
    if find_spec("onnxruntime") is None:
        raise GoodpathError(f"to be guided by {path}, install onnxruntime.")
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path))
    (given, *_) = session.get_inputs()
    size = given.shape[-1]
    source = replace(spec, name=path.name, observation_size=int(size), observation_keys=())
    columns = abstraction(source, spec)
    half = (spec.action_high - spec.action_low) / 2

    def moments(seen: Floats) -> tuple[Floats, Floats]:
        flat = np.ascontiguousarray(seen.reshape(-1, seen.shape[-1]), np.float32)
        actions = np.asarray(session.run(None, {given.name: flat})[0], np.float32)
        unit = (actions.reshape(*seen.shape[:-1], -1) - spec.action_low) / half - 1
        mean = np.arctanh(np.clip(unit, -_EDGE, _EDGE))
        return mean, np.full_like(mean, np.log(guidance.std))

    return Guide(moments, columns, {"method": "onnx", "path": path.name})


def log_density(
    mean: Floats, log_std: Floats, raw: Floats, half: float = 1.0, legacy: bool = False
) -> NDArray[np.float64]:
    """(...,) log-density of the actions tanh(raw), stretched by `half`, of Gaussians before tanh.

    Args:
        mean: (..., action).
        log_std: (..., action).
        raw: (..., action) before tanh.
        half: half the range of the actions.
        legacy: evaluate Gaussian and volume at the squashed action, as the code of SaGui's authors does by mistake.
    """
    at = np.asarray(raw, np.float64)
    if legacy:
        at = np.tanh(at)
    standard = (at - mean) / np.exp(log_std)
    gaussian = -0.5 * standard**2 - log_std - 0.5 * np.log(2 * np.pi)
    volume = 2 * (np.log(2) - at - np.logaddexp(0.0, -2 * at))
    density: NDArray[np.float64] = np.sum(gaussian - volume - (0.0 if legacy else np.log(half)), axis=-1)
    return density


class Composite:
    """Who acts in each copy: the student, or the guide. Begins with fresh episodes everywhere.

    * `control-switch`: the student, until a step costs; then the guide, until the episode ends. At the beginning of a
      run the guide alone, later in some copies the student `alone`.
    * `linear-decay`: with a probability that falls from 1 to 0 over the run, an episode is drawn anew at each step,
      else once for all of it; what is drawn is the guide, with the same probability.
    * `student`, `guide`: one of them alone.

    Args:
        guidance: who acts, and how densities are taken.
        guide: who guides.
        shape: seeds and copies of each.
        half: half the range of the actions.
        step: environment steps of each seed so far.
    """

    def __init__(
        self, guidance: Guidance, guide: Guide, shape: tuple[int, int], half: float, step: int = 0
    ) -> None:
        self._guidance, self._guide, self._half = guidance, guide, half
        switches = guidance.composition == "control-switch"
        leads = switches and step < guidance.first
        self._switches = switches and not leads
        self.guided = np.full(shape, leads or guidance.composition == "guide")
        self.alone = np.arange(shape[1]) < (round(guidance.alone * shape[1]) if self._switches else 0)
        self._stepwise, self._fresh = np.zeros(shape, np.bool_), np.ones(shape, np.bool_)
        self._steps, self._ratios, self._number = np.zeros(shape[0]), np.zeros(shape[0]), 0

    def act(
        self, student: HostSquashed, observations: Floats, noise: Floats, draws: Floats, progress: float
    ) -> tuple[Floats, dict[str, NDArray[Any]]]:
        """Actions (P, E, action) of whoever acts, and what `extra_fields` names: (P, E) or (P, E, action).

        Args:
            student: of each seed.
            observations: (P, E, observation).
            noise: (P, E, action) standard normal.
            draws: (P, E, 2) uniform in [0, 1).
            progress: share of the run that is over.
        """
        if self._guidance.composition == "linear-decay":
            left = 1.0 - progress
            self._stepwise = np.where(self._fresh, draws[..., 0] < left, self._stepwise)
            self.guided = np.where(self._fresh | self._stepwise, draws[..., 1] < left, self.guided)
        own, of_guide = student.moments(observations), self._guide.moments(observations)
        mean, log_std = (np.where(self.guided[..., None], g, s) for g, s in zip(of_guide, own, strict=True))
        raw = mean + np.exp(log_std) * noise
        half, legacy = self._half, self._guidance.legacy
        guide, mine = (log_density(*moments, raw, half, legacy) for moments in (of_guide, own))
        ratio = np.exp(np.clip(mine - guide, -50.0, 50.0)).clip(*self._guidance.bounds)
        ratio = np.where(self.guided, ratio, 1.0)
        self._steps += self.guided.mean(axis=1)
        self._ratios += (ratio * self.guided).sum(axis=1)
        self._number += 1
        return student.action(raw), {
            "guide_log_prob": np.maximum(guide, self._guidance.floor),
            "guided": self.guided,
            "ratio": ratio,
            "guide_mean": of_guide[0],
            "guide_log_std": of_guide[1],
        }

    def after(self, costs: NDArray[Any], ended: NDArray[np.bool_]) -> None:
        """What (P, E) costs and ends of episodes mean for who acts next."""
        if self._switches:
            self.guided = (self.guided | (costs > 0)) & ~ended & ~self.alone
        self._fresh = ended

    def scores(self) -> dict[str, NDArray[np.float64]]:
        """(P,) share of the steps that the guide acted in, and the mean ratio of those."""
        count = self._steps * self.guided.shape[1]
        ratios = np.where(count > 0, self._ratios / np.maximum(count, 1), 1.0)
        return {"guide_share": self._steps / max(self._number, 1), "guide_ratio": ratios}


def rehearse(guide: Guide, env: BatchedEnv, seeds: int, seed: int) -> dict[str, list[list[float]]]:
    """What the guides do in a task before anybody learns: `returns` and `costs` of an episode of each copy.

    Args:
        guide: of each seed.
        env: of seeds * copies.
        seeds: number of guides.
        seed: determines episodes and actions.
    """
    spec, half = env.spec, np.float32((env.spec.action_high - env.spec.action_low) / 2)
    rng = np.random.default_rng(seed)
    seen = env.reset([seed + index for index in range(env.num_envs)])
    returns, costs = np.zeros((2, env.num_envs))
    active = np.ones(env.num_envs, np.bool_)
    while active.any():
        mean, log_std = guide.moments(seen.reshape(seeds, -1, spec.observation_size).astype(np.float32))
        raw = mean + np.exp(log_std) * rng.standard_normal(mean.shape, np.float32)
        actions = spec.action_low + (np.tanh(raw) + 1) * half
        step = env.step(actions.reshape(env.num_envs, -1))
        returns += active * step.rewards
        costs += active * step.costs
        active &= ~(step.terminated | step.truncated)
        seen = step.observations
    return {"returns": returns.reshape(seeds, -1).tolist(), "costs": costs.reshape(seeds, -1).tolist()}
