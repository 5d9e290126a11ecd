"""SaGui's student: learns a task under the eyes of a guide from another one (arXiv 2307.14316).

A guide p_g was trained for safety alone (`methods/sagui_guide.py`), on a part of what the student sees. The student
p is SAC-Lagrangian (`methods/sac_lag.py`), changed in three ways.

**Distillation.** It is to do what the guide would do, with a weight that fades as it becomes safe,

    omega = `omega_scale` * m + `omega_floor`,

m being the multiplier. The actor's loss has omega times the divergence KL(p || p_g) of the steps in the batch
(`distil="actor"`). Paper and code pay for it instead (`distil="reward"`): the reward is r + omega log p_g(a|s), and
the rest of omega log(p_g(a|s) / p(a|s)) is left to the entropy, whose weight adapts (equation 5 and appendix C). But a
large omega then drowns the task in the critic, and pays for being where the guide is most certain what to do. With
`omega="decayed"`, m gives way to a number that falls from 1 to 0 over the run; a scale of 0 fixes omega.

**Composite sampling.** The student acts until a step costs, then the guide until the episode ends (`control-switch`).
Before that the guide acts alone for some episodes (`guide_first`), so that the student's first own step is not a random
one: what it costs to leave a hazard at speed, nobody can undo. With `linear-decay` the guide acts less and less over
the run; `student` and `guide` act alone.

A student that is always rescued never learns what it costs alone, though it is the student that is kept in the end.
So in a share of the copies nobody takes over after the beginning (`alone`, in no code but ours), and the multiplier
hears whichever costs more, those episodes or the others.

**Importance ratios.** A step of the guide counts I = p(a|s) / p_g(a|s), cut to [0.1, 2], in the actor's loss, as it was
when it was taken, and in the critics' too (paper; `ratio_power`); a step of the student counts 1. With the
control-switch, both kinds are kept in buffers of their own, and a batch has 25 % of the guide's. (Where there are none
yet of one kind, all are of the other.)

The multiplier follows the cost value of all steps in the batch, or of the student's alone (`hear`): the guide's are
those within hazards. It moves slowly in the wide arenas: what episodes cost is known after many of them only, and a
price that is faster than that swings.

Presets: `paper` has the paper's omega, multiplier and networks (those of the Static arena: `--hidden 64 64 --batch 64`
and `--hidden 256 256 --batch 256` are for the others). `release` follows the authors' code: omega = 0.1 m + 0.01,
damping, ratios squared in the critics' losses, densities of squashed actions that are taken at the wrong place, and
no learning before the guide has filled a batch. `default` distils in the actor's loss, with a floor of 0.01, a
multiplier that is moved itself from 3 on and hears what steps really cost, critics without ratios, and a guide who
begins; `semi-dynamic` and `dynamic` are for SaGui's wide arenas (`docs/sagui.md`). `egpo` is the baseline of an
expert who takes over after a step that costs, without distillation: its guide is a policy of the same task.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import equinox as eqx
import jax.numpy as jnp
from jax import Array

from goodpath.errors import GoodpathError
from goodpath.methods import sac, sac_lag
from goodpath.methods.contract import Demonstrations, Guidance, Metrics, OffPolicyMethod, Transitions
from goodpath.policies import SquashedGaussianPolicy
from goodpath.spec import Spec

_FAR = 2.0  # means before tanh
_NARROW = -2.3  # log standard deviations


@dataclass(frozen=True)
class Config(sac_lag.Config):
    """Options of SaGui."""

    guide: str = ""
    """Who guides: a run, a file of a policy (also ONNX), or `random`."""
    composition: Literal["control-switch", "linear-decay", "student", "guide"] = "control-switch"
    """Who acts."""
    omega: Literal["multiplier", "decayed"] = "multiplier"
    """What the weight of the guide's opinion follows."""
    omega_scale: float = 1.0
    """Factor on it; of the multiplier, or at the start of the run."""
    omega_floor: float = 0.01
    """What is added to it."""
    distil: Literal["actor", "reward"] = "actor"
    """Where the guide comes in: its divergence in the actor's loss, or its log-density in the reward."""
    guide_first: int = 10_000
    """Environment steps of each seed at the beginning in which the guide acts alone, with the control-switch."""
    alone: float = 0.0
    """Share of the copies in which the guide never acts after that, with the control-switch."""
    guide_share: float = 0.25
    """Share of a batch that are steps of the guide, with the control-switch."""
    ratio_low: float = 0.1
    """Importance ratios are at least this."""
    ratio_high: float = 2.0
    """Importance ratios are at most this."""
    ratio_power: int = 0
    """To which power they weigh the losses of the critics, whose targets are right for whoever acts."""
    hear: Literal["batch", "student"] = "batch"
    """Whose steps the multiplier hears of."""
    log_prob_floor: float = -20.0
    """The guide's log-density of an action counts as no less than this."""
    guide_std: float = 0.3
    """Deviation before tanh of a guide that has none of its own."""
    legacy_log_prob: bool = False
    """Densities of squashed actions as in the authors' code, which takes them at the wrong place."""
    wait_for_guide: bool = False
    """Learn nothing before guide and student have each filled more than a batch."""
    steps: int = 1_500_000
    """Environment steps of each seed."""
    initial_multiplier: float = 3.0
    """At the start: a student first does as the guide does."""
    start: int = 0
    """Environment steps at the beginning without learning; whoever acts acts."""
    capacity: int = 500_000
    """Steps that each buffer keeps; no more than `steps` are made room for."""
    hidden: tuple[int, ...] = (32, 32)
    """Sizes of the hidden layers of actor and critics."""
    batch: int = 32
    """Steps in an update; learning begins when the buffers hold more."""


class State(eqx.Module):
    """Everything that changes in training.

    Attributes:
        lag: of SAC-Lagrangian.
        updates: () so far.
    """

    lag: sac_lag.State
    updates: Array


def init(config: Config, spec: Spec, key: Array) -> State:
    """A fresh state."""
    return State(sac_lag.init(config, spec, key, kinds=(2,)), jnp.zeros((), jnp.int32))


def weight(config: Config, state: State) -> Array:
    """() omega, the weight of the guide's opinion."""
    if config.omega == "multiplier":
        follows = sac_lag.dual(config).multiplier(state.lag.multiplier)
    else:
        follows = jnp.maximum(1.0 - state.updates / (config.updates * config.steps), 0.0)
    return config.omega_scale * follows + config.omega_floor


def update(
    config: Config,
    cost_limit: Array,
    state: State,
    batch: Transitions,
    demonstrations: Demonstrations | None,
    key: Array,
) -> tuple[State, Metrics]:
    """One update of SAC-Lagrangian with the guide's opinion; demonstrations make no difference."""
    omega, opinion, ratio = weight(config, state), batch.extra["guide_log_prob"], batch.extra["ratio"]
    moments = batch.extra["guide_mean"], batch.extra["guide_log_std"]
    before, batch = sac_lag.scaled(state.lag, batch)
    apart = divergence(before.sac.actor, batch.observations, *moments)
    penalty = None
    if config.distil == "reward":
        batch = eqx.tree_at(lambda steps: steps.rewards, batch, batch.rewards + omega * opinion)
    else:

        def penalty(actor: SquashedGaussianPolicy) -> Array:
            return omega * jnp.mean(divergence(actor, batch.observations, *moments))

    # Who acts costs less than the student would alone, so measured costs may make it more careful, but not less.
    lag, metrics = sac_lag.learn(
        config,
        cost_limit,
        before,
        batch,
        key,
        least_error=0.0,
        penalty=penalty,
        weights=ratio,
        critic_weights=ratio**config.ratio_power,
        heard=1.0 + 1e-6 - batch.extra["guided"] if config.hear == "student" else None,
    )
    metrics = metrics | {"omega": omega, "guide_log_prob": jnp.mean(opinion), "divergence": jnp.mean(apart)}
    return State(lag, state.updates + 1), metrics


def divergence(actor: SquashedGaussianPolicy, observations: Array, mean: Array, log_std: Array) -> Array:
    """(batch,) KL divergence of the student's actions from those of the guide.

    Args:
        actor: of the student.
        observations: (batch, observation).
        mean: (batch, action) of the guide, before tanh; cut off where tanh hardly changes any more.
        log_std: (batch, action) of the guide, taken as no less than that of a tenth.
    """
    # tanh is one-to-one, so the divergence is that of the Gaussians before it.
    own_mean, own_log_std = actor.moments(observations)
    mean, log_std = jnp.clip(mean, -_FAR, _FAR), jnp.maximum(log_std, _NARROW)
    apart = jnp.exp(2 * own_log_std) + (own_mean - mean) ** 2
    return jnp.sum(log_std - own_log_std + 0.5 * apart * jnp.exp(-2 * log_std) - 0.5, axis=-1)


def guidance(config: Config) -> Guidance:
    """How the guide takes part.

    Raises:
        GoodpathError: the share of copies in which it does not is no share, or less than one copy.
    """
    if config.alone and not 1 / config.num_envs <= config.alone <= 1:
        raise GoodpathError(
            f"the student cannot be alone in {config.alone:g} of {config.num_envs} copies; give --alone 0, or from "
            f"{1 / config.num_envs:g} to 1."
        )
    return Guidance(
        guide=config.guide,
        composition=config.composition,
        share=config.guide_share if config.composition == "control-switch" else 0.0,
        bounds=(config.ratio_low, config.ratio_high),
        floor=config.log_prob_floor,
        std=config.guide_std,
        legacy=config.legacy_log_prob,
        wait=config.wait_for_guide,
        first=config.guide_first,
        alone=config.alone,
    )


_DEFAULT = Config()
_PAPER = replace(
    _DEFAULT,
    omega_floor=0.0,
    distil="reward",
    ratio_power=1,
    log_prob_floor=-1e6,
    guide_first=0,
    initial_gain=1.0,
    initial_multiplier=0.7,
    multiplier="softplus",
    multiplier_learning_rate=0.05,
    calibration=0.0,
)
_WIDE: dict[str, Any] = {
    "alone": 0.5,
    "hear": "student",
    "value_of": "policy",
    "initial_multiplier": 0.3,
    "multiplier_learning_rate": 1e-5,
    "omega_scale": 0.03,
    "omega_floor": 0.0,
}
SAGUI = OffPolicyMethod(
    name="sagui",
    title="SaGui: a student with a safe guide",
    config=Config,
    presets={
        "default": _DEFAULT,
        "paper": _PAPER,
        "release": replace(
            _PAPER,
            omega_scale=0.1,
            omega_floor=0.01,
            damping=10.0,
            ratio_power=2,
            legacy_log_prob=True,
            wait_for_guide=True,
        ),
        "egpo": replace(
            _DEFAULT,
            omega_scale=0.0,
            omega_floor=0.0,
            ratio_low=1.0,
            ratio_high=1.0,
            guide_first=0,
            initial_multiplier=0.7,
        ),
        "semi-dynamic": replace(_DEFAULT, **sac_lag.SEMI_DYNAMIC, **_WIDE),
        "dynamic": replace(_DEFAULT, **sac_lag.DYNAMIC, **_WIDE),
    },
    init=init,
    update=update,
    acts=lambda state: sac.policy(state.lag.sac),
    policy=lambda state: sac.policy(state.lag.sac),
    document=__doc__ or "",
    guidance=guidance,
)
