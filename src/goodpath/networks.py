"""Networks: the multilayer perceptron that every method here uses, and what makes it fast.

A network is a pytree whose matrices are (inputs, outputs), applied to a whole batch at once.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

Activation = Literal["relu", "tanh"]


def mix(words: Array) -> Array:
    """Mixes 32-bit words so that every input bit flips about half of the output bits."""
    words = (words ^ (words >> 16)) * jnp.uint32(0x7FEB352D)
    words = (words ^ (words >> 15)) * jnp.uint32(0x846CA68B)
    return words ^ (words >> 16)


def dropout(inputs: Array, rate: float, key: Array) -> Array:
    """Sets a share `rate` of the (..., features) inputs to zero and scales the others by 1 / (1 - rate).

    The mask is a hash of each element's index and the key, computed where it is used: it costs a few integer
    operations inside the surrounding loop and no memory, where a general random generator would take longer
    than the matrix products it sits between. Masks of different keys are independent for the purpose.

    Args:
        inputs: (..., features).
        rate: probability that an element is dropped, in [0, 1).
        key: JAX random key.
    """
    if rate == 0.0:
        return inputs
    seeds = jax.random.bits(key, (2,), jnp.uint32)
    index = jnp.arange(math.prod(inputs.shape), dtype=jnp.uint32).reshape(inputs.shape)
    keep = mix(index * jnp.uint32(0x9E3779B1) + seeds[0]) ^ seeds[1] >= jnp.uint32(round(rate * 2**32))
    return jnp.where(keep, inputs / (1.0 - rate), 0.0)


def normal(key: Array, shape: tuple[int, ...]) -> Array:
    """Standard normal numbers of a shape, by a hash of each element's index and the key.

    Like `dropout`, it costs one fused loop; it is for the noise of actions in updates, of which there are many.

    Args:
        key: JAX random key, of which the bits themselves are used.
        shape: of the result.
    """
    seeds = jax.random.key_data(key).reshape(-1)
    index = jnp.arange(math.prod(shape), dtype=jnp.uint32).reshape(shape) * jnp.uint32(0x9E3779B1)
    first = mix(mix(index + seeds[0]) ^ seeds[1])
    second = mix(first ^ jnp.uint32(0x85EBCA6B))
    # Box and Muller; the first number is never 0, where the logarithm ends.
    radius = jnp.sqrt(-2.0 * jnp.log(((first >> 8).astype(jnp.float32) + 0.5) * 2.0**-24))
    return radius * jnp.cos((second >> 8).astype(jnp.float32) * (2.0 * math.pi * 2.0**-24))


ACTIVATIONS = {"relu": jax.nn.relu, "tanh": jnp.tanh}


@dataclass(frozen=True)
class Near:
    """Adds a steep copy of some inputs, readings from 0 to 1 such as a lidar's, so that what is near stands out.

    A lidar that reaches 3 m says 0.93 at a hazard's border and 0.97 inside: less than a network finds out by itself
    (`docs/sagui.md`).

    Attributes:
        columns: which inputs; without any, inputs stay as they are.
        power: that the copies are raised to.
    """

    columns: tuple[int, ...] = ()
    power: float = 1.0

    def __call__(self, inputs: Any, numpy: Any = jnp) -> Any:
        """(..., inputs + columns) for (..., inputs); `numpy` is the library that computes them."""
        if not self.columns:
            return inputs
        copies = numpy.maximum(inputs[..., numpy.asarray(self.columns)], 0.0) ** self.power
        return numpy.concatenate([inputs, copies], axis=-1)


class MLP(eqx.Module):
    """A multilayer perceptron with ReLU or tanh between its layers, linear at its end.

    Attributes:
        weights: one (inputs, outputs) matrix for each layer; the first has a row for each of what `near` adds.
        biases: one (outputs,) vector for each layer.
        dropout_rate: probability that a hidden unit's pre-activation is dropped while training.
        activation: what stands between the layers.
        near: is applied to the inputs first.
    """

    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    dropout_rate: float = eqx.field(static=True, default=0.0)
    activation: Activation = eqx.field(static=True, default="relu")
    near: Near = eqx.field(static=True, default=Near())

    def __call__(self, inputs: Array, key: Array | None = None) -> Array:
        """Applies the network to (..., inputs) and gives (..., outputs).

        Args:
            inputs: (..., inputs).
            key: with it, dropout is active; without, the network is deterministic.
        """
        keys = [None] * len(self.weights) if key is None else list(jax.random.split(key, len(self.weights)))
        hidden = self.near(inputs)
        for weight, bias, layer_key in zip(self.weights[:-1], self.biases[:-1], keys[:-1], strict=True):
            hidden = hidden @ weight + bias
            if layer_key is not None:
                hidden = dropout(hidden, self.dropout_rate, layer_key)
            hidden = ACTIVATIONS[self.activation](hidden)
        return hidden @ self.weights[-1] + self.biases[-1]

    def columns(self, inputs: Array) -> Array:
        """Applies the network without dropout to (batch, inputs) and gives (outputs, batch).

        On a CPU this is the faster way round for narrow networks and large batches.
        """
        hidden = self.near(inputs).T
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden = ACTIVATIONS[self.activation](weight.T @ hidden + bias[:, None])
        return self.weights[-1].T @ hidden + self.biases[-1][:, None]


def orthogonal(key: Array, rows: int, columns: int) -> Array:
    """A random (rows, columns) matrix with orthonormal columns, or rows where they are fewer, uniformly drawn.

    Gram-Schmidt on a Gaussian matrix, each column twice so that rounding does not add up. A QR factorisation by
    LAPACK would do, but jaxlib's batched one, which `vmap` over seeds calls, waits inside the thread pool for
    that same pool and now and then hangs for ever on machines with few cores.
    """
    long, short = max(rows, columns), min(rows, columns)
    gaussian = jax.random.normal(key, (short, long), jnp.float32)

    def add(i: Array, basis: Array) -> Array:
        vector = gaussian[i]
        for _ in range(2):
            vector = vector - (basis @ vector) @ basis
            vector = vector / jnp.linalg.norm(vector)
        return basis.at[i].set(vector)

    basis = jax.lax.fori_loop(0, short, add, jnp.zeros((short, long), jnp.float32))
    return basis if rows < columns else basis.T


def mlp(
    sizes: Sequence[int],
    key: Array,
    *,
    dropout_rate: float = 0.0,
    gain: float = 1.0,
    last_gain: float | None = None,
    activation: Activation = "relu",
) -> MLP:
    """An MLP with orthogonal weights and zero biases.

    Args:
        sizes: inputs, hidden layers, outputs.
        key: JAX random key.
        dropout_rate: see `MLP`.
        gain: factor on the orthogonal matrices.
        last_gain: factor on the last one; `gain` when left out.
        activation: see `MLP`.
    """
    shapes = list(pairwise(sizes))
    keys = jax.random.split(key, len(shapes))
    gains = [gain] * (len(shapes) - 1) + [gain if last_gain is None else last_gain]
    return MLP(
        weights=tuple(g * orthogonal(k, *shape) for g, k, shape in zip(gains, keys, shapes, strict=True)),
        biases=tuple(jnp.zeros(outputs, jnp.float32) for _, outputs in shapes),
        dropout_rate=dropout_rate,
        activation=activation,
    )


def xavier_mlp(
    sizes: Sequence[int],
    key: Array,
    *,
    heads: Sequence[int] = (),
    bias: float = 0.0,
    last_gain: float = 1.0,
    activation: Activation = "relu",
) -> MLP:
    """An MLP with Xavier-uniform weights, drawn between +- sqrt(6 / (inputs + outputs)) of their layer.

    Args:
        sizes: inputs, hidden layers, and outputs where there are no heads.
        key: JAX random key.
        heads: outputs of several last layers side by side, each drawn as a layer of its own.
        bias: what all biases begin with.
        last_gain: factor on the weights of the last layer.
        activation: see `MLP`.
    """
    layers: list[tuple[int, tuple[int, ...]]]
    layers = [(inputs, (outputs,)) for inputs, outputs in pairwise(sizes)]
    if heads:
        layers.append((sizes[-1], tuple(heads)))

    def draw(key: Array, inputs: int, outputs: int) -> Array:
        bound = math.sqrt(6 / (inputs + outputs))
        return jax.random.uniform(key, (inputs, outputs), jnp.float32, -bound, bound)

    keys = jax.random.split(key, len(layers))
    weights = [
        jnp.concatenate([draw(jax.random.fold_in(k, i), inputs, out) for i, out in enumerate(outs)], axis=1)
        for k, (inputs, outs) in zip(keys, layers, strict=True)
    ]
    weights[-1] = last_gain * weights[-1]
    biases = [jnp.full(weight.shape[1], bias, jnp.float32) for weight in weights]
    return MLP(tuple(weights), tuple(biases), activation=activation)
