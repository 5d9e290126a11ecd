"""Policies that act on the host: for a few dozen rows, calling a compiled program costs more than running it."""

import numpy as np
from numpy.typing import NDArray

from goodpath.networks import MLP
from goodpath.policies import GaussianPolicy, SquashedGaussianPolicy

Floats = NDArray[np.float32]


class HostNetworks:
    """Stacked networks in NumPy.

    Args:
        networks: of one structure, stacked along a leading axis.
    """

    def __init__(self, networks: MLP) -> None:
        self._weights = [np.asarray(weight) for weight in networks.weights]
        self._biases = [np.asarray(bias)[:, None] for bias in networks.biases]
        self._relu = networks.activation == "relu"
        self._near = networks.near

    def __call__(self, inputs: Floats) -> Floats:
        """(P, E, outputs) for (P, E, inputs)."""
        hidden: Floats = self._near(inputs, np)
        for weight, bias in zip(self._weights[:-1], self._biases[:-1], strict=True):
            hidden = hidden @ weight + bias
            hidden = np.maximum(hidden, 0.0) if self._relu else np.tanh(hidden)
        outputs: Floats = hidden @ self._weights[-1] + self._biases[-1]
        return outputs


class HostPolicies:
    """Stacked `GaussianPolicy` in NumPy.

    Args:
        policies: policies of one structure, stacked along a leading axis.
    """

    def __init__(self, policies: GaussianPolicy) -> None:
        self._networks = HostNetworks(policies.network)
        self._std = np.exp(np.asarray(policies.log_std))[:, None]
        self._low, self._half = policies.low, (policies.high - policies.low) / 2
        self._squash = policies.squash

    def draw(self, observations: Floats, noise: Floats) -> tuple[Floats, Floats]:
        """Raw draws and actions (P, E, action) for (P, E, observation) and standard normal noise."""
        raw: Floats = self._networks(observations) + self._std * noise
        unit = np.tanh(raw) if self._squash else np.clip(raw, -1.0, 1.0)
        actions: Floats = self._low + (unit + 1) * self._half
        return raw, actions


class HostSquashed:
    """Stacked `SquashedGaussianPolicy` in NumPy; a draw before tanh is called raw.

    Args:
        policies: of one structure, stacked along a leading axis.
    """

    def __init__(self, policies: SquashedGaussianPolicy) -> None:
        self._networks = HostNetworks(policies.network)
        self._low, self._half = policies.low, (policies.high - policies.low) / 2

    def moments(self, observations: Floats) -> tuple[Floats, Floats]:
        """Means and log standard deviations (P, E, action) for (P, E, observation)."""
        mean, log_std = np.split(self._networks(observations), 2, axis=-1)
        return mean, SquashedGaussianPolicy.clipped(log_std, np)

    def draw(self, observations: Floats, noise: Floats) -> tuple[Floats, Floats]:
        """Raw draws and actions (P, E, action) for (P, E, observation) and standard normal noise."""
        mean, log_std = self.moments(observations)
        std: Floats = np.exp(log_std)
        raw: Floats = mean + std * noise
        return raw, self.action(raw)

    def action(self, raw: Floats) -> Floats:
        """Actions (P, E, action) of raw draws."""
        actions: Floats = self._low + (np.tanh(raw) + 1) * np.float32(self._half)
        return actions
