"""The first process of several machines lets the others go, once it has evaluated and written.

torchrun on a machine whose processes are done waits for five minutes, then it ends, and takes with
it what torchrun on the others needs. So the helpers stay until the first process is done, too.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import timedelta

from foveate.launch.failures import GONE, STOPPED, Cause, hand_over
from foveate.launch.position import is_helper

SECONDS_TO_CONNECT = 30
SECONDS_BETWEEN_LOOKS = 0.5

_FIRST_FAILED = "The first process failed; on the machine where it ran, it is said why."


def until_the_first_is_done(work: Callable[[], int]) -> int:
    """Do the work of this process; under torchrun on several machines, all end together.

    Args:
        work: of this process; its exit status.

    Returns:
        The exit status: of a helper whose own work went well, that of the first process.
    """
    if int(os.environ.get("GROUP_WORLD_SIZE", "1")) < 2:
        return work()
    try:
        status = work()
    except SystemExit as end:  # how helpers end
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    if status and is_helper():
        return status  # torchrun ends the others, which may be waiting for this one
    try:
        return _wait(status)
    except KeyboardInterrupt:
        return STOPPED


def _wait(status: int) -> int:
    from torch.distributed import TCPStore

    over = f"foveate/over/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    try:
        patience = timedelta(seconds=SECONDS_TO_CONNECT)
        store = TCPStore(address, port, is_master=False, timeout=patience)
        if not is_helper():
            store.set(over, str(status))
    except RuntimeError:
        return status  # the others are gone: there is nobody to wait for
    if not is_helper():
        return status
    try:
        while not store.check([over]):
            time.sleep(SECONDS_BETWEEN_LOOKS)
        first = int(store.get(over))
    except RuntimeError:
        hand_over(GONE, 1, Cause.GONE)
        return 1
    if first:
        hand_over(_FIRST_FAILED, first, Cause.GONE)
    return first
