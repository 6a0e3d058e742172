"""What keeps a worker small, set by the operating system: its memory.

Decoders are code of others, given bytes of strangers. `foveate.image` estimates what an image
costs before it is decoded; what it does not foresee ends here, and costs an image, or one worker.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Final

IMAGE_BYTES_PER_PIXEL: Final = 8
"""Of `max_pixels`: an image of four bytes a pixel, and the RGB that is made of it."""

LEAST_IMAGE_BYTES: Final = 200_000_000
"""For images, where `max_pixels` is small: decoders of small images have large tables, too."""

BATCHES: Final = 2
"""That a worker holds at once, each of `max_bytes` at most (see `queue`): one that it works on, and
the next."""

SLACK_BYTES: Final = 64 * 2**20
"""For rows, tables and strips of decoders, a second copy of some of the pixels of a batch, and
what the allocator does not give back."""


def image_bytes(max_pixels: int) -> int:
    """Bytes of memory that decoding one image may take in a worker."""
    return max(LEAST_IMAGE_BYTES, IMAGE_BYTES_PER_PIXEL * max_pixels)


def confine_memory(max_pixels: int, max_bytes: int) -> int:
    """On Linux, let this process take no more memory than it has and what a batch may need.

    Call it when models are loaded and have run once, as what they take then is all they ever do.
    Beyond the limit allocations fail: in Python with a `MemoryError`, in decoders with an error
    of their own, in a few with the end of the process.

    Returns:
        The bytes that are allowed on top of what is taken now: an image, the files of the batch
        that is worked on and of the next one, and some slack.
    """
    allowed = image_bytes(max_pixels) + BATCHES * max_bytes + SLACK_BYTES
    if sys.platform != "linux":
        return allowed
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _data_bytes() + allowed
    if hard == resource.RLIM_INFINITY or limit < hard:
        # Private writable memory; unlike RLIMIT_AS, not what allocators reserve and never touch.
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    return allowed


def _data_bytes() -> int:
    """Private writable memory of this process, as RLIMIT_DATA counts it (Linux 4.7)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return 0
