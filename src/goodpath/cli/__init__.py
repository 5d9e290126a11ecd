"""The command line. Each command is a module with `main(arguments) -> exit code`, imported when it is used."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module

import goodpath
from goodpath.errors import GoodpathError, nearest

# name -> what it does; the module of the same name in this package does it.
COMMANDS = {
    "collect": "drive a task with scripted drivers or a policy and save the trajectories",
    "demos": "demonstrations of the marble maze from its planner",
    "record": "play the marble maze by keyboard and save the games",
    "draw": "games of the marble maze from above, as PNG or GIF",
    "data": "inspect, validate, list, download and score data sets",
    "train": "train a method, or go on with an interrupted run",
    "evaluate": "run seeded episodes of trained policies",
    "report": "write one self-contained HTML page about one or more runs",
    "demo": "collect, train BC, BC-Safe and TraC, and report: the whole path in minutes",
    "reproduce": "train what a paper compares, and table it beside the paper's figures",
    "envs": "list the environments; verify the simulator against recordings",
    "bench": "measure the environments against bare physics",
    "methods": "list the methods",
    "explain": "explain a method: its equations, presets and every option",
    "doctor": "check what works on this machine",
}


def usage() -> str:
    """What `goodpath --help` prints."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        [
            f"goodpath {goodpath.__version__}: {(goodpath.__doc__ or '').partition(chr(10))[0]}",
            "",
            "usage: goodpath COMMAND ...     (goodpath COMMAND --help explains a command)",
            "",
            *lines,
            "",
            "  --version  print the version",
            "  --debug    show the traceback of an error",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and gives its exit code: 2 for a mistake that the person can mend, 130 after Ctrl-C."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if words[0] in ("-V", "--version"):
        print(goodpath.__version__)
        return 0
    try:
        if words[0] not in COMMANDS:
            raise GoodpathError(
                f"there is no command '{words[0]}'.{nearest(words[0], list(COMMANDS))} `goodpath --help` lists all."
            )
        return int(import_module(f"goodpath.cli.{words[0]}").main(words[1:]))
    except GoodpathError as error:
        if debug:
            raise
        print(f"goodpath: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("goodpath: interrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output (`head`, say) has gone; that is its right.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
