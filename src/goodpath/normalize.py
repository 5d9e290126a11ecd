"""Observation normalisation that leaves no trace: learnt from the data, folded into the policy's first layer."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import Array

from goodpath.networks import Near
from goodpath.policies import Policy
from goodpath.trajectories import Doubles, Floats

Kind = Literal["none", "scale", "whiten"]
AnyPolicy = TypeVar("AnyPolicy", bound=Policy)

_PLAIN = Near()
_FLOOR = 1e-3  # of the mean variance: directions that vary less are taken for noise and not blown up further


@dataclass(frozen=True)
class Normalizer:
    """The affine map x -> (x - mean) @ matrix.

    Attributes:
        mean: (observation,).
        matrix: (observation, observation); None for observations that are left as they are.
    """

    mean: Doubles
    matrix: Doubles | None

    def __call__(self, observations: Floats) -> Floats:
        """Maps (N, observation) observations, in double precision but never all at once."""
        if self.matrix is None:
            return observations
        result = np.empty_like(observations)
        for rows in _blocks(len(observations)):
            result[rows] = (observations[rows] - self.mean) @ self.matrix
        return result

    def fold(self, policy: AnyPolicy) -> AnyPolicy:
        """A policy for plain observations that acts as `policy` does on normalised ones."""
        if self.matrix is None:
            return policy
        weight, bias = policy.network.weights[0], policy.network.biases[0]
        matrix = jnp.asarray(self.matrix, jnp.float32)
        shift = jnp.asarray(self.mean @ self.matrix, jnp.float32) @ weight
        return _with_first_layer(policy, matrix @ weight, bias - shift)


def normalizer(kind: Kind, observations: Floats) -> Normalizer:
    """The normaliser of a data set.

    `scale` divides every component by its standard deviation. `whiten` also turns the axes, so that every
    direction has the same variance: what a lidar tells about distance hides in a direction that hardly varies.

    Args:
        kind: `none` leaves observations as they are.
        observations: (N, observation).
    """
    size = observations.shape[1]
    if kind == "none":
        return Normalizer(np.zeros(size), None)
    mean = observations.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((size, size))
    for rows in _blocks(len(observations)):
        centred = observations[rows] - mean
        covariance += centred.T @ centred / len(observations)
    if kind == "scale":
        covariance = np.diag(np.diag(covariance))
    variances, axes = np.linalg.eigh(covariance)
    floor = max(_FLOOR * variances.mean(), 1e-12)
    return Normalizer(mean, (axes / np.sqrt(np.maximum(variances, floor))) @ axes.T)


class Scaler(eqx.Module):
    """Running means and variances of observations, for methods whose data grow while they learn.

    Attributes:
        mean: (scaled,): as many as an observation has, and as `near` adds.
        variance: (scaled,).
        count: () observations so far.
        near: is applied to observations first.
    """

    mean: Array
    variance: Array
    count: Array
    near: Near = eqx.field(static=True, default=Near())

    @classmethod
    def empty(cls, size: int, near: Near = _PLAIN) -> "Scaler":
        """The scaler before the first observation, which changes no numbers."""
        scaled = size + len(near.columns)
        return cls(jnp.zeros(scaled), jnp.ones(scaled), jnp.zeros(()), near)

    @property
    def _deviation(self) -> Array:
        # Components that hardly vary are noise around a constant; they are not blown up beyond this.
        return jnp.sqrt(jnp.maximum(self.variance, 1e-4))

    def __call__(self, observations: Array) -> Array:
        """(..., scaled) for (..., observation) observations: in units of their spread."""
        return (self.near(observations) - self.mean) / self._deviation

    def updated(self, observations: Array) -> "Scaler":
        """The scaler that has also seen these (..., observation) observations."""
        seen = self.near(observations)
        flat = seen.reshape(-1, seen.shape[-1])
        count = self.count + flat.shape[0]
        mean, share = jnp.mean(flat, axis=0), flat.shape[0] / count
        shift = mean - self.mean
        variance = (1 - share) * self.variance + share * jnp.var(flat, axis=0)
        variance = variance + share * (1 - share) * shift**2
        return Scaler(self.mean + share * shift, variance, count, self.near)

    def fold(self, policy: AnyPolicy) -> AnyPolicy:
        """A policy for plain observations that acts as `policy` does on scaled ones."""
        weight = policy.network.weights[0] / self._deviation[:, None]
        return _with_first_layer(policy, weight, policy.network.biases[0] - self.mean @ weight, self.near)


def _with_first_layer(policy: AnyPolicy, weight: Array, bias: Array, near: Near = _PLAIN) -> AnyPolicy:
    network = policy.network
    weights, biases = (weight, *network.weights[1:]), (bias, *network.biases[1:])
    return eqx.tree_at(
        lambda p: p.network, policy, replace(network, weights=weights, biases=biases, near=near)
    )


def _blocks(rows: int, size: int = 65_536) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, rows, size))
