"""The multiplier of FOCOPS and CUP: plain gradient ascent, cut off at 0."""

from dataclasses import dataclass

from goodpath import duals


@dataclass(frozen=True)
class Price:
    """Its options."""

    multiplier_learning_rate: float = 1.5e-4
    """What the multiplier rises by for each unit of cost above the limit."""
    initial_multiplier: float = 0.0
    """At the start."""
    max_multiplier: float = 100.0
    """Bound on it."""


def dual(config: Price) -> duals.Gradient:
    """The rule that moves the multiplier."""
    return duals.Gradient(
        config.multiplier_learning_rate, config.initial_multiplier, config.max_multiplier, adam=False
    )
