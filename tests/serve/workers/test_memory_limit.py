"""A worker takes no more memory than it was given."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from foveate.serve.workers.memory_limit import SLACK_BYTES, image_bytes

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")


def run(code: str, *, stderr: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], stderr=stderr, text=True, timeout=60, check=False
    )


def test_what_an_image_may_take() -> None:
    assert image_bytes(50_000_000) == 400_000_000
    assert image_bytes(1) == image_bytes(1_000_000) == 200_000_000


@LINUX
def test_more_memory_is_an_error() -> None:
    code = """if True:
        from foveate.serve.workers.memory_limit import confine_memory
        allowed = confine_memory(1, 10**6)
        kept = bytearray(allowed - 40 * 2**20)
        try:
            more = bytearray(80 * 2**20)
        except MemoryError:
            del kept
            again = bytearray(80 * 2**20)
            raise SystemExit(7)
    """
    assert run(code).returncode == 7


def test_the_limit_is_for_an_image_and_the_files_of_a_batch() -> None:
    code = """if True:
        from foveate.serve.workers.memory_limit import confine_memory
        print(confine_memory(50_000_000, 32 * 2**20))
    """
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert int(done.stdout) == 400_000_000 + 2 * 32 * 2**20 + SLACK_BYTES


ENCODE = """if True:
    import io, struct, sys
    from pathlib import Path
    from PIL import Image

    folder = Path(sys.argv[1])

    def encode(kind, mode, **options):
        with (folder / kind).open("wb") as file:
            Image.new(mode, (7000, 7000)).save(file, kind, **options)

    j2k = io.BytesIO()
    Image.new("RGB", (64, 64)).save(j2k, "JPEG2000", no_jp2=True)
    j2k = bytearray(j2k.getvalue())
    j2k[8:16] = j2k[24:32] = struct.pack(">II", 7000, 7000)
    (folder / "JPEG2000").write_bytes(j2k)
    encode("JPEG", "CMYK", progressive=True)
    encode("PNG", "RGBA", compress_level=1)
    encode("WEBP", "RGBA", lossless=True, method=0)
    encode("TIFF", "RGBA", compression="tiff_lzw", strip_size=10**9)
    encode("AVIF", "RGBA", speed=10)
"""

# In another process: memory that encoders freed but kept would be part of what is allowed.
CONFINED = """if True:
    import os, sys
    from pathlib import Path
    from foveate.errors import ImageRefused
    from foveate.image import Limits, Resize, open_image
    from foveate.serve.workers.memory_limit import confine_memory

    for path in Path(sys.argv[1]).iterdir():
        pid = os.fork()
        if pid == 0:
            data = path.read_bytes()
            confine_memory(1, 10**6)
            try:
                open_image(data, Limits(max_memory=2**40)).pixels(Resize(224))
                os._exit(1)
            except (ImageRefused, MemoryError):
                os._exit(7)
        print(path.name, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


@LINUX
@pytest.mark.slow
def test_a_decoder_without_memory_gives_up(tmp_path: Path) -> None:
    for code in (ENCODE, CONFINED):
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)],
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
    ended = dict(line.split() for line in done.stdout.splitlines())
    # Refused or out of memory; never read, a crash or a hang.
    formats = ("AVIF", "JPEG", "JPEG2000", "PNG", "TIFF", "WEBP")
    assert ended == dict.fromkeys(formats, "7"), done.stderr
