"""What Spark says when it fails, in a sentence for people."""

from __future__ import annotations

import re
import sys

LONGEST = 500

_OURS = re.compile(r"foveate\.errors\.\w+: (.+)")  # raised on a worker
_ERROR = re.compile(
    r"^\s*(?:\[rank\d+\]: )?(?:Caused by: )?(?:\w+\.)*(\w*(?:Error|Exception)): (.+)", re.M
)
_NOT_THE_CAUSE = ("PythonException", "SparkException", "Py4JJavaError", "ChildFailedError")
_WRAPPED = "Command ["  # TorchDistributor's RuntimeError: the task's output follows

_PACK = "in the Python or the environment that the target names (`foveate target pack` packs one)"
_KNOWN = (
    (
        re.compile(r"No module named '?([\w.]+)'?"),
        f"The workers have no ‘{{0}}’. Install foveate, with the extra that this needs, {_PACK}; "
        "`foveate target check` tells more.",
    ),
    (
        re.compile(r'Cannot run program "([^"]+)"'),
        "The workers have no Python at ‘{0}’. Say in the target where it is (`python`), or pack an "
        "environment (`foveate target pack`).",
    ),
    (
        re.compile("(PYTHON_VERSION_MISMATCH)"),
        "The Python of the workers is of another version than this one "
        f"({sys.version_info.major}.{sys.version_info.minor}); Spark needs the same minor version "
        "on both sides. The target says where it is (`python`).",
    ),
    (
        re.compile(r"(Signal 9 \(SIGKILL\))"),
        "A process on a worker was killed, in most cases because memory was short. Use a smaller "
        "--set minibatch=…, or fewer processes a machine (`cores` of the target).",
    ),
)


def in_a_sentence(error: Exception, otherwise: str) -> str:
    """What went wrong, in Python or in Java, without the traces around it.

    Args:
        error: as Spark raised it.
        otherwise: the sentence where the cause is neither one of foveate's own nor well known;
            `{cause}` in it is what was found.
    """
    text = str(error)
    if ours := _OURS.findall(text):
        return str(ours[-1]).strip()
    for pattern, sentence in _KNOWN:
        if known := pattern.search(text):
            return sentence.format(known[1])
    causes = [
        f"{kind}: {message.strip()}"
        for kind, message in _ERROR.findall(text)
        if kind not in _NOT_THE_CAUSE and not message.startswith(_WRAPPED)
    ]
    cause = causes[-1] if causes else text.strip().partition("\n")[0] or type(error).__name__
    return otherwise.format(cause=cause[:LONGEST].rstrip("."))
