"""Copy files between folders and blob stores: parallel, resumable, verified.

One way only: nothing is ever deleted at the destination. A file appears there whole or not at
all, and a journal in the user's cache knows what has arrived, so that the same call goes on after
it was killed.
"""

from foveate.copying.copying import Copied, CopyFailure, State, copy
from foveate.copying.transfer import Verify
from foveate.errors import CopyError

__all__ = ["Copied", "CopyError", "CopyFailure", "State", "Verify", "copy"]
