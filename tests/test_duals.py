"""Multipliers on a constraint whose right price is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from goodpath.duals import PID, Gradient

RULES = {
    "projected": Gradient(0.05, adam=False),
    "adam": Gradient(0.02),
    "softplus": Gradient(0.05, initial=0.5, form="softplus"),
    "pid": PID(0.2, 0.02, 0.1, smoothing=0.5),
}


def settle(rule, cost, steps=2000):
    """Lets a buyer spend `cost(price)` and the rule set the price."""

    def step(state, _):
        return rule.update(state, cost(rule.multiplier(state))), rule.multiplier(state)

    state, prices = jax.lax.scan(step, rule.init(), None, steps)
    return float(rule.multiplier(state)), np.asarray(prices)


@pytest.mark.parametrize("name", RULES)
def test_finds_the_price_at_which_the_limit_is_just_kept(name):
    # max x - x^2 / 2 - m x gives x = 1 - m; the limit 0.4 wants m = 0.6.
    price, _ = settle(RULES[name], lambda m: (1 - m) - 0.4)
    assert price == pytest.approx(0.6, abs=0.02)


@pytest.mark.parametrize("name", RULES)
def test_a_limit_that_is_kept_anyway_costs_nothing(name):
    price, prices = settle(RULES[name], lambda m: jnp.asarray(-1.0))
    assert price == pytest.approx(0.0, abs=1e-2)
    assert (prices >= 0).all()


@pytest.mark.parametrize("name", ["projected", "softplus", "pid"])
def test_the_upper_bound_holds(name):
    from dataclasses import replace

    price, prices = settle(replace(RULES[name], upper=1.5), lambda m: jnp.asarray(5.0))
    assert price == pytest.approx(1.5)
    assert prices.max() <= 1.5 + 1e-6


def test_the_start_is_what_was_asked_for():
    for form in ("projected", "softplus", "log", "raw"):
        rule = Gradient(0.1, initial=0.7, form=form)
        assert float(rule.multiplier(rule.init())) == pytest.approx(0.7, abs=1e-5)


def test_a_pid_controller_answers_a_growing_violation_at_once():
    rule = PID(kp=0.0, ki=0.0, kd=1.0, smoothing=0.0, delay=1)
    state = rule.update(rule.update(rule.init(), jnp.asarray(1.0)), jnp.asarray(3.0))
    assert float(rule.multiplier(state)) == pytest.approx(2.0)
    falling = rule.update(state, jnp.asarray(1.0))
    assert float(rule.multiplier(falling)) == 0.0


def test_only_a_raw_multiplier_becomes_negative():
    for form in ("projected", "log", "softplus", "raw"):
        rule = Gradient(0.05, initial=0.5, form=form, adam=False)
        price, _ = settle(rule, lambda m: jnp.asarray(-0.1), steps=300)
        # 300 steps of 0.005 downwards from 0.5.
        assert price == pytest.approx(-1.0, abs=1e-3) if form == "raw" else 0 <= price < 0.5


def test_a_logarithm_moves_as_if_it_were_the_multiplier():
    rule = Gradient(0.1, initial=2.0, form="log", adam=False)
    after = rule.update(rule.init(), jnp.asarray(0.3))
    assert float(rule.multiplier(after)) == pytest.approx(2.0 * np.exp(0.03), rel=1e-5)
