"""What all tests share: the CPU backend is configured before it starts."""

import goodpath.training  # noqa: F401
