"""Damaged pictures, sources that are lost again and again, servers that misbehave, and crowds: what comes of them.

Small counts run as tests, large ones in ``benchmarks/reliability.py``. All are seeded.
"""

from __future__ import annotations

import gc
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rtface.capture.open import open_source
from rtface.capture.reader import Grabbed
from rtface.capture.reconnecting import LiveGrabber, Reconnect
from rtface.capture.source import Source
from rtface.errors import RtfaceError, SourceError
from rtface.system.clock import SystemClock
from rtface.system.handoff import Mailbox
from rtface.system.image_bytes import decode_image
from rtface.testing import Painted
from rtface.track import Tracker
from rtface.types import Frame
from tests.media import picture

ENDINGS = (".png", ".jpg", ".bmp", ".webp", ".tiff", ".ppm", ".jp2")
PICTURE = picture()


def whole_pictures() -> list[bytes]:
    """One of each kind that this OpenCV writes."""
    kinds = [ending for ending in (*ENDINGS, ".avif") if cv2.haveImageWriter(f"x{ending}")]
    return [cv2.imencode(ending, PICTURE)[1].tobytes() for ending in kinds]


def read_damaged_picture(data: bytes) -> str:
    """How it ended: "read", "refused" (one line), or the name of what it should not have raised."""
    try:
        image = decode_image(data, "picture")
    except RtfaceError as error:
        return "refused" if "\n" not in str(error) else "traceback: two lines"
    except Exception as error:
        return f"traceback: {type(error).__name__}"
    return "read" if image.ndim == 3 and image.dtype == np.uint8 else "traceback: no picture"


def whole_files(folder: Path) -> list[Path]:
    """A small file of each kind that is read beside pictures and videos."""
    from rtface.models import PACKAGE_DIR
    from rtface.system.package_data import package_data
    from tests.datasets.made import mat
    from tests.evaluate.made import png, record, write

    face = {"box_xyxy": [1.0, 2.0, 30.0, 40.0], "points5": [5.0] * 10, "landmarks68": [3.0] * 136}
    rows = [record(str(at), PICTURE, faces=[face], parsing=png(PICTURE[..., 0])) for at in range(3)]
    write(folder / "corpus.parquet", rows)
    mat(folder / "plain.mat", x=np.ones((2, 68)))
    mat(folder / "packed.mat", compressed=True, x=np.ones((2, 68)), Pose_Para=np.zeros((1, 7)))
    (folder / "gates.json").write_bytes((package_data("calibration") / "gates.json").read_bytes())
    (folder / "registry.toml").write_bytes((PACKAGE_DIR / "registry.toml").read_bytes())
    (folder / "options.toml").write_text('tasks = ["pose"]\nmax_faces = 3\nbudget_ms = 33.5\nsmooth = true\n')
    (folder / "network.onnx").write_bytes((PACKAGE_DIR / "enhancer.onnx").read_bytes()[:200_000])
    (folder / "labels.csv").write_text("image,x,y\na.png,1,2\nb.png,3,4\n" * 20)
    return sorted(path for path in folder.iterdir() if path.is_file())


def read_damaged_file(path: Path) -> str:
    """How reading a file of `whole_files` ended: "read", "refused" (one line), or what it should not have raised."""
    from rtface.datasets import corpus
    from rtface.datasets.matfile import read_mat
    from rtface.datasets.text import table
    from rtface.models import entries
    from rtface.models.external_data import has_external_data
    from rtface.networks.gates import gates
    from rtface.options import Options

    def parquet() -> None:
        for image in corpus.read(path):
            image.load()

    def onnx() -> None:
        with suppress(ValueError):
            has_external_data(path.read_bytes())

    readers: dict[str, Callable[[], object]] = {
        "corpus.parquet": parquet,
        "gates.json": lambda: gates(path.parent),
        "registry.toml": lambda: entries(path.parent),
        "options.toml": lambda: Options.load(path, env={}),
        "network.onnx": onnx,
        "labels.csv": lambda: list(table(path, ("image", "x"))),
    }
    try:
        readers.get(path.name, lambda: read_mat(path))()
    except RtfaceError as error:
        return "refused" if "\n" not in str(error) else "traceback: two lines"
    except Exception as error:
        return f"traceback: {type(error).__name__}: {error}"
    return "read"


class _Flaky(Source):
    """Gives a few frames, then is lost."""

    name, live = "camera", True

    def __init__(self, frames: int) -> None:
        self._left = frames

    def read(self) -> Frame | None:
        if not self._left:
            raise SourceError(self.name, "unplugged", "Plug it in again")
        self._left -= 1
        return Frame(PICTURE, 0, time.monotonic())

    def close(self) -> None:
        pass


def lose_often(losses: int, rng: random.Random, *, patience_s: float = 30.0) -> dict[str, Any]:
    """A camera that is lost so many times: how long it was away at most, and what has grown."""
    events: list[tuple[str, float]] = []
    back, wanted = threading.Event(), losses

    def on_event(event: Any) -> None:
        events.append((event.kind, event.duration_s or 0.0))
        if sum(kind == "source_back" for kind, _ in events) >= wanted:
            back.set()

    def opened() -> Source:
        if rng.random() < 0.3:
            raise SourceError("camera", "is not there", "Plug it in")
        return _Flaky(rng.randint(1, 3))

    first = _Flaky(1)
    first.reopen = opened
    reconnect = Reconnect(first_s=0.001, longest_s=0.01, stall_s=5.0)
    gc.collect()
    before = held()
    grabber = LiveGrabber(first, Mailbox[Grabbed](), SystemClock(), reconnect, on_event)
    grabber.start()
    reached = back.wait(patience_s + losses * 0.2)
    grabber.stop()
    gc.collect()
    after = held()
    away = [seconds for kind, seconds in events if kind == "source_back"]
    return {
        "losses": len(away),
        "away_s_worst": round(max(away, default=0.0), 3),
        "threads_more": after[0] - before[0],
        "descriptors_more": after[1] - before[1],
        "ok": reached and max(away) < reconnect.longest_s + 1.0 and after[0] <= before[0] and after[1] <= before[1],
    }


def held() -> tuple[int, int]:
    """Threads, and open descriptors where the system tells."""
    folder = Path("/proc/self/fd")
    return threading.active_count(), len(list(folder.iterdir())) if folder.is_dir() else 0


def crowd(ids: int) -> dict[str, Any]:
    """So many visitors, one after the other: the memory that a thousand of them leave, and that nothing is kept."""
    import tracemalloc

    tracker, at, last = Tracker(detect_every=0.0), 0.0, 0

    def visit() -> None:
        nonlocal at, last
        face = Painted(320, 240)
        for _ in range(2):
            at += 0.03
            tracker.predict(at, 640, 480)
            tracker.update_detections(face.box[None], np.array([0.9], np.float32), face.points5[None])
            crops = [track.crop for track in tracker.tracks]
            tracker.update_landmarks(crops, np.repeat(face.points5[None], len(crops), 0), [0.95] * len(crops))
            last = max(last, *(track.track_id for track in tracker.confirm()))
        at += 5.0

    for _ in range(20):
        visit()
    gc.collect()
    tracemalloc.start()
    began = tracemalloc.get_traced_memory()[0]
    for _ in range(ids):
        visit()
    gc.collect()
    grown = (tracemalloc.get_traced_memory()[0] - began) / 1e6
    tracemalloc.stop()
    tracker.predict(at + 10.0, 640, 480)
    kept = len(tracker.tracks) + len(tracker._memory._lost)
    per_thousand = 1000.0 * grown / ids
    return {
        "ids": last,
        "mb_per_thousand": round(per_thousand, 4),
        "kept": kept,
        "ok": last == ids + 20 and not kept and per_thousand < 0.1,
    }


def _die(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n\x89PNG\r\n\x1a\n")


def _hang(connection: socket.socket) -> None:
    time.sleep(30.0)


def _drip(connection: socket.socket) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n" + bytes(40):
        connection.sendall(bytes((byte,)))
        time.sleep(0.005)


def _redirect(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n")


def _circle(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n")


def _lie(connection: socket.socket) -> None:
    body = cv2.imencode(".png", PICTURE)[1].tobytes()
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + body)


def _rubbish(connection: socket.socket) -> None:
    connection.sendall(bytes(range(256)) * 20)


def _endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    for _ in range(200):
        connection.sendall(b"x" * 65536)


SERVERS: dict[str, Callable[[socket.socket], None]] = {
    "dies": _die,
    "hangs": _hang,
    "drips": _drip,
    "redirects to a file": _redirect,
    "redirects in a circle": _circle,
    "lies about its length": _lie,
    "talks rubbish": _rubbish,
    "has endless headers": _endless,
}


def ask_a_server(serve: Callable[[socket.socket], None]) -> tuple[str, float]:
    """How opening its address ended, and after how many seconds; "refused" is right."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=answer, args=(connection,), daemon=True).start()

        def answer(connection: socket.socket) -> None:
            with suppress(OSError), connection:
                connection.recv(4096)
                serve(connection)

        threading.Thread(target=accept, daemon=True).start()
        began = time.monotonic()
        try:
            with open_source(f"http://me:s3cret@127.0.0.1:{listener.getsockname()[1]}/picture.png?key=s3cret"):
                end = "opened"
        except RtfaceError as error:
            end = "refused" if "\n" not in str(error) and "s3cret" not in str(error) else "told too much"
        except Exception as error:
            end = f"traceback: {type(error).__name__}"
        return end, time.monotonic() - began


def summarised(ends: Counter[str]) -> dict[str, int]:
    """Counts of how inputs ended, "traceback" summed up."""
    bad = sum(count for end, count in ends.items() if end.startswith("traceback"))
    return {"read": ends["read"], "refused": ends["refused"], "traceback": bad}
