"""SaGui's guide: a safe policy that explores a place without a task (arXiv 2307.14316, section 5.1).

SAC-Lagrangian (`methods/sac_lag.py`) that never hears the task's reward. With a fixed temperature, its entropy makes it
explore, and a reward r makes it go far (`explore`):

* `displacement`: how many metres the agent moved in the step (paper, equation 4 as in its experiments);
* `novelty`: log(1 + d), where d is the distance from the next state to its nearest `neighbours`-th other one of the
  batch, by random features of the observations: an estimate of the entropy of states by particles. It does not need to
  know where the agent is, and not how its robot works;
* `none`: nothing, which leaves the entropy (the paper's ablation MaxEnt).

An arena guard, in the authors' code but not in the paper, ends an episode where the agent acts from beyond the square
in which objects are placed, and pays nothing for that step. It belongs to the place that guides are trained in, and
is not there when the guide acts elsewhere. While costs have a high price, to end the episode is the cheapest thing to
do: a Car drives straight out. So leaving can cost as well (`exit_cost`, in no code but ours), at the same price. And an
episode that ends early costs little, though elsewhere the same guide goes on: with `full_length` what a step costs is
taken as many times as a full episode has steps.

The guide keeps `margin` below the cost limit: what is safe in the source within a limit is safe in a target with one at
least as high, if states that look alike to the guide cost alike.

Deploy it as it was trained: sampled actions are much safer than the most likely ones. Presets have the paper's
networks: `default` for the Static arena, `semi-dynamic` and `dynamic` for those where costs are few and far between.
There the guide first moves and finds out where they are, and the price comes later; `docs/sagui.md` says why.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from goodpath.envs.vector import way
from goodpath.methods import sac, sac_lag
from goodpath.methods.contract import Demonstrations, Metrics, OffPolicyMethod, Transitions
from goodpath.spec import Spec


@dataclass(frozen=True)
class Config(sac_lag.Config):
    """Options of SaGui's guide."""

    steps: int = 1_500_000
    """Environment steps of each seed."""
    start: int = 500
    """Environment steps at the beginning that are random."""
    hidden: tuple[int, ...] = (32, 32)
    """Sizes of the hidden layers of actor and critics."""
    batch: int = 32
    """Steps in an update; learning begins when the buffer holds more."""
    initial_temperature: float = 0.1
    """At the start."""
    learn_temperature: bool = False
    """The temperature follows the entropy; else it stays as it is."""
    explore: Literal["displacement", "novelty", "none"] = "displacement"
    """What is paid instead of the task's reward."""
    explore_scale: float = 10.0
    """Factor on it."""
    neighbours: int = 5
    """Which nearest neighbour counts for novelty."""
    features: int = 32
    """Random features of an observation, for novelty."""
    arena_guard: bool = True
    """End episodes beyond the arena; for navigation tasks."""
    exit_cost: float = 0.0
    """What acting from beyond the arena counts as, for the limit, where that ends the episode."""
    full_length: bool = False
    """The limit is of an episode of full length, also where the arena's guard ends one."""
    margin: float = 0.0
    """How far below the cost limit to stay."""


class State(eqx.Module):
    """Everything that changes in training.

    Attributes:
        lag: of SAC-Lagrangian.
        features: (observation, features) directions that novelty is measured along; they stay as they are.
    """

    lag: sac_lag.State
    features: Array


def init(config: Config, spec: Spec, key: Array) -> State:
    """A fresh state."""
    shape = (spec.observation_size, config.features)
    directions = jax.random.normal(jax.random.fold_in(key, 3), shape) / np.sqrt(spec.observation_size)
    return State(sac_lag.init(config, spec, key), directions)


def novelty(features: Array, observations: Array, neighbours: int) -> Array:
    """(batch,) log(1 + distance) of (batch, observation) observations to their nearest k-th other one."""
    found = jax.nn.relu(observations @ features)
    squares = jnp.sum((found[:, None] - found[None]) ** 2, axis=-1)
    # The nearest of all is the observation itself.
    nearest = -jax.lax.top_k(-squares, neighbours + 1)[0][:, -1]
    return jnp.log1p(jnp.sqrt(jnp.maximum(nearest, 0.0)))


def update(
    config: Config,
    cost_limit: Array,
    state: State,
    batch: Transitions,
    demonstrations: Demonstrations | None,
    key: Array,
) -> tuple[State, Metrics]:
    """One update of SAC-Lagrangian with the reward for exploring; demonstrations make no difference."""
    if config.explore == "novelty":
        paid = config.explore_scale * novelty(state.features, batch.next_observations, config.neighbours)
        batch = eqx.tree_at(lambda steps: steps.rewards, batch, jax.lax.stop_gradient(paid))
    lag, batch = sac_lag.scaled(state.lag, batch)
    lag, metrics = sac_lag.learn(config, cost_limit - config.margin, lag, batch, key)
    return State(lag, state.features), metrics | {"explored": jnp.mean(batch.rewards)}


def guard(config: Config) -> Literal["", "tell", "end"]:
    """What to ask of the simulator."""
    if config.arena_guard:
        return "end"
    return "tell" if config.explore == "displacement" else ""


def earn(config: Config, rewards: NDArray[np.float64], info: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
    """(num_envs,) metres moved in a step; 0 beyond a guarded arena, and for rewards that are found later.

    Raises:
        GoodpathError: the task does not tell how far the agent moved.
    """
    if config.explore != "displacement":
        return np.zeros_like(rewards)
    return config.explore_scale * way(info, config.arena_guard)


def charge(config: Config, costs: NDArray[np.float64], info: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
    """(num_envs,) costs of a step, with that of leaving a guarded arena."""
    if not config.arena_guard or not config.exit_cost:
        return costs
    return costs + config.exit_cost * info["outside"]


_DEFAULT = Config()
_WIDE: dict[str, Any] = {
    **sac_lag.WIDE,
    "exit_cost": 10.0,
    "explore_scale": 100.0,
    "initial_multiplier": 1.0,
    "multiplier_learning_rate": 5e-5,
    "learn_temperature": True,
    "target_entropy": 0.3,
    "initial_temperature": 1.0,
}
SAGUI_GUIDE = OffPolicyMethod(
    name="sagui-guide",
    title="SaGui's guide: safe exploration without a task",
    config=Config,
    presets={
        "default": _DEFAULT,
        "release": replace(
            _DEFAULT,
            initial_temperature=1.0,
            explore_scale=1.0,
            initial_gain=1.0,
            multiplier="softplus",
            multiplier_learning_rate=0.05,
            calibration=0.0,
            damping=10.0,
        ),
        "semi-dynamic": replace(_DEFAULT, hidden=(64, 64), batch=64, steps=3_000_000, **_WIDE),
        "dynamic": replace(
            _DEFAULT,
            **_WIDE
            | {"discount": 0.99, "cost_discount": 0.99, "target_entropy": -0.7, "full_length": True}
            | {"hidden": (256, 256), "batch": 256, "steps": 9_000_000},
        ),
    },
    init=init,
    update=update,
    acts=lambda state: sac.policy(state.lag.sac),
    policy=lambda state: sac.policy(state.lag.sac),
    document=__doc__ or "",
    guard=guard,
    earn=earn,
    charge=charge,
    full_length=lambda config: config.full_length,
)
