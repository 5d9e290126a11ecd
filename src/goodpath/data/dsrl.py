"""The 38 data sets of DSRL (arXiv 2306.09303; data under CC-BY-4.0): sizes, extremes and score normalisation.

The numbers are constants, so that scores need neither a simulator nor a download.
"""

import re
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from goodpath.errors import GoodpathError, nearest
from goodpath.spec import Spec

Family = Literal["SafetyGymnasium", "BulletSafetyGym", "MetaDrive"]
FloatOrArray = TypeVar("FloatOrArray", float, NDArray[np.float64])


@dataclass(frozen=True)
class DsrlTask:
    """One data set of the benchmark.

    Attributes:
        family: the simulator that it was collected in.
        task: short name, unique among the 38, such as `PointCircle1`.
        observation_size: length of one observation.
        action_size: length of one action; every component lies in [-1, 1].
        episode_length: steps after which an episode is truncated.
        num_trajectories: trajectories in the file.
        min_return: lowest undiscounted return of a trajectory in the file, safe or not.
        max_return: highest undiscounted return of a trajectory in the file, safe or not.
        max_cost: highest undiscounted cost of a trajectory in the file.
        cost_cap: cost above which trajectories were left out when the file was made; part of its name.
    """

    family: Family
    task: str
    observation_size: int
    action_size: int
    episode_length: int
    num_trajectories: int
    min_return: float
    max_return: float
    max_cost: float
    cost_cap: int

    @property
    def version(self) -> int:
        """Version of the environment id: 1 for the velocity tasks, else 0."""
        return 1 if self.task.endswith("Velocity") else 0

    @property
    def env_id(self) -> str:
        """The id under which the benchmark publishes scores, such as `OfflinePointCircle1Gymnasium-v0`."""
        if self.family == "MetaDrive":
            return f"OfflineMetadrive-{self.task}-v0"
        suffix = "Gymnasium" if self.family == "SafetyGymnasium" else ""
        return f"Offline{self.task}{suffix}-v{self.version}"

    @property
    def environment(self) -> str:
        """The id of the simulated task itself, such as `SafetyPointCircle1-v0`."""
        if self.family == "MetaDrive":
            return f"SafeMetaDrive-{self.task}-v0"
        return f"Safety{self.task}-v{self.version}"

    @property
    def file_name(self) -> str:
        """Name of the HDF5 file, such as `SafetyPointCircle1Gymnasium-v0-200-1098.hdf5`."""
        stem = self.env_id.replace("Offline", "Safety")
        if self.family == "MetaDrive":
            stem = self.environment
        return f"{stem}-{self.cost_cap}-{self.num_trajectories}.hdf5"

    @property
    def cost_limits(self) -> tuple[float, ...]:
        """The three cost limits that the benchmark averages its scores over."""
        return (20.0, 40.0, 80.0) if self.family == "SafetyGymnasium" else (10.0, 20.0, 40.0)

    @property
    def spec(self) -> Spec:
        """The sizes that a file and a policy for this task have to have."""
        return Spec(self.environment, self.observation_size, self.action_size, self.episode_length)


_Row = tuple[str, int, int, int, int, float, float, float, int]
# task, observation size, action size, steps, trajectories, lowest and highest return, highest cost, cost cap
_SAFETY_GYMNASIUM: tuple[_Row, ...] = (
    ("PointButton1", 76, 2, 1000, 2268, 0.008822109034937853, 41.19301568767707, 200.0, 200),
    ("PointButton2", 76, 2, 1000, 3288, 0.014114166087574098, 42.8985953616709, 250.0, 250),
    ("PointCircle1", 28, 2, 500, 1098, 20.067626953125, 61.72819519042969, 200.0, 200),
    ("PointCircle2", 28, 2, 500, 895, 20.478347778320312, 54.02184295654297, 299.0, 300),
    ("PointGoal1", 60, 2, 1000, 2022, 0.01196012764197707, 30.071114857340543, 100.0, 100),
    ("PointGoal2", 60, 2, 1000, 3442, 0.002616959830266108, 27.717709787852737, 200.0, 200),
    ("PointPush1", 76, 2, 1000, 2379, 0.0014001545292344209, 16.518654299293367, 150.0, 150),
    ("PointPush2", 76, 2, 1000, 3242, 0.0012438183001730607, 14.691039145644403, 200.0, 200),
    ("CarButton1", 88, 2, 1000, 2656, 0.0028926206826067613, 44.420003345738984, 250.0, 250),
    ("CarButton2", 88, 2, 1000, 3755, 0.001767391717990563, 41.99513815522894, 300.0, 300),
    ("CarCircle1", 40, 2, 500, 1271, 8.037073135375977, 24.94155502319336, 250.0, 250),
    ("CarCircle2", 40, 2, 500, 940, 5.113386154174805, 25.950098037719727, 398.0, 400),
    ("CarGoal1", 72, 2, 1000, 1671, 0.012232819540852091, 39.907809198384705, 120.0, 120),
    ("CarGoal2", 72, 2, 1000, 4105, 0.001032874531954775, 28.902897990056502, 200.0, 200),
    ("CarPush1", 88, 2, 1000, 2871, 0.013700173533941762, 16.304467598905237, 200.0, 200),
    ("CarPush2", 88, 2, 1000, 4407, 0.00029391133526335267, 15.141648491514314, 250.0, 250),
    ("SwimmerVelocity", 8, 2, 1000, 1686, 0.07114458084106445, 238.95831298828125, 200.0, 200),
    ("HopperVelocity", 11, 3, 1000, 2240, 37.05154800415039, 1911.396728515625, 250.0, 250),
    ("HalfCheetahVelocity", 17, 6, 1000, 2495, 5.7509765625, 2806.93310546875, 250.0, 250),
    ("Walker2dVelocity", 17, 6, 1000, 2729, 18.668498992919922, 3418.223876953125, 300.0, 300),
    ("AntVelocity", 27, 8, 1000, 2249, 6.1519012451171875, 2976.276611328125, 250.0, 250),
)
_BULLET_SAFETY_GYM: tuple[_Row, ...] = (
    ("BallRun", 7, 2, 100, 940, 26.339754104614258, 1327.445556640625, 80.0, 80),
    ("CarRun", 7, 2, 200, 651, 204.28726196289062, 574.6533203125, 40.0, 40),
    ("DroneRun", 17, 4, 200, 1990, 10.557029724121094, 682.8330078125, 140.0, 140),
    ("AntRun", 33, 8, 200, 1816, 0.001767391717990563, 955.4818725585938, 150.0, 150),
    ("BallCircle", 8, 2, 200, 886, 0.38312244415283203, 881.46337890625, 80.0, 80),
    ("CarCircle", 8, 2, 300, 1450, 3.484419822692871, 534.3060913085938, 100.0, 100),
    ("DroneCircle", 18, 4, 300, 1923, 207.794189453125, 996.38916015625, 100.0, 100),
    ("AntCircle", 34, 8, 500, 5728, 0.0177031010389328, 460.7091979980469, 200.0, 200),
)
_METADRIVE: tuple[_Row, ...] = (
    ("easysparse", 261, 2, 1000, 1000, 20.094310760498047, 425.8006286621094, 82.42418670654297, 85),
    ("easymean", 261, 2, 1000, 1000, 22.142553329467773, 425.82440185546875, 82.38601684570312, 85),
    ("easydense", 261, 2, 1000, 1000, 19.71139144897461, 425.81732177734375, 80.36358642578125, 85),
    ("mediumsparse", 261, 2, 1000, 1000, 17.446578979492188, 269.80084228515625, 46.46459197998047, 50),
    ("mediummean", 261, 2, 1000, 1000, 17.032529830932617, 269.8221435546875, 46.46154022216797, 50),
    ("mediumdense", 261, 2, 1000, 1000, 15.102348327636719, 269.7813415527344, 46.45858383178711, 50),
    ("hardsparse", 261, 2, 1000, 1000, 17.247974395751953, 486.80523681640625, 85.010009765625, 85),
    ("hardmean", 261, 2, 1000, 1000, 19.387981414794922, 486.9967956542969, 84.33995056152344, 85),
    ("harddense", 261, 2, 1000, 1000, 15.386894226074219, 486.63616943359375, 84.76679229736328, 85),
)

TASKS: tuple[DsrlTask, ...] = (
    *(DsrlTask("SafetyGymnasium", *row) for row in _SAFETY_GYMNASIUM),
    *(DsrlTask("BulletSafetyGym", *row) for row in _BULLET_SAFETY_GYM),
    *(DsrlTask("MetaDrive", *row) for row in _METADRIVE),
)

_BY_KEY = {task.task.lower(): task for task in TASKS}
_NAME = re.compile(
    r"(?:offline|safety|safe)?(?:metadrive-)?(?P<task>[a-z0-9]+?)(?:gymnasium)?(?:-v\d+(?:-\d+-\d+\.hdf5)?)?",
    re.IGNORECASE,
)


def guess(name: str) -> DsrlTask | None:
    """The task that an id or a file name speaks of, or None. See `find` for the names that are understood."""
    match = _NAME.fullmatch(name)
    return _BY_KEY.get(match["task"].lower()) if match else None


def find(name: str) -> DsrlTask:
    """The task with this name, in any of the spellings in use.

    `PointCircle1`, `SafetyPointCircle1-v0`, `SafetyPointCircle1Gymnasium-v0`,
    `OfflinePointCircle1Gymnasium-v0` and the name of the file all mean the same task; case does not matter.

    Raises:
        GoodpathError: no task has this name.
    """
    task = guess(name)
    if task is None:
        match = _NAME.fullmatch(name)
        close = nearest(match["task"] if match else name, [task.task for task in TASKS])
        raise GoodpathError(
            f"there is no DSRL task '{name}'.{close} `goodpath data list` shows all {len(TASKS)}."
        )
    return task


def normalized_return(task: DsrlTask | str, returns: FloatOrArray) -> FloatOrArray:
    """Returns on the scale where 0 and 1 are the lowest and the highest return in the data set.

    The extremes are over all trajectories, unsafe ones too, so a safe policy seldom reaches 1. The benchmark
    does not multiply by 100.
    """
    row = find(task) if isinstance(task, str) else task
    return (returns - row.min_return) / (row.max_return - row.min_return)


def normalized_cost(cost: FloatOrArray, cost_limit: float) -> FloatOrArray:
    """Costs divided by the limit, so that at most 1 is safe; both are raised by 1 where the limit is 0.

    Raises:
        GoodpathError: the limit is negative.
    """
    if not cost_limit >= 0:
        raise GoodpathError(f"a cost limit is a number that is not negative, not {cost_limit}.")
    epsilon = 1.0 if cost_limit == 0 else 0.0
    return (cost + epsilon) / (cost_limit + epsilon)
