"""The sizes and bounds that an environment, a data set and a policy have to share."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Spec:
    """Shapes and bounds of a task with a flat observation and a box of actions, or a number of discrete ones.

    A discrete action is a one-hot vector: `action_size` equals `actions`, and the environment takes the largest
    component. So data files, policies and drivers treat it as they treat a box.

    Attributes:
        name: the environment's id, such as `SafetyPointCircle1-v0`; empty where nothing is known of it.
        observation_size: length of one observation.
        action_size: length of one action.
        action_low: lower bound of every action component.
        action_high: upper bound of every action component.
        episode_length: steps after which an episode is truncated.
        actions: number of discrete actions; 0 where the actions are a box.
        observation_keys: name and length of each part of an observation, in order; empty where nobody has named
            them. A policy of one task acts in another that has all of its parts.
    """

    name: str
    observation_size: int
    action_size: int
    episode_length: int
    action_low: float = -1.0
    action_high: float = 1.0
    actions: int = 0
    observation_keys: tuple[tuple[str, int], ...] = ()

    @property
    def places(self) -> dict[str, range]:
        """Where each named part of an observation is."""
        found, start = {}, 0
        for name, length in self.observation_keys:
            found[name] = range(start, start + length)
            start += length
        return found
