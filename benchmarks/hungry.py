"""The worst image of each format, found by search: `python -m benchmarks.hungry [SECONDS]`.

For SECONDS of each format (60), parameters of `hungry_images` are drawn at random, after those
that were bad before; then the worst so far are changed, one parameter at a time: that of most
seconds of a core, and that of most memory, both within the limits of a server (50 megapixels,
32 MiB). Prints the table of `docs/serve.md`.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.hungry_cost import Cost, Measurer
from benchmarks.hungry_images import KINDS, Kind
from foveate.image import Limits
from foveate.serve.workers.memory_limit import image_bytes
from foveate.serve.workers.worker import MAX_SLOW_BYTES

SERVER = Limits(
    max_bytes=32 * 2**20,
    max_pixels=50_000_000,
    max_slow_bytes=MAX_SLOW_BYTES,
    max_memory=image_bytes(50_000_000),
)
"""What a server accepts by default."""

_DRAWN_AT_RANDOM = 0.4
"""Share of the time before the worst are changed."""


@dataclass(frozen=True, slots=True)
class Tried:
    """An image that was measured: how it was made, its bytes and its cost."""

    values: Mapping[str, Any]
    length: int
    cost: Cost


def search(kind: Kind, seconds: float, measurer: Measurer, rng: random.Random) -> list[Tried]:
    """All that was tried, in about so many seconds."""
    tried: dict[tuple[Any, ...], Tried] = {}
    start = time.monotonic()
    starts = list(kind.starts)
    while starts or time.monotonic() - start < seconds:
        values = {name: rng.choice(choices) for name, choices in kind.space.items()}
        if starts:
            values = {name: starts[0][name] for name in kind.space}
            del starts[0]
        elif time.monotonic() - start > _DRAWN_AT_RANDOM * seconds:
            best = slowest(tried.values()) if rng.random() < 0.5 else largest(tried.values())
            name = rng.choice(sorted(kind.space))
            values = {**best.values, name: values[name]}
        key = tuple(values.values())
        if key not in tried:
            try:
                data = kind.make(values)
            except (OSError, RuntimeError, ValueError):  # the encoder cannot
                continue
            tried[key] = Tried(values, len(data), measurer.cost(data, SERVER))
    return list(tried.values())


def slowest(tried: Any) -> Tried:
    """That of most seconds."""
    return max(tried, key=lambda one: one.cost.seconds)


def largest(tried: Any) -> Tried:
    """That of most memory."""
    return max(tried, key=lambda one: one.cost.megabytes)


def main() -> None:
    """Search and print."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60
    wanted = set(sys.argv[2:])
    print("| format | slowest: bytes | seconds | MB | largest: bytes | seconds | MB |")
    print("|---|---|---|---|---|---|---|")
    with Measurer() as measurer:
        for kind in KINDS:
            if wanted and kind.format not in wanted:
                continue
            tried = search(kind, seconds, measurer, random.Random(0))
            cells = []
            for worst in (slowest(tried), largest(tried)):
                cells += [f"{worst.length:,}", f"{worst.cost.seconds:.1f}"]
                cells += [f"{worst.cost.megabytes:.0f}"]
                print(kind.format, len(tried), dict(worst.values), worst.cost, file=sys.stderr)
            print(f"| {kind.format} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
