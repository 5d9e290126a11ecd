"""Learning on tasks whose optimum and multiplier are known; shared by the tests of the on-policy methods."""

import numpy as np

from goodpath import envs
from goodpath.envs.probe import PROBES
from goodpath.methods import find
from goodpath.training.job import make_config
from goodpath.training.online import OnlineProgram

SMALL = {
    "hidden": (16, 16),
    "num_envs": 50,
    "rollout": 500,
    "minibatch": 250,
    "learning_rate": 3e-3,
    "critic_learning_rate": 3e-3,
    "anneal": True,
    "free_steps": 0,
    "initial_std": 0.3,
    "target_kl": 0.05,
}


def learn(method, probe, limit, preset="default", seeds=(0, 1), **options):
    found = find(method)
    config = make_config(found, preset, SMALL | {"steps": 150_000} | options)
    program = OnlineProgram(found, config, envs.make(probe, len(seeds) * config.num_envs), limit, seeds)
    log = []
    while program.step < program.total_steps:
        log.append(program.advance(program.step + program.stride))
    # Multiplier and policy circle round the optimum together; what they mean is their mean.
    last = log[-len(log) // 3 :]
    return program, {name: np.mean([line[name] for line in last], axis=0) for name in last[0]}


def check(probe, limit, metrics, multiplier):
    """Cost, return and multiplier are the best ones."""
    best = PROBES[probe]
    scale = max(1.0, abs(best.best_return(limit)))
    np.testing.assert_allclose(metrics["cost"], limit, atol=0.1 * max(limit, 0.2))
    np.testing.assert_allclose(metrics["return"], best.best_return(limit), atol=0.06 * scale)
    np.testing.assert_allclose(multiplier, best.best_multiplier(limit), atol=0.2)
