"""Does a guide's cost depend on what it does not see? A check of what its safety elsewhere rests on.

A guide that is safe in its source is safe in a target if states that look alike to it have the same value of costs
(arXiv 2307.14316, assumption 3). Here the values are what followed: the discounted costs after each visited state,
under the guide itself, in both tasks. Among states that look alike to the guide, their local means are compared.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from goodpath import envs
from goodpath.envs.vector import BatchedEnv
from goodpath.methods.contract import Guidance
from goodpath.training.evaluate import EVALUATION_SEED
from goodpath.training.guided import Guide, find_guide

Floats = NDArray[np.float64]


def visits(
    guide: Guide, env: BatchedEnv, discount: float = 0.99, seed: int = EVALUATION_SEED
) -> tuple[Floats, Floats]:
    """States as the guide sees them (N, its observation), and the discounted costs (N,) that followed each.

    What an episode's end leaves of a state's future has to weigh less than a tenth; later states are left out.

    Args:
        guide: of one seed.
        env: one episode of each copy.
        discount: of costs.
        seed: determines episodes and actions.
    """
    half, rng = np.float32((env.spec.action_high - env.spec.action_low) / 2), np.random.default_rng(seed)
    seen = env.reset([seed + index for index in range(env.num_envs)])
    active = np.ones(env.num_envs, np.bool_)
    states, costs, alive, over = [], [], [], np.zeros(env.num_envs, np.bool_)
    while active.any():
        mean, log_std = guide.moments(seen[None].astype(np.float32))
        raw = mean + np.exp(log_std) * rng.standard_normal(mean.shape, np.float32)
        step = env.step(env.spec.action_low + (np.tanh(raw[0]) + 1) * half)
        states.append(seen[:, guide.columns])
        costs.append(step.costs)
        alive.append(active.copy())
        over |= active & step.terminated
        active &= ~(step.terminated | step.truncated)
        seen = step.observations
    following = np.zeros(env.num_envs)
    values = np.empty((len(costs), env.num_envs))
    for t in reversed(range(len(costs))):
        following = np.where(alive[t], costs[t] + discount * following, 0.0)
        values[t] = following
    lengths = np.sum(alive, axis=0)
    rest = np.ceil(np.log(0.1) / np.log(discount)) if discount > 0 else 1
    # After an end by the environment nothing follows, so that all of its states are known.
    kept = np.array(alive) & (over | (np.arange(len(costs))[:, None] <= lengths - rest))
    return np.array(states, np.float64)[kept], values[kept]


def compare(
    source: tuple[Floats, Floats], target: tuple[Floats, Floats], neighbours: int = 20, queries: int = 2000
) -> dict[str, float]:
    """How far the values of states that look alike are apart between two tasks.

    Args:
        source: of the source, as `visits` gives them.
        target: of the target.
        neighbours: states that a local mean is of.
        queries: states of the target at which it is taken.

    Returns:
        gap: mean distance of the local means of both tasks. noise: the same between two halves of the source, which is
        what the gap is when nothing depends on what is not seen. source, target: mean values.
    """
    rng = np.random.default_rng(0)
    scale = np.std(np.concatenate([source[0], target[0]]), axis=0) + 1e-6
    points = target[0][rng.permutation(len(target[0]))[:queries]] / scale

    def local(side: tuple[Floats, Floats], at: Floats) -> Floats:
        number = min(neighbours, len(side[0]))
        _, nearest = cKDTree(side[0] / scale).query(at, k=number)
        means: Floats = side[1][np.reshape(nearest, (len(at), number))].mean(axis=1)
        return means

    order = rng.permutation(len(source[0]))
    first, second = (tuple(array[part] for array in source) for part in np.array_split(order, 2))
    own = source[0][rng.permutation(len(source[0]))[:queries]] / scale
    return {
        "gap": float(np.mean(np.abs(local(source, points) - local(target, points)))),
        "noise": float(
            np.mean(np.abs(local((first[0], first[1]), own) - local((second[0], second[1]), own)))
        ),
        "source": float(source[1].mean()),
        "target": float(target[1].mean()),
    }


def irrelevance(
    guide: str,
    source: str,
    target: str,
    episodes: int = 20,
    discount: float = 0.99,
    seed: int = EVALUATION_SEED,
) -> dict[str, Any]:
    """`compare` for a trained guide in two tasks.

    Args:
        guide: folder of a run, or file of a policy.
        source: task that it was trained in.
        target: task that it is to act in.
        episodes: in each.
        discount: of costs.
        seed: determines episodes and actions.

    Raises:
        GoodpathError: there is no such guide or task, or it cannot act in one of them.
    """
    asked = Guidance(guide, "guide", 0.0, (0.1, 2.0), -20.0, 0.3, False, False)
    sides = []
    for task in (source, target):
        env = envs.make(task, episodes)
        try:
            sides.append(visits(find_guide(asked, env.spec, (32, 32), (0,)), env, discount, seed))
        finally:
            env.close()
    return compare(sides[0], sides[1])
