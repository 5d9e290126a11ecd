"""`python -m goodpath` is the command line."""

import sys

from goodpath.cli import main

sys.exit(main())
