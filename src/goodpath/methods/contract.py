"""What a method is: a configuration, a state, and pure functions between them.

A method knows no file, environment, logger or command line. `training/offline.py` compiles the updates of methods
that learn from data, `training/online.py` drives those that act as they learn, `training/compiled.py` and
`training/compiled_rollouts.py` compile acting and learning together; `training/loop.py` logs, evaluates and saves.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import equinox as eqx
import numpy as np
from jax import Array
from numpy.typing import NDArray

from goodpath.oracles import Labels, Oracle
from goodpath.policies import GaussianPolicy, Policy
from goodpath.spec import Spec
from goodpath.trajectories import Dataset

Metrics = dict[str, Array]
Batch = dict[str, Any]


class Data(eqx.Module):
    """The data set on the device, shared by all seeds, and what one seed has derived from it.

    Attributes:
        observations: (N, observation).
        actions: (N, action).
        longest: steps of the longest trajectory.
        derived: whatever a phase's `derive` gave, such as reference log-probabilities; None before.
    """

    observations: Array
    actions: Array
    longest: int = eqx.field(static=True)
    derived: Any = None


class Source(Protocol):
    """What one seed learns from: chosen once from the data, then batches as a pure function of the step.

    Attributes:
        summary: figures about the choice, for the log: how many pieces are desirable, ...
    """

    summary: dict[str, float]

    def batch(self, phase: str, step: int) -> Batch:
        """NumPy arrays of update `step` (counted from 0 over all phases); their shapes never change."""


@dataclass(frozen=True)
class Phase:
    """A stretch of training with one kind of update.

    Attributes:
        name: for the log and for `Source.batch`.
        steps: number of updates.
        update: (config, state, data, batch) -> (state, metrics); pure.
        enter: (config, state) -> state, applied once before the first update.
        derive: (config, state, data) -> anything that stays fixed during the phase, kept in `Data.derived`.
    """

    name: str
    steps: int
    update: Callable[[Any, Any, Data, dict[str, Array]], tuple[Any, Metrics]]
    enter: Callable[[Any, Any], Any] | None = None
    derive: Callable[[Any, Any, Data], Any] | None = None


@dataclass(frozen=True)
class OfflineMethod:
    """A method that learns from a fixed data set.

    Attributes:
        name: as on the command line.
        title: one line for lists.
        config: the dataclass of its options; it has at least `steps`.
        presets: name -> options; `default` is what is used when nothing is said.
        prepare: (config, dataset, cost limit, seed) -> what that seed learns from.
        init: (config, spec, key) -> state with everything that changes in training, as one pytree.
        phases: config -> the phases in order; their steps add up to `config.steps`.
        policy: state -> policy.
        document: the method's own page: what `goodpath explain` prints.
    """

    name: str
    title: str
    config: type
    presets: Mapping[str, Any]
    prepare: Callable[[Any, Dataset, float, int], Source]
    init: Callable[[Any, Spec, Array], eqx.Module]
    phases: Callable[[Any], tuple[Phase, ...]]
    policy: Callable[[Any], Policy]
    document: str


class Rollout(eqx.Module):
    """What E copies of an environment did in T steps under one policy; they begin with a fresh episode.

    Attributes:
        observations: (E, T, observation) that the policy acted on.
        next_observations: (E, T, observation) true successors, also where an episode ended.
        raw: (E, T, action) draws of the policy's Gaussian, see `policies.GaussianPolicy`.
        actions: (E, T, action) what they became.
        rewards: (E, T).
        costs: (E, T); zero for a method that may not see them.
        terminated: (E, T) bool, the environment ended the episode.
        ended: (E, T) bool, the episode ended at this step, by the environment or by time.
        returns: (E, T) return of the episode that each step belongs to; -inf where it did not end.
        labels: (E, T) int8, what the method's oracle says of the episode; `NEITHER` where it did not end.
        cost: () mean cost of the worst `cvar_level` share of the episodes that ended; zero for a method that may
            not see it.
    """

    observations: Array
    next_observations: Array
    raw: Array
    actions: Array
    rewards: Array
    costs: Array
    terminated: Array
    ended: Array
    returns: Array
    labels: Array
    cost: Array


@dataclass(frozen=True)
class Sources:
    """Where the trajectories come from that an online method starts with.

    Attributes:
        expert: folder of a finished run whose policy makes them; `train` for one that has yet to be trained, by
            PPO-Lagrangian; empty for none.
        expert_limit: cost limit of an expert that is trained.
        expert_options: options of PPO-Lagrangian for it.
        expert_episodes: episodes that it makes.
        data: HDF5 file of trajectories; empty for none.
        labels: CSV file with their labels; empty to ask the method's oracle.
        good_return: option that is set to the mean return of these trajectories; empty for none.
    """

    expert: str
    expert_limit: float
    expert_options: Mapping[str, Any]
    expert_episodes: int
    data: str
    labels: str
    good_return: str


@dataclass(frozen=True)
class Seeding:
    """Trajectories that a method starts from.

    Attributes:
        dataset: the trajectories.
        labels: (trajectories,) what the oracle says of each.
    """

    dataset: Dataset
    labels: Labels


@dataclass(frozen=True)
class OnlineMethod:
    """A method that acts in an environment while it learns.

    Attributes:
        name: as on the command line.
        title: one line for lists.
        config: the dataclass of its options; it has at least those of `on_policy.Config`.
        presets: name -> options; `default` is what is used when nothing is said.
        init: (config, spec, key) -> state with everything that changes in training, as one pytree.
        update: (config, cost limit, state, rollout) -> (state, metrics); pure.
        policy: state -> policy for plain observations.
        document: the method's own page: what `goodpath explain` prints.
        oracle: (config, cost limit) -> who labels the episodes of each rollout; None when nobody does.
        blind: config -> whether costs are kept from `update`.
        seed: (config, seeding, state) -> state that starts from these trajectories; None when it cannot.
        sources: config -> where they come from.
    """

    name: str
    title: str
    config: type
    presets: Mapping[str, Any]
    init: Callable[[Any, Spec, Array], Any]
    update: Callable[[Any, Array, Any, Rollout], tuple[Any, Metrics]]
    policy: Callable[[Any], GaussianPolicy]
    document: str
    oracle: Callable[[Any, float], Oracle] | None = None
    blind: Callable[[Any], bool] = lambda config: False
    seed: Callable[[Any, Seeding, Any], Any] | None = None
    sources: Callable[[Any], Sources] | None = None


class Transitions(eqx.Module):
    """Steps of the agent in no order, as a replay buffer gives them.

    Attributes:
        observations: (batch, observation) that were acted on.
        actions: (batch, action).
        rewards: (batch,).
        costs: (batch,).
        next_observations: (batch, observation) true successors, also where an episode ended.
        terminated: (batch,) bool, the environment ended the episode; where a time limit did, it is false.
        extra: name -> (batch,) or (batch, numbers), what a method keeps of each step besides.
        episode_cost: () mean cost of the episodes that ended last; NaN where none did yet, None where nobody measures
            it. With a guide (2,): where it takes part, and where nobody but the student acts.
    """

    observations: Array
    actions: Array
    rewards: Array
    costs: Array
    next_observations: Array
    terminated: Array
    extra: dict[str, Array] = eqx.field(default_factory=dict)
    episode_cost: Array | None = None


class Demonstrations(eqx.Module):
    """What an expert did, in no order.

    Attributes:
        observations: (N, observation).
        actions: (N, action).
        next_observations: (N, observation) true successors, also where an episode ended.
        terminated: (N,) bool, the environment ended the episode.
    """

    observations: Array
    actions: Array
    next_observations: Array
    terminated: Array


@dataclass(frozen=True)
class Guidance:
    """How another policy, the guide, takes part in acting; see `training/guided.py`.

    Attributes:
        guide: folder of a run, file of a policy, or `random`.
        composition: who acts: `control-switch`, `linear-decay`, `student` or `guide`.
        share: of a batch that comes from the guide's steps, kept apart from the student's; 0 keeps them together.
        bounds: on the ratio of both policies' densities of the guide's actions.
        floor: below which the guide's log-density does not fall.
        std: of a guide that has none, before tanh.
        legacy: densities of squashed actions as the code of SaGui's authors has them.
        wait: learn only when each kind of steps fills a batch.
        first: with `control-switch`, environment steps at the beginning in whose stretches the guide acts alone.
        alone: with `control-switch`, share of the copies in which it never acts after that.
    """

    guide: str
    composition: str
    share: float
    bounds: tuple[float, float]
    floor: float
    std: float
    legacy: bool
    wait: bool
    first: int = 0
    alone: float = 0.0


@dataclass(frozen=True, eq=False)  # so that programs can be compiled for it
class OffPolicyMethod:
    """A method that learns from a replay buffer while it acts.

    In a task of pure functions it learns after every step, and acting and learning are one program
    (`training/compiled.py`); elsewhere a simulator acts for some steps, then as many updates are one program
    (`training/replayed.py`).

    Attributes:
        name: as on the command line.
        title: one line for lists.
        config: the dataclass of its options; it has at least `steps`, `start`, `batch`, `capacity`, `updates`,
            and for continuous actions `num_envs`, `every` and `stretch`.
        presets: name -> options; `default` is what is used when nothing is said.
        init: (config, spec, key) -> state with everything that changes in training, as one pytree.
        update: (config, cost limit, state, batch, demonstrations, key) -> (state, metrics); pure. Demonstrations
            are None for a method that takes none.
        acts: state -> policy that explores.
        policy: state -> policy that is evaluated and saved.
        document: the method's own page: what `goodpath explain` prints.
        demonstrated: whether it learns from demonstrations too.
        guard: config -> what to ask of a simulator: to tell of the agent's way, or to end episodes beyond the
            arena too; nothing when empty.
        earn: (config, rewards, info) -> (num_envs,) what is remembered as the rewards of a step of a simulator,
            `info` being the step's; the task's own when None.
        charge: (config, costs, info) -> the same of costs; they count for the limit as they are remembered.
        full_length: config -> whether the limit is of an episode of full length, also where some end sooner.
        guidance: config -> how a guide takes part; None when there is no guide. The batch then holds, of each
            step, `guide_log_prob` of the action under the guide, and `ratio` of the student's density to that of who
            acted, within bounds, which is 1 for the student's steps; and `guide_mean` and `guide_log_std` of the guide
            there, before tanh.
    """

    name: str
    title: str
    config: type
    presets: Mapping[str, Any]
    init: Callable[[Any, Spec, Array], Any]
    update: Callable[[Any, Array, Any, Transitions, Any, Array], tuple[Any, Metrics]]
    acts: Callable[[Any], Policy]
    policy: Callable[[Any], Policy]
    document: str
    demonstrated: bool = False
    guard: Callable[[Any], Literal["", "tell", "end"]] = lambda config: ""
    earn: Callable[[Any, NDArray[np.float64], dict[str, NDArray[Any]]], NDArray[np.float64]] | None = None
    charge: Callable[[Any, NDArray[np.float64], dict[str, NDArray[Any]]], NDArray[np.float64]] | None = None
    full_length: Callable[[Any], bool] = lambda config: False
    guidance: Callable[[Any], Guidance] | None = None


class Stretch(eqx.Module):
    """What E copies of a task did in T steps under one policy; an episode may go on in the next stretch.

    Attributes:
        observations: (E, T, observation) that were acted on.
        actions: (E, T, action).
        rewards: (E, T).
        next_observations: (E, T, observation) true successors, also where an episode ended.
        terminated: (E, T) bool, the environment ended the episode.
        ended: (E, T) bool, the episode ended at this step, by the environment or by time.
    """

    observations: Array
    actions: Array
    rewards: Array
    next_observations: Array
    terminated: Array
    ended: Array


class Episodes(eqx.Module):
    """What one policy did in M whole episodes, of at most L steps.

    Attributes:
        observations: (M, L, observation) that were acted on.
        actions: (M, L, action).
        taken: (M, L) bool, whether the episode had not ended before this step; elsewhere the rest means nothing.
    """

    observations: Array
    actions: Array
    taken: Array


@dataclass(frozen=True, eq=False)  # so that programs can be compiled for it
class OnPolicyMethod:
    """A method that learns from stretches of its newest policy, in one program with a task of pure functions.

    Attributes:
        name: as on the command line.
        title: one line for lists.
        config: the dataclass of its options; it has at least `steps`, `num_envs` and `rollout`, and where there is
            something to revise, `iterations` and `own_episodes`.
        presets: name -> options; `default` is what is used when nothing is said.
        init: (config, spec, key) -> state with everything that changes in training, as one pytree.
        update: (config, state, stretch, demonstrations, key) -> (state, metrics); pure. Demonstrations are None
            for a method that takes none.
        policy: state -> policy that acts, is evaluated and saved.
        document: the method's own page: what `goodpath explain` prints.
        revise: (config, state, episodes, demonstrations) -> (state, metrics), pure: what happens between two of
            its iterations, with `config.own_episodes` new episodes of the policy; None when nothing does.
        demonstrated: whether it learns from demonstrations too.
    """

    name: str
    title: str
    config: type
    presets: Mapping[str, Any]
    init: Callable[[Any, Spec, Array], Any]
    update: Callable[[Any, Any, Stretch, Any, Array], tuple[Any, Metrics]]
    policy: Callable[[Any], Policy]
    document: str
    revise: Callable[[Any, Any, Episodes, Any], tuple[Any, Metrics]] | None = None
    demonstrated: bool = False


Method = OfflineMethod | OnlineMethod | OffPolicyMethod | OnPolicyMethod


def takes_data(method: Method) -> bool:
    """Whether a method learns from a data file."""
    if isinstance(method, OfflineMethod):
        return True
    return not isinstance(method, OnlineMethod) and method.demonstrated


class Shuffle:
    """Indices of batches, epoch after epoch, as a pure function of the step: nothing to save, nothing to lose.

    An epoch is one permutation of all items, cut into batches; the last batch of it may be short. With several
    streams, an epoch is that many independent permutations whose batches take turns, as with several workers
    of a data loader.

    Args:
        items: number of items.
        batch_size: items in a batch.
        seed: words that determine the permutations.
        streams: see above.
    """

    def __init__(self, items: int, batch_size: int, seed: tuple[int, ...], streams: int = 1) -> None:
        self.items, self.batch_size, self.seed, self.streams = items, batch_size, seed, streams
        self._slices = -(-items // batch_size)
        self._epoch = -1
        self._permutations: list[NDArray[np.int64]] = []

    def __call__(self, step: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Indices (batch,) of the step's items and a mask (batch,) that is zero where the batch is short."""
        epoch, position = divmod(step, self._slices * self.streams)
        if epoch != self._epoch:
            self._permutations = [
                np.random.default_rng([*self.seed, epoch, stream]).permutation(self.items)
                for stream in range(self.streams)
            ]
            self._epoch = epoch
        first = position // self.streams * self.batch_size
        chosen = self._permutations[position % self.streams][first : first + self.batch_size]
        indices = np.zeros(self.batch_size, np.int64)
        mask = np.zeros(self.batch_size, np.float32)
        indices[: len(chosen)] = chosen
        mask[: len(chosen)] = 1.0
        return indices, mask
