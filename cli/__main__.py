"""`python -m streamer_cli`: the same as the `streamer` command."""

import sys

from .main import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
