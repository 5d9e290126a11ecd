"""FOCOPS: first order constrained optimisation in policy space (arXiv 2002.06506).

Among all policies near the old one, the best trade of return against cost at the price m is (theorem 1)

    pi*(a|s) proportional to pi_old(a|s) exp((A(s, a) - m A_c(s, a)) / temperature).

The network is drawn towards it: with r = pi(a|s) / pi_old(a|s), each minibatch minimises (equation 12)

    E[1{KL(pi || pi_old)[s] <= state_kl} (KL(pi || pi_old)[s] - r (A - m A_c) / temperature)],

whose gradient, unlike that of PPO's clipped loss, leads to pi* wherever the state still counts. A state where the
policy has moved too far counts no longer. No second derivative is needed.

After each rollout m follows the mean cost of its episodes by projected gradient ascent.

Where we differ: the paper standardises A and A_c apart, here A - m A_c has mean zero and unit deviation as a whole.
So the multiplier is in units of return for each unit of cost, whatever the scales of the two, and the temperature
alone decides how far pi* is. The price follows the plain sums of costs over episodes that the limit is about
and has no tight bound. An update ends by `target_kl` after whole passes, as in all methods of this family.
"""

from dataclasses import dataclass

import equinox as eqx
import jax.numpy as jnp
from jax import Array

from goodpath.methods import on_policy
from goodpath.methods.contract import Metrics, OnlineMethod, Rollout
from goodpath.methods.on_policy import ActorLoss, Rows, State
from goodpath.methods.price import Price, dual
from goodpath.policies import gaussian_log_prob
from goodpath.spec import Spec


@dataclass(frozen=True)
class Config(Price, on_policy.Config):
    """Options of FOCOPS."""

    temperature: float = 1.5
    """Lambda of the paper: the higher it is, the nearer to the old policy the one aimed at."""
    state_kl: float = 0.02
    """Eta of the paper: a state counts while the KL divergence there is at most this."""


def init(config: Config, spec: Spec, key: Array) -> State:
    """A fresh state."""
    return on_policy.init(config, spec, key, dual=dual(config).init())


def policy_loss(config: Config, old_log_std: Array) -> ActorLoss:
    """The loss above, of the column `objective` as A - m A_c; `old_log_std` (action,) is that of pi_old."""

    def loss(mean: Array, log_std: Array, batch: Rows) -> Array:
        # KL(pi || pi_old): the old policy stands where the new one would in PPO's check.
        kl = on_policy.divergence(batch["mean"], old_log_std, mean, log_std)
        ratio = jnp.exp(gaussian_log_prob(mean, log_std, batch["raw"]) - batch["log_prob"])
        counts = kl <= config.state_kl
        return jnp.mean(jnp.where(counts, kl - ratio * batch["objective"] / config.temperature, 0.0))

    return loss


def update(config: Config, cost_limit: Array, state: State, rollout: Rollout) -> tuple[State, Metrics]:
    """One update from a rollout."""
    rule = dual(config)
    # The price follows the costs of the policy that is about to change, before it does.
    priced_by = rule.update(state.dual, on_policy.violation(config, cost_limit, state, rollout))
    multiplier = rule.multiplier(priced_by)
    table = on_policy.rows(config, state, rollout)
    table["objective"] = on_policy.standardized(table["advantage"] - multiplier * table["cost_advantage"])
    state = eqx.tree_at(lambda s: s.dual, state, priced_by)
    after, metrics = on_policy.fit(config, state, table, policy_loss(config, state.actor.log_std))
    return on_policy.finish(config, after, rollout), metrics | {"multiplier": multiplier}


FOCOPS = OnlineMethod(
    name="focops",
    title="FOCOPS",
    config=Config,
    presets={"default": Config()},
    init=init,
    update=update,
    policy=on_policy.policy,
    document=__doc__ or "",
)
