"""A virtual camera (v4l2loopback): annotated pictures as a camera that video calls and OBS can choose, by an ffmpeg
child.

``sudo modprobe v4l2loopback video_nr=10 card_label=rtface exclusive_caps=1`` makes the device.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

from rtface.drawing import draw
from rtface.errors import UsageError
from rtface.outputs.network import NetworkSink
from rtface.outputs.output_url import OutputUrl
from rtface.types import FrameResult

#: Seconds that ffmpeg has to end by itself.
END_S = 2.0


class VirtualCameraSink(NetworkSink[FrameResult]):
    """Pictures to a device; ffmpeg is begun again where it ends.

    Args:
        url: ``v4l2:/dev/video10?draw=0``; without drawing the pictures are the camera's own.
    """

    def __init__(self, url: OutputUrl) -> None:
        url.only("draw")
        if not url.path:
            raise UsageError(url.shown, "names no device", "Write it as v4l2:/dev/video10")
        super().__init__(url.shown)
        self._device = url.path
        self._draw = url.switch("draw", True)
        self._process: subprocess.Popen[bytes] | None = None
        self._size_wh: tuple[int, int] | None = None

    def items(self, result: FrameResult) -> Iterable[FrameResult]:
        return (result,)

    def connect(self) -> None:
        if not Path(self._device).exists():
            raise FileNotFoundError(2, "There is no such device; modprobe v4l2loopback makes one")

    def target(self) -> list[str]:
        """Where ffmpeg writes to."""
        return ["-f", "v4l2", self._device]

    def send(self, item: FrameResult) -> None:
        picture = draw(item.frame.image, item) if self._draw else item.frame.image
        height, width = picture.shape[:2]
        picture = picture[: height - height % 2, : width - width % 2]
        size_wh = (picture.shape[1], picture.shape[0])
        if self._process is None or size_wh != self._size_wh:
            self._begin(size_wh)
        assert self._process is not None and self._process.stdin is not None
        if self._process.poll() is not None:
            raise ConnectionError(f"ffmpeg ended: {self._last_words()}")
        self._process.stdin.write(picture.tobytes())
        self._process.stdin.flush()

    def _begin(self, size_wh: tuple[int, int]) -> None:
        self.disconnect()
        rate = f"{self.info.fps or 30:g}"
        command = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "bgr24"]
        command += ["-s", f"{size_wh[0]}x{size_wh[1]}", "-r", rate, "-i", "-", "-pix_fmt", "yuv420p", *self.target()]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=subprocess.DEVNULL, stderr=pipe, start_new_session=True
        )
        self._size_wh = size_wh

    def _last_words(self) -> str:
        assert self._process is not None and self._process.stderr is not None
        return self._process.stderr.read().decode("utf-8", "replace").strip().rpartition("\n")[2]

    def disconnect(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with process:  # closes the pipes
            if process.stdin is not None:
                process.stdin.close()
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()


def open_output(url: OutputUrl) -> VirtualCameraSink:
    """The output for an address."""
    return VirtualCameraSink(url)
