"""What a service tells systemd (`sd_notify(3)`): one datagram to the socket that it named."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress


def notify_socket(env: Mapping[str, str] | None = None) -> str | None:
    """Where systemd listens; None = it did not start this process as a service of Type=notify."""
    return (os.environ if env is None else env).get("NOTIFY_SOCKET") or None


def sd_notify(state: str, env: Mapping[str, str] | None = None) -> bool:
    """Tell systemd a state such as "READY=1"; False where nobody listens.

    Args:
        state: Assignments, one a line.
        env: Where NOTIFY_SOCKET is looked up; None = the process's environment.
    """
    address = notify_socket(env)
    if address is None or not hasattr(socket, "AF_UNIX"):
        return False
    if address.startswith("@"):  # of the abstract namespace
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.connect(address)
        out.sendall(state.encode())
        return True
    return False
