"""What learning draws from: a ring buffer of the newest rows, and different rows of a fixed set."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from goodpath.networks import mix

_ODD = jnp.uint32(0x9E3779B1)


class Ring(eqx.Module):
    """The newest rows of what was pushed.

    Attributes:
        rows: a pytree of arrays (capacity, ...).
        pushed: () rows so far.
    """

    rows: Any
    pushed: Array

    @classmethod
    def empty(cls, capacity: int, row: Any) -> "Ring":
        """A ring without rows; `row` is a pytree of arrays like those of one row."""
        rows = jax.tree.map(lambda leaf: jnp.zeros((capacity, *leaf.shape), leaf.dtype), row)
        return cls(rows, jnp.zeros((), jnp.int32))

    @property
    def capacity(self) -> int:
        """Rows that fit."""
        return int(jax.tree.leaves(self.rows)[0].shape[0])

    @property
    def size(self) -> Array:
        """() rows that are there."""
        return jnp.minimum(self.pushed, self.capacity)

    def _counted(self, pushed: Array) -> Array:
        # Past two capacities the count starts over at one, lest it overflow.
        return jnp.where(pushed >= 2 * self.capacity, pushed - self.capacity, pushed)

    def add(self, row: Any) -> "Ring":
        """With one more row, a pytree like that of `empty`."""
        place = self.pushed % self.capacity
        rows = jax.tree.map(lambda held, new: held.at[place].set(new), self.rows, row)
        return Ring(rows, self._counted(self.pushed + 1))

    def push(self, rows: Any, mask: Array) -> "Ring":
        """With those of the (N, ...) rows whose mask (N,) is true; N must not exceed the capacity."""
        place = (self.pushed + jnp.cumsum(mask) - 1) % self.capacity
        # Rows that are not wanted go past the end, where they are dropped.
        place = jnp.where(mask, place, self.capacity)
        filled = jax.tree.map(lambda held, new: held.at[place].set(new, mode="drop"), self.rows, rows)
        return Ring(filled, self._counted(self.pushed + jnp.sum(mask, dtype=jnp.int32)))

    def sample(self, key: Array, number: int) -> Any:
        """(number, ...) rows, drawn with replacement; zeros while it is empty."""
        chosen = indices(key, number, jnp.maximum(self.size, 1))
        return jax.tree.map(lambda held: held[chosen], self.rows)


def indices(key: Array, number: int, size: int | Array) -> Array:
    """(number,) whole numbers from 0 up to `size`, itself left out, each drawn for itself.

    Hashes of a counter: of `jax.random.randint` one draw took longer than a layer of a small network.
    """
    seeds = jax.random.bits(key, (2,), jnp.uint32)
    words = mix(mix(jnp.arange(number, dtype=jnp.uint32) * _ODD + seeds[0]) ^ seeds[1])
    return (words % jnp.asarray(size, jnp.uint32)).astype(jnp.int32)


def sample(key: Array, rows: Any, number: int) -> Any:
    """(number, ...) rows of a pytree of (N, ...) arrays, drawn with replacement."""
    chosen = indices(key, number, len(jax.tree.leaves(rows)[0]))
    return jax.tree.map(lambda leaf: leaf[chosen], rows)


def different(key: Array, size: int, number: int) -> Array:
    """(number,) different whole numbers below `size`, in no order; every choice of them is as likely.

    They are where a random permutation takes 0, 1, 2 and so on: a Feistel network, which permutes all numbers of
    as many bits as `size` needs. What is not below `size` is permuted again until it is. For the sizes that
    matter here `jax.random.permutation` takes a hundred times as long, and a sort of hashes ten times.
    """
    half = max(3, -(-(size - 1).bit_length() // 2))
    low = jnp.uint32(2**half - 1)
    seeds = jax.random.bits(key, (8,), jnp.uint32)

    def permuted(words: Array) -> Array:
        left, right = words >> half, words & low
        for seed in seeds:
            left, right = right, left ^ (mix(right + seed) & low)
        return left << half | right

    def again(words: Array) -> Array:
        return jnp.where(words < size, words, permuted(words))

    first = permuted(jnp.arange(number, dtype=jnp.uint32))
    return jax.lax.while_loop(lambda words: jnp.any(words >= size), again, first).astype(jnp.int32)


class Table(eqx.Module):
    """The newest rows of several owners, in several rings for each, as one matrix.

    Attributes:
        rows: (owners * rings * capacity, width).
        pushed: (owners, rings) rows so far.
    """

    rows: Array
    pushed: Array

    @classmethod
    def empty(cls, owners: int, rings: int, capacity: int, width: int) -> "Table":
        """A table without rows."""
        rows = jnp.zeros((owners * rings * capacity, width), jnp.float32)
        return cls(rows, jnp.zeros((owners, rings), jnp.int32))

    @property
    def capacity(self) -> int:
        """Rows that fit into one ring."""
        return len(self.rows) // self.pushed.size

    @property
    def size(self) -> Array:
        """(owners, rings) rows that are there."""
        return jnp.minimum(self.pushed, self.capacity)

    def push(self, rows: Array, ring: Array) -> "Table":
        """With (owners, N, width) more rows, each in the ring (owners, N) of its owner; N is at most the capacity."""
        owners, rings = self.pushed.shape
        chosen = ring[..., None] == jnp.arange(rings)
        before = jnp.cumsum(chosen, axis=1) - chosen
        behind = (self.pushed[:, None] + before) % self.capacity
        first = (jnp.arange(owners)[:, None] * rings + jnp.arange(rings)) * self.capacity
        place = jnp.sum(jnp.where(chosen, first[:, None] + behind, 0), axis=-1)
        filled = self.rows.at[place.reshape(-1)].set(
            rows.reshape(-1, rows.shape[-1]), unique_indices=True, mode="promise_in_bounds"
        )
        pushed = self.pushed + jnp.sum(chosen, axis=1, dtype=jnp.int32)
        # Past two capacities the count starts over at one, lest it overflow.
        return Table(filled, jnp.where(pushed >= 2 * self.capacity, pushed - self.capacity, pushed))

    def draw(self, keys: Array, counts: tuple[int, ...], number: int) -> Array:
        """(owners, number, sum of counts) places of rows, drawn with replacement from the rings in turn.

        What should come from a ring without rows comes from the fullest one.

        Args:
            keys: (owners,) random keys.
            counts: rows from each ring.
            number: of draws.
        """
        owners, rings = self.pushed.shape
        size = self.size
        fullest = jnp.argmax(size, axis=1)[:, None]
        source = jnp.where(size > 0, jnp.arange(rings), fullest)
        source = jnp.repeat(source, jnp.array(counts), axis=1, total_repeat_length=sum(counts))
        bound = jnp.maximum(jnp.take_along_axis(size, source, axis=1), 1)
        first = (jnp.arange(owners)[:, None] * rings + source) * self.capacity

        def one(key: Array, bound: Array, first: Array) -> Array:
            return first + jax.random.randint(key, (number, sum(counts)), 0, bound)

        return jax.vmap(one)(keys, bound, first)
