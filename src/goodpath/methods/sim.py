"""SIM: imitate good episodes and avoid bad ones, as an oracle calls them (arXiv 2312.10385).

After each rollout the oracle labels its episodes. Good ones have a high return and keep the limit, bad ones have a
low return or break it, the rest is neither; transitions of both go into ring buffers, oldest out first. A
classifier with logit x(s, a) learns to tell them apart:

    logistic:       -log sigmoid(x) on good ones, -log sigmoid(-x) on bad ones
    least-squares:  x^2/8 - x on good ones, x^2/8 + x on bad ones: a distance to targets 4 and -4

and the agent's own steps count as good ones too (`own`): classifier and policy push the same quantity up, unlike in
adversarial imitation (`adversarial` makes own steps the bad side, as GAIL does). PPO-Lagrangian
(`methods/ppo_lag.py`) then learns from

    reward + weight * x    or    reward + weight * sigmoid(x).

Return thresholds move with learning: with m and s the mean and spread of the rollout's returns, an episode is good
from min(m + above * max(1, s), min_good) on and bad below min(m - max(1, s), max_bad). One pair of thresholds labels
a whole rollout; the authors' code moves it from episode to episode.

Costs may be `known`, and then have their multiplier as in PPO-Lagrangian; `none`, and then the labels alone tell of
them; or `learnt`: the update never sees a cost, only the oracle's word on each episode. The classifier's
sigmoid(-x), how bad a step looks, stands in for the cost, and its multiplier rises while more than `bad_share` of
the episodes are bad.

What starts it: nothing but its own episodes; an expert, trained for a looser limit (`expert`, a run, or `train` to
have one trained in the run's folder), whose good episodes fill the buffer and whose mean return is `min_good`; or
any data set (`good_data`), labelled by the oracle or by people (`labels`).

Presets: `default` starts from itself and keeps cost and reward of the task; it is what we recommend. `release` follows
the authors' code: its bad rule looks at return only, its bonus is a hundredth of the sigmoid. Three things differ: one
pair of thresholds labels a rollout; the multiplier is projected and follows the episodes' cost, instead of the
softplus of a parameter that follows the cost critic; an expert's last policy is taken, not its best one. `logs` is
the code of the time of their published curves as far as it can be known (no own steps), `paper` the paper: logit
alone, without the task's reward and without multiplier. `unknown-cost` is the default with `cost="learnt"`.
"""

import math
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from goodpath.errors import GoodpathError
from goodpath.methods import on_policy, ppo_lag
from goodpath.methods.contract import Metrics, OnlineMethod, Rollout, Seeding, Sources
from goodpath.methods.on_policy import State
from goodpath.networks import MLP, mlp
from goodpath.normalize import Scaler
from goodpath.oracles import (
    BAD,
    GOOD,
    NEITHER,
    All,
    CostLimit,
    CVaRLimit,
    FromFunction,
    MovingReturnThreshold,
    Oracle,
)
from goodpath.replay import Ring
from goodpath.spec import Spec


@dataclass(frozen=True)
class Config(ppo_lag.Config):
    """Options of SIM."""

    cost: Literal["known", "none", "learnt"] = "known"
    """What the update may use of costs: all, nothing, or what the classifier makes of the oracle's labels."""
    bad_share: float = 0.25
    """Share of bad episodes that is allowed, where the cost is learnt."""
    environment_reward: bool = True
    """The task's reward is learnt from beside the classifier's."""
    weight: float = 0.01
    """Of the classifier's reward."""
    reward: Literal["logit", "sigmoid"] = "sigmoid"
    """What the classifier pays."""
    reward_clip: float | None = None
    """The task's reward of a step is cut off here."""
    loss: Literal["logistic", "least-squares"] = "logistic"
    """Of the classifier."""
    own: Literal["all", "best", "none"] = "none"
    """Which of the agent's own steps the classifier learns from: all, those of episodes whose return is more than
    one standard deviation above the mean, or none."""
    adversarial: bool = False
    """Own steps are taken as bad ones, as in GAIL."""
    sets: Literal["both", "good", "bad"] = "both"
    """Which labelled episodes are used."""
    bad_rule: Literal["return-or-cost", "return", "cost"] = "return-or-cost"
    """What makes an episode bad."""
    above: float = 0.5
    """How many spreads above the mean return an episode is good."""
    min_good: float | None = None
    """Return that is good however the agent does; the mean of the trajectories that it starts from when left out."""
    max_bad: float | None = None
    """Return that is never bad; `min_good` when left out."""
    moving: bool = True
    """The good threshold falls below `min_good` while the agent is weaker."""
    oracle: str = ""
    """`module:function` that says of a trajectory whether it keeps the rules, instead of the cost limit."""
    start: int = 10_000
    """Transitions that each set has to hold before the classifier pays."""
    good_capacity: int = 200_000
    """Transitions of good episodes that are kept."""
    bad_capacity: int = 200_000
    """Transitions of bad episodes that are kept."""
    classifier_hidden: tuple[int, ...] = (64, 64)
    """Sizes of its hidden layers."""
    classifier_learning_rate: float = 3e-4
    """Of Adam."""
    classifier_batch: int = 1024
    """Transitions from each set in an update."""
    classifier_updates: int = 40
    """Updates after each rollout."""
    expert: str = ""
    """Folder of a finished run to start from, or `train`."""
    expert_limit: float = 25.0
    """Cost limit of an expert that is trained."""
    expert_steps: int = 0
    """Environment steps of it; as many as of the run when 0."""
    expert_episodes: int = 1000
    """Episodes of the expert's most likely actions."""
    good_data: str = ""
    """HDF5 file to start from."""
    labels: str = ""
    """CSV file that labels its trajectories."""


class Memory(eqx.Module):
    """What SIM keeps besides PPO-Lagrangian.

    Attributes:
        good: observations and actions of good episodes.
        bad: of bad ones.
        classifier: scaled observation and action to a logit, positive for good.
        optimizer: its moments.
    """

    good: Ring
    bad: Ring
    classifier: MLP
    optimizer: optax.OptState


def _optimizer(config: Config) -> optax.GradientTransformation:
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(config.classifier_learning_rate))


def init(config: Config, spec: Spec, key: Array) -> State:
    """A fresh state.

    Raises:
        GoodpathError: a buffer cannot hold one rollout.
    """
    if min(config.good_capacity, config.bad_capacity) < config.rollout:
        raise GoodpathError(
            f"the buffers have to hold a rollout of {config.rollout} steps; raise --good-capacity and "
            "--bad-capacity."
        )
    key, classifier_key = jax.random.split(key)
    width = spec.observation_size + spec.action_size
    classifier = mlp((width, *config.classifier_hidden, 1), classifier_key, gain=2**0.5, last_gain=0.1)
    row = jnp.zeros(width)
    good, bad = Ring.empty(config.good_capacity, row), Ring.empty(config.bad_capacity, row)
    memory = Memory(good, bad, classifier, _optimizer(config).init(classifier))
    return on_policy.init(config, spec, key, dual=ppo_lag.dual(config).init(), extra=memory)


def oracle(config: Config, cost_limit: float) -> Oracle:
    """Who labels episodes.

    Raises:
        GoodpathError: there is no such function.
    """
    beyond: Literal[-1, 0] = NEITHER if config.bad_rule == "return" else BAD
    rules: Oracle = CostLimit(cost_limit, beyond)
    if config.cvar_level < 1:
        rules = CVaRLimit(cost_limit, config.cvar_level)
    if config.oracle:
        rules = FromFunction(_function(config.oracle))
    if config.bad_rule == "cost":
        return rules
    highest = math.inf if config.min_good is None else config.min_good
    returns = MovingReturnThreshold(
        min_good=highest,
        max_bad=highest if config.max_bad is None else config.max_bad,
        lower_good=config.moving or config.min_good is None,
        above=config.above,
    )
    return All((rules, returns))


def _function(name: str) -> Any:
    module, _, attribute = name.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise GoodpathError(
            f"the oracle '{name}' cannot be used ({error}); give module:function of something importable."
        ) from None


def classifier_loss(config: Config, logits: Array, good: bool) -> Array:
    """() mean loss of (N,) logits of one side."""
    side = logits if good else -logits
    if config.loss == "logistic":
        return jnp.mean(jax.nn.softplus(-side))
    return jnp.mean(side**2 / 8 - side)


def sides(config: Config, memory: Memory, own: Array) -> dict[str, tuple[Array, bool]]:
    """What the classifier learns from: name -> (() 1 where there is any of it, else 0; whether it counts as good).

    Args:
        config: which of them are wanted.
        memory: the two sets.
        own: () number of own steps that are eligible.
    """
    found = {}
    if config.sets != "bad":
        found["good"] = (jnp.minimum(memory.good.size, 1.0), True)
    if config.sets != "good":
        found["bad"] = (jnp.minimum(memory.bad.size, 1.0), False)
    if config.own != "none":
        found["own"] = (jnp.minimum(own, 1.0), not config.adversarial)
    return found


def classify(config: Config, state: State, rollout: Rollout) -> tuple[Memory, Metrics]:
    """The labelled episodes stored, and the classifier trained on them."""
    memory: Memory = state.extra
    steps, labels = _steps(rollout), rollout.labels.reshape(-1)
    good, bad = memory.good.push(steps, labels == GOOD), memory.bad.push(steps, labels == BAD)
    memory = eqx.tree_at(lambda m: (m.good, m.bad), memory, (good, bad))
    eligible = jnp.cumsum(_eligible(config, rollout))
    use = sides(config, memory, eligible[-1])

    def loss(classifier: MLP, batches: dict[str, Array]) -> Array:
        return sum(
            there * classifier_loss(config, _logits(state.scaler, classifier, batches[name]), counts)
            for name, (there, counts) in use.items()
        ) + jnp.zeros(())

    def step(carry: tuple[MLP, Any], key: Array) -> tuple[tuple[MLP, Any], Array]:
        classifier, moments = carry
        keys = jax.random.split(key, 3)
        batch = config.classifier_batch
        drawn = jax.random.randint(keys[2], (batch,), 0, jnp.maximum(eligible[-1], 1))
        batches = {
            "good": memory.good.sample(keys[0], batch),
            "bad": memory.bad.sample(keys[1], batch),
            "own": steps[jnp.searchsorted(eligible, drawn, side="right")],
        }
        value, slope = jax.value_and_grad(loss)(classifier, batches)
        change, moments = _optimizer(config).update(slope, moments)
        return (optax.apply_updates(classifier, change), moments), value

    keys = jax.random.split(jax.random.fold_in(state.key, 1), config.classifier_updates)
    (classifier, moments), values = jax.lax.scan(step, (memory.classifier, memory.optimizer), keys)
    after = Memory(memory.good, memory.bad, classifier, moments)
    metrics = {
        "classifier_loss": jnp.mean(values),
        "good_steps": good.size.astype(jnp.float32),
        "bad_steps": bad.size.astype(jnp.float32),
    }
    return after, metrics


def _steps(rollout: Rollout) -> Array:
    """(N, observation + action) what the rings hold of a rollout."""
    steps = jnp.concatenate([rollout.observations, rollout.actions], axis=-1)
    return steps.reshape(-1, steps.shape[-1])


def _logits(scaler: Scaler, classifier: MLP, steps: Array) -> Array:
    """(N,) how good (N, observation + action) steps look."""
    size = scaler.mean.shape[0]
    return classifier(jnp.concatenate([scaler(steps[:, :size]), steps[:, size:]], axis=1))[:, 0]


def _eligible(config: Config, rollout: Rollout) -> Array:
    """(N,) int32, 1 for own steps that the classifier may learn from."""
    if config.own != "best":
        return jnp.ones(rollout.rewards.size, jnp.int32)
    # One episode counts once, at its last step.
    returns, last = rollout.returns, rollout.ended
    mean, spread = jnp.mean(returns, where=last), jnp.std(returns, where=last)
    # Without a strict sign, a rollout of equal returns would leave nothing.
    return (returns >= mean + spread).reshape(-1).astype(jnp.int32)


def update(config: Config, cost_limit: Array, state: State, rollout: Rollout) -> tuple[State, Metrics]:
    """One update from a rollout."""
    memory, metrics = classify(config, state, rollout)
    state = eqx.tree_at(lambda s: s.extra, state, memory)
    logits = _logits(state.scaler, memory.classifier, _steps(rollout)).reshape(rollout.rewards.shape)
    needed = [ring.size for name, ring in (("bad", memory.good), ("good", memory.bad)) if config.sets != name]
    ready = jnp.all(jnp.stack(needed) >= config.start).astype(jnp.float32)
    pay = logits if config.reward == "logit" else jax.nn.sigmoid(logits)
    paid = ready * config.weight * pay
    rewards = paid
    if config.environment_reward:
        clip = math.inf if config.reward_clip is None else config.reward_clip
        rewards = rewards + jnp.clip(rollout.rewards, -clip, clip)
    if config.cost == "learnt":
        share = jnp.sum((rollout.labels == BAD) & rollout.ended) / jnp.sum(rollout.ended)
        learnt = ready * jax.nn.sigmoid(-logits)
        rollout = eqx.tree_at(lambda r: (r.costs, r.cost), rollout, (learnt, share))
        cost_limit = jnp.asarray(config.bad_share)
    elif config.cost == "none":
        cost_limit = rollout.cost  # never broken, never slack: the multiplier stays
    after, learning = ppo_lag.update(config, cost_limit, state, rollout, rewards)
    return after, metrics | learning | {
        "classifier_reward": jnp.mean(paid),
        "ready": ready,
    }


def seed(config: Config, seeding: Seeding, state: State) -> State:
    """The state with the labelled trajectories in its buffers, the newest where they do not fit."""
    dataset, memory = seeding.dataset, state.extra
    rows = np.concatenate([dataset.observations, dataset.actions], axis=1)
    labels = np.repeat(seeding.labels, dataset.lengths)

    def filled(ring: Ring, label: int) -> Ring:
        chosen = rows[labels == label][-ring.capacity :]
        return ring.push(jnp.asarray(chosen), jnp.ones(len(chosen), jnp.bool_)) if len(chosen) else ring

    rings = (filled(memory.good, GOOD), filled(memory.bad, BAD))
    return eqx.tree_at(lambda s: (s.extra.good, s.extra.bad), state, rings)


def sources(config: Config) -> Sources:
    """Where the trajectories of `seed` come from."""
    shared = {
        name: getattr(config, name)
        for name in ("num_envs", "rollout", "hidden", "activation", "squash", "normalize", "initial_std")
    }
    return Sources(
        expert=config.expert,
        expert_limit=config.expert_limit,
        expert_options=shared | {"steps": config.expert_steps or config.steps},
        expert_episodes=config.expert_episodes,
        data=config.good_data,
        labels=config.labels,
        good_return="min_good" if config.min_good is None else "",
    )


_DEFAULT = Config()
_RELEASE = replace(
    _DEFAULT,
    steps=30_000_000,
    num_envs=25,
    rollout=50_000,
    hidden=(256, 256, 256),
    activation="relu",
    squash=True,
    initial_std=1.0,
    normalize=False,
    learning_rate=1e-4,
    critic_learning_rate=1e-4,
    passes=160,
    minibatch=50_000,
    target_kl=0.05,
    trace=0.97,
    cost_trace=0.97,
    entropy=1e-4,
    multiplier="gradient",
    standardize="rewards",
    free_steps=0,
    anneal=False,
    multiplier_learning_rate=0.01,
    initial_multiplier=0.693,
    max_multiplier=5.0,
    reward_clip=3.0,
    loss="least-squares",
    own="best",
    bad_rule="return",
    above=2.0,
    moving=False,
    start=100_000,
    good_capacity=1_000_000,
    bad_capacity=2_000_000,
    classifier_hidden=(256, 256, 256),
    classifier_learning_rate=1e-4,
    classifier_batch=4096,
    classifier_updates=100,
    expert="train",
)
SIM = OnlineMethod(
    name="sim",
    title="SIM: imitate the good and avoid the bad",
    config=Config,
    presets={
        "default": _DEFAULT,
        "unknown-cost": replace(_DEFAULT, cost="learnt", bad_rule="cost", kp=0.02, ki=1e-3),
        "paper": replace(
            _RELEASE,
            loss="logistic",
            own="all",
            reward="logit",
            weight=1.0,
            bad_rule="return-or-cost",
            environment_reward=False,
            cost="none",
            above=2.0,
        ),
        "release": _RELEASE,
        "logs": replace(_RELEASE, own="none", target_kl=0.02, passes=80, multiplier_learning_rate=0.03),
    },
    init=init,
    update=update,
    policy=on_policy.policy,
    document=__doc__ or "",
    oracle=oracle,
    blind=lambda config: config.cost != "known",
    seed=seed,
    sources=sources,
)
