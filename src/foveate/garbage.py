"""How often programs of our own look for garbage: seldom, and not when they end."""

from __future__ import annotations

import atexit
import gc

# Container objects that are made before Python looks for cycles among them; its own 700 make it
# look hundreds of times while PyTorch is loaded. Not many more, as each may hold an image.
_OBJECTS = 10_000


def collect_seldom() -> None:
    """To be called once, where a program begins; a library leaves this to its user.

    Of `import torch, timm, sklearn, openvino` and exit, which took 8.9 s on two cores, this spares
    3.5 s: 2 s of them at the end, where Python looks through everything that was loaded although
    the system takes all memory back at once.
    """
    gc.set_threshold(_OBJECTS)
    atexit.register(gc.freeze)
