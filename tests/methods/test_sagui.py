"""SaGui: densities, who acts when, what the guide is worth to the student, and what guides are paid for."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from goodpath import envs
from goodpath.errors import GoodpathError
from goodpath.methods import find, sac_lag, sagui, sagui_guide
from goodpath.methods.contract import Transitions
from goodpath.networks import xavier_mlp
from goodpath.policies import DeterministicPolicy, GaussianPolicy, SquashedGaussianPolicy, TrainedPolicy
from goodpath.spec import Spec
from goodpath.training import guided
from goodpath.training.acting import HostSquashed
from goodpath.training.guided import Composite, Guide, abstraction, find_guide, log_density
from goodpath.training.job import make_config
from goodpath.training.replayed import Layout, ReplayProgram

KEYS = (("accelerometer", 2), ("hazards_lidar", 3))
SOURCE = Spec("Source-v0", 5, 2, 10, observation_keys=KEYS)
TARGET = Spec(
    "Target-v0", 8, 2, 10, observation_keys=(("hazards_lidar", 3), ("goal_lidar", 3), ("accelerometer", 2))
)


def squashed(size, seeds=2, key=0):
    networks = jax.vmap(lambda k: xavier_mlp((size, 8, 4), k))(jax.random.split(jax.random.key(key), seeds))
    return SquashedGaussianPolicy(networks, -1.0, 1.0)


def guidance(composition="control-switch", **options):
    return replace(sagui.guidance(sagui.Config(guide="random", composition=composition)), **options)


def composite(kind, copies=50, step=10_000, **options):
    guide = Guide(HostSquashed(squashed(3, key=1)).moments, np.arange(3), {})
    return Composite(guidance(kind, **options), guide, (2, copies), 1.0, step), HostSquashed(squashed(3))


def numbers(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_densities_are_those_of_the_policy_and_the_authors_mistake_is_theirs():
    policy = squashed(3, seeds=1)
    seen, noise = numbers(0, 1, 6, 3), numbers(1, 1, 6, 2)
    host = HostSquashed(policy)
    mean, log_std = host.moments(seen)
    raw, actions = host.draw(seen, noise)
    one = jax.tree.map(lambda leaf: leaf[0], policy)
    sampled, expected = one.sample(seen[0], noise[0])
    np.testing.assert_allclose(actions[0], sampled, atol=1e-6)
    np.testing.assert_allclose(log_density(mean, log_std, raw)[0], expected, atol=1e-5)
    np.testing.assert_allclose(one.log_prob(seen[0], actions[0]), expected, atol=1e-4)
    known = (np.array([0.3]), np.array([-0.5]), np.array([1.2]))
    assert log_density(*known) == pytest.approx(-0.332, abs=1e-3)
    assert log_density(*known, legacy=True) == pytest.approx(-0.179, abs=1e-3)
    assert log_density(*known, half=2.0) == pytest.approx(-0.332 - np.log(2), abs=1e-3)


def test_the_switch_waits_for_a_cost_and_holds_until_the_episode_ends():
    acting, student = composite("control-switch", copies=40)
    rng = np.random.default_rng(0)
    before, paid = np.zeros((2, 40), bool), np.zeros((2, 40), bool)
    seen_guided = 0
    for t in range(30):
        ended = np.full((2, 40), t % 10 == 9)
        _, extra = acting.act(
            student, numbers(t, 2, 40, 3), numbers(t + 99, 2, 40, 2), np.zeros((2, 40, 2)), 0
        )
        np.testing.assert_array_equal(acting.guided, paid)
        assert np.all(acting.guided[before])
        np.testing.assert_array_equal(extra["ratio"][~acting.guided], 1.0)
        assert np.all((extra["ratio"] >= 0.1) & (extra["ratio"] <= 2.0))
        seen_guided += acting.guided.sum()
        costs = (rng.random((2, 40)) < 0.1).astype(float)
        paid = (paid | (costs > 0)) & ~ended
        before = acting.guided & ~ended
        acting.after(costs, ended)
    assert seen_guided > 200
    assert acting.scores()["guide_share"].mean() == pytest.approx(seen_guided / (30 * 80))


def test_at_the_beginning_the_guide_acts_alone():
    for step, leads in ((0, True), (9_999, True), (10_000, False)):
        acting, student = composite("control-switch", step=step)
        for _ in range(2):
            acting.act(student, numbers(0, 2, 50, 3), numbers(1, 2, 50, 2), np.zeros((2, 50, 2)), 0.0)
            assert np.all(acting.guided == leads)
            acting.after(np.zeros((2, 50)), np.ones((2, 50), bool))
    assert not composite("student", step=0)[0].guided.any()


def test_in_some_copies_the_student_stays_alone():
    ones = np.ones((2, 10))
    for step, alone in ((0, 0), (10_000, 3)):
        acting, _ = composite("control-switch", copies=10, step=step, alone=0.3)
        acting.after(ones, ones > 1)
        assert acting.alone.sum() == alone
        np.testing.assert_array_equal(acting.guided, np.broadcast_to(~acting.alone, (2, 10)))
    assert not composite("student", alone=0.3)[0].alone.any()
    config = sagui.Config(guide="random", num_envs=4)
    assert sagui.guidance(replace(config, alone=0.25)).alone == 0.25
    for share in (0.1, -0.5, 1.5):
        with pytest.raises(GoodpathError, match=r"of 4 copies; give --alone 0, or from 0.25 to 1"):
            sagui.guidance(replace(config, alone=share))


def test_what_the_student_costs_alone_is_counted_apart():
    # Every step costs 1, and the guide takes over after the first: episodes of ten steps, five of ten copies alone.
    options = {"batch": 16, "hidden": (8,), "steps": 200, "every": 10, "stretch": 10, "num_envs": 10}
    program = probe("ProbeLine-v0", alone=0.5, guide_first=0, **options)
    log = program.advance(100)
    together, alone = np.asarray(program.states[0].episode_costs)[0]
    assert 0 < alone < 10
    assert 0 < together < 10
    assert log["alone_cost"][0] == pytest.approx(alone)
    assert log["cost"][0] == pytest.approx((alone + together) / 2)
    assert log["guide_share"][0] == pytest.approx(0.45)
    assert np.asarray(program.states[0].replay.size)[0].tolist() == [55, 45]


def test_actions_and_ratios_are_of_whoever_acts():
    acting, student = composite("control-switch", copies=6, bounds=(0.0, 1e9), floor=-1e9)
    acting.guided[:, ::2] = True
    seen, noise = numbers(0, 2, 6, 3), numbers(1, 2, 6, 2)
    actions, extra = acting.act(student, seen, noise, np.zeros((2, 6, 2)), 0.0)
    for seed in range(2):
        own, other = (jax.tree.map(lambda x, s=seed: x[s], squashed(3, key=key)) for key in (0, 1))
        for copy in range(6):
            acts = other if copy % 2 == 0 else own
            expected, density = acts.sample(seen[seed, copy], noise[seed, copy])
            np.testing.assert_allclose(actions[seed, copy], expected, atol=1e-5)
            of_guide = other.log_prob(seen[seed, copy], expected)
            np.testing.assert_allclose(extra["guide_log_prob"][seed, copy], of_guide, atol=1e-3)
            mine = own.log_prob(seen[seed, copy], expected)
            wanted = np.exp(mine - density) if copy % 2 == 0 else 1.0
            np.testing.assert_allclose(extra["ratio"][seed, copy], wanted, rtol=1e-2)


def test_with_linear_decay_the_guide_acts_less_and_less():
    acting, student = composite("linear-decay", copies=200)
    rng, shares, constant = np.random.default_rng(0), [], []
    for progress in (0.0, 0.5, 1.0):
        acting.after(np.zeros((2, 200)), np.ones((2, 200), bool))
        who = []
        for _ in range(20):
            acting.act(
                student, numbers(0, 2, 200, 3), numbers(1, 2, 200, 2), rng.random((2, 200, 2)), progress
            )
            who.append(acting.guided)
            acting.after(np.zeros((2, 200)), np.zeros((2, 200), bool))
        shares.append(np.mean(who))
        constant.append(np.mean(np.all(np.array(who) == who[0], axis=0)))
    assert shares[0] == 1.0
    assert shares[1] == pytest.approx(0.5, abs=0.05)
    assert shares[2] == 0.0
    # Half way, half of the episodes are drawn once; no other keeps to one side for twenty steps.
    assert constant[1] == pytest.approx(0.5, abs=0.08)


def test_the_map_of_states_goes_by_the_names_of_their_parts():
    seen = np.arange(8)
    assert abstraction(SOURCE, TARGET).tolist() == [6, 7, 0, 1, 2]
    assert seen[abstraction(TARGET, TARGET)].tolist() == list(range(8))
    with pytest.raises(GoodpathError, match=r"sees goal_lidar \(3\), which Source-v0 does not show"):
        abstraction(TARGET, SOURCE)
    with pytest.raises(GoodpathError, match="their parts have no names"):
        abstraction(Spec("A", 3, 2, 10), TARGET)
    student, guide = (envs.make(f"SaguiStatic{role}-v0").spec for role in ("Student", "Guide"))
    kept = abstraction(guide, student)
    assert len(kept) == 28
    assert kept.tolist() == list(range(28))  # all but the goal's sixteen


@pytest.mark.parametrize("kind", ["squashed", "gaussian", "clipped", "deterministic"])
def test_any_policy_can_guide(tmp_path, kind):
    network = xavier_mlp((5, 8, 4 if kind == "squashed" else 2), jax.random.key(0))
    network = eqx.tree_at(lambda n: n.weights[-1], network, 0.1 * network.weights[-1])
    log_std = jnp.array([-1.0, -2.0])
    policy = {
        "squashed": lambda: SquashedGaussianPolicy(network, -1.0, 1.0),
        "gaussian": lambda: GaussianPolicy(network, log_std, -1.0, 1.0, True),
        "clipped": lambda: GaussianPolicy(network, log_std, -1.0, 1.0, False),
        "deterministic": lambda: DeterministicPolicy(network, -1.0, 1.0),
    }[kind]()
    TrainedPolicy(policy, SOURCE, {"cost_limit": 4.0}).save(tmp_path / "guide.npz")
    guide = find_guide(guidance(guide=str(tmp_path / "guide.npz"), std=0.2), TARGET, (8,), (0, 1))
    seen = numbers(0, 2, 6, 8)
    mean, log = guide.moments(seen)
    expected = np.asarray(policy(np.concatenate([seen[..., 6:], seen[..., :3]], axis=-1)))
    np.testing.assert_allclose(np.tanh(mean), expected, atol=1e-5)
    if kind in ("gaussian", "clipped"):
        np.testing.assert_allclose(log[1, 2], log_std)
    if kind == "deterministic":
        np.testing.assert_allclose(log, np.log(0.2), rtol=1e-6)
    assert guide.about["cost_limit"] == 4.0


def test_an_onnx_file_can_guide_where_its_runtime_is_installed(tmp_path, monkeypatch):
    file = tmp_path / "guide.onnx"
    with pytest.raises(GoodpathError, match="there is no file"):
        find_guide(guidance(guide=str(file)), TARGET, (8,), (0,))
    file.touch()
    monkeypatch.setattr(guided, "find_spec", lambda name: None)
    with pytest.raises(GoodpathError, match="install onnxruntime"):
        find_guide(guidance(guide=str(file)), TARGET, (8,), (0,))

    class Session:
        def __init__(self, path):
            self.path = path

        def get_inputs(self):
            return [SimpleNamespace(name="seen", shape=["batch", 8])]

        def run(self, names, feed):
            return [0.5 * np.tanh(feed["seen"][:, :2])]

    monkeypatch.setattr(guided, "find_spec", lambda name: True)
    monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace(InferenceSession=Session))
    seen = numbers(0, 1, 4, 8)
    mean, _ = find_guide(guidance(guide=str(file)), TARGET, (8,), (0,)).moments(seen)
    np.testing.assert_allclose(np.tanh(mean), 0.5 * np.tanh(seen[..., :2]), atol=1e-5)


def test_a_guide_that_cannot_act_here_is_refused(tmp_path):
    with pytest.raises(GoodpathError, match="--guide"):
        find_guide(guidance(guide=""), TARGET, (8,), (0,))
    network = xavier_mlp((5, 8, 6), jax.random.key(0))
    other = replace(SOURCE, action_size=3)
    TrainedPolicy(SquashedGaussianPolicy(network, -1.0, 1.0), other, {}).save(tmp_path / "other.npz")
    with pytest.raises(GoodpathError, match="same robot"):
        find_guide(guidance(guide=str(tmp_path / "other.npz")), TARGET, (8,), (0,))


@pytest.mark.parametrize(("batch", "counts"), [(32, (24, 8)), (64, (48, 16)), (256, (192, 64))])
def test_a_quarter_of_a_batch_is_the_guide_s(batch, counts):
    program = probe("ProbeLine-v0", batch=batch, hidden=(8,), steps=200, every=10, stretch=10, guide_first=0)
    assert program._counts == counts
    program.advance(400)
    held = np.asarray(program.states[0].replay.rows).reshape(1, 2, -1, program._layout.width)
    sizes = np.asarray(program.states[0].replay.size)[0]
    # Every step of the probe costs, so the guide takes each step but the first of its episode.
    assert sizes.tolist() == [20, 180]
    layout = Layout(2, 1, guided.extra_fields(1))
    own, other = (layout.unpack(held[0, ring, : sizes[ring]]) for ring in range(2))
    np.testing.assert_array_equal(own.extra["ratio"], 1.0)
    np.testing.assert_array_equal(own.extra["guided"], 0.0)
    np.testing.assert_array_equal(other.extra["guided"], 1.0)
    np.testing.assert_allclose(own.observations[:, 1], 0.0)
    assert np.all(np.asarray(other.observations)[:, 1] > 0.05)
    assert not np.any(np.asarray(other.extra["ratio"]) == 1.0)


def probe(task, guide=None, **options):
    method = find("sagui")
    config = make_config(
        method, "default", {"guide": "random", "num_envs": 20, "start": 0, "capacity": 1000} | options
    )
    env = envs.make(task, config.num_envs)
    guide = guide or find_guide(sagui.guidance(config), env.spec, (8,), (0,))
    return ReplayProgram(method, config, env, options.get("limit", 1.0), (0,), guide=guide)


BATCH = Transitions(
    jnp.asarray(numbers(0, 16, 3)),
    jnp.tanh(numbers(1, 16, 2)),
    jnp.asarray(numbers(2, 16)),
    jnp.asarray(numbers(7, 16) ** 2),
    jnp.asarray(numbers(3, 16, 3)),
    jnp.arange(16) % 5 == 0,
    {
        "guide_log_prob": jnp.asarray(numbers(8, 16)),
        "guided": (jnp.arange(16) >= 12).astype(jnp.float32),
        "ratio": jnp.asarray(np.abs(numbers(9, 16))),
        "guide_mean": jnp.asarray(numbers(10, 16, 2)),
        "guide_log_std": jnp.asarray(numbers(11, 16, 2)),
    },
)
SPEC, KEY, LIMIT = Spec("", 3, 2, 1000), jax.random.key(0), jnp.float32(1.0)


@pytest.mark.parametrize("preset", ["default", "paper", "release"])
def test_omega_follows_the_multiplier_and_the_guide_s_opinion_joins_reward_or_loss(preset):
    config = replace(sagui.SAGUI.presets[preset], hidden=(8,), batch=16, initial_multiplier=3.0)
    state = sagui.init(config, SPEC, KEY)
    scale, floor = {"default": (1.0, 0.01), "paper": (1.0, 0.0), "release": (0.1, 0.01)}[preset]
    omega = float(sagui.weight(config, state))
    assert omega == pytest.approx(scale * 3.0 + floor, rel=1e-5)
    after, metrics = sagui.update(config, LIMIT, state, BATCH, None, KEY)
    assert float(metrics["omega"]) == omega
    paid, penalty, ratio = BATCH, None, BATCH.extra["ratio"]
    moments = BATCH.extra["guide_mean"], BATCH.extra["guide_log_std"]
    if preset == "default":

        def penalty(actor):
            return omega * sagui.divergence(actor, BATCH.observations, *moments).mean()

    else:
        paid = eqx.tree_at(lambda b: b.rewards, BATCH, BATCH.rewards + omega * BATCH.extra["guide_log_prob"])
    power = {"default": 0, "paper": 1, "release": 2}[preset]
    expected, _ = sac_lag.learn(
        config, LIMIT, state.lag, paid, KEY, penalty=penalty, weights=ratio, critic_weights=ratio**power
    )
    for a, b in zip(jax.tree.leaves(after.lag), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def test_the_multiplier_may_hear_of_the_student_s_steps_alone():
    config = replace(sagui.Config(), hidden=(8,), batch=16, hear="student")
    state = sagui.init(config, SPEC, KEY)
    said = sac_lag.sac.values(state.lag.sac.critics, BATCH.observations, BATCH.actions)[2]
    for own in (np.arange(16) < 12, np.zeros(16, bool)):
        batch = replace(BATCH, extra=BATCH.extra | {"guided": jnp.asarray(~own, jnp.float32)})
        _, metrics = sagui.update(config, LIMIT, state, batch, None, KEY)
        expected = said[own].mean() if own.any() else said.mean()
        assert float(metrics["cost_value"]) == pytest.approx(float(expected), abs=1e-4)


def test_the_multiplier_hears_the_worse_of_what_episodes_cost_with_the_guide_and_without():
    config = replace(sagui.Config(), hidden=(8,), batch=16, calibration=0.5)
    state = sagui.init(config, SPEC, KEY)
    for costs, worse in (((500.0, 700.0), 700.0), ((900.0, 700.0), 900.0), ((500.0, np.nan), 500.0)):
        batch = replace(BATCH, episode_cost=jnp.array(costs))
        after, metrics = sagui.update(config, LIMIT, state, batch, None, KEY)
        error = 0.5 * (sac_lag.discounted_limit(worse, 0.99, 1000) - metrics["cost_value"])
        assert float(metrics["critic_error"]) == pytest.approx(float(error), rel=1e-5)
        assert float(jnp.max(after.lag.error)) == pytest.approx(float(error), rel=1e-5)
        limit = sac_lag.discounted_limit(LIMIT, 0.99, 1000)
        assert float(metrics["violation"]) == pytest.approx(
            float(metrics["cost_value"] + error - limit), rel=1e-4
        )


def test_the_divergence_is_the_mean_of_what_densities_differ_by():
    actor = jax.tree.map(lambda x: x[0], squashed(3))
    seen, noise = numbers(0, 3), numbers(1, 20_000, 2)
    mean, log_std = jnp.array([0.4, -0.3]), jnp.array([-0.5, -1.0])
    actions, own = actor.sample(jnp.broadcast_to(seen, (20_000, 3)), noise)
    of_guide = log_density(mean, log_std, np.arctanh(np.clip(actions, -1 + 1e-6, 1 - 1e-6)))
    found = sagui.divergence(actor, jnp.asarray(seen)[None], mean[None], log_std[None])
    assert float(found[0]) == pytest.approx(float(np.mean(own - of_guide)), rel=0.05)


def test_omega_may_fall_over_the_run():
    config = sagui.Config(omega="decayed", omega_scale=2.0, omega_floor=0.0, steps=1000, hidden=(8,))
    state = sagui.init(config, SPEC, KEY)
    weights = [
        float(sagui.weight(config, eqx.tree_at(lambda s: s.updates, state, jnp.int32(n))))
        for n in (0, 500, 1500)
    ]
    assert weights == [2.0, 1.0, 0.0]


def settled(omega, **options):
    """A student of a bandit with reward -(a - 1)^2, and of a guide whose actions before tanh are N(-0.5, exp(-1))."""

    def moments(seen):
        still = np.zeros((*seen.shape[:-1], 1), np.float32)
        return still - 0.5, still - 1.0

    program = probe(
        "ProbeBandit-v0",
        guide=Guide(moments, np.arange(1), {}),
        composition="student",
        hidden=(16, 16),
        every=5,
        stretch=50,
        start=500,
        batch=64,
        updates=0.2,
        learning_rate=3e-3,
        critic_learning_rate=3e-3,
        target_rate=0.05,
        discount=0.0,
        cost_discount=0.0,
        target_entropy=-2.5,
        temperature_learning_rate=3e-3,
        omega_scale=0.0,
        omega_floor=omega,
        initial_multiplier=0.0,
        multiplier_learning_rate=0.0,
        steps=20_000,
        **options,
    )
    while program.step < program.total_steps:
        program.advance(program.step + program.stride)
    return program.policy(0)


def test_a_student_settles_between_its_reward_and_its_guide():
    a = np.linspace(-0.99, 0.99, 2000)
    density = log_density(np.full((2000, 1), -0.5), np.full((2000, 1), -1.0), np.arctanh(a)[:, None])
    best = a[np.argmax(-((a - 1) ** 2) + 0.5 * density)]
    assert best < 0.5
    policy = settled(0.5, distil="reward")
    np.testing.assert_allclose(policy(np.ones((1, 1), np.float32))[0, 0], best, atol=0.06)


def test_held_to_the_divergence_a_student_becomes_its_guide_and_not_what_the_guide_likes_best():
    found = HostSquashed(jax.tree.map(lambda x: x[None], settled(5.0))).moments(
        np.ones((1, 1, 1), np.float32)
    )
    np.testing.assert_allclose([float(x.item()) for x in found], [-0.5, -1.0], atol=0.15)


def test_a_straight_way_pays_its_length():
    env = envs.make("SaguiStaticGuide-v0", 2, guard="end")
    env.reset(0)
    config, start, paid = sagui_guide.Config(explore_scale=1.0), env.positions(), np.zeros(2)
    for _ in range(20):
        step = env.step(np.array([[1.0, 0.0]] * 2))
        paid += sagui_guide.earn(config, step.rewards, step.info)
    np.testing.assert_allclose(paid, np.linalg.norm(env.positions() - start, axis=1), rtol=1e-6)
    outside = {"displacement": np.ones(2), "outside": np.array([True, False])}
    assert sagui_guide.earn(config, np.ones(2), outside).tolist() == [0.0, 1.0]
    unguarded = replace(config, arena_guard=False)
    assert sagui_guide.earn(unguarded, np.ones(2), outside).tolist() == [1.0, 1.0]
    assert [sagui_guide.guard(c) for c in (config, unguarded, replace(unguarded, explore="none"))] == [
        "end",
        "tell",
        "",
    ]
    for explore in ("novelty", "none"):
        assert sagui_guide.earn(replace(config, explore=explore), np.ones(2), {}).tolist() == [0.0, 0.0]
    with pytest.raises(GoodpathError, match="--explore novelty"):
        sagui_guide.earn(config, np.ones(2), {})


def test_leaving_can_cost_where_it_ends_the_episode():
    outside = {"outside": np.array([True, False])}
    dear = sagui_guide.Config(exit_cost=10.0)
    assert sagui_guide.charge(dear, np.ones(2), outside).tolist() == [11.0, 1.0]
    for config in (replace(dear, exit_cost=0.0), replace(dear, arena_guard=False)):
        assert sagui_guide.charge(config, np.ones(2), {}).tolist() == [1.0, 1.0]


def test_what_leaving_costs_counts_for_the_limit_and_not_in_the_log():
    seen = {}
    for exit_cost in (0.0, 1000.0):
        config = sagui_guide.Config(
            exit_cost=exit_cost, steps=1000, num_envs=1, start=1000, hidden=(4,), updates=0.01
        )
        env = envs.make("SaguiSemiDynamicGuide-v0", 1, guard="end")
        program = ReplayProgram(sagui_guide.SAGUI_GUIDE, config, env, 1.0, [0])
        log = program.advance(1000)
        assert log["length"] < 1000, "it has left"
        seen[exit_cost] = float(log["cost"][0]), float(program.states[0].episode_costs[0])
    (own, counted), (same, dear) = seen.values()
    assert own == counted == same
    np.testing.assert_allclose(dear, own + 1000.0)


def test_an_episode_cut_short_can_count_as_a_whole_one():
    options = {
        "steps": 1000,
        "num_envs": 1,
        "start": 1000,
        "hidden": (4,),
        "updates": 0.01,
        "exit_cost": 10.0,
    }
    counted = {}
    for whole in (False, True):
        config = sagui_guide.Config(full_length=whole, **options)
        env = envs.make("SaguiSemiDynamicGuide-v0", 1, guard="end")
        program = ReplayProgram(sagui_guide.SAGUI_GUIDE, config, env, 1.0, [0])
        log = program.advance(1000)
        counted[whole] = float(program.states[0].episode_costs[0])
    assert log["length"] < 1000, "it has left"
    assert counted[True] == pytest.approx(counted[False] * 1000 / float(log["length"][0]))


def test_novelty_is_the_distance_to_the_nearest_others():
    features, seen = numbers(0, 3, 8), numbers(1, 20, 3)
    found = sagui_guide.novelty(jnp.asarray(features), jnp.asarray(seen), 4)
    hidden = np.maximum(seen @ features, 0)
    distances = np.sort(np.linalg.norm(hidden[:, None] - hidden[None], axis=-1), axis=1)
    np.testing.assert_allclose(found, np.log1p(distances[:, 4]), atol=1e-4)


def test_a_guide_stays_below_the_limit_by_its_margin():
    config = sagui_guide.Config(hidden=(8,), batch=16, margin=2.0)
    state = sagui_guide.init(config, SPEC, KEY)
    kept, _ = sagui_guide.update(config, jnp.float32(5.0), state, BATCH, None, KEY)
    plain, _ = sac_lag.learn(config, jnp.float32(3.0), state.lag, BATCH, KEY)
    np.testing.assert_array_equal(kept.lag.multiplier.parameter, plain.multiplier.parameter)
    assert kept.lag.sac.temperature.parameter == state.lag.sac.temperature.parameter
