"""A recording for the Rerun viewer (rerun.io): pictures, boxes, landmarks and curves along the time line."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

from rtface.labels import EMOTIONS
from rtface.outputs.follow import frame_time
from rtface.outputs.output_url import OutputUrl
from rtface.outputs.sink import RunInfo, Sink, tell_parts_left
from rtface.system.files import PartFile, not_written
from rtface.system.images import encoded
from rtface.types import FrameResult

JPEG_QUALITY = 75


class RerunSink(Sink):
    """An .rrd file, under its name once it is whole.

    Args:
        path: The file.
        overwrite: Whether a file that is there may be replaced.
        pictures: Whether the frames themselves are in it.
    """

    def __init__(self, path: Path, *, overwrite: bool, pictures: bool) -> None:
        self.name = str(path)
        self._path, self._overwrite, self._pictures = path, overwrite, pictures
        self.picture = "private" if pictures else "none"
        self._part: PartFile | None = None
        self._recording: Any = None

    def open(self, info: RunInfo) -> None:
        os.environ.setdefault("RERUN_ANALYTICS_ENABLED", "false")  # nothing leaves unless asked
        self._rr: Any = importlib.import_module("rerun")
        self._live = info.live
        tell_parts_left(self._path, info)
        try:
            self._part = PartFile(self._path, overwrite=self._overwrite)
        except OSError as error:
            raise not_written(self.name, error) from error
        self._recording = self._rr.RecordingStream("rtface")
        self._recording.save(str(self._part.path))

    def write(self, result: FrameResult) -> None:
        rr, recording = self._rr, self._recording
        recording.set_time("frame", sequence=result.frame.index)
        recording.set_time("time", duration=frame_time(result.frame, self._live))
        if self._pictures:
            data = encoded(result.frame.image, quality=JPEG_QUALITY)
            if data is not None:
                recording.log("picture", rr.EncodedImage(contents=data, media_type="image/jpeg"))
        boxes = [face.box_xyxy for face in result.faces]
        labels = [f"#{face.track_id} {face.emotion.label if face.emotion else ''}".strip() for face in result.faces]
        recording.log("picture/faces", rr.Boxes2D(array=boxes, array_format=rr.Box2DFormat.XYXY, labels=labels))
        points = [face.landmarks.points for face in result.faces if face.landmarks is not None]
        recording.log("picture/landmarks", rr.Points2D([point for face in points for point in face], radii=1.0))
        recording.log("faces/count", rr.Scalars(len(result.faces)))
        for face in result.faces:
            if face.pose is not None:
                for axis in ("yaw", "pitch", "roll"):
                    recording.log(f"faces/{face.track_id}/{axis}", rr.Scalars(getattr(face.pose, axis)))
            if face.emotion is not None:
                for name, share in zip(EMOTIONS, face.emotion.probs.tolist(), strict=True):
                    recording.log(f"faces/{face.track_id}/emotion/{name}", rr.Scalars(share))

    def finish(self, summary: dict[str, Any]) -> None:
        assert self._part is not None
        try:
            self._flush()
            self._part.publish()
        except OSError as error:
            raise not_written(self.name, error) from error
        self._part = None

    def _flush(self) -> None:
        recording, self._recording = self._recording, None
        if recording is not None:
            recording.flush()
            recording.disconnect()

    def close(self) -> None:
        self._flush()
        if self._part is not None:
            self._part.keep()


def open_file(path: Path, settings: OutputUrl, *, overwrite: bool) -> Sink:
    """The output for a path."""
    settings.only("pictures")
    return RerunSink(path, overwrite=overwrite, pictures=settings.switch("pictures", True))
