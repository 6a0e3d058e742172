"""What Spark is told about a target."""

from __future__ import annotations

import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveate.errors import ClusterError
from foveate.spark.cluster.conf import as_properties, is_here, masters, spark_conf, workers_python
from foveate.targets import Target


def test_a_standalone_cluster() -> None:
    target = Target(master="spark://head:7077", executors=8, cores=4, memory="6g")
    conf = spark_conf(target, name="score")
    assert conf["spark.app.name"] == "score"
    assert conf["spark.master"] == "spark://head:7077"
    assert conf["spark.executor.memory"] == "6g"
    assert (conf["spark.executor.cores"], conf["spark.cores.max"]) == ("4", "32")
    assert "spark.driver.host" not in conf


def test_kubernetes_counts_executors() -> None:
    conf = spark_conf(Target(master="k8s://https://api:6443", executors=3), name="x")
    assert conf["spark.executor.instances"] == "3"
    assert "spark.cores.max" not in conf


def test_a_number_of_executors_needs_their_cores() -> None:
    with pytest.raises(ClusterError, match="needs `cores`"):
        spark_conf(Target(master="spark://head:7077", executors=8), name="x")


def test_a_cluster_on_this_machine_is_spoken_to_on_loopback() -> None:
    conf = spark_conf(Target(master="spark://127.0.0.1:7077"), name="x")
    assert conf["spark.driver.host"] == conf["spark.driver.bindAddress"] == "127.0.0.1"


def test_conf_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSED", "hidden")
    target = Target(
        master="spark://localhost:7077",
        memory="1g",
        conf={
            "spark.executor.memory": "3g",
            "spark.driver.host": "10.0.0.1",
            "spark.ui.enabled": True,
            "spark.authenticate.secret": "env:PASSED",
        },
    )
    conf = spark_conf(target, name="x", archive="file:///env.tar.gz")
    assert conf["spark.executor.memory"] == "3g"
    assert conf["spark.driver.host"] == "10.0.0.1"
    assert conf["spark.ui.enabled"] == "true"
    assert conf["spark.authenticate.secret"] == "hidden"
    assert conf["spark.archives"] == "file:///env.tar.gz#environment"


@pytest.mark.parametrize(
    ("values", "python"),
    [
        ({"master": "spark://127.0.0.1:7077"}, sys.executable),
        ({"master": "local[2]", "environment": "e.tar.gz"}, sys.executable),
        ({}, sys.executable),
        ({"master": "spark://head:7077"}, "python3"),
        ({"master": "spark://head:7077", "environment": "e.tar.gz"}, "./environment/bin/python"),
        ({"master": "spark://head:7077", "environment": "e.tar.gz", "python": "/py"}, "/py"),
        ({"master": "yarn", "conf": {"spark.pyspark.python": "/conf/py"}}, "/conf/py"),
    ],
)
def test_the_python_of_the_workers(
    values: dict[str, object], python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYSPARK_PYTHON", raising=False)
    assert workers_python(Target.model_validate(values)) == python


def test_masters() -> None:
    assert masters("spark://a:7077,b:7078") == [("a", 7077), ("b", 7078)]
    assert masters("spark://[::1]:7077") == [("[::1]", 7077)]
    assert masters("k8s://https://a:6443") == masters("yarn") == masters("") == []


@pytest.mark.parametrize(
    "master", ["spark://head", "spark://:7077", "spark://head:70777", "spark://head:x"]
)
def test_an_address_that_is_none(master: str) -> None:
    with pytest.raises(ClusterError, match=r"spark://HOST:7077"):
        masters(master)


@pytest.mark.parametrize(
    ("master", "here"),
    [
        ("local[2]", True),
        ("", True),
        ("spark://localhost:1", True),
        ("spark://127.0.0.1:1,127.0.0.2:2", True),
        ("spark://127.0.0.1:1,head:2", False),
        ("spark://localhost.example:1", False),
        ("yarn", False),
        ("k8s://https://127.0.0.1:1", False),
    ],
)
def test_what_is_on_this_machine(master: str, here: bool) -> None:
    assert is_here(master) is here


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_properties_keep_every_character(conf: dict[str, str]) -> None:
    text = as_properties(conf)
    assert text.isascii()
    read = {}
    for line in text.splitlines():
        name, value = line.split("=")
        read[plain(name)] = plain(value)
    assert read == conf


def plain(text: str) -> str:
    """As Java reads it: `\\uXXXX` are UTF-16 units, all else is itself."""
    assert re.fullmatch(r"(?:[0-9A-Za-z]|\\u[0-9a-f]{4})*", text)
    units = re.findall(r"\\u([0-9a-f]{4})|(.)", text)
    data = b"".join(bytes.fromhex(code) if code else b"\0" + char.encode() for code, char in units)
    return data.decode("utf-16-be", errors="surrogatepass")
