"""``python -m optimkit``: the command line."""

import sys

from optimkit.validation.cli import main

if __name__ == "__main__":
    sys.exit(main())
