"""Blob stores on loopback that tests start: Azurite for `abfs://`, moto's server for `s3://`.

Both are processes of their own, so that other processes (a subprocess, the workers of a cluster)
reach them with nothing but `storage_options`. The fixtures `azurite` and `s3_server` live as long
as the test session; `abfs` and `s3` give one test an empty container or bucket, with the options
in use in this process:

    def test_it(abfs: Opened) -> None:
        files.write_anywhere(f"{abfs.url}/a.jpg", b"…")
"""

from __future__ import annotations

import base64
import copy
import http.client
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import pytest
from filelock import FileLock

from foveate.files import use_storage_options

AZURITE = "3.35.0"
SECONDS_TO_START = 60.0
SECONDS_TO_INSTALL = 300.0


@dataclass(frozen=True)
class Opened:
    """An empty container or bucket.

    Attributes:
        url: of it, without a slash at the end.
        protocol: abfs or s3.
        storage_options: what fsspec's file system wants, as plain text.
    """

    url: str
    protocol: str
    storage_options: dict[str, str]

    @property
    def options(self) -> dict[str, dict[str, str]]:
        """As `foveate.files.use_storage_options` takes them."""
        return {self.protocol: self.storage_options}


@dataclass(frozen=True)
class Endpoint:
    """A blob store that runs.

    Attributes:
        protocol: abfs or s3.
        storage_options: what fsspec's file system wants, as plain text.
        process: the server.
    """

    protocol: str
    storage_options: dict[str, str]
    process: subprocess.Popen[bytes]

    def fresh(self) -> Opened:
        """A new, empty container or bucket."""
        import fsspec

        name = f"t{uuid.uuid4().hex}"
        with in_use({self.protocol: self.storage_options}):
            fsspec.filesystem(self.protocol).mkdir(name)
        return Opened(f"{self.protocol}://{name}", self.protocol, self.storage_options)


@contextmanager
def in_use(options: dict[str, dict[str, str]]) -> Iterator[None]:
    """Open URLs with these storage options in this process; afterwards all is as it was."""
    import fsspec
    from fsspec.config import conf

    before = copy.deepcopy(conf)
    _forget_instances(options)
    try:
        use_storage_options(options)
        yield
    finally:
        conf.clear()
        conf.update(before)
        _forget_instances(options)
        assert fsspec.config.conf is conf


def _forget_instances(options: dict[str, dict[str, str]]) -> None:
    import fsspec

    for protocol in options:
        fsspec.get_filesystem_class(protocol).clear_instance_cache()


@pytest.fixture(scope="session")
def azurite() -> Iterator[Endpoint]:
    """Azure's own emulator of its Blob storage; the test is skipped where there is no Node.js."""
    pytest.importorskip("adlfs")
    program = _azurite_program()
    account, key = "foveate", base64.b64encode(os.urandom(64)).decode()
    port = _free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *("node", str(program), "--blobHost", "127.0.0.1", "--blobPort", str(port)),
            *("--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"),
            "--disableProductStyleUrl",
        ]
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | {"AZURITE_ACCOUNTS": f"{account}:{key}"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        connection = (
            f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={key};"
            f"BlobEndpoint=http://127.0.0.1:{port}/{account};"
        )
        with _running(process, port):
            yield Endpoint("abfs", {"connection_string": connection}, process)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[Endpoint]:
    """moto's S3 server."""
    pytest.importorskip("s3fs")
    pytest.importorskip("moto.server")
    port = _free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    options = {"endpoint_url": f"http://127.0.0.1:{port}", "key": "foveate", "secret": "foveate"}
    with _running(process, port):
        yield Endpoint("s3", options, process)


@pytest.fixture
def abfs(azurite: Endpoint) -> Iterator[Opened]:
    """An empty container at `abfs://`, with its options in use."""
    yield from _opened(azurite)


@pytest.fixture
def s3(s3_server: Endpoint) -> Iterator[Opened]:
    """An empty bucket at `s3://`, with its options in use."""
    yield from _opened(s3_server)


def _opened(endpoint: Endpoint) -> Iterator[Opened]:
    fresh = endpoint.fresh()
    with in_use(fresh.options):
        yield fresh


@contextmanager
def _running(process: subprocess.Popen[bytes], port: int) -> Iterator[None]:
    """The time in which a server answers; then its end."""
    try:
        deadline = time.monotonic() + SECONDS_TO_START
        while not _answers(port):
            assert process.poll() is None, f"{process.args} ended with {process.returncode}"
            assert time.monotonic() < deadline, f"{process.args} does not answer"
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _azurite_program() -> Path:
    """Azurite's script, installed from npm into the user's cache the first time."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Azurite needs Node.js and npm, which are not here")
    cache = Path(platformdirs.user_cache_dir("foveate-tests", appauthor=False))
    cache.mkdir(parents=True, exist_ok=True)
    home = cache / f"azurite-{AZURITE}"
    program = home / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    with FileLock(cache / "azurite.lock"):
        if not program.is_file():
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                _install_azurite(Path(folder))
                shutil.rmtree(home, ignore_errors=True)
                (Path(folder) / "here").rename(home)
    return program


def _install_azurite(folder: Path) -> None:
    (folder / "here").mkdir()
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", "here"]
    try:
        done = subprocess.run(
            [*command, f"azurite@{AZURITE}"],
            cwd=folder,
            timeout=SECONDS_TO_INSTALL,
            capture_output=True,
            text=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not install Azurite within {SECONDS_TO_INSTALL:.0f} s")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        pytest.skip(f"npm cannot install Azurite {AZURITE}: {last}")
