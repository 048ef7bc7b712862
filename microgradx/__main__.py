"""`python -m microgradx`: see `microgradx.cli`."""

import sys

from microgradx.cli import main

if __name__ == "__main__":
    sys.exit(main())
