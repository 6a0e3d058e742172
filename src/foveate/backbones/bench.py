"""How fast a backbone is on this machine: the network alone, all cores at work.

What was measured is kept beside the user's packs, one file a machine, so that a list can show it.
"""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from foveate.backbones.names import check_range
from foveate.backbones.registry import Backbone, user_folder
from foveate.files import digest, write_bytes

SECONDS = 2.0


class Speed(BaseModel):
    """What was measured.

    Attributes:
        backbone: its name.
        pack_sha256: which pack it was.
        resolution: pixels a side of the images.
        images_per_second: through the network, without reading and decoding.
        runtime: "openvino" or "onnxruntime".
        precision: "bfloat16" or "float32".
        workers: threads that called it at once.
    """

    model_config = ConfigDict(frozen=True)

    backbone: str
    pack_sha256: str
    resolution: int
    images_per_second: float
    runtime: str
    precision: str
    workers: int


@dataclass(frozen=True, slots=True)
class _Machine:
    cores: int
    cpu: str

    @property
    def file(self) -> Path:
        key = digest(f"{platform.node()}|{self.cpu}|{self.cores}".encode())[:12]
        return user_folder() / "speed" / f"{key}.json"


def measure_speed(
    backbone: Backbone, resolution: int | None = None, *, seconds: float = SECONDS
) -> Speed:
    """Run a backbone for a while, and remember how fast it was.

    Args:
        backbone: the backbone.
        resolution: pixels a side; the one it was trained at where None.
        seconds: how long.

    Raises:
        BackboneError: the pack is damaged, or the network does not take that resolution, or none
            does.
        ModelFileError: no runtime can run it.
    """
    from foveate.runtime import open_network, usable_cores
    from foveate.runtime.rate import measure_rates

    if resolution is not None:
        check_range(resolution)
    side = resolution or backbone.card.resolution
    backbone.card.check_resolution(side)
    workers = usable_cores()
    network = open_network(backbone.onnx_bytes(), resolution=side, workers=workers)
    (rate,) = measure_rates([network], side, workers=workers, rounds=1, seconds=seconds)
    speed = Speed(
        backbone=backbone.card.name,
        pack_sha256=backbone.card.pack_sha256,
        resolution=side,
        images_per_second=rate,
        runtime=network.runtime,
        precision=network.precision,
        workers=workers,
    )
    _remember(speed)
    return speed


def known_speeds() -> list[Speed]:
    """What was measured on this machine; nothing where that cannot be read."""
    try:
        held = json.loads(_machine().file.read_bytes())
        return [Speed.model_validate(one) for one in held["speeds"]]
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return []


def known_speed(backbone: Backbone) -> Speed | None:
    """The last measurement of a backbone as it is now, at its own resolution if there is one."""
    card = backbone.card
    speeds = [
        one
        for one in known_speeds()
        if (one.backbone, one.pack_sha256) == (card.name, card.pack_sha256)
    ]
    own = [one for one in speeds if one.resolution == card.resolution]
    return next(iter([*own, *speeds]), None)


def _remember(speed: Speed) -> None:
    kept = [
        one
        for one in known_speeds()
        if (one.backbone, one.resolution) != (speed.backbone, speed.resolution)
    ]
    machine = _machine()
    held = {
        "cpu": machine.cpu,
        "cores": machine.cores,
        "speeds": [one.model_dump() for one in (speed, *kept)],
    }
    try:
        write_bytes(machine.file, json.dumps(held, indent=1).encode() + b"\n")
    except OSError:  # the measurement is worth telling all the same
        return


def _machine() -> _Machine:
    from foveate.runtime import usable_cores

    cpu = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        pass
    return _Machine(usable_cores(), cpu)
