"""Safe reinforcement learning from trajectories, demonstrations and guides.

    import goodpath as gp

    data = gp.load("circle.h5")
    run = gp.train("trac", data, env="SafetyPointCircle1-v0", cost_limit=20, seeds=[0, 1, 2])
    policy = run.policy(seed=0)
    actions = policy(observations)  # NumPy in, NumPy out
    scores = gp.evaluate(policy, episodes=20)

Names are imported when they are first used, so that `import goodpath` and the command line start at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from goodpath.data.collect import collect as collect
    from goodpath.data.hdf5 import load as load
    from goodpath.data.hdf5 import save as save
    from goodpath.envs import make as make
    from goodpath.errors import GoodpathError as GoodpathError
    from goodpath.policies import TrainedPolicy as TrainedPolicy
    from goodpath.policies import load_policy as load_policy
    from goodpath.reports.html import write as report  # noqa: F401
    from goodpath.spec import Spec as Spec
    from goodpath.training.results import evaluate as evaluate
    from goodpath.training.run import Run as Run
    from goodpath.training.run import resume as resume
    from goodpath.training.run import train as train
    from goodpath.trajectories import Dataset as Dataset
    from goodpath.trajectories import Trajectory as Trajectory

_HOMES = {
    "Dataset": "goodpath.trajectories:Dataset",
    "GoodpathError": "goodpath.errors:GoodpathError",
    "Run": "goodpath.training.run:Run",
    "Spec": "goodpath.spec:Spec",
    "TrainedPolicy": "goodpath.policies:TrainedPolicy",
    "Trajectory": "goodpath.trajectories:Trajectory",
    "collect": "goodpath.data.collect:collect",
    "evaluate": "goodpath.training.results:evaluate",
    "load": "goodpath.data.hdf5:load",
    "load_policy": "goodpath.policies:load_policy",
    "make": "goodpath.envs:make",
    "report": "goodpath.reports.html:write",
    "resume": "goodpath.training.run:resume",
    "save": "goodpath.data.hdf5:save",
    "train": "goodpath.training.run:train",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'goodpath' has no attribute '{name}'")
    module, attribute = _HOMES[name].split(":")
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
