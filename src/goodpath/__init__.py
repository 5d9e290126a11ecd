"""Safe reinforcement learning from trajectories, demonstrations and guides."""

__version__ = "0.1.0"
