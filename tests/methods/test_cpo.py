"""CPO: its step is that of a numerical solver, its Fisher matrix that of the KL, its policies the known optima."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from scipy.optimize import minimize

from goodpath import envs
from goodpath.envs.probe import PROBES
from goodpath.methods import cpo, find, on_policy
from goodpath.networks import MLP
from goodpath.policies import GaussianPolicy
from goodpath.training.job import make_config
from goodpath.training.online import OnlineProgram

RADIUS = 0.02


def problem(seed, size=4):
    """Random gradients g and b, Fisher matrix H, and the furthest that b x reaches in the trust region."""
    rng = np.random.default_rng(seed)
    g, b = rng.standard_normal((2, size))
    root = rng.standard_normal((size, size))
    fisher = root @ root.T + 0.1 * np.eye(size)
    return g, b, fisher, np.sqrt(2 * RADIUS * b @ np.linalg.solve(fisher, b))


def found(g, b, fisher, violation):
    x_g, x_b = np.linalg.solve(fisher, g), np.linalg.solve(fisher, b)
    best = cpo.solve(*(jnp.asarray(v, jnp.float32) for v in (g @ x_g, g @ x_b, b @ x_b, violation)), RADIUS)
    return float(best.along_reward) * x_g - float(best.along_cost) * x_b, best


def numerical(g, b, fisher, violation):
    """The same by sequential quadratic programming, in coordinates where the trust region is the unit ball."""
    root = np.sqrt(2 * RADIUS) * np.linalg.inv(np.linalg.cholesky(fisher)).T
    bounds = [{"type": "ineq", "fun": lambda y: 1 - y @ y, "jac": lambda y: -2 * y}]
    if violation is not None:
        slope, scale = b @ root, np.linalg.norm(b @ root)
        bounds.append({"type": "ineq", "fun": lambda y: -(violation + slope @ y) / scale})
    gain = g @ root / np.linalg.norm(g @ root)
    start = np.zeros(len(g)) if violation is None else -(b @ root) / np.linalg.norm(b @ root) * 0.9
    result = minimize(
        lambda y: -gain @ y,
        start,
        constraints=bounds,
        method="SLSQP",
        options={"ftol": 1e-8, "maxiter": 500},
    )
    assert result.success
    return root @ result.x


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("share", [-1.5, -0.7, -0.1, 0.0, 0.3, 0.8])
def test_the_step_is_the_optimum_wherever_one_exists(seed, share):
    g, b, fisher, reach = problem(seed)
    step, best = found(g, b, fisher, share * reach)
    expected = numerical(g, b, fisher, share * reach)
    assert not bool(best.recovering)
    np.testing.assert_allclose(g @ step, g @ expected, atol=1e-3 * np.sqrt(g @ g))
    np.testing.assert_allclose(step, expected, atol=0.02 * np.linalg.norm(expected))
    assert step @ fisher @ step / 2 <= RADIUS * (1 + 1e-4)
    assert b @ step + share * reach <= 1e-4 * reach


@pytest.mark.parametrize("seed", range(8))
def test_the_multiplier_is_what_a_unit_of_the_limit_is_worth(seed):
    g, b, fisher, reach = problem(seed)
    for share in (-0.7, -0.1, 0.3):
        gains = [g @ found(g, b, fisher, (share + h) * reach)[0] for h in (-0.01, 0.01)]
        slope = (gains[0] - gains[1]) / (0.02 * reach)
        multiplier = float(found(g, b, fisher, share * reach)[1].multiplier)
        np.testing.assert_allclose(multiplier, slope, rtol=0.02, atol=0.02)


def test_no_step_keeps_the_limit_so_the_cost_falls_as_fast_as_it_can():
    for seed in range(8):
        g, b, fisher, reach = problem(seed)
        step, best = found(g, b, fisher, 1.2 * reach)
        assert bool(best.recovering)
        np.testing.assert_allclose(b @ step, -reach, rtol=1e-4)
        np.testing.assert_allclose(step, numerical(-b, b, fisher, None), atol=0.02 * np.linalg.norm(step))


def test_gradients_that_are_zero_or_parallel_do_no_harm():
    g, b, fisher, reach = problem(0)
    free, best = found(g, 0 * b, fisher, -0.1)
    np.testing.assert_allclose(free, found(g, b, fisher, -2 * reach)[0], rtol=1e-4)
    assert float(best.multiplier) == 0.0
    np.testing.assert_array_equal(found(g, 0 * b, fisher, 0.1)[0], 0.0)
    np.testing.assert_array_equal(found(0 * g, b, fisher, -0.1 * reach)[0], 0.0)
    step, best = found(2 * b, b, fisher, -0.5 * reach)
    np.testing.assert_allclose(b @ step, 0.5 * reach, rtol=1e-3)
    assert step @ fisher @ step / 2 <= RADIUS
    np.testing.assert_allclose(best.multiplier, 2.0, rtol=0.02)


def test_the_fisher_matrix_is_the_second_derivative_of_the_divergence():
    keys = jax.random.split(jax.random.key(0), 5)
    shapes = [(2, 3), (3, 2), (3,), (2,)]
    *weights, first, last = (jax.random.normal(k, shape) for k, shape in zip(keys, shapes, strict=False))
    network = MLP(tuple(weights), (first, last), activation="tanh")
    actor = GaussianPolicy(network, jnp.array([-0.9, 0.2]), -1.0, 1.0)
    seen = jax.random.normal(keys[4], (7, 2))
    flat, unravel = ravel_pytree(actor)

    def divergence(parameters):
        now = unravel(parameters)
        means = now.network(seen), actor.network(seen)
        return jnp.mean(on_policy.divergence(means[0], now.log_std, means[1], actor.log_std))

    explicit = jax.jit(jax.vmap(cpo.fisher(actor, seen)))(jnp.eye(len(flat)))
    np.testing.assert_allclose(explicit, jax.jit(jax.hessian(divergence))(flat), rtol=1e-4, atol=1e-5)


def learn(probe, limit, rollout, updates, seeds, passes):
    """Scores and metrics, (updates, seeds) each; the scores are those of the policy before the update."""
    method = find("cpo")
    options = {"hidden": (16, 16), "num_envs": 1000, "rollout": rollout, "steps": updates * rollout}
    options |= {"initial_std": 0.3, "target_kl": 0.02, "critic_learning_rate": 3e-3, "passes": passes}
    options |= {"minibatch": 1000, "anneal": False, "free_steps": 0}
    config = make_config(method, "default", options)
    program = OnlineProgram(method, config, envs.make(probe, len(seeds) * config.num_envs), limit, seeds)
    log = [program.advance(program.step + program.stride) for _ in range(updates)]
    return {name: np.stack([line[name] for line in log]) for name in log[0]}


@pytest.mark.parametrize(("probe", "limit"), [("ProbeBandit-v0", 0.25), ("ProbeContext-v0", 0.09)])
def test_cpo_finds_the_known_optimum_and_multiplier(probe, limit):
    log = learn(probe, limit, rollout=5000, updates=30, seeds=(0, 1), passes=3)
    found = {name: values[-15:].mean(axis=0) for name, values in log.items()}
    best = PROBES[probe]
    scale = max(1.0, abs(best.best_return(limit)))
    np.testing.assert_allclose(found["cost"], limit, atol=0.1 * max(limit, 0.2))
    np.testing.assert_allclose(found["return"], best.best_return(limit), atol=0.06 * scale)
    np.testing.assert_allclose(found["multiplier"], best.best_multiplier(limit), atol=0.2)


def test_the_surrogate_is_in_the_units_of_the_limit():
    """Episodes of ten steps: ten times the surrogate of a step is how the cost of an episode changes."""
    log = learn("ProbeLine-v0", 2.3, rollout=20_000, updates=5, seeds=(0,), passes=10)
    assert (log["kl"] <= 0.02).all()
    # The first step is taken before the critics have learnt anything.
    change = {name: np.diff(log[name][1:, 0]) for name in ("cost", "return")}
    np.testing.assert_allclose(change["cost"], 10 * log["cost_surrogate"][1:-1, 0], atol=0.05)
    np.testing.assert_allclose(change["return"], -10 * log["loss"][1:-1, 0], atol=0.05)
    np.testing.assert_allclose(log["cost"][-1], 2.3, atol=0.1)
