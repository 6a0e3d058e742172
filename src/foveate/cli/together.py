"""The command, in one of the processes of several machines; see `processes.run_machines`.

torchrun on a machine whose processes are done waits for five minutes, then it ends, and takes with
it what torchrun on the others needs. So the helpers stay until the first process, which evaluates
and writes, is done, too.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from datetime import timedelta

from foveate.cli import run
from foveate.cli.processes import is_helper

PATIENCE = timedelta(days=1)
"""How long a helper waits for the first process to evaluate and write."""

SECONDS_TO_CONNECT = 30

_OVER = "foveate/over"


def main() -> int:
    """Run the command; the exit status, once the first process has one."""
    sys.argv[0] = "foveate"  # as the run history shows it
    try:
        return run(sys.argv[1:])
    finally:
        with suppress(Exception):  # where the others are gone, there is nobody to wait for
            _end_together()


def _end_together() -> None:
    from torch.distributed import TCPStore

    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    patience = timedelta(seconds=SECONDS_TO_CONNECT)
    store = TCPStore(address, port, is_master=False, timeout=patience)
    if is_helper():
        store.wait([_OVER], PATIENCE)
    else:
        store.set(_OVER, "yes")


if __name__ == "__main__":
    sys.exit(main())
