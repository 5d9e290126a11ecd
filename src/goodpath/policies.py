"""Policies: pytrees that map observations to actions, saved and used without the method that made them."""

import hashlib
import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import ArrayLike, NDArray

from goodpath.errors import GoodpathError
from goodpath.files import replacing
from goodpath.networks import MLP, Near
from goodpath.spec import Spec

FORMAT = "goodpath-policy"
_EDGE = 1e-5  # actions are kept this far inside the bounds before the inverse of tanh


class Policy(Protocol):
    """What every policy can do. Arrays may be NumPy or JAX; a single observation needs no batch axis."""

    network: MLP
    low: float
    high: float

    def __call__(self, observations: Array, key: Array | None = None) -> Array:
        """Actions (..., action) for (..., observation): a sample with `key`, the most likely ones without."""

    def log_prob(self, observations: Array, actions: Array, key: Array | None = None) -> Array:
        """Log-probability (...,) of (..., action) actions; `key` switches the network's dropout on."""


class DeterministicPolicy(eqx.Module):
    """Tanh of a network, stretched to the bounds of the actions.

    Its `log_prob` is minus the squared distance to the action in units of half the range, summed over the
    components: a Gaussian of variance 1/2 around the output, up to a constant (as in TraC's released code).

    Attributes:
        network: observations to action_size numbers.
        low: lower bound of the actions.
        high: upper bound of the actions.
    """

    network: MLP
    low: float = eqx.field(static=True)
    high: float = eqx.field(static=True)

    def __call__(self, observations: Array, key: Array | None = None) -> Array:
        """See `Policy`; `key` makes no difference."""
        return _stretch(jnp.tanh(self.network(observations)), self)

    def log_prob(self, observations: Array, actions: Array, key: Array | None = None) -> Array:
        """See `Policy`."""
        difference = jnp.tanh(self.network(observations, key)) - _shrink(actions, self)
        return -jnp.sum(difference**2, axis=-1)


class SquashedGaussianPolicy(eqx.Module):
    """Tanh of a Gaussian whose mean and log standard deviation a network gives, stretched to the bounds.

    Attributes:
        network: observations to 2 * action_size numbers: means, then log standard deviations.
        low: lower bound of the actions.
        high: upper bound of the actions.
    """

    network: MLP
    low: float = eqx.field(static=True)
    high: float = eqx.field(static=True)

    def moments(self, observations: Array, key: Array | None = None) -> tuple[Array, Array]:
        """Means and log standard deviations (..., action) of the Gaussian; `key` as for `log_prob`."""
        mean, log_std = jnp.split(self.network(observations, key), 2, axis=-1)
        return mean, self.clipped(log_std)

    @staticmethod
    def clipped(log_std: Any, numpy: Any = jnp) -> Any:
        """Log standard deviations in [-5, 2], clipped smoothly: densities stay finite, gradients do not vanish
        abruptly; `numpy` is the library that computes them."""
        return -1.5 + 3.5 * numpy.tanh(log_std / 3.5)

    def __call__(self, observations: Array, key: Array | None = None) -> Array:
        """See `Policy`."""
        mean, log_std = self.moments(observations)
        noise = 0.0 if key is None else jnp.exp(log_std) * jax.random.normal(key, mean.shape)
        return _stretch(jnp.tanh(mean + noise), self)

    def sample(self, observations: Array, noise: Array) -> tuple[Array, Array]:
        """Actions (..., action) made of standard normal `noise`, and their log-probabilities (...,).

        The densities are those of the draws before tanh, so that nothing is lost where tanh is flat.
        """
        mean, log_std = self.moments(observations)
        raw = mean + jnp.exp(log_std) * noise
        gaussian = -0.5 * noise**2 - log_std - 0.5 * np.log(2 * np.pi)
        volume = 2 * (np.log(2) - raw - jax.nn.softplus(-2 * raw)) + np.log((self.high - self.low) / 2)
        return _stretch(jnp.tanh(raw), self), jnp.sum(gaussian - volume, axis=-1)

    def log_prob(self, observations: Array, actions: Array, key: Array | None = None) -> Array:
        """See `Policy`; actions on the bounds are moved inside by 1e-5 of the half range."""
        mean, log_std = self.moments(observations, key)
        squashed = jnp.clip(_shrink(actions, self), -1 + _EDGE, 1 - _EDGE)
        standard = (jnp.arctanh(squashed) - mean) * jnp.exp(-log_std)
        gaussian = -0.5 * standard**2 - log_std - 0.5 * np.log(2 * np.pi)
        volume = jnp.log1p(-(squashed**2)) + np.log((self.high - self.low) / 2)
        return jnp.sum(gaussian - volume, axis=-1)


def gaussian_log_prob(mean: Array, log_std: Array, raw: Array) -> Array:
    """(...,) log-density of (..., action) draws of independent Gaussians."""
    standard = (raw - mean) * jnp.exp(-log_std)
    return -jnp.sum(0.5 * standard**2 + log_std + 0.5 * np.log(2 * np.pi), axis=-1)


class GaussianPolicy(eqx.Module):
    """A Gaussian with a standard deviation of its own for each action component, the same in every state.

    A draw of the Gaussian is called raw; the action is its tanh, or the raw draw clipped to [-1, 1], stretched to
    the bounds. Methods that compare densities of one action under two policies compare those of the raw draw:
    what lies between is the same for both.

    Attributes:
        network: observations to action_size means.
        log_std: (action,).
        low: lower bound of the actions.
        high: upper bound of the actions.
        squash: tanh, or else clipping.
    """

    network: MLP
    log_std: Array
    low: float = eqx.field(static=True)
    high: float = eqx.field(static=True)
    squash: bool = eqx.field(static=True, default=False)

    def action(self, raw: Array) -> Array:
        """Actions (..., action) of (..., action) raw draws."""
        return _stretch(jnp.tanh(raw) if self.squash else jnp.clip(raw, -1.0, 1.0), self)

    def __call__(self, observations: Array, key: Array | None = None) -> Array:
        """See `Policy`."""
        mean = self.network(observations)
        noise = 0.0 if key is None else jnp.exp(self.log_std) * jax.random.normal(key, mean.shape)
        return self.action(mean + noise)

    def log_prob(self, observations: Array, actions: Array, key: Array | None = None) -> Array:
        """See `Policy`; of a clipped Gaussian it is the density before clipping."""
        unit = _shrink(actions, self)
        volume = np.log((self.high - self.low) / 2)
        if self.squash:
            unit = jnp.clip(unit, -1 + _EDGE, 1 - _EDGE)
            volume = volume + jnp.log1p(-(unit**2))
            unit = jnp.arctanh(unit)
        density = gaussian_log_prob(self.network(observations), self.log_std, unit)
        return density - jnp.sum(jnp.broadcast_to(volume, unit.shape), axis=-1)


class CategoricalPolicy(eqx.Module):
    """A softmax over discrete actions; an action is one-hot, as everywhere (see `Spec`).

    Attributes:
        network: observations to one logit for each action.
        low: lower bound of the actions: 0.
        high: upper bound of the actions: 1.
    """

    network: MLP
    low: float = eqx.field(static=True, default=0.0)
    high: float = eqx.field(static=True, default=1.0)

    def log_probs(self, observations: Array, key: Array | None = None) -> Array:
        """(..., actions) log-probabilities of all actions; `key` as for `log_prob`."""
        return jax.nn.log_softmax(self.network(observations, key))

    def __call__(self, observations: Array, key: Array | None = None) -> Array:
        """See `Policy`; of equally likely actions, the first is the most likely one."""
        logits = self.network(observations)
        chosen = jnp.argmax(logits, -1) if key is None else jax.random.categorical(key, logits)
        return jax.nn.one_hot(chosen, logits.shape[-1])

    def log_prob(self, observations: Array, actions: Array, key: Array | None = None) -> Array:
        """See `Policy`; of one-hot actions."""
        return jnp.sum(actions * self.log_probs(observations, key), axis=-1)


def _stretch(unit: Array, policy: Policy) -> Array:
    return policy.low + (unit + 1) * ((policy.high - policy.low) / 2)


def _shrink(actions: Array, policy: Policy) -> Array:
    return (actions - policy.low) * (2 / (policy.high - policy.low)) - 1


_NETWORK_ONLY: dict[
    str, type[DeterministicPolicy] | type[SquashedGaussianPolicy] | type[CategoricalPolicy]
] = {
    "deterministic": DeterministicPolicy,
    "squashed-gaussian": SquashedGaussianPolicy,
    "categorical": CategoricalPolicy,
}
KINDS: dict[str, type[Policy]] = {**_NETWORK_ONLY, "gaussian": GaussianPolicy}


@eqx.filter_jit
def _forward(policy: Policy, observations: Array) -> Array:
    return policy(observations)


@dataclass(frozen=True)
class TrainedPolicy:
    """A policy with the task it is for: what a run leaves behind, and what `goodpath.load_policy` gives.

    Attributes:
        policy: the policy itself, a pytree.
        spec: sizes and bounds it was trained for.
        about: where it comes from: method, seed, cost limit, steps, ...
    """

    policy: Policy
    spec: Spec
    about: dict[str, Any]

    def __call__(self, observations: ArrayLike) -> NDArray[np.float32]:
        """Most likely actions for one (observation,) or many (batch, observation) observations, as NumPy.

        Raises:
            GoodpathError: the observations have another length, or hold NaN or infinity.
        """
        array = np.asarray(observations, np.float32)
        if array.ndim not in (1, 2) or array.shape[-1] != self.spec.observation_size:
            raise GoodpathError(
                f"the policy for {self.spec.name or 'its task'} takes observations of length "
                f"{self.spec.observation_size}, got shape {array.shape}."
            )
        if not np.isfinite(array).all():
            raise GoodpathError(
                "an observation holds NaN or infinity; mend the sensor before asking for actions."
            )
        return np.asarray(_forward(self.policy, jnp.asarray(array)))

    def save(self, path: str | Path) -> None:
        """Writes the policy as one `.npz` file without pickles: arrays, and a JSON header that explains them."""
        network = self.policy.network
        kind = next(name for name, cls in KINDS.items() if isinstance(self.policy, cls))
        header = {
            "format": FORMAT,
            "version": 1,
            "kind": kind,
            "activation": network.activation,
            "spec": asdict(self.spec),
            "about": self.about,
        }
        arrays = {f"weight_{i}": np.asarray(w) for i, w in enumerate(network.weights)}
        arrays |= {f"bias_{i}": np.asarray(b) for i, b in enumerate(network.biases)}
        if network.near.columns:
            header["near"] = asdict(network.near)
        if isinstance(self.policy, GaussianPolicy):
            header["squash"] = self.policy.squash
            arrays["log_std"] = np.asarray(self.policy.log_std)
        with replacing(Path(path)) as temporary, temporary.open("wb") as file:
            np.savez(
                file,
                allow_pickle=False,
                header=np.frombuffer(json.dumps(header).encode(), np.uint8),
                **arrays,
            )


def _spec(values: dict[str, Any]) -> Spec:
    keys = tuple((str(name), int(length)) for name, length in values.get("observation_keys", ()))
    return Spec(**values | {"observation_keys": keys})


def _near(values: dict[str, Any], spec: Spec) -> Near:
    columns = tuple(int(column) for column in values["columns"])
    if not all(0 <= column < spec.observation_size for column in columns):
        raise ValueError("it looks beyond the observation")
    return Near(columns, float(values["power"]))


def load_policy(path: str | Path) -> TrainedPolicy:
    """Reads a policy written by `TrainedPolicy.save`. Loading never runs code from the file.

    Raises:
        GoodpathError: the file is missing, damaged or not a policy.
    """
    path = Path(path)
    if not path.is_file():
        raise GoodpathError(f"no policy at {path}; a run keeps its policies in its folder `policies`.")
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            header = json.loads(file["header"].tobytes())
            if header["format"] != FORMAT or header["version"] != 1:
                raise KeyError(FORMAT)
            layers = sum(name.startswith("weight_") for name in file.files)
            spec = _spec(header["spec"])
            network = MLP(
                tuple(jnp.asarray(file[f"weight_{i}"]) for i in range(layers)),
                tuple(jnp.asarray(file[f"bias_{i}"]) for i in range(layers)),
                activation=header.get("activation", "relu"),
                near=_near(header.get("near", asdict(Near())), spec),
            )
            policy: Policy
            if header["kind"] == "gaussian":
                log_std = jnp.asarray(file["log_std"])
                policy = GaussianPolicy(network, log_std, spec.action_low, spec.action_high, header["squash"])
            else:
                policy = _NETWORK_ONLY[header["kind"]](network, spec.action_low, spec.action_high)
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise GoodpathError(f"{path} is not a policy of goodpath, or is damaged ({error}).") from None
    return TrainedPolicy(policy, spec, header["about"])


def parameters_sha256(policy: Policy) -> str:
    """SHA-256 of all parameters, bit by bit: two policies are equal exactly when their hashes are."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(policy):
        array = np.ascontiguousarray(leaf)
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
