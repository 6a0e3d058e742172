"""What a run depends on besides its settings: program versions, machine, state of the code."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from foveate import __version__

_LIBRARIES = ("numpy", "onnxruntime", "openvino", "pillow", "scikit-learn", "simplejpeg", "torch")
_SECONDS = 1  # for git, which may look at many files


def environment(folder: Path) -> dict[str, str]:
    """Tags about libraries, machine and git, as seen from a folder."""
    about = {
        "foveate.version": __version__,
        "python": platform.python_version(),
        "machine": platform.node(),
        "machine.system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "machine.cpu": _cpu(),
        "machine.cores": str(os.cpu_count() or 1),
    }
    for name in _LIBRARIES:
        try:
            about[f"library.{name}"] = version(name)
        except PackageNotFoundError:
            continue
    return about | _git(folder)


def _git(folder: Path) -> dict[str, str]:
    """Commit, branch, and whether files differ from it; nothing outside a repository."""
    commit = _ask(folder, "rev-parse", "HEAD")
    if commit is None:
        return {}
    changed = _ask(folder, "status", "--porcelain", "--untracked-files=no")
    return {
        "mlflow.source.git.commit": commit,
        "git.branch": _ask(folder, "rev-parse", "--abbrev-ref", "HEAD") or "",
        "git.changed": "yes" if changed else "no",
    }


def _ask(folder: Path, *arguments: str) -> str | None:
    try:
        answer = subprocess.run(  # noqa: S603 - our own words
            ["git", "-C", str(folder), *arguments],  # noqa: S607 - whichever git the user has
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def _cpu() -> str:
    """The processor's name, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
