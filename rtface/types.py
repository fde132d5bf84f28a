"""The vocabulary: what goes into the pipeline and what comes out. Frozen; arrays are read-only.

Coordinates are px of the original frame, origin top-left, pixel centres at integers (as OpenCV). Angles are degrees:
yaw + nose towards the image's right, pitch + nose up, roll + clockwise in the image.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.labels import EMOTIONS, TASKS
from rtface.outputs import records

Array = NDArray[Any]


def _freeze(owner: object, name: str, dtype: Any, shape: tuple[int | None, ...]) -> None:
    """Replace an array field by a read-only view of the dtype and shape it must have (None = any length)."""
    array = np.asarray(getattr(owner, name), dtype)
    if array.shape != shape and not _fits(array.shape, shape):
        wanted = tuple("n" if want is None else want for want in shape)
        raise ValueError(f"{type(owner).__name__}.{name}: expected shape {wanted}, got {array.shape}")
    view = array.view()  # the caller's own array stays writable
    view.setflags(write=False)
    object.__setattr__(owner, name, view)


def _fits(got: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(got) == len(wanted) and all(want in (None, have) for want, have in zip(wanted, got, strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture and when it was taken.

    Attributes:
        image: (H, W, 3) uint8, BGR.
        index: Number of the frame in its source, from 0.
        captured_at: Monotonic seconds, stamped when the frame was grabbed; None = not stamped: a stream takes the
            moment at which it gets the frame.
        media_time: Seconds since the start of the file, or None where the source has no such time.
    """

    image: Array
    index: int = 0
    captured_at: float | None = None
    media_time: float | None = None

    def __post_init__(self) -> None:
        _freeze(self, "image", np.uint8, (None, None, 3))


@dataclass(frozen=True, slots=True, eq=False)
class Landmarks:
    """68 points in iBUG order: ``points`` (68, 2) float32, px of the frame; ``score`` 0..1."""

    points: Array
    score: float

    def __post_init__(self) -> None:
        _freeze(self, "points", np.float32, (68, 2))


@dataclass(frozen=True, slots=True)
class HeadPose:
    """Degrees: ``yaw`` + nose towards the image's right, ``pitch`` + nose up, ``roll`` + clockwise in the image."""

    yaw: float
    pitch: float
    roll: float


@dataclass(frozen=True, slots=True, eq=False)
class Emotion:
    """The strongest of the 8 emotions, and ``probs`` (8,) float32 that sum to 1, in the order of ``EMOTIONS``."""

    label: str
    probs: Array

    def __post_init__(self) -> None:
        _freeze(self, "probs", np.float32, (len(EMOTIONS),))


@dataclass(frozen=True, slots=True, eq=False)
class Parsing:
    """A label map of the face's crop.

    Attributes:
        labels: (h, w) uint8, ids into ``PARSING_CLASSES``.
        to_frame: (2, 3) float64, crop px → frame px.
    """

    labels: Array
    to_frame: Array

    def __post_init__(self) -> None:
        _freeze(self, "labels", np.uint8, (None, None))
        _freeze(self, "to_frame", np.float64, (2, 3))


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """What is known of one face.

    Attributes:
        box_xyxy: (4,) float32, px of the frame.
        score: 0..1, how sure it is that this is a face.
        points5: (5, 2) float32, px of the frame: eye left in the image, eye right, nose, mouth left, mouth right.
            Of the landmarks where those were asked for, else the detector's; NaN where neither is known.
        track_id: Stable over a stream and never reused; None for a still.
        landmarks, pose, emotion, parsing: None = not asked for, or not available.
        age_ms: Per task, how old the value is; 0 = measured on this frame.
        quality: 0..1, how far the values can be trusted; None = not measured.
        predicted: True where the face was not seen on this frame and its place is a prediction.
    """

    box_xyxy: Array
    score: float
    points5: Array
    track_id: int | None = None
    landmarks: Landmarks | None = None
    pose: HeadPose | None = None
    emotion: Emotion | None = None
    parsing: Parsing | None = None
    age_ms: dict[str, float] = field(default_factory=dict)
    quality: float | None = None
    predicted: bool = False

    def __post_init__(self) -> None:
        _freeze(self, "box_xyxy", np.float32, (4,))
        _freeze(self, "points5", np.float32, (5, 2))


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds spent in each stage. ``total_ms`` is the analysis; ``age_ms`` is grab to hand-over."""

    capture_ms: float = 0.0
    detect_ms: float = 0.0
    track_ms: float = 0.0
    crop_ms: float = 0.0
    enhance_ms: float = 0.0
    engine_ms: float = 0.0
    tasks_ms: float = 0.0
    smooth_ms: float = 0.0
    total_ms: float = 0.0
    age_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at a moment.

    Attributes:
        kind: "source_lost" or "source_back", of a camera or stream; "output_lost" or "output_back", of an output's
            receiver; "emotion_onset" or "emotion_offset", of a face.
        at: When, in seconds: of the monotonic clock for a source, of the frames' own time for a face.
        what: Why the source was lost, or the emotion's label.
        track_id: Whose emotion; None for a source.
        duration_s: How long the source was away, or the emotion lasted; None where it only begins.
    """

    kind: str
    at: float
    what: str
    track_id: int | None = None
    duration_s: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class FrameResult:
    """All faces of one frame, and how they came about.

    Attributes:
        tasks: What was asked for.
        level: Quality level that the frame was analysed at, 0 = full; `Analyzer.describe` names them.
        late: True where the result was handed over after its deadline.
        dropped: Frames that the source gave and nobody analysed, since the result before this one.
        skipped: Task → why it was not run on this frame, for some faces or for all; likewise "detect", and "faces"
            where not all were looked at.
        events: What happened since the result before this one, in order.
        engine: What ran the networks: onnxruntime, openvino, tensorrt, …; empty = not known.
    """

    frame: Frame
    faces: tuple[Face, ...] = ()
    timing: Timing = field(default_factory=Timing)
    tasks: tuple[str, ...] = TASKS
    level: int = 0
    late: bool = False
    dropped: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    engine: str = ""

    @property
    def captured_at(self) -> float:
        """Monotonic seconds of the frame's grab; 0.0 when nobody stamped it: a picture handed to ``analyze``."""
        return self.frame.captured_at or 0.0

    def to_dict(self, *, parsing: bool = True) -> dict[str, Any]:
        """The JSON line of this frame, schema ``rtface.result/1``; ``parsing=False`` leaves the label maps out."""
        return records.frame_record(self, parsing=parsing)
