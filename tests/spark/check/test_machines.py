"""A target of machines that run torchrun: what can be proved from here."""

from __future__ import annotations

import socket

import pytest

from foveate.errors import ClusterError
from foveate.spark.check import machines
from foveate.targets import Target


def test_machines_meet_where_one_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        said = machines.check_machines(Target(kind="torch", master=f"127.0.0.1:{port}"))
        assert f"Somebody listens at 127.0.0.1:{port}." in said.remarks
    said = machines.check_machines(Target(kind="torch", master=f"127.0.0.1:{port}"))
    assert f"This machine is 127.0.0.1, and can listen on port {port}." in said.remarks


def test_machines_that_do_not_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "SECONDS_TO_CONNECT", 0.2)
    # 192.0.2.0/24 is for documentation: no machine has such an address.
    said = machines.check_machines(Target(kind="torch", master="192.0.2.1:29400"))
    assert any("Nobody answers at 192.0.2.1:29400" in problem for problem in said.problems)
    for master in ("", "head", "head:x", ":1"):
        with pytest.raises(ClusterError, match="HOST:PORT"):
            machines.check_machines(Target(kind="torch", master=master))
