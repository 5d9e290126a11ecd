"""Constrained policy optimisation (CPO, arXiv 1705.10528): the best step in a trust region that keeps the limit.

With r = pi(a|s) / pi_old(a|s), advantages A of rewards and A_c of costs, and everything taken at the policy that
acted, let

    g    gradient of E[r A]
    b    gradient of E[r A_c]
    H    Fisher matrix, the second derivative of E[KL(pi_old || pi)]
    c    violation of the limit, for each step
    d    `target_kl`.

The step x of the parameters solves the problem that is linear in reward and cost and quadratic in KL,

    maximise g x   where   c + b x <= 0   and   x H x / 2 <= d.

With q = g H^-1 g, r = g H^-1 b, s = b H^-1 b and the multipliers l of the trust region and m of the cost, the step is
x = H^-1 (g - m b) / l. One of three cases holds:

    free        l = sqrt(q / 2d), m = 0                               if that step keeps the limit
    bound       l = sqrt((q - r^2 / s) / (2d - c^2 / s)),
                m = (l c + r) / s                                     if some step in the trust region keeps it
    recovering  x = -sqrt(2d / s) H^-1 b, the cost alone              if none does.

These are the two intervals of the paper's dual: where m = 0, and where m > 0. Then the step is shortened until, on
all rows and without approximations, the KL is at most d, E[r A_c] at most max(-c, 0), and, as long as the limit is
kept, E[r A] no less than before. Where the limit is broken even the best step may have to give up reward.

Units: the limit is on the undiscounted cost J of an episode. By the performance difference lemma E[r A_c] times the
mean length T of an episode is the change of J, hence c = (J - cost limit + margin) / T. Advantages are centred but not
scaled, so m is what one unit of the limit is worth in return.

The margin is not in the paper. A step does better on the rollout that it was chosen on than on the next, and
advantages see little of costs far ahead, so the cost would settle above the limit. The margin starts at zero and grows
by `margin_rate` times J - cost limit after each update, never below zero, and not while the step is already
all for the cost. Preset `plain` does without it.

Where we differ from the paper: its limit is on discounted costs, ours on plain sums; discount and trace enter
through the advantages only, which see less of costs far ahead. Instead of a bound on the worst case of the surrogate
the limit is met as it is. H is that of every `fisher_stride`-th row with `damping` added, and H^-1 is a few
iterations of conjugate gradient, with both gradients side by side. With `cvar_level` below 1, J is the mean cost of the
worst episodes while b remains the gradient of the mean of all. Critics learn by Adam as in `methods/ppo.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree
from jax.scipy.sparse.linalg import cg

from goodpath.methods import on_policy
from goodpath.methods.contract import Metrics, OnlineMethod, Rollout
from goodpath.methods.on_policy import Rows, State
from goodpath.policies import GaussianPolicy, gaussian_log_prob
from goodpath.spec import Spec


@dataclass(frozen=True)
class Config(on_policy.Config):
    """Options of CPO."""

    learning_rate: float = 3e-4
    """Not used: the trust region sets the length of the actor's steps."""
    passes: int = 10
    """Passes of the critics over the rollout in an update."""
    target_kl: float = 0.01
    """Size of the trust region: the mean KL divergence that an update may reach."""
    iterations: int = 10
    """Of conjugate gradient, at most."""
    damping: float = 0.1
    """Added to the diagonal of the Fisher matrix."""
    margin_rate: float = 0.1
    """Share of the episodes' violation of the limit by which the margin grows in an update."""
    fisher_stride: int = 5
    """The Fisher matrix is that of every so many-th step of the rollout."""
    backtracks: int = 15
    """Lengths that the line search tries before it leaves the policy as it is."""
    shrink: float = 0.8
    """What each of them is of the one before."""


class Solution(NamedTuple):
    """The best step, `along_reward` H^-1 g - `along_cost` H^-1 b, and how it came about.

    Attributes:
        along_reward: ().
        along_cost: ().
        multiplier: () of the cost; zero where the limit does not bind, and in recovery, where it has no value.
        recovering: () bool, no step in the trust region keeps the limit.
    """

    along_reward: Array
    along_cost: Array
    multiplier: Array
    recovering: Array


def solve(q: Array, r: Array, s: Array, violation: Array, radius: float) -> Solution:
    """The solution above for () q, r, s and c = `violation`, d = `radius`; either gradient may be zero."""
    tiny = float(np.finfo(np.float32).tiny)
    q, s = jnp.maximum(q, tiny), jnp.maximum(s, tiny)
    longest = jnp.sqrt(2 * radius / q)
    free = violation + longest * r <= 0
    room = 2 * radius - violation**2 / s
    recovering = ~free & (room < 0)
    # Where the gradients are parallel, what is left of g beside b is rounding: do not stretch it.
    beside = jnp.maximum(q - r**2 / s, 1e-6 * q)
    shorter = jnp.sqrt(jnp.maximum(room, 0.0) / beside)
    # m / l written so that it has a value where the trust region leaves room for b alone, 1 / l = 0.
    against = (violation + shorter * r) / s
    multiplier = jnp.where(free | recovering, 0.0, against / jnp.maximum(shorter, tiny))
    along_reward = jnp.where(free, longest, jnp.where(recovering, 0.0, shorter))
    along_cost = jnp.where(free, 0.0, jnp.where(recovering, jnp.sqrt(2 * radius / s), against))
    return Solution(along_reward, along_cost, multiplier, recovering)


def fisher(actor: GaussianPolicy, observations: Array) -> Callable[[Array], Array]:
    """The function that multiplies the Fisher matrix with a (P,) vector, in the order of `ravel_pytree(actor)`.

    The second derivative of the KL at the policy itself: means weigh with the precision, log standard deviations
    with 2, and the curvature of the network drops out.
    """
    flat, unravel = ravel_pytree(actor)

    def outputs(parameters: Array) -> tuple[Array, Array]:
        now = unravel(parameters)
        return now.network(observations), now.log_std

    _, push = jax.linearize(outputs, flat)
    pull = jax.linear_transpose(push, flat)
    weight = jnp.exp(-2 * actor.log_std) / len(observations)

    def product(vector: Array) -> Array:
        means, log_std = push(vector)
        (result,) = pull((means * weight, 2 * log_std))
        return result

    return product


def surrogates(actor: GaussianPolicy, table: Rows, old_log_std: Array) -> tuple[Array, Array, Array]:
    """() E[r A], E[r A_c] and E[KL] of an actor; the policy that acted has zero of each."""
    mean = actor.network(table["observations"])
    ratio = jnp.exp(gaussian_log_prob(mean, actor.log_std, table["raw"]) - table["log_prob"])
    kl = on_policy.divergence(mean, actor.log_std, table["mean"], old_log_std)
    return jnp.mean(ratio * table["advantage"]), jnp.mean(ratio * table["cost_advantage"]), jnp.mean(kl)


def improve(config: Config, actor: GaussianPolicy, table: Rows, violation: Array) -> tuple[Array, Metrics]:
    """One step of the actor.

    Args:
        config: trust region and how to search it.
        actor: the policy that acted.
        table: rows with centred advantages.
        violation: () c.

    Returns:
        (P,) parameters after the step, in the order of `ravel_pytree(actor)`, and metrics.
    """
    start, unravel = ravel_pytree(actor)
    product = fisher(actor, table["observations"][:: config.fisher_stride])

    def measured(parameters: Array) -> tuple[Array, Array, Array]:
        return surrogates(unravel(parameters), table, actor.log_std)

    def damped(vector: Array) -> Array:
        return product(vector) + config.damping * vector

    def inverse(slope: Array) -> Array:
        result: Array = cg(damped, slope, maxiter=config.iterations)[0]  # type: ignore[no-untyped-call]
        return result

    slopes = jax.jacrev(lambda parameters: jnp.stack(measured(parameters)[:2]))(start)
    natural = jax.vmap(inverse)(slopes)
    # b H^-1 g rather than g H^-1 b, which differ for a few iterations: the linear cost of the step is then exact.
    (q, _), (r, s) = slopes @ natural.T
    best = solve(q, r, s, violation, config.target_kl)
    step = best.along_reward * natural[0] - best.along_cost * natural[1]

    def keeps(fraction: Array) -> Array:
        gain, cost, kl = measured(start + fraction * step)
        sound = (kl <= config.target_kl) & (cost <= jnp.maximum(-violation, 0.0))
        return sound & ((gain >= 0) | (violation > 0))

    def attempt(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        tried, _ = carry
        return tried + 1, keeps(config.shrink**tried)

    tried, found = jax.lax.while_loop(
        lambda carry: (carry[0] < config.backtracks) & ~carry[1],
        attempt,
        (jnp.zeros((), jnp.int32), jnp.zeros((), bool)),
    )
    fraction = jnp.where(found, config.shrink ** (tried - 1.0), 0.0)
    after = start + fraction * step
    gain, cost, kl = measured(after)
    return after, {
        "loss": -gain,
        "cost_surrogate": cost,
        "kl": kl,
        "std": jnp.mean(jnp.exp(unravel(after).log_std)),
        "multiplier": best.multiplier,
        "recovering": best.recovering.astype(jnp.float32),
        "step_fraction": fraction,
    }


def init(config: Config, spec: Spec, key: Array) -> State:
    """A fresh state; its `dual` is the margin."""
    return on_policy.init(config, spec, key, dual=jnp.zeros(()))


def update(config: Config, cost_limit: Array, state: State, rollout: Rollout) -> tuple[State, Metrics]:
    """One update from a rollout."""
    table = on_policy.rows(config, state, rollout)
    length = rollout.ended.size / jnp.sum(rollout.ended)
    excess = rollout.cost - cost_limit
    centred = {name: table[name] - jnp.mean(table[name]) for name in ("advantage", "cost_advantage")}
    # While the limit does not count, every step in the trust region keeps it.
    counts = jnp.where(on_policy.is_free(config, state), -jnp.inf, excess + state.dual)
    moved, metrics = improve(config, state.actor, table | centred, counts / length)
    after, fitted = on_policy.fit(config, state, table, None)
    idle = on_policy.is_free(config, state) | (metrics["recovering"] > 0)
    growth = jnp.where(idle, jnp.minimum(excess, 0.0), excess)
    margin = jnp.maximum(state.dual + config.margin_rate * growth, 0.0)
    actor = ravel_pytree(state.actor)[1](moved)
    after = eqx.tree_at(lambda s: (s.actor, s.dual), after, (actor, margin))
    return on_policy.finish(config, after, rollout), fitted | metrics | {"margin": margin}


CPO = OnlineMethod(
    name="cpo",
    title="Constrained policy optimisation",
    config=Config,
    presets={"default": Config(), "plain": Config(margin_rate=0.0)},
    init=init,
    update=update,
    policy=on_policy.policy,
    document=__doc__ or "",
)
