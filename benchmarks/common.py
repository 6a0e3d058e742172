"""What the benchmarks share: data, subprocesses with their memory, bars, the machine."""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
DATA = SHARED / "data"
RESULTS = ROOT / "benchmarks" / "results"


@dataclass(frozen=True)
class Bar:
    """One promise and what was measured.

    Attributes:
        name: what was measured, in words.
        value: the figure.
        unit: of the figure.
        bound: the promise.
        at_least: whether `bound` is a lower bound; else it is an upper one.
    """

    name: str
    value: float
    unit: str
    bound: float
    at_least: bool

    @property
    def met(self) -> bool:
        """Whether the promise is kept."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    @property
    def shown(self) -> str:
        """The figure to three digits, without the noise of floating point around zero."""
        return f"{round(self.value, 6):.3g} {self.unit}".strip()

    @property
    def promise(self) -> str:
        """The promise in words."""
        return f"{'≥' if self.at_least else '≤'} {self.bound:g} {self.unit}".strip()


@dataclass(frozen=True)
class Result:
    """What one benchmark found.

    Attributes:
        title: heading in the docs.
        remarks: how it was measured, and what else there is to say.
        bars: the promises.
        table: header and rows of further figures.
    """

    title: str
    remarks: Sequence[str]
    bars: Sequence[Bar]
    table: Sequence[Sequence[str]] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        """Everything, for the JSON file."""
        bars = [asdict(bar) | {"met": bar.met} for bar in self.bars]
        return {
            "title": self.title,
            "remarks": list(self.remarks),
            "bars": bars,
            "table": [list(row) for row in self.table],
        }


@dataclass(frozen=True)
class Finished:
    """A command that ran to its end.

    Attributes:
        seconds: wall time.
        peak_mib: largest resident memory of the process, in MiB.
        stdout: what it printed.
    """

    seconds: float
    peak_mib: float
    stdout: str

    @property
    def json(self) -> dict[str, Any]:
        """The last line of stdout as JSON."""
        result: dict[str, Any] = json.loads(self.stdout.strip().splitlines()[-1])
        return result


def run(*command: object, cache: Path | None = None) -> Finished:
    """Run a command and measure its time and memory.

    Raises:
        RuntimeError: it failed.
    """
    environment = dict(os.environ)
    if cache is not None:
        environment["FOVEATE_CACHE"] = str(cache)
    # On, as everybody has it, but not in the history of whoever runs the benchmarks.
    environment.setdefault("FOVEATE_HISTORY", str(cache / "history") if cache else "off")
    words = [str(word) for word in command]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        process = subprocess.Popen(words, stdout=out, stderr=err, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode != 0:
            raise RuntimeError(f"{' '.join(words)} failed: {err.read().decode()[-2000:]}")
        return Finished(seconds, usage.ru_maxrss / 1024, out.read().decode())


def foveate(*arguments: object, cache: Path | None = None) -> Finished:
    """Run the command line of this environment."""
    return run(sys.executable, "-m", "foveate", *arguments, cache=cache)


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="foveate-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return statistics.median(values)


def machine() -> dict[str, object]:
    """The machine and the libraries, as far as they matter for speed."""
    cpu, flags = platform.processor() or platform.machine(), ""
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = dict(
            (part.strip() for part in line.split(":", 1))
            for line in info.read_text().splitlines()
            if ":" in line
        )
        cpu, flags = lines.get("model name", cpu), lines.get("flags", "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    wanted = ("amx_bf16", "avx512_bf16", "avx512f", "avx2")
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "instructions": [flag for flag in wanted if flag in flags.split()],
        "memory_gib": round(memory, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": {
            name: version(name)
            for name in ("openvino", "onnxruntime", "numpy", "pillow", "simplejpeg", "torch")
        },
    }
