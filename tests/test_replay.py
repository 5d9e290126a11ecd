"""The ring against a Python list, and draws of different numbers against what chance allows."""

from collections import Counter
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from goodpath.replay import Ring, Table, different, indices


def test_a_ring_keeps_the_newest_rows():
    ring = Ring.empty(5, jnp.zeros(1))
    everything = []
    for start in range(0, 24, 4):
        rows = jnp.arange(start, start + 4, dtype=jnp.float32)[:, None]
        mask = rows[:, 0] % 3 != 0
        everything += [float(x) for x in rows[np.asarray(mask), 0]]
        ring = ring.push(rows, mask)
        assert int(ring.size) == min(5, len(everything))
        held = sorted(np.asarray(ring.rows[: int(ring.size), 0]).tolist())
        assert held == sorted(everything[-5:])
    drawn = set(np.asarray(ring.sample(jax.random.key(0), 200))[:, 0].tolist())
    assert drawn == set(everything[-5:])


def test_adding_one_by_one_keeps_the_fields_of_a_row_together():
    row = {"number": jnp.zeros((), jnp.int32), "pair": jnp.zeros(2), "odd": jnp.zeros((), jnp.bool_)}
    ring, held, add = Ring.empty(4, row), [], jax.jit(Ring.add)
    for i in range(11):
        ring = add(ring, {"number": jnp.int32(i), "pair": jnp.array([i, -i], jnp.float32), "odd": i % 2 == 1})
        held = [*held, i][-4:]
        drawn = ring.sample(jax.random.key(i), 60)
        assert set(drawn["number"].tolist()) == set(held)
        assert drawn["pair"].tolist() == [[n, -n] for n in drawn["number"].tolist()]
        assert drawn["odd"].tolist() == [n % 2 == 1 for n in drawn["number"].tolist()]
    assert int(ring.pushed) < 8  # the count does not run away


def test_different_numbers_are_different_and_every_one_is_as_likely():
    draws = np.asarray(jax.vmap(lambda key: different(key, 20, 5))(jax.random.split(jax.random.key(0), 4000)))
    assert all(len(set(row)) == 5 for row in draws.tolist())
    counts = np.bincount(draws.ravel(), minlength=20)
    # Each number is in a draw with probability 1/4: 1000 times, with a spread of 27.
    assert len(counts) == 20
    assert np.abs(counts - 1000).max() < 4 * 27.4
    pairs = Counter(tuple(sorted(pair)) for row in draws.tolist() for pair in pairwise(row))
    # Any of the 190 pairs stands side by side 4 * 4000 / 190 = 84 times.
    assert len(pairs) == 190
    assert max(pairs.values()) < 84 + 5 * 9.2
    assert sorted(np.asarray(different(jax.random.key(1), 7, 7)).tolist()) == list(range(7))


def test_a_table_keeps_the_newest_rows_of_each_owner_and_ring_apart():
    rng = np.random.default_rng(0)
    table, push = Table.empty(2, 2, 5, 1), jax.jit(Table.push)
    everything = {(owner, ring): [] for owner in range(2) for ring in range(2)}
    for start in range(0, 60, 4):
        rows = np.stack([np.arange(start, start + 4), -np.arange(start, start + 4) - 1]).astype(np.float32)
        ring = rng.integers(0, 2, (2, 4))
        for owner in range(2):
            for row, which in zip(rows[owner], ring[owner], strict=True):
                everything[owner, int(which)].append(float(row))
        table = push(table, jnp.asarray(rows[..., None]), jnp.asarray(ring))
        held = np.asarray(table.rows).reshape(2, 2, 5)
        for (owner, which), pushed in everything.items():
            size = int(table.size[owner, which])
            assert size == min(5, len(pushed))
            assert sorted(held[owner, which, :size]) == sorted(pushed[-5:])
    assert int(table.pushed.max()) < 10  # the count does not run away
    places = table.draw(jax.random.split(jax.random.key(0), 2), (3, 1), 100)
    drawn = np.asarray(table.rows)[np.asarray(places), 0]
    for owner in range(2):
        assert set(drawn[owner, :, :3].ravel()) == set(everything[owner, 0][-5:])
        assert set(drawn[owner, :, 3:].ravel()) == set(everything[owner, 1][-5:])


def test_what_should_come_from_an_empty_ring_comes_from_the_other_one():
    rows = jnp.arange(1.0, 4.0)[None, :, None]
    table = Table.empty(1, 2, 5, 1).push(rows, jnp.ones((1, 3), jnp.int32))
    drawn = table.rows[table.draw(jax.random.split(jax.random.key(0), 1), (3, 1), 50)]
    assert set(np.asarray(drawn).ravel().tolist()) == {1.0, 2.0, 3.0}


@pytest.mark.parametrize("size", [3, 5, 33])
def test_ordered_pairs_of_different_numbers_are_all_as_likely(size):
    draws = np.asarray(
        jax.vmap(lambda key: different(key, size, 3))(jax.random.split(jax.random.key(0), 20000))
    )
    counts = np.zeros((size, size))
    np.add.at(counts, (draws[:, 0], draws[:, 2]), 1)
    possible = ~np.eye(size, dtype=bool)
    assert counts[~possible].sum() == 0
    mean = 20000 / possible.sum()
    surplus = (((counts[possible] - mean) ** 2) / mean).sum() - (possible.sum() - 1)
    assert abs(surplus) < 4 * np.sqrt(2 * possible.sum())


def test_numbers_drawn_with_replacement_are_all_as_likely_and_independent():
    draws = np.asarray(jax.vmap(lambda key: indices(key, 64, 7))(jax.random.split(jax.random.key(0), 2000)))
    counts = np.zeros((7, 7))
    np.add.at(counts, (draws[:, :-1], draws[:, 1:]), 1)
    mean = draws[:, 1:].size / 49
    assert abs(((counts - mean) ** 2 / mean).sum() - 48) < 4 * np.sqrt(2 * 48)
