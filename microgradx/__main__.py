"""`python -m microgradx`: see `microgradx.cli`."""

import signal
import sys

from microgradx.cli import main

if __name__ == "__main__":
    status = main()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # what is left is Python's own exit
    sys.exit(status)
