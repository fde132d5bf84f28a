"""Lab Streaming Layer: one person's face as a stream beside EEG, eye trackers and the like, on one clock."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable
from typing import Any

from rtface.errors import require
from rtface.labels import EMOTIONS
from rtface.outputs.blend_shapes import BlendShapes
from rtface.outputs.follow import FaceFollower, frame_time
from rtface.outputs.network import NetworkSink
from rtface.outputs.output_url import OutputUrl
from rtface.types import FrameResult

#: Channels and their units; NaN where nobody is there or the value is not known.
CHANNELS: tuple[tuple[str, str], ...] = (
    ("track_id", "id"),
    *((axis, "degrees") for axis in ("yaw", "pitch", "roll")),
    *((emotion, "probability") for emotion in EMOTIONS),
    *((name, "share") for name in ("eye_closed_left", "eye_closed_right", "mouth_open", "smile", "brows_up")),
    ("quality", "share"),
)


class LslSink(NetworkSink[FrameResult]):
    """A stream of type "Face" with irregular rate; samples carry the time of the frame's grab on LSL's clock.

    Args:
        url: ``lsl:NAME?face=ID``; the name is "rtface" where it is missing.
    """

    picture = "none"

    def __init__(self, url: OutputUrl) -> None:
        url.only("face")
        require("pylsl", "lsl")
        name = url.name or "rtface"
        super().__init__(f"lsl:{name}", waiting=32)
        self._stream_name = name
        self._follower = FaceFollower(url.whole("face", None))
        self._shapes = BlendShapes()
        self._outlet: Any = None

    def items(self, result: FrameResult) -> Iterable[FrameResult]:
        return (result,)

    def connect(self) -> None:
        pylsl: Any = require("pylsl", "lsl")
        # The id lets a receiver go on after a restart of the same stream.
        source_id = uuid.uuid5(uuid.NAMESPACE_URL, f"rtface/{self._stream_name}/{self.info.source}").hex
        info = pylsl.StreamInfo(self._stream_name, "Face", len(CHANNELS), pylsl.IRREGULAR_RATE, "float32", source_id)
        channels = info.desc().append_child("channels")
        for label, unit in CHANNELS:
            channel = channels.append_child("channel")
            channel.append_child_value("label", label)
            channel.append_child_value("unit", unit)
        info.desc().append_child_value("manufacturer", "rtface")
        self._outlet = pylsl.StreamOutlet(info)
        self._offset = pylsl.local_clock() - self._clock.now()

    def send(self, item: FrameResult) -> None:
        # Live, the frame's grab is on this machine's monotonic clock, as LSL's own is.
        stamp = item.captured_at + self._offset if self.info.live else 0.0
        self._outlet.push_sample(self._sample(item), stamp)

    def _sample(self, result: FrameResult) -> list[float]:
        at = frame_time(result.frame, self.info.live)
        face = self._follower.update(result, at)
        if face is None:
            return [math.nan] * len(CHANNELS)
        pose, emotion = face.pose, face.emotion
        shown = [math.nan] * 5
        if face.landmarks is not None or face.expression is not None:
            shapes = self._shapes.of(face, at)
            smile = (shapes["mouthSmileLeft"] + shapes["mouthSmileRight"]) / 2.0
            eyes = [shapes["eyeBlinkLeft"], shapes["eyeBlinkRight"]]
            shown = [*eyes, shapes["jawOpen"], smile, shapes["browInnerUp"]]
        return [
            math.nan if face.track_id is None else float(face.track_id),
            *((math.nan,) * 3 if pose is None else (pose.yaw, pose.pitch, pose.roll)),
            *((math.nan,) * len(EMOTIONS) if emotion is None else emotion.probs.tolist()),
            *shown,
            math.nan if face.quality is None else face.quality,
        ]

    def disconnect(self) -> None:
        self._outlet = None


def open_output(url: OutputUrl) -> LslSink:
    """The output for an address."""
    return LslSink(url)
