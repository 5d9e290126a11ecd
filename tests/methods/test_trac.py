"""TraC against hand-made data, closed forms and a plain NumPy reading of the equations."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from goodpath.errors import GoodpathError
from goodpath.methods.contract import Data
from goodpath.methods.segments import Segments, draw_segments, segment_length
from goodpath.methods.trac import (
    RELEASE,
    TRAC,
    Config,
    _classify_optimizer,
    classify_loss,
    enter_classify,
    init,
    log_likelihood,
    reference_log_probs,
    score,
    undesirable_weight,
    update_classify,
    update_clone,
)
from goodpath.spec import Spec
from goodpath.trajectories import Dataset, Trajectory

SPEC = Spec("", observation_size=3, action_size=2, episode_length=40)


def dataset(lengths=(40,) * 30, seed=0):
    """Trajectories whose cost and return differ from one to the next."""
    rng = np.random.default_rng(seed)
    trajectories = []
    for i, length in enumerate(lengths):
        seen = rng.normal(size=(length, 3)).astype(np.float32)
        trajectories.append(
            Trajectory(
                seen,
                seen,
                rng.uniform(-1, 1, (length, 2)).astype(np.float32),
                rng.uniform(0, 1 + i % 5, length).astype(np.float32),
                (rng.random(length) < 0.02 * (i % 10)).astype(np.float32),
                terminated=False,
                truncated=True,
            )
        )
    return Dataset.from_trajectories(trajectories)


def on_device(data):
    return Data(jnp.asarray(data.observations), jnp.asarray(data.actions), int(data.lengths.max()))


# (a) the number of segments


@pytest.mark.parametrize(
    ("lengths", "ratio", "number"),
    [
        ((1000,) * 4, 0.75, (1000 - 750) // 6 * 4),  # 41 for each
        ((1000,) * 4, 0.25, (1000 - 250) // 6 * 4),  # 125 for each
        ((1000, 1000, 300), 0.75, 41 * 3),  # a short trajectory counts, but is never drawn
        ((1000, 999, 1000, 300), 1.0, 2),  # at ratio 1, only those of full length count
    ],
)
def test_number_of_segments(lengths, ratio, number):
    data = dataset(lengths)
    parents, starts = draw_segments(data, segment_length(ratio, 1000), ratio, np.random.default_rng(0))
    assert len(parents) == number
    length = segment_length(ratio, 1000)
    assert (data.lengths[parents] >= length).all()
    assert (starts >= data.starts[parents]).all()
    assert (starts + length <= data.ends[parents]).all()


def test_segment_starts_cover_every_place():
    data = dataset((40,) * 200)
    parents, starts = draw_segments(data, 20, 0.5, np.random.default_rng(0))
    assert set(starts - data.starts[parents]) == set(range(21))


# (b) weights and labels, against a loop


@pytest.mark.parametrize("labels", ["segments", "trajectories"])
def test_labels_and_weights_equal_a_plain_loop(labels):
    data, limit = dataset(), 4.0
    config = replace(RELEASE, segment_ratio=0.5, top=0.4, bottom=0.3, labels=labels)
    source = Segments(config, data, limit, seed=1)
    length = 20
    parents, starts = draw_segments(data, length, 0.5, np.random.default_rng([1, 1]))
    if labels == "segments":
        returns = np.array([data.rewards[s : s + length].sum(dtype=np.float64) for s in starts])
        costs = np.array([data.costs[s : s + length].sum() for s in starts])
        safe, judged = costs <= limit * length / 40, np.arange(len(starts))
    else:
        whole = [data[i] for i in range(len(data))]
        returns = np.array([t.rewards.sum(dtype=np.float64) for t in whole])
        safe, judged = np.array([t.costs.sum() <= limit for t in whole]), parents
    order = np.flatnonzero(safe)[np.argsort(returns[safe], kind="stable")]
    desirable = set(order[-int(np.ceil(0.4 * len(order))) :])
    bottom = set(order[: int(np.ceil(0.3 * len(order)))])
    expected = {}
    spread = (returns[judged][safe[judged]].min(), returns[judged][safe[judged]].max())
    for start, i in zip(starts, judged, strict=True):
        rank = (returns[i] - spread[0]) / (spread[1] - spread[0])
        if i in desirable:
            expected.setdefault(start, []).append((1.0, 0.3 * rank + 0.7))
        elif i in bottom:
            expected.setdefault(start, []).append((0.0, 0.3 * (1 - rank) + 0.7))
        elif not safe[i]:
            expected.setdefault(start, []).append((0.0, 1.0))
    assert len(source.starts) == sum(map(len, expected.values()))
    for start, label, weight in zip(source.starts, source.labels, source.weights, strict=True):
        assert any(abs(label - y) + abs(weight - w) < 1e-5 for y, w in expected[start])
    assert source.weights.min() >= 0.7 - 1e-6
    assert source.weights.max() <= 1 + 1e-6


def test_equal_returns_give_weight_one():
    data = replace(dataset(), rewards=np.ones(1200, np.float32))
    assert (Segments(replace(RELEASE, segment_ratio=0.5), data, 100.0, 0).weights == 1).all()


# (c) at the start, policy and reference are equal


def prepared(config, seed=0):
    """A state at the start of classification, its data, and the first batch."""
    data = dataset()
    source = Segments(config, data, 4.0, seed)
    state = enter_classify(config, init(config, SPEC, jax.random.key(seed)))
    device = on_device(data)
    device = Data(
        device.observations, device.actions, device.longest, reference_log_probs(config, state, device)
    )
    batch = {name: jnp.asarray(value) for name, value in source.batch("classify", 0).items()}
    return state, device, batch, source


SMALL = replace(RELEASE, segment_ratio=0.5, hidden=(16, 16), dropout=0.0, steps=100)


@pytest.mark.parametrize("policy", ["deterministic", "gaussian"])
def test_equal_policy_and_reference_score_zero(policy):
    config = replace(SMALL, policy=policy)
    state, data, batch, source = prepared(config)
    scores = score(config, state.policy, data, batch["starts"], source.length, None)
    np.testing.assert_allclose(scores, 0, atol=1e-4)
    _, metrics = update_classify(config, state, data, batch)
    weights = np.where(batch["labels"] > 0, 1, undesirable_weight(batch["labels"], batch["mask"], config.eta))
    kept = np.asarray(batch["mask"]) > 0
    expected = np.log(2) * (weights * np.asarray(batch["weights"]))[kept].mean()
    np.testing.assert_allclose(metrics["loss"], expected, rtol=1e-4)


def test_dropout_lowers_the_score_at_the_start():
    config = replace(SMALL, dropout=0.25)
    state, data, batch, source = prepared(config)
    scores = score(config, state.policy, data, batch["starts"], source.length, jax.random.key(0))
    assert float(scores.mean()) < -1e-3


def test_score_equals_numpy():
    config = replace(SMALL, discount=0.9)
    state, data, batch, source = prepared(config)
    other = init(config, SPEC, jax.random.key(9)).policy
    got = score(config, other, data, batch["starts"], source.length, None)
    for start, value in zip(np.asarray(batch["starts"]), np.asarray(got), strict=True):
        total = 0.0
        for t in range(source.length):
            seen, action = data.observations[start + t], data.actions[start + t]
            mine = -((np.asarray(other(seen)) - action) ** 2).sum()
            reference = -((np.asarray(state.reference(seen)) - action) ** 2).sum()
            total += config.alpha * 0.9**t * float(mine - reference)
        assert abs(value - total) < 1e-4


# (d) the clamp


def test_gradient_is_zero_beyond_the_clamp_and_not_with_the_exact_form():
    labels = jnp.ones(3)
    scores = jnp.asarray([-13.0, -14.0, -30.0])
    clamped = jax.grad(lambda s: log_likelihood(s, labels, 1e-6).sum())(scores)
    exact = jax.grad(lambda s: log_likelihood(s, labels, 0.0).sum())(scores)
    assert clamped[0] > 0.9
    assert (clamped[1:] == 0).all()
    np.testing.assert_allclose(exact, 1, atol=1e-4)
    np.testing.assert_allclose(log_likelihood(-scores, 1 - labels, 1e-6), np.log(1e-6), atol=1.0)


# (e) the learning rate


@pytest.mark.parametrize(("update", "rate"), [(1, 1e-9), (5_000, 5e-6), (10_000, 1e-5), (20_000, 1e-5)])
def test_learning_rate_warms_up(update, rate):
    optimizer = _classify_optimizer(RELEASE)
    parameters = jnp.zeros(())
    state = optimizer.init(parameters)
    # Adam's step for a constant gradient is the learning rate; put its counters where they would be.
    state = jax.tree.map(
        lambda leaf: jnp.asarray(update - 1, leaf.dtype) if leaf.dtype == jnp.int32 else leaf, state
    )
    first, second = 1 - 0.9**update, 1 - 0.999**update
    state = (
        state[0]._replace(mu=jnp.asarray(1 - 0.9 ** (update - 1)), nu=jnp.asarray(1 - 0.999 ** (update - 1))),
        *state[1:],
    )
    assert first > 0 < second
    changes, _ = optimizer.update(jnp.ones(()), state, parameters)
    np.testing.assert_allclose(-changes, rate, rtol=1e-3)


# (f) the weight of the undesirable


def test_weight_of_undesirable_segments():
    labels = jnp.asarray([1.0] * 24 + [0.0] * 72)
    np.testing.assert_allclose(undesirable_weight(labels, jnp.ones(96), 0.25), 0.25 * 24 / 72, rtol=1e-6)
    assert float(undesirable_weight(jnp.ones(4), jnp.ones(4), 0.5)) == 2.0  # finite, and multiplies nothing
    assert float(undesirable_weight(jnp.zeros(4), jnp.ones(4), 0.5)) == 0.0


def test_pieces_of_a_batch_add_up_to_the_whole(monkeypatch):
    state, data, batch, _ = prepared(SMALL)
    whole, _ = update_classify(SMALL, state, data, batch)
    monkeypatch.setattr("goodpath.methods.trac.ROWS_AT_ONCE", 40)
    pieces, _ = update_classify(SMALL, state, data, batch)
    for a, b in zip(jax.tree.leaves(whole.policy), jax.tree.leaves(pieces.policy), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-7)


def test_a_short_batch_counts_only_what_is_in_it():
    state, data, batch, _ = prepared(SMALL)
    kept = 10
    mask = (jnp.arange(96) < kept).astype(jnp.float32)
    other = init(SMALL, SPEC, jax.random.key(5)).policy
    state = replace(state, policy=other)
    _, masked = update_classify(SMALL, state, data, {**batch, "mask": mask})
    short = {name: value[:kept] for name, value in batch.items()}
    _, alone = update_classify(SMALL, state, data, short)
    for name in masked:
        np.testing.assert_allclose(masked[name], alone[name], rtol=1e-4, atol=1e-5)


def test_classification_raises_desirable_above_undesirable():
    config = replace(SMALL, learning_rate=3e-3, warmup=0, batch_size=32, hidden=(64, 64))
    state, data, _, source = prepared(config)
    step = jax.jit(update_classify, static_argnums=0)
    for i in range(200):
        batch = {name: jnp.asarray(value) for name, value in source.batch("classify", i).items()}
        state, metrics = step(config, state, data, batch)
    assert float(metrics["accuracy"]) > 0.9
    assert float(metrics["score_desirable"]) > 0 > float(metrics["score_undesirable"])
    for a, b in zip(
        jax.tree.leaves(state.reference), jax.tree.leaves(prepared(config)[0].reference), strict=True
    ):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("clone_data", ["labelled", "safe", "all"])
def test_the_reference_clones_what_it_is_told_to(clone_data):
    data = dataset((40,) * 12)
    config = replace(
        RELEASE,
        clone_data=clone_data,
        clone_batch_size=64,
        segment_ratio=0.5,
        labels="trajectories",
        top=0.25,
        bottom=0.0,
    )
    source = Segments(config, data, 4.0, 0)
    seen = set()
    for step in range(40):
        batch = source.batch("clone", step)
        seen |= set(batch["steps"][batch["mask"] > 0].tolist())
    safe = np.repeat(data.outcomes().costs <= 4.0, 40)
    if clone_data == "all":
        assert seen == set(range(480))
    elif clone_data == "safe":
        assert seen == set(np.flatnonzero(safe))
    else:
        assert seen == {s + t for s in source.starts for t in range(source.length)}


def test_cloning_finds_the_action():
    data = dataset()
    actions = np.stack([0.5 * np.tanh(data.observations[:, 0]), np.full(1200, -0.25)], 1).astype(np.float32)
    data = replace(data, actions=actions)
    config = replace(Config(), steps=1_000, clone_fraction=1.0, clone_batch_size=128, hidden=(32, 32))
    source, state, device = (
        Segments(config, data, 4.0, 0),
        init(config, SPEC, jax.random.key(0)),
        on_device(data),
    )
    step = jax.jit(update_clone, static_argnums=0)
    for i in range(1_000):
        batch = {name: jnp.asarray(value) for name, value in source.batch("clone", i).items()}
        state, metrics = step(config, state, device, batch)
    assert float(metrics["loss"]) < 1e-3


def test_presets_are_what_they_say():
    presets = TRAC.presets
    assert presets["release"].steps == 100_001
    assert round(presets["release"].clone_fraction * presets["release"].steps) == 30_000
    assert presets["release-metadrive"].discount == 1.0
    assert presets["release-bullet"].bottom == 0.0
    assert presets["paper"].policy == "gaussian"
    assert sum(phase.steps for phase in TRAC.phases(presets["release"])) == 100_001


def test_bad_input_is_explained():
    with pytest.raises(GoodpathError, match="top is 0, but it has to be above 0"):
        Config(top=0.0)
    with pytest.raises(GoodpathError, match=r"bottom is 1.5, but it has to lie in \[0, 1\]"):
        Config(bottom=1.5)
    with pytest.raises(GoodpathError, match="raise the cost limit"):
        Segments(RELEASE, replace(dataset(), costs=np.ones(1200, np.float32)), 4.0, 0)
    with pytest.raises(GoodpathError, match="less than one step"):
        Segments(replace(RELEASE, segment_ratio=0.01), dataset(), 4.0, 0)


def test_loss_of_a_perfect_classifier_is_small():
    state, data, batch, source = prepared(SMALL)
    shifted = Data(data.observations, data.actions, data.longest, data.derived - 100.0)
    desirable = {**batch, "labels": jnp.ones(96), "weights": jnp.ones(96)}
    loss, sums = classify_loss(SMALL, state.policy, shifted, desirable, source.length, jax.random.key(0))
    assert float(loss) < 1e-3
    assert float(sums["accuracy"]) == float(batch["mask"].sum())
