"""Environments in worker processes, behind the batched contract; `adapters.adapt` makes them.

Numbers pass through shared memory, and pipes carry only the word to begin and the info. A worker that fails
or dies is an error here, never a wait without end.
"""

import multiprocessing
import pickle
import signal
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goodpath.envs.adapters import AdaptedEnv
from goodpath.envs.checks import actions_of, seeds_of
from goodpath.envs.vector import Array, Step
from goodpath.errors import GoodpathError

_PARTS = 4  # rewards, costs, terminated, truncated


class WorkerEnv:
    """Environments stepped in other processes, each a share of the rows; see `adapters.adapt`.

    Processes are started afresh (`spawn`), so a script that uses them needs `if __name__ == "__main__":`.

    Raises:
        GoodpathError: as in `adapt`, or `make_env` cannot be sent to another process, or a worker fails.
    """

    def __init__(
        self,
        make_env: Callable[[], Any],
        num_envs: int,
        name: str,
        episode_length: int | None,
        workers: int,
    ) -> None:
        self._workers: list[tuple[BaseProcess, Connection]] = []
        if num_envs < 1:
            raise GoodpathError(f"an environment needs at least one copy, but num_envs is {num_envs}.")
        try:
            pickle.dumps(make_env)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise GoodpathError(
                f"make_env of {name} cannot be sent to a worker process ({error}); define it at the top of a "
                f"module, or leave workers at 0."
            ) from error
        probe = AdaptedEnv(make_env, 1, name, episode_length)
        self.spec = probe.spec
        probe.close()
        self.num_envs = num_envs
        self._started = False
        self._names: tuple[str, ...] = ()
        context = multiprocessing.get_context("spawn")
        widths = (2 * self.spec.observation_size, self.spec.action_size, _PARTS)
        shared = context.RawArray("d", num_envs * sum(widths))
        self._block = _Block(shared, num_envs, self.spec.observation_size, self.spec.action_size)
        ends = [num_envs * i // workers for i in range(workers + 1)]
        try:
            for first, last in pairwise(ends):
                here, there = context.Pipe()
                arguments = (make_env, first, last, num_envs, name, episode_length, shared, there)
                process = context.Process(target=_serve, args=arguments, daemon=True, name="goodpath-worker")
                process.start()
                there.close()  # so that a dead worker closes the pipe
                self._workers.append((process, here))
            # Every worker says when its environments stand.
            self._collect("; a script needs `if __name__ == '__main__':` around what it does")
        except BaseException:
            self.close()
            raise

    def reset(self, seed: int | Sequence[int] | None = None) -> Array:
        """Starts new episodes everywhere and returns (num_envs, observation) observations.

        Args:
            seed: a number s seeds environment i with s + i; a sequence gives each its own; None goes on with
                the random streams as they are.

        Raises:
            GoodpathError: a seed is outside [0, 2³²), a sequence has the wrong length, or a worker fails.
        """
        self._ask(("reset", None if seed is None else seeds_of(seed, self.num_envs)))
        self._started = True
        return self._block.observations.copy()

    def step(self, actions: NDArray[Any]) -> Step:
        """Steps every environment with its row of the (num_envs, action) `actions`; see `Step`.

        Raises:
            GoodpathError: `actions` has the wrong shape or is not finite, `reset` was never called, or a
                worker fails.
        """
        block = self._block
        block.actions[:] = actions_of(actions, self.spec, self.num_envs, self._started)
        infos = self._ask(("step", None))
        names = sorted(set(infos[0]).intersection(*infos))
        return Step(
            observations=block.observations.copy(),
            rewards=block.rest[:, 0].copy(),
            costs=block.rest[:, 1].copy(),
            terminated=block.rest[:, 2] != 0.0,
            truncated=block.rest[:, 3] != 0.0,
            final_observations=block.final.copy(),
            info={key: np.concatenate([info[key] for info in infos]) for key in names},
        )

    def close(self) -> None:
        """Ends the processes."""
        for _, pipe in self._workers:
            with suppress(OSError):  # where it has gone already
                pipe.send(("close", None))
        for process, pipe in self._workers:
            process.join(timeout=5)
            if process.is_alive():
                process.terminate()
                process.join()
            pipe.close()
        self._workers = []

    def _ask(self, request: tuple[str, Any]) -> list[Any]:
        if not self._workers:
            raise GoodpathError(f"the workers of {self.spec.name} have ended; make the environment anew.")
        for _, pipe in self._workers:
            with suppress(OSError):  # where it has died; collecting says so
                pipe.send(request)
        return self._collect()

    def _collect(self, hint: str = "; workers=0 shows where") -> list[Any]:
        """The answer of every worker, in order.

        Args:
            hint: what to do about a worker that failed.

        Raises:
            GoodpathError: one of them failed or died; all are ended then.
        """
        answers = []
        for number, (process, pipe) in enumerate(self._workers):
            wait([pipe, process.sentinel])
            try:
                kind, answer = pipe.recv()
            except (EOFError, OSError):
                process.join(timeout=5)
                kind, answer = "died", f"it ended with exit code {process.exitcode}"
            if kind != "done":
                self.close()
                raise GoodpathError(
                    f"worker {number} of {self.spec.name} failed ({answer}){hint}."
                    if kind != "refused"
                    else answer
                )
            answers.append(answer)
        return answers


class _Block:
    """Views of the shared numbers, each with the leading axis `num_envs`."""

    def __init__(self, shared: Any, num_envs: int, observation_size: int, action_size: int) -> None:
        numbers = np.frombuffer(shared, np.float64)
        widths = (observation_size, observation_size, action_size, _PARTS)
        ends = np.cumsum([num_envs * width for width in widths])[:-1]
        parts = [
            part.reshape(num_envs, width) for part, width in zip(np.split(numbers, ends), widths, strict=True)
        ]
        self.observations, self.final, self.actions, self.rest = parts


def _serve(
    make_env: Callable[[], Any],
    first: int,
    last: int,
    num_envs: int,
    name: str,
    episode_length: int | None,
    shared: Any,
    pipe: Connection,
) -> None:
    """What a worker does until it is told to stop, or whoever told it has gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that owns us
    env: AdaptedEnv | None = None
    try:
        env = AdaptedEnv(make_env, last - first, name, episode_length)
        block = _Block(shared, num_envs, env.spec.observation_size, env.spec.action_size)
        rows = slice(first, last)
        pipe.send(("done", None))
        while True:
            request, argument = pipe.recv()
            if request == "close":
                return
            if request == "reset":
                block.observations[rows] = env.reset(None if argument is None else argument[rows])
                pipe.send(("done", None))
                continue
            step = env.step(block.actions[rows].copy())
            block.observations[rows], block.final[rows] = step.observations, step.final_observations
            block.rest[rows] = np.stack(
                [step.rewards, step.costs, step.terminated, step.truncated], axis=1, dtype=np.float64
            )
            pipe.send(("done", step.info))
    except (EOFError, BrokenPipeError):
        return
    except GoodpathError as error:
        pipe.send(("refused", str(error)))
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        pipe.send(("failed", f"{type(error).__name__}: {error}, line {where.lineno} of {where.filename}"))
    finally:
        if env is not None:
            env.close()
