"""Environments as somebody else would write them; importing this registers them with Gymnasium."""

import os
from functools import partial

import gymnasium
import numpy as np


class Drift(gymnasium.Env):
    """A point that drifts at random and is steered; being right of 0.2 costs, being far out ends it."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.age = self.np_random.normal(size=2), 0
        return self._observe(), {}

    def step(self, action):
        assert action.dtype == np.float32
        self.place = self.place + 0.1 * action + 0.3 * self.np_random.normal(size=2)
        self.age += 1
        far = bool(np.linalg.norm(self.place) > 2.0)
        info = {"cost": float(self.place[0] > 0.2), "age": self.age, "far": far, "text": "not a number"}
        return self._observe(), self.place[1], far, False, info

    def _observe(self):
        return np.array([*self.place, self.age], np.float32)


class SixValues(Drift):
    """The same, reporting its cost as safety-gymnasium does."""

    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, reward, info.pop("cost"), terminated, truncated, info


class Free(Drift):
    """The same, reporting no cost."""

    def step(self, action):
        *outcome, _ = super().step(action)
        return *outcome, {}


class Stretched(Drift):
    """The same, with actions of different bounds, which it remembers."""

    action_space = gymnasium.spaces.Box(np.float32([-1, 0]), np.float32([1, 10]))

    def step(self, action):
        self.last = action
        return super().step(action)


class Fragile(Drift):
    """Fails where the first action is 1, and takes its whole process with it where the second one is."""

    def step(self, action):
        if action[0] == 1.0:
            raise RuntimeError("the point broke")
        if action[1] == 1.0:
            os._exit(3)
        return super().step(action)


def spaced(observation=None, action=None):
    """A maker of the same environment with other spaces."""

    def make():
        env = Drift()
        env.observation_space = observation or env.observation_space
        env.action_space = action or env.action_space
        return env

    return make


def limited(cls):
    """A maker of an environment that Gymnasium's own wrapper cuts after seven steps."""
    return partial(_limited, cls)


def _limited(cls):
    return gymnasium.wrappers.TimeLimit(cls(), 7)


for cls in (Drift, SixValues, Free):
    gymnasium.register(f"{cls.__name__}-v0", cls, max_episode_steps=7)
gymnasium.register("Endless-v0", Drift)
