"""Where method, data, environment, log and checkpoint meet, and nowhere else."""

import jax

# With asynchronous dispatch, XLA's CPU backend now and then loses a wake-up between its two thread pools and a
# training run hangs for ever (jax-ml/jax#25861). The loop waits for each program anyway, so nothing is lost.
# It takes effect when the backend starts, so before the first computation of the process.
jax.config.update("jax_cpu_enable_async_dispatch", False)  # type: ignore[no-untyped-call]
