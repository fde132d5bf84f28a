"""A GStreamer pipeline as a source: ``gst:nvarguscamerasrc ! nvvidconv``. It runs as a process of its own.

OpenCV's wheels are built without GStreamer, and cameras behind a Jetson's CSI have no other way. A pipeline that hangs
in a driver can be killed, which a thread cannot. Its frames come as YUV4MPEG2, whose header tells size and rate.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

import numpy as np
from numpy.typing import NDArray

from rtface.capture.settings import CaptureSettings
from rtface.capture.source import Source
from rtface.errors import SourceError
from rtface.system.addresses import shown_text
from rtface.system.clock import Clock
from rtface.system.opencv import MAX_PIXELS, cv2
from rtface.types import Frame

PREFIX = "gst:"
LAUNCH = "gst-launch-1.0"
#: Seconds for a pipeline to end by itself before it is killed.
END_S = 2.0
_LONGEST_HEADER = 1024


class GstSource(Source):
    """Frames of a GStreamer pipeline, which ends in raw video of any kind; ours converts it.

    Only the newest frame waits for its reader. The pipeline is given to ``gst-launch-1.0`` word by word, by no shell.
    """

    live = True

    def __init__(self, pipeline: str, clock: Clock, settings: CaptureSettings) -> None:
        """
        Raises:
            SourceError: GStreamer is not installed, or the pipeline gives no picture.
        """
        self.name = shown_text(PREFIX + pipeline)
        self.reopen = lambda: GstSource(pipeline, clock, settings)
        self._clock = clock
        self._index = 0
        words = _words(self.name, pipeline, settings)
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the source
        self._process = _start(words, self._said)
        assert self._process.stdout is not None
        self._pipe: IO[bytes] = self._process.stdout
        try:
            self.size_wh, self.fps = self._header()
        except BaseException:
            self.close()
            raise

    def read(self) -> Frame | None:
        mark = self._pipe.readline(_LONGEST_HEADER)  # "FRAME"
        captured_at = self._clock.now()
        width, height = self.size_wh
        length = width * height * 3 // 2  # a plane of brightness, and two of colour with a quarter of its pixels
        data = self._pipe.read(length) if mark.startswith(b"FRAME") else b""
        if len(data) < length:
            raise SourceError(self.name, f"the pipeline ended{self._why()}", f"Try it: {LAUNCH} -v PIPELINE")
        self._index += 1
        return Frame(image=self._bgr(data), index=self._index - 1, captured_at=captured_at)

    def _bgr(self, data: bytes) -> NDArray[np.uint8]:
        width, height = self.size_wh
        planes = np.frombuffer(data, np.uint8).reshape(height * 3 // 2, width)
        return np.asarray(cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_I420))

    def _header(self) -> tuple[tuple[int, int], float | None]:
        line = self._pipe.readline(_LONGEST_HEADER)
        fields = {word[:1]: word[1:] for word in line.decode("ascii", "replace").split()[1:]}
        try:
            width, height = int(fields["W"]), int(fields["H"])
            over, _, under = fields.get("F", "0:1").partition(":")
            fps = int(over) / int(under or 1)
        except (KeyError, ValueError, ZeroDivisionError):
            raise SourceError(
                self.name, f"the pipeline gives no picture{self._why()}", f"Try it: {LAUNCH} -v PIPELINE"
            ) from None
        if width % 8 or height % 2 or not 0 < width * height <= MAX_PIXELS:
            raise SourceError(
                self.name,
                f"gives {width}x{height} px",
                "Ask for a smaller picture, its width a multiple of 8, its height even",
            )
        return (width, height), fps or None

    def _why(self) -> str:
        """What the process says of itself, where it has ended."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)
            self._said.seek(0)
            lines = self._said.read(4096).decode("utf-8", "replace").splitlines()
            told = next((line for line in lines if "rror" in line or "WARNING" in line), "")
            return f" ({shown_text(told.strip())})" if told else ""
        return ""

    def close(self) -> None:
        process = self._process
        for number in (signal.SIGINT, signal.SIGKILL):
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(END_S)
        self._pipe.close()
        self._said.close()


def _words(name: str, pipeline: str, settings: CaptureSettings) -> list[str]:
    if shutil.which(LAUNCH) is None:
        mend = "apt install gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good"
        raise SourceError(name, f"{LAUNCH} is not installed", mend)
    try:
        words = shlex.split(pipeline)
    except ValueError as error:  # a quote that does not end
        raise SourceError(name, f"cannot be read ({error})", "Write it as for gst-launch-1.0") from error
    if "\0" in pipeline:
        raise SourceError(name, "cannot be read (it holds a NUL)", "Write it as for gst-launch-1.0")
    if not words:
        raise SourceError(name, "names no pipeline", f'Write it as "{PREFIX}videotestsrc"')
    caps, steps = ["video/x-raw,format=I420"], ["videoconvert", "videoscale add-borders=false"]
    if settings.size_wh is not None:
        caps.append("width={},height={}".format(*settings.size_wh))
    else:  # sizes whose rows have no gaps between them in GStreamer's memory
        caps.append("width=[8,32760,8],height=[2,32766,2]")
    if settings.fps is not None:
        caps.append(f"framerate={round(settings.fps * 1000)}/1000")
        steps.append("videorate")
    return [
        *words,
        *(word for step in (*steps, ",".join(caps)) for word in ("!", *step.split())),
        *("!", "queue", "leaky=downstream", "max-size-buffers=1", "max-size-bytes=0", "max-size-time=0"),
        *("!", "y4menc", "!", "fdsink", "fd=1", "sync=false"),
    ]


def _start(words: Sequence[str], said: IO[bytes]) -> subprocess.Popen[bytes]:
    # A group of its own: Ctrl-C in a terminal must not end it before us.
    return subprocess.Popen(
        [LAUNCH, "-q", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=said,
        start_new_session=True,
    )
