"""CUP: improve the policy as if there were no limit, then project it back (arXiv 2209.07089).

Each update has two stages. The first is PPO's (`methods/ppo.py`) on the standardised advantage A of rewards; it
leads from pi_old to pi_half. The second looks for a policy near pi_half that costs less: with
r = pi(a|s) / pi_old(a|s), the centred advantage A_c of costs and the multiplier m, it minimises

    E[KL(pi || pi_half)[s] + m scale r A_c / deviation(A)],    scale = (1 - gamma lambda) / (1 - gamma),

where gamma and lambda are discount and trace of costs: the factor comes from the paper's bound on the cost of a
policy in terms of generalised advantages. After each rollout m follows the mean cost of its episodes by projected
gradient ascent.

Where we differ: costs are divided by the deviation of the advantage of rewards, as stage one divides rewards, so that
a task with rewards on another scale needs no other step of the policy. The projection has moments of Adam of its own,
as the two stages pull in opposite directions, and ends by a KL budget of its own, measured from pi_half. That budget
has to be larger than the first stage's `target_kl`: with no more, the projection can take back what the first stage
did but never lower the cost, whatever the multiplier. For the same reason it has more passes: steps of Adam have a
length of their own, however steep the loss. Both critics learn in both stages. The multiplier follows the
plain sums of costs over episodes that the limit is about.

The multiplier is no price in units of return, unlike that of FOCOPS. Where the first stage makes pi_half of
pi_old exp(b A / deviation(A)), it settles at b / scale of the price: about a sixth or less with the default options.
"""

from dataclasses import dataclass, replace

import equinox as eqx
import jax.numpy as jnp
from jax import Array

from goodpath.methods import on_policy, ppo
from goodpath.methods.contract import Metrics, OnlineMethod, Rollout
from goodpath.methods.on_policy import ActorLoss, Rows, State
from goodpath.methods.price import Price, dual
from goodpath.policies import gaussian_log_prob
from goodpath.spec import Spec


@dataclass(frozen=True)
class Config(Price, ppo.Config):
    """Options of CUP."""

    passes: int = 5
    """Passes over the rollout in the first stage, at most."""
    projection_passes: int = 10
    """Passes in the second, at most."""
    projection_target_kl: float = 0.04
    """The second ends after the pass that moved the policy further than this from where it began."""
    multiplier_learning_rate: float = 3e-5
    """What the multiplier rises by for each unit of cost above the limit."""


def init(config: Config, spec: Spec, key: Array) -> State:
    """A fresh state; `extra` is the second stage's optimiser."""
    state = on_policy.init(config, spec, key, dual=dual(config).init())
    return eqx.tree_at(lambda s: s.extra, state, state.optimizer, is_leaf=lambda x: x is None)


def scale(config: Config) -> float:
    """What the bound multiplies the advantage of costs by."""
    return (1 - config.cost_discount * config.cost_trace) / (1 - config.cost_discount)


def projection_loss(weight: Array, half_log_std: Array) -> ActorLoss:
    """The second loss above, for the mean of pi_half in the column `mean`.

    Args:
        weight: () what r times the column `objective` is multiplied by.
        half_log_std: (action,) of pi_half.
    """

    def loss(mean: Array, log_std: Array, batch: Rows) -> Array:
        kl = on_policy.divergence(batch["mean"], half_log_std, mean, log_std)
        ratio = jnp.exp(gaussian_log_prob(mean, log_std, batch["raw"]) - batch["log_prob"])
        return jnp.mean(kl + weight * ratio * batch["objective"])

    return loss


def project(config: Config, state: State, table: Rows, weight: Array) -> tuple[State, Metrics]:
    """The second stage, from the policy of `state`; `table` is of the policy that acted."""
    table = table | {"mean": state.actor.network(table["observations"])}
    first = state.optimizer
    budget = replace(config, passes=config.projection_passes, target_kl=config.projection_target_kl)
    start = eqx.tree_at(lambda s: s.optimizer, state, state.extra)
    after, metrics = on_policy.fit(budget, start, table, projection_loss(weight, state.actor.log_std))
    return eqx.tree_at(lambda s: (s.optimizer, s.extra), after, (first, after.optimizer)), metrics


def update(config: Config, cost_limit: Array, state: State, rollout: Rollout) -> tuple[State, Metrics]:
    """One update from a rollout."""
    rule = dual(config)
    # The price follows the costs of the policy that is about to change, before it does.
    priced_by = rule.update(state.dual, on_policy.violation(config, cost_limit, state, rollout))
    multiplier = rule.multiplier(priced_by)
    table = on_policy.rows(config, state, rollout)
    rewards = table | {"objective": on_policy.standardized(table["advantage"])}
    centred = table["cost_advantage"] - jnp.mean(table["cost_advantage"])
    costs = table | {"objective": centred / (jnp.std(table["advantage"]) + 1e-8)}

    state = eqx.tree_at(lambda s: s.dual, state, priced_by)
    half, first = on_policy.fit(config, state, rewards, ppo.clipped_loss(config))
    after, second = project(config, half, costs, multiplier * scale(config))
    moved = on_policy.divergence(
        after.actor.network(table["observations"]), after.actor.log_std, table["mean"], state.actor.log_std
    )
    metrics = second | {
        "loss": first["loss"],
        "projection_loss": second["loss"],
        "kl": jnp.mean(moved),
        "improvement_kl": first["kl"],
        "projection_kl": second["kl"],
        "passes": first["passes"] + second["passes"],
        "multiplier": multiplier,
    }
    return on_policy.finish(config, after, rollout), metrics


CUP = OnlineMethod(
    name="cup",
    title="CUP",
    config=Config,
    presets={"default": Config()},
    init=init,
    update=update,
    policy=on_policy.policy,
    document=__doc__ or "",
)
