"""The suite's time is mostly XLA's: hundreds of small programs, each run a few times. They are compiled as they are."""

import os

# Before JAX is imported, and for the processes that tests start.
os.environ["XLA_FLAGS"] = " ".join(
    [
        os.environ.get("XLA_FLAGS", ""),
        "--xla_backend_optimization_level=0",
        "--xla_llvm_disable_expensive_passes=true",
    ]
).strip()
