"""Cameras on the network, on this machine: MJPEG over HTTP, and RTSP with RTP in the same connection.

Each can be killed in mid-stream and started again at the same address, and can fall silent without hanging up.
"""

from __future__ import annotations

import itertools
import socket
import struct
import threading
import time
from contextlib import suppress

import cv2
import numpy as np

from tests.media import picture

FPS = 50
QUALITY = 80


class StreamServer:
    """A thread that accepts, and one a connection; subclasses ``serve`` a connection until it breaks."""

    scheme = ""
    path = ""

    def __init__(self) -> None:
        self.silent = threading.Event()
        self.served = 0
        self._port = 0
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self._port}{self.path}"

    def start(self) -> None:
        """Listen, from the second time on where it was before."""
        listener = socket.create_server(("127.0.0.1", self._port))
        self._listener, self._port = listener, listener.getsockname()[1]
        self._begin(self._accept, listener)

    def kill(self) -> None:
        """Hang up on everybody, as a process that dies does."""
        listener, self._listener = self._listener, None
        for held in (listener, *self._open):
            if held is not None:
                with suppress(OSError):
                    held.shutdown(socket.SHUT_RDWR)
                held.close()
        for thread in self._threads:
            thread.join(timeout=5.0)
            assert not thread.is_alive()
        self._open, self._threads = [], []

    def __enter__(self) -> StreamServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _begin(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                if self._listener is not listener:
                    connection.close()
                    return
                self._open.append(connection)
                self.served += 1
                self._begin(self._answer, connection)

    def _answer(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            self.serve(connection)

    def _pace(self, number: int) -> None:
        """Until the next frame is due; nothing is due while the server is silent."""
        time.sleep(1.0 / FPS)
        while self.silent.is_set() and self._listener is not None:
            time.sleep(0.01)

    def serve(self, connection: socket.socket) -> None:
        raise NotImplementedError


def frames() -> itertools.count[int]:
    return itertools.count()


def jpeg(number: int) -> bytes:
    """A picture that slides, 160×120, standard tables."""
    moved = np.roll(picture(), 3 * number, axis=1)
    settings = [cv2.IMWRITE_JPEG_QUALITY, QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x221111]  # 4:2:0
    encoded, data = cv2.imencode(".jpg", moved, settings)
    assert encoded
    return data.tobytes()


class MjpegServer(StreamServer):
    """What an IP camera serves to a browser."""

    scheme, path = "http", "/video.mjpg"

    def serve(self, connection: socket.socket) -> None:
        while not connection.recv(4096).endswith(b"\r\n\r\n"):
            pass
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n")
        for number in frames():
            data = jpeg(number)
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            connection.sendall(head.encode() + data + b"\r\n")
            self._pace(number)


class RtspServer(StreamServer):
    """RTSP 1.0 (RFC 2326) with JPEG (RFC 2435) in RTP, interleaved: the least that a client can play."""

    scheme, path = "rtsp", "/live"

    def serve(self, connection: socket.socket) -> None:
        file = connection.makefile("rb")
        playing = False
        while not playing:
            request, headers = _request(file)
            method = request.split()[0]
            connection.sendall(self._reply(method, headers))
            playing = method == "PLAY"
        for number in frames():
            for packet in rtp_packets(jpeg(number), number):
                connection.sendall(b"$\0" + struct.pack(">H", len(packet)) + packet)
            self._pace(number)

    def _reply(self, method: str, headers: dict[str, str]) -> bytes:
        lines, body = ["RTSP/1.0 200 OK", f"CSeq: {headers['cseq']}"], ""
        if method == "OPTIONS":
            lines.append("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")
        elif method == "DESCRIBE":
            media = ("m=video 0 RTP/AVP 26", f"a=control:{self.url}/0", "")
            body = "\r\n".join(("v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=made", "t=0 0", *media))
            lines += ["Content-Type: application/sdp", f"Content-Length: {len(body)}"]
        elif method == "SETUP":
            lines += [f"Transport: {headers['transport']}", "Session: 1"]
        elif method == "PLAY":
            lines += ["Session: 1", "Range: npt=0.000-"]
        return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def _request(file: object) -> tuple[str, dict[str, str]]:
    first = file.readline().decode().strip()  # type: ignore[attr-defined]
    if not first:
        raise OSError("hung up")
    headers = {}
    while line := file.readline().decode().strip():  # type: ignore[attr-defined]
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return first, headers


def rtp_packets(data: bytes, number: int, most: int = 1200) -> list[bytes]:
    """A JPEG's scan in RTP packets of at most so many bytes; a client knows its standard tables by the quality."""
    scan_at = data.index(b"\xff\xda")
    scan = data[scan_at + 2 + int.from_bytes(data[scan_at + 2 : scan_at + 4], "big") : -2]
    height, width = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape[:2]
    packets = []
    for start in range(0, len(scan), most):
        part = scan[start : start + most]
        last = start + len(part) == len(scan)
        counter = (number * 64 + len(packets)) & 0xFFFF
        rtp = struct.pack(">BBHII", 0x80, 26 | (0x80 if last else 0), counter, number * 90000 // FPS, 1)
        header = struct.pack(">I", start) + bytes((1, QUALITY, width // 8, height // 8))
        packets.append(rtp + header + part)
    return packets
