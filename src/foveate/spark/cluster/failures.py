"""What Spark says when it fails, in a sentence for people."""

from __future__ import annotations

import re

LONGEST = 500

_OURS = re.compile(
    r"(?:ClusterError|SettingsError|BackboneError|ModelFileError): (.+)"  # raised on a worker
)
_ERROR = re.compile(r"\s*(?:Caused by: )?(?:\w+\.)*(\w*(?:Error|Exception)): (.+)")
_NOT_THE_CAUSE = ("PythonException", "SparkException", "Py4JJavaError")
_ABSENT = re.compile(r"No module named '?foveate'?")


def cause_of(error: Exception) -> str:
    """What went wrong, in Python or in Java, without the traces around it.

    A sentence of foveate's own is given as it is, without a name before it.
    """
    text = str(error)
    if found := _OURS.search(text):
        return found[1].strip()
    if _ABSENT.search(text):
        return (
            "the workers have no foveate. Give the target a `python` where it is installed, or an "
            "`environment` that `foveate target pack` made; `foveate target check` tells more"
        )
    causes = [
        f"{found[1]}: {found[2].strip()}"
        for line in text.splitlines()
        if (found := _ERROR.match(line)) and found[1] not in _NOT_THE_CAUSE
    ]
    cause = causes[-1] if causes else text.strip().partition("\n")[0] or type(error).__name__
    return cause[:LONGEST].rstrip(".")


def is_ours(error: Exception) -> bool:
    """Whether `cause_of` gives a whole sentence that a worker of foveate's said."""
    return _OURS.search(str(error)) is not None
