"""How many cores this process may use."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def usable_cores() -> int:
    """Cores that this process may use: `taskset` allows fewer than there are, and so do containers.

    A container's limit is time, not cores: half a core is one here, two and a half are three.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, math.ceil(min(cores, cgroup_limit())))


def cgroup_limit(root: Path = Path("/")) -> float:
    """Cores' worth of time that Linux allows this process; infinity without a limit.

    A limit set on any group above the process's own holds for it, too, so the tightest one counts.
    What cannot be read sets none.

    Args:
        root: below it lie `proc` and `sys`.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return math.inf
    limits = [math.inf]
    for line in lines:
        _, controllers, group = line.split(":", 2)  # as cgroups(7) says
        if controllers == "":  # version 2
            mounts = ("sys/fs/cgroup", "sys/fs/cgroup/unified")
            limits += [_quota(f / "cpu.max") for m in mounts for f in _groups(root / m, group)]
        elif "cpu" in controllers.split(","):  # version 1
            mounts = ("sys/fs/cgroup/cpu", f"sys/fs/cgroup/{controllers}")
            limits += [
                _quota(f / "cpu.cfs_quota_us", f / "cpu.cfs_period_us")
                for m in mounts
                for f in _groups(root / m, group)
            ]
    return min(limits)


def _groups(mount: Path, group: str) -> Iterator[Path]:
    """A group's folder and those above it, up to the mount.

    In a container the path may be the one outside, of which nothing is to be seen but the mount.
    """
    inside = PurePosixPath(group.lstrip("/"))
    if ".." in inside.parts:  # the process was started outside the container
        inside = PurePosixPath()
    yield from (mount / one for one in (inside, *inside.parents))


def _quota(*files: Path) -> float:
    """Microseconds that may be used, divided by those in which; infinity where any may."""
    try:
        used, period = " ".join(file.read_text() for file in files).split()
        quota = float(used) / float(period)
    except (OSError, ValueError, ZeroDivisionError):  # "max 100000", or no such file
        return math.inf
    return quota if quota > 0 else math.inf  # -1 is no limit, too
