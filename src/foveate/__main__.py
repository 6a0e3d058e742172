"""`python -m foveate` is the command `foveate`."""

import sys

try:
    from foveate.cli import main
except KeyboardInterrupt:  # while it starts: nothing was computed, and nothing is to be said
    sys.exit(130)

main()
