"""Annotated clips for web pages and messages: WebM (VP9), GIF, and a folder of pictures."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.drawing import draw
from rtface.errors import OutputError, UsageError
from rtface.outputs.output_url import OutputUrl
from rtface.outputs.sink import RunInfo, Sink
from rtface.outputs.video import VideoSink, mend
from rtface.system.files import PartFile, atomic_write
from rtface.system.images import encoded
from rtface.types import FrameResult

#: Of a GIF, which stores pictures badly: frames a second and width at most, unless asked for otherwise.
GIF_FPS, GIF_WIDTH = 10.0, 480
#: Ticks a second of each format.
TICKS = {"webm": 1000, "gif": 100}


class ClipWriter:
    """Pictures and their times into a WebM or GIF, with the interface of ``mp4.Mp4Writer``.

    Args:
        file: Where it goes.
        size_wh: Of all pictures.
        fps: The usual rate.
        kind: "webm" or "gif".
    """

    def __init__(self, file: PartFile, size_wh: tuple[int, int], fps: float, kind: str) -> None:
        import av

        self._kind, self._base = kind, Fraction(1, TICKS[kind])
        rate = Fraction(fps).limit_denominator(1001)
        options = {"loop": "0"} if kind == "gif" else {"cluster_time_limit": "1000"}
        self._container: Any = av.open(file, "w", format=kind, options=options)
        self._stream: Any = self._container.add_stream("gif" if kind == "gif" else "libvpx-vp9", rate=rate)
        self._stream.width, self._stream.height = size_wh
        self._stream.time_base = self._stream.codec_context.time_base = self._base
        if kind == "webm":
            self._stream.pix_fmt = "yuv420p"
            self._stream.options = {"deadline": "realtime", "cpu-used": "6", "crf": "31", "b": "0", "row-mt": "1"}
        else:
            self._stream.pix_fmt = "pal8"
        self._graph = _palettes(size_wh, self._base) if kind == "gif" else None
        self._last = -1

    def write(self, picture: NDArray[np.uint8], at_s: float) -> None:
        """Add a BGR picture that is shown from `at_s` seconds on."""
        from av import VideoFrame

        at = max(round(at_s / self._base), self._last + 1)
        frame = VideoFrame.from_ndarray(picture, format="bgr24")
        frame.pts, frame.time_base, self._last = at, self._base, at
        if self._graph is not None:
            self._graph.push(frame.reformat(format="rgb24"))
            frame = self._graph.pull()
            frame.pts, frame.time_base = at, self._base
        self._mux(self._stream.encode(frame))

    def _mux(self, packets: Any) -> None:
        for packet in packets:
            self._container.mux(packet)

    def close(self) -> None:
        """Write what is left."""
        try:
            self._mux(self._stream.encode(None))
        finally:
            self._container.close()


def _palettes(size_wh: tuple[int, int], base: Fraction) -> Any:
    """Gives each picture the 256 colours that suit it best."""
    import av.filter

    graph: Any = av.filter.Graph()
    width, height = size_wh
    source = graph.add_buffer(width=width, height=height, format=av.VideoFormat("rgb24"), time_base=base)
    split = graph.add("split")
    palette = graph.add("palettegen", "stats_mode=single")
    use = graph.add("paletteuse", "new=1:dither=bayer")
    sink = graph.add("buffersink")
    source.link_to(split)
    split.link_to(use, 0, 0)
    split.link_to(palette, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    return graph


class ClipSink(VideoSink):
    """An annotated WebM or GIF, under its name once it is whole.

    Args:
        path: Its ending says which.
        overwrite: Whether a file that is there may be replaced.
        fps: Frames a second at most; None = all.
        width: Px at most; None = as they are.
    """

    def __init__(self, path: Path, *, overwrite: bool, fps: float | None, width: int | None) -> None:
        super().__init__(path, overwrite=overwrite)
        self._kind = path.suffix.lower()[1:]
        self._most_fps, self._most_width = fps, width
        self._due_s = float("-inf")

    def write(self, result: FrameResult) -> None:
        if self._most_fps is not None:
            at = self._time(result) if self._writer is not None else 0.0
            if at < self._due_s - 1e-6:
                return
            self._due_s = max(self._due_s + 1.0 / self._most_fps, at)
        super().write(result)

    def new_writer(self, part: PartFile, size_wh: tuple[int, int], fps: float) -> Any:
        width, height = size_wh
        if self._most_width is not None and width > self._most_width:
            height = 2 * max(round(height * self._most_width / width / 2), 8)
            width = self._most_width
        self._size_wh = (width, height)
        return ClipWriter(part, self._size_wh, fps if self._most_fps is None else min(fps, self._most_fps), self._kind)


class FolderSink(Sink):
    """A JPEG an annotated frame, in a folder: ``frame_000012.jpg``.

    Args:
        path: The folder, made where it is not there.
        overwrite: Whether pictures that are there may be replaced.
    """

    def __init__(self, path: Path, *, overwrite: bool) -> None:
        self.name = str(path)
        self._path, self._overwrite = path, overwrite

    def open(self, info: RunInfo) -> None:
        """
        Raises:
            UsageError: There are pictures in the folder.
            OutputError: It cannot be made.
        """
        try:
            self._path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._failed(error) from error
        if not self._overwrite and next(self._path.glob("frame_*.jpg"), None) is not None:
            raise UsageError(self.name, "holds frames already", "-y overwrites them, or name another folder")

    def write(self, result: FrameResult) -> None:
        data = encoded(draw(result.frame.image, result))
        if data is None:
            raise OutputError(self.name, "a frame could not be encoded", "Name an .mp4 instead")
        try:
            path = self._path / f"frame_{result.frame.index:06}.jpg"
            with atomic_write(path, overwrite=self._overwrite) as file:
                file.write(data)
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> OutputError:
        if isinstance(error, FileExistsError) and error.filename:
            why = f"{Path(error.filename).name} appeared while the run went on, and is left alone"
            return OutputError(self.name, why, "-y overwrites what is there, or name another folder")
        return OutputError(self.name, f"cannot be written ({error.strerror})", mend(error))


def open_file(path: Path, settings: OutputUrl, *, overwrite: bool) -> Sink:
    """The output for a path."""
    if path.suffix.lower() not in (".webm", ".gif"):
        settings.only()
        return FolderSink(path, overwrite=overwrite)
    settings.only("fps", "width")
    gif = path.suffix.lower() == ".gif"
    fps = settings.number("fps", GIF_FPS if gif else 0.0, 0.0, 120.0)
    width = settings.whole("width", GIF_WIDTH if gif else None, 16, 8192)
    return ClipSink(path, overwrite=overwrite, fps=fps or None, width=width)
