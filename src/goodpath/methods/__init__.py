"""One file per method. The table below is all that `--help` needs; a method is imported when it is used."""

from importlib import import_module
from typing import TYPE_CHECKING

from goodpath.errors import GoodpathError, nearest

if TYPE_CHECKING:
    from goodpath.methods.contract import Method

# name -> (module:attribute, what it is)
METHODS: dict[str, tuple[str, str]] = {
    "bc": ("goodpath.methods.bc:BC", "behaviour cloning of all data"),
    "bc-gb": ("goodpath.methods.bc_good_bad:BC_GB", "behaviour cloning of the good, away from the bad"),
    "bc-safe": ("goodpath.methods.bc:BC_SAFE", "behaviour cloning of the trajectories within the cost limit"),
    "cpo": ("goodpath.methods.cpo:CPO", "constrained policy optimisation (arXiv 1705.10528)"),
    "cup": ("goodpath.methods.cup:CUP", "improve, then project back to the limit (arXiv 2209.07089)"),
    "focops": ("goodpath.methods.focops:FOCOPS", "first order steps in policy space (arXiv 2002.06506)"),
    "gail": ("goodpath.methods.gail:GAIL", "act so that a classifier cannot tell (arXiv 1606.03476)"),
    "icrl": ("goodpath.methods.icrl:ICRL", "learn from demonstrations what is forbidden (arXiv 2011.09999)"),
    "ppo": ("goodpath.methods.ppo:PPO", "proximal policy optimisation, blind to cost (arXiv 1707.06347)"),
    "ppo-demonstrations": (
        "goodpath.methods.ppo_demonstrations:PPO_DEMONSTRATIONS",
        "PPO with an expert's steps under a multiplier, discrete actions",
    ),
    "ppo-discrete": ("goodpath.methods.ppo_discrete:PPO_DISCRETE", "PPO for discrete actions, blind to cost"),
    "ppo-lag": ("goodpath.methods.ppo_lag:PPO_LAG", "PPO-Lagrangian with a gradient or PID multiplier"),
    "sac": ("goodpath.methods.sac:SAC", "soft actor-critic, blind to cost (arXiv 1812.05905)"),
    "sac-discrete": (
        "goodpath.methods.sac_discrete:SAC_DISCRETE",
        "soft actor-critic for discrete actions (arXiv 1910.07207)",
    ),
    "sac-lag": ("goodpath.methods.sac_lag:SAC_LAG", "SAC-Lagrangian (arXiv 2307.14316, appendix A)"),
    "sagui": ("goodpath.methods.sagui:SAGUI", "a student under a safe guide's eyes (arXiv 2307.14316)"),
    "sagui-guide": (
        "goodpath.methods.sagui_guide:SAGUI_GUIDE",
        "a safe guide, trained without a task (SaGui)",
    ),
    "scopil": ("goodpath.methods.scopil:SCOPIL", "constraints from demonstrations (arXiv 2507.06780)"),
    "scopil-continuous": (
        "goodpath.methods.scopil_continuous:SCOPIL_CONTINUOUS",
        "SCOPIL for actions from a box",
    ),
    "sim": ("goodpath.methods.sim:SIM", "imitate good episodes and avoid bad ones (arXiv 2312.10385)"),
    "sqil": (
        "goodpath.methods.sqil:SQIL",
        "one reward for demonstrations, one for oneself (arXiv 1905.11108)",
    ),
    "trac": ("goodpath.methods.trac:TRAC", "trajectory classification, offline (arXiv 2412.15429)"),
}


def find(name: str) -> "Method":
    """The method of that name.

    Raises:
        GoodpathError: there is no such method.
    """
    if name not in METHODS:
        known = ", ".join(METHODS)
        raise GoodpathError(f"there is no method '{name}'; there are {known}.{nearest(name, list(METHODS))}")
    module, attribute = METHODS[name][0].split(":")
    method: Method = getattr(import_module(module), attribute)
    return method
