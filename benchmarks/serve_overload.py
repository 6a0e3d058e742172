"""Three times more requests than a server can answer, for a minute; then full speed again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import load
from benchmarks.common import Bar, median
from benchmarks.serve_servers import Server, watched

TIMES, SECONDS, SETTLING = 3.0, 60, 10
RECOVERY_SECONDS, FULL_SECONDS = 5, 10


@dataclass(frozen=True)
class Overload:
    """What an overload did to a server.

    Attributes:
        rate: requests a second that came.
        found: what the load generator saw.
        memory: MiB of the process tree, once a second from the start of the load.
        full: images/s before it.
        recovering: images/s from the end of the load on, for the time there is to recover.
        recovered: images/s after that time.
    """

    rate: float
    found: Mapping[str, Any]
    memory: Sequence[float]
    full: float
    recovering: float
    recovered: float

    @property
    def settled(self) -> Sequence[float]:
        """The memory after the first seconds."""
        return self.memory[SETTLING:]

    @property
    def others(self) -> int:
        """Requests that ended in something else than 200 or 503, or in nothing."""
        statuses = self.found["statuses"]
        wrong = sum(n for status, n in statuses.items() if status not in ("200", "503"))
        return int(wrong + sum(self.found["errors"].values()))

    def bars(self) -> list[Bar]:
        """The promises."""
        middle = median(self.settled)
        away = max(abs(mib / middle - 1) for mib in self.settled)
        p99 = self.found["latency"]["p99"]
        name = f"{TIMES:g} times overload:"
        return [
            Bar(f"{name} requests without 200 or 503", self.others, "", 0, at_least=False),
            Bar(f"{name} p99 of the 200s", (p99 or float("inf")) / 1e3, "s", 1, at_least=False),
            Bar(f"{name} memory away from its middle", 100 * away, "%", 10, at_least=False),
            Bar(
                f"{name} share of full speed {RECOVERY_SECONDS} s later",
                self.recovered / self.full,
                "",
                0.95,
                at_least=True,
            ),
        ]

    def remark(self) -> str:
        """How it was measured, and what else there is to say."""
        found = self.found
        refused = found["latency_by_status"].get("503", {}).get("p99")
        statuses = ", ".join(f"{n:,} × {status}" for status, n in found["statuses"].items())
        errors = ", ".join(f"{n:,} × {kind}" for kind, n in found["errors"].items()) or "none"
        return (
            f"Overload: {self.rate:.0f} requests/s for {SECONDS} s from our own generator (Poisson "
            f"arrivals that wait for no answer; {found['cpu_ms_per_request']:.2f} ms of CPU a "
            f"request, on the same cores), at most {found['connections']:,} connections. Answers: "
            f"{statuses}; other ends: {errors}. 200s came at {found['rate']:.0f} images/s"
            + (f", 503s within {refused:.0f} ms (p99)" if refused else "")
            + f". Memory {self.memory[0]:.0f} MiB in the first second, later "
            f"{min(self.settled):.0f} to {max(self.settled):.0f}. Full speed before it "
            f"{self.full:.1f} images/s, in the {RECOVERY_SECONDS} s after it "
            f"{self.recovering:.1f}, then {self.recovered:.1f}."
        )


def overload(server: Server, url: str, images: Path, capacity: float, connections: int) -> Overload:
    """Full speed, overload, recovery.

    Args:
        server: warm.
        url: of the route.
        images: a folder of photos.
        capacity: images/s that the server can answer.
        connections: of the load at full speed.
    """

    def full(seconds: float) -> float:
        found = load.measure("closed", url, images, seconds=seconds, connections=connections)
        return float(found["rate"])

    before = full(FULL_SECONDS)
    rate = TIMES * capacity
    with watched(server) as memory:
        found = load.measure("open", url, images, rate=rate, seconds=SECONDS)
    left = RECOVERY_SECONDS - found["drained_seconds"]
    recovering = full(max(left, 1))
    after = full(FULL_SECONDS)
    shown = {name: found[name] for name in ("statuses", "errors", "latency_by_status", "lag")}
    print(f"overload at {rate:.0f}/s: {shown}", flush=True)
    return Overload(rate, found, memory, before, recovering, after)
