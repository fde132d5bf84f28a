from __future__ import annotations

import socket
import sys

import pytest

from rtface.system.sd_notify import notify_socket, sd_notify

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no systemd")


@pytest.mark.parametrize("abstract", [False, True])
def test_a_state_arrives_as_one_message(tmp_path, abstract):
    if abstract and sys.platform != "linux":
        pytest.skip("abstract sockets are Linux's")
    address = f"@rtface-test-{id(tmp_path)}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + address[1:] if abstract else address)
        assert sd_notify("READY=1\nSTATUS=well", {"NOTIFY_SOCKET": address})
        assert listening.recv(1000) == b"READY=1\nSTATUS=well"


def test_nobody_listens():
    assert notify_socket({}) is None
    assert not sd_notify("READY=1", {})
    assert not sd_notify("READY=1", {"NOTIFY_SOCKET": "/nowhere/notify"})
