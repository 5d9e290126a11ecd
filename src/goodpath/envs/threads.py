"""The same work for every row of a batch, in threads."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import pairwise

from goodpath.errors import GoodpathError


class Threads:
    """Threads that share the rows of a batch among them, each a slice that stays its own.

    It pays where the work lets go of the interpreter's lock, as MuJoCo's steps do.

    Args:
        rows: number of rows.
        threads: number of threads; as many as there are processors when left out, and never more than rows.

    Raises:
        GoodpathError: `rows` or `threads` is not positive.
    """

    def __init__(self, rows: int, threads: int | None = None) -> None:
        if rows < 1:
            raise GoodpathError(f"an environment needs at least one copy, but num_envs is {rows}.")
        threads = (os.cpu_count() or 1) if threads is None else threads
        if threads < 1:
            raise GoodpathError(f"an environment needs at least one thread, but threads is {threads}.")
        threads = min(threads, rows)
        ends = [rows * i // threads for i in range(threads + 1)]
        self._slices = [range(first, last) for first, last in pairwise(ends)]
        self._pool = ThreadPoolExecutor(threads, "goodpath-physics") if threads > 1 else None

    def run(self, work: Callable[[range], None]) -> None:
        """Calls `work` once for every slice of the rows and waits for all; the first error is raised."""
        if self._pool is None:
            work(self._slices[0])
            return
        futures = [self._pool.submit(work, rows) for rows in self._slices]
        wait(futures)
        for future in futures:
            future.result()

    def close(self) -> None:
        """Ends the threads."""
        if self._pool:
            self._pool.shutdown()
