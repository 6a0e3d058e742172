"""Cores that a container leaves to a process, from files as Linux shows them."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from foveate.runtime import cores, usable_cores
from foveate.runtime.cores import cgroup_limit

GROUP = "sys/fs/cgroup"
SYSTEMD = "1:name=systemd:/init.scope\n"


def write(root: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


V2 = {
    "a container": ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
    "no limit": ("0::/\n", {"cpu.max": "max 100000\n"}, math.inf),
    "a machine, whose root has no such file": ("0::/user.slice\n", {}, math.inf),
    "a limit on the group above": (
        "0::/slice/pod/box\n",
        {"slice/pod/box/cpu.max": "max 100000\n", "slice/pod/cpu.max": "50000 25000\n"},
        2,
    ),
    "the tightest of three": (
        "0::/slice/pod/box\n",
        {
            "slice/cpu.max": "400000 100000\n",
            "slice/pod/cpu.max": "70000 100000\n",
            "slice/pod/box/cpu.max": "200000 100000\n",
        },
        0.7,
    ),
    "another group's limit": (
        "0::/slice/box\n",
        {"slice/other/cpu.max": "1000 100000\n", "slice/box/cpu.max": "300000 100000\n"},
        3,
    ),
    "a path outside the container": ("0::/../../host\n", {"cpu.max": "200000 100000\n"}, 2),
    "nonsense": ("0::/\n", {"cpu.max": "much\n"}, math.inf),
}


@pytest.mark.parametrize("case", V2)
def test_version_2(case: str, tmp_path: Path) -> None:
    group, files, limit = V2[case]
    write(tmp_path, {"proc/self/cgroup": group})
    write(tmp_path / GROUP, files)
    assert cgroup_limit(tmp_path) == limit


def v1(folder: str, quota: int, period: int = 100_000) -> dict[str, str]:
    return {
        f"{GROUP}/{folder}/cpu.cfs_quota_us": f"{quota}\n",
        f"{GROUP}/{folder}/cpu.cfs_period_us": f"{period}\n",
    }


V1 = {
    "of its own": ("4:cpu:/box\n", v1("cpu/box", 250_000), 2.5),
    "no limit": ("4:cpu:/box\n", v1("cpu/box", -1) | v1("cpu", -1), math.inf),
    "above": ("4:cpu:/pod/box\n", v1("cpu/pod/box", -1) | v1("cpu/pod", 100_000), 1),
    "shared with cpuacct": ("4:cpu,cpuacct:/box\n", v1("cpu,cpuacct/box", 30_000, 10_000), 3),
    "seen from inside Docker": ("4:cpu:/docker/4f5e\n", v1("cpu", 200_000), 2),
    "of cpuset only": ("4:cpuset:/box\n", v1("cpuset/box", 100_000), math.inf),
    "a colon in the name": ("4:cpu:/a:b\n", v1("cpu/a:b", 100_000), 1),
    "beside version 2": ("4:cpu:/box\n0::/\n", v1("cpu/box", 100_000), 1),
}


@pytest.mark.parametrize("case", V1)
def test_version_1(case: str, tmp_path: Path) -> None:
    group, files, limit = V1[case]
    write(tmp_path, {"proc/self/cgroup": SYSTEMD + group, **files})
    assert cgroup_limit(tmp_path) == limit


def test_no_linux_no_limit(tmp_path: Path) -> None:
    assert cgroup_limit(tmp_path) == math.inf


@pytest.mark.parametrize(
    ("limit", "expected"), [(math.inf, 64), (100.0, 64), (2.0, 2), (2.1, 3), (0.2, 1)]
)
def test_the_limit_is_rounded_up(
    limit: float, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr(cores, "cgroup_limit", lambda: limit)
    assert usable_cores() == expected


def test_here() -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)
