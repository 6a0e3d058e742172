"""Prove what can be proved from here about a target of machines that run PyTorch's torchrun."""

from __future__ import annotations

import errno
import socket
import time
from importlib import metadata

from foveate.errors import ClusterError
from foveate.spark.check.findings import TargetCheck
from foveate.targets import Target

SECONDS_TO_CONNECT = 5.0


def check_machines(target: Target) -> TargetCheck:
    """Whether PyTorch is here, and the place where the machines meet can be used.

    That place is served by the first machine for as long as it refines. So before, it is in order
    that nobody answers there, if it is this machine that can listen there.

    Raises:
        ClusterError: the target does not say where the machines meet.
    """
    start = time.monotonic()
    host, _, port = target.master.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ClusterError(
            f"A target of kind torch needs a `master` of the form HOST:PORT, which is where its "
            f"machines meet; ‘{target.master}’ is not."
        )
    problems = []
    try:
        version = metadata.version("torch")
    except metadata.PackageNotFoundError:
        version = ""
        problems.append("PyTorch is not installed here: pip install 'foveate[refine]'.")
    remarks = [f"PyTorch {version} is installed here."] if version else []
    try:
        remarks.append(_meeting_place(host.strip("[]"), int(port)))
    except OSError as error:
        problems.append(
            f"Nobody answers at {target.master} ({error.strerror or error}), and this machine "
            "cannot listen there. Start the first machine before the others, and let its firewall "
            "pass that port."
        )
    remarks.append("Only this machine was looked at; run the same on each of the others.")
    return TargetCheck(
        master=target.master,
        workers=(),
        storage="",
        seconds=time.monotonic() - start,
        problems=tuple(problems),
        remarks=tuple(remarks),
    )


def _meeting_place(host: str, port: int) -> str:
    """A sentence about who listens, or could listen, at HOST:PORT.

    Raises:
        OSError: nobody answers, and it is not this machine.
    """
    try:
        socket.create_connection((host, port), timeout=SECONDS_TO_CONNECT).close()
    except OSError as unanswered:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind, protocol) as listener:
            try:
                listener.bind(address)
            except OSError as error:
                if error.errno == errno.EADDRNOTAVAIL:  # an address of another machine
                    raise unanswered from None
                raise
        return f"This machine is {host}, and can listen on port {port}."
    return f"Somebody listens at {host}:{port}."
