"""The suite's time is mostly XLA's: hundreds of small programs, each run a few times. They are compiled as they are."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before JAX is imported, and for the processes that tests start.
os.environ["XLA_FLAGS"] = " ".join(
    [
        os.environ.get("XLA_FLAGS", ""),
        "--xla_backend_optimization_level=0",
        "--xla_llvm_disable_expensive_passes=true",
    ]
).strip()

MAPS = Path("/proc/self/maps")
MANY = 25_000  # of the 65,530 mappings that Linux lets a process have by default


@pytest.fixture(autouse=True, scope="module")
def programs_are_forgotten() -> Iterator[None]:
    """Forgets compiled programs when there are many: each has mappings of its own, and LLVM crashes without more."""
    yield
    if MAPS.exists() and len(MAPS.read_bytes().splitlines()) > MANY:
        import jax

        jax.clear_caches()
