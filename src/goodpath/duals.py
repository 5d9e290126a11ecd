"""Dual variables: the price of a constraint, raised while it is broken and lowered while it is kept.

A rule such as `Gradient` or `PID` is a plain configuration; what changes in training is the state it makes.
`violation` is always the constrained quantity minus its limit, so positive means broken.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax import Array


class Dual(Protocol):
    """What every rule can do; all three are pure."""

    def init(self) -> Any:
        """The state at the start."""

    def multiplier(self, state: Any) -> Array:
        """() the price now; not negative, unless the rule says so."""

    def update(self, state: Any, violation: Array) -> Any:
        """The state after a look at the constraint."""


class GradientState(eqx.Module):
    """The parameter of a multiplier and its optimiser.

    Attributes:
        parameter: ().
        optimizer: moments of Adam; empty for plain ascent.
    """

    parameter: Array
    optimizer: optax.OptState


@dataclass(frozen=True)
class Gradient:
    """Gradient ascent on multiplier * violation.

    Attributes:
        learning_rate: of the ascent.
        initial: multiplier at the start.
        upper: bound on the multiplier.
        form: `projected` moves the multiplier itself and cuts it off at zero; `softplus` moves a parameter whose
            softplus is the multiplier; `log` moves the multiplier's logarithm as if it were the multiplier, as
            SAC does with its temperature; `raw` moves the multiplier itself, which may become negative.
        adam: steps of about the learning rate whatever the scale of the violation; else proportional to it.
        epsilon: of Adam; violations that are small beside it move the multiplier less.
        lower: with `log`, where the multiplier stops falling; without, the way back from it may be a long one.
    """

    learning_rate: float
    initial: float = 0.0
    upper: float = float("inf")
    form: Literal["projected", "softplus", "log", "raw"] = "projected"
    adam: bool = True
    epsilon: float = 1e-8
    lower: float = 0.0

    def _optimizer(self) -> optax.GradientTransformation:
        if self.adam:
            return optax.adam(self.learning_rate, eps=self.epsilon)
        return optax.sgd(self.learning_rate)

    def init(self) -> GradientState:
        """See `Dual`."""
        start = jnp.asarray(self.initial, jnp.float32)
        if self.form == "softplus":
            start = jnp.log(jnp.expm1(jnp.maximum(start, 1e-6)))
        if self.form == "log":
            start = jnp.log(start)
        return GradientState(start, self._optimizer().init(start))

    def multiplier(self, state: GradientState) -> Array:
        """See `Dual`."""
        value = state.parameter
        if self.form == "softplus":
            value = jax.nn.softplus(value)
        if self.form == "log":
            value = jnp.exp(value)
        return jnp.minimum(value, self.upper)

    def update(self, state: GradientState, violation: Array) -> GradientState:
        """See `Dual`."""
        slope = jax.nn.sigmoid(state.parameter) if self.form == "softplus" else 1.0
        change, optimizer = self._optimizer().update(-slope * violation, state.optimizer)
        parameter = state.parameter + change
        if self.form == "projected":
            parameter = jnp.clip(parameter, 0.0, self.upper)
        if self.form == "log" and self.lower:
            parameter = jnp.maximum(parameter, math.log(self.lower))
        return GradientState(parameter, optimizer)


class PIDState(eqx.Module):
    """What the three terms remember.

    Attributes:
        integral: () sum of gain times violation, never negative.
        smoothed: () running mean of the violation.
        history: (delay,) what it was, oldest first.
        multiplier: ().
    """

    integral: Array
    smoothed: Array
    history: Array
    multiplier: Array


@dataclass(frozen=True)
class PID:
    """A PID controller on the violation (arXiv 2007.03964): damps the swing that pure ascent has.

    multiplier = max(0, kp * smoothed violation + integral + kd * max(0, growth of the smoothed violation)).

    Attributes:
        kp: gain on the smoothed violation.
        ki: gain on its sum.
        kd: gain on its growth.
        initial: multiplier at the start.
        upper: bound on the multiplier.
        smoothing: weight of the past in the running mean.
        delay: looks over which growth is measured.
    """

    kp: float
    ki: float
    kd: float
    initial: float = 0.0
    upper: float = float("inf")
    smoothing: float = 0.95
    delay: int = 10

    def init(self) -> PIDState:
        """See `Dual`."""
        zero, start = jnp.zeros(()), jnp.asarray(self.initial, jnp.float32)
        return PIDState(start, zero, jnp.zeros(self.delay), start)

    def multiplier(self, state: PIDState) -> Array:
        """See `Dual`."""
        return state.multiplier

    def update(self, state: PIDState, violation: Array) -> PIDState:
        """See `Dual`."""
        integral = jnp.clip(state.integral + self.ki * violation, 0.0, self.upper)
        smoothed = self.smoothing * state.smoothed + (1 - self.smoothing) * violation
        growth = jnp.maximum(0.0, smoothed - state.history[0])
        value = jnp.clip(self.kp * smoothed + integral + self.kd * growth, 0.0, self.upper)
        history = jnp.concatenate([state.history[1:], smoothed[None]])
        return PIDState(integral, smoothed, history, value)
