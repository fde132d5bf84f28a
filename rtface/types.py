"""The vocabulary: what goes into the pipeline and what comes out. Frozen; arrays are read-only.

Coordinates are px of the original frame, origin top-left, pixel centres at integers (as OpenCV). Angles are degrees:
yaw + nose towards the image's right, pitch + nose up, roll + clockwise in the image.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timezone
from enum import Enum
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.errors import InputError
from rtface.labels import BLENDSHAPES, EMOTIONS, PARSING_CLASSES, TASKS
from rtface.records import MS_DECIMALS, PX_DECIMALS, SCORE_DECIMALS, TASK_RECORDS, face_row, rounded

Array = NDArray[Any]

SCHEMA = "rtface.result/1"
"""Of the records: keys are added, never renamed or taken away."""

REPR_LENGTH = 200


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

    Use this when you hand pictures to `Analyzer.process`, or give them from a `Source` of your own.

    Attributes:
        image: (H, W, 3) uint8, BGR.
        index: Number of the frame in its source, from 0.
        captured_at: Monotonic seconds, stamped when the frame was grabbed; None = not stamped: a stream takes the
            moment at which it gets the frame.
        media_time: Seconds since the start of the file, or None where the source has no such time.
        source: Where it is from: a file's path, a camera or an address as messages name it; empty = not known.

    Example:
        >>> import rtface
        >>> import numpy as np
        >>> rtface.Frame(np.zeros((480, 640, 3), np.uint8), index=7, media_time=0.28)
        <Frame 7, 640x480 px>
    """

    image: Array
    index: int = 0
    captured_at: float | None = None
    media_time: float | None = None
    source: str = ""

    def __post_init__(self) -> None:
        _freeze(self, "image", np.uint8, (None, None, 3))

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        of = f" of {self.source!r}" if self.source else ""
        return _short(f"<Frame {self.index}{of}, {width}x{height} px>")


@dataclass(frozen=True, slots=True, eq=False)
class Landmarks:
    """68 points in iBUG order: ``points`` (68, 2) float32, px of the frame; ``score`` 0..1.

    Use this when you want brows, eyes, nose, lips and jaw as points.

    Example:
        >>> import rtface
        >>> face = rtface.analyze("group.jpg").faces[0]
        >>> eye = face.landmarks.points[36:42].mean(axis=0)  # the middle of the eye that is left in the picture
        >>> eye.shape
        (2,)
    """

    points: Array
    score: float

    def __post_init__(self) -> None:
        _freeze(self, "points", np.float32, (68, 2))


@dataclass(frozen=True, slots=True)
class HeadPose:
    """Degrees: ``yaw`` + nose towards the image's right, ``pitch`` + nose up, ``roll`` + clockwise in the image.

    Use this when you want to know where a head is turned.

    Example:
        >>> import rtface
        >>> pose = rtface.analyze("group.jpg", tasks="pose").faces[0].pose
        >>> abs(pose.yaw) < 90
        True
    """

    yaw: float
    pitch: float
    roll: float


@dataclass(frozen=True, slots=True, eq=False)
class Emotion:
    """The strongest of the 8 emotions, and ``probs`` (8,) float32 that sum to 1, in the order of ``EMOTIONS``.

    Use this when you want a label, or how the eight are spread.

    Example:
        >>> import rtface
        >>> emotion = rtface.analyze("group.jpg", tasks="emotion").faces[0].emotion
        >>> bool(dict(zip(rtface.EMOTIONS, emotion.probs))[emotion.label] == emotion.probs.max())
        True
    """

    label: str
    probs: Array

    def __post_init__(self) -> None:
        _freeze(self, "probs", np.float32, (len(EMOTIONS),))


@dataclass(frozen=True, slots=True, eq=False)
class FaceMesh:
    """478 points in MediaPipe's order: ``points`` (478, 2) float32, px of the frame, the irises last (468..472 that of
    the subject's right eye, its middle first, 473..477 the left's); ``score`` 0..1.

    Use this when 68 points are too few: avatars, masks, irises. It is worked out when asked for by name.

    Example:
        >>> import rtface
        >>> mesh = rtface.analyze("group.jpg", tasks="mesh").faces[0].mesh
        >>> mesh.points[468].shape  # the middle of an iris
        (2,)
    """

    points: Array
    score: float

    def __post_init__(self) -> None:
        _freeze(self, "points", np.float32, (478, 2))


@dataclass(frozen=True, slots=True, eq=False)
class Expression:
    """What a face does, as blend shapes and in plain numbers; left and right are the subject's.

    Use this when an avatar shall move as a face does, or for blinks and smiles. It is worked out when asked for by
    name.

    Attributes:
        coefficients: (52,) float32 0..1 in the order of ``BLENDSHAPES``, ARKit's; the tongue is always 0.
        eye_open: (left, right) 0..1: 0 = shut, 1 = as open as this face's eyes usually are. Of a track's first moments
            and of a still: as most people's are.
        mouth_open: 0..1, of the jaw.
        smile: 0..1, beyond how this face's mouth usually is.

    Example:
        >>> import rtface
        >>> shown = rtface.analyze("group.jpg", tasks="expression").faces[0].expression
        >>> jaw = shown.coefficients[rtface.BLENDSHAPES.index("jawOpen")]
        >>> bool(0 <= jaw <= 1)
        True
    """

    coefficients: Array
    eye_open: tuple[float, float]
    mouth_open: float
    smile: float

    def __post_init__(self) -> None:
        _freeze(self, "coefficients", np.float32, (len(BLENDSHAPES),))


@dataclass(frozen=True, slots=True)
class Gaze:
    """Line of sight in the camera's frame, degrees: ``yaw`` + towards the image's right, ``pitch`` + up; ``on_camera``
    0..1, how likely it meets the camera.

    Use this when you want to know whether somebody looks here. It is worked out when asked for by name.

    Example:
        >>> import rtface
        >>> gaze = rtface.analyze("group.jpg", tasks="gaze").faces[0].gaze
        >>> 0 <= gaze.on_camera <= 1
        True
    """

    yaw: float
    pitch: float
    on_camera: float


@dataclass(frozen=True, slots=True, eq=False)
class Parsing:
    """A label map of the face's crop, of a still half as wide again (`Options.still_parsing`).

    Use this when you want regions rather than points: skin, hair, lips, glasses.

    Attributes:
        labels: (h, w) uint8, ids into ``PARSING_CLASSES``.
        to_frame: (2, 3) float64, crop px → frame px.

    Example:
        >>> import rtface
        >>> parsing = rtface.analyze("group.jpg").faces[0].parsing
        >>> bool((parsing.labels == rtface.PARSING_CLASSES.index("hair")).any())
        True
    """

    labels: Array
    to_frame: Array

    def __post_init__(self) -> None:
        _freeze(self, "labels", np.uint8, (None, None))
        _freeze(self, "to_frame", np.float64, (2, 3))

    def in_frame(self, shape: tuple[int, ...], classes: Iterable[str] | None = None) -> NDArray[np.bool_]:
        """The face's pixels in the frame.

        Use this when you want to cut out, tint or count pixels rather than draw.

        Args:
            shape: The frame's, (H, W) or (H, W, 3).
            classes: Names of ``PARSING_CLASSES``; None = all but the background.

        Returns:
            (H, W) bool.

        Raises:
            InputError: A name is no class.

        Example:
            >>> import rtface
            >>> result = rtface.analyze("group.jpg")
            >>> hair = result.faces[0].parsing.in_frame(result.frame.image.shape, ["hair"])
        """
        from rtface.system.opencv import cv2

        chosen = np.zeros(256, np.uint8)
        for name in PARSING_CLASSES[1:] if classes is None else classes:
            if name not in PARSING_CLASSES:
                known = ", ".join(PARSING_CLASSES)
                raise InputError("classes", f"expected some of {known}, got {name!r}", "Name some of them")
            chosen[PARSING_CLASSES.index(name)] = 1
        height, width = shape[:2]
        warped = cv2.warpAffine(chosen[self.labels], self.to_frame, (width, height), flags=cv2.INTER_NEAREST)
        return np.asarray(warped, bool)

    def to_dict(self) -> dict[str, Any]:
        """The label map as runs, row after row: ``labels[i]`` repeated ``counts[i]`` times.

        Like COCO's uncompressed RLE, but with a class for each run, and along rows. ``decode_parsing`` reads it.
        """
        height, width = self.labels.shape
        flat = self.labels.ravel()
        starts = np.flatnonzero(np.diff(flat, prepend=flat[:1] + 1))
        return {
            "width": width,
            "height": height,
            "to_frame_px": rounded(self.to_frame, 6),
            "labels": flat[starts].tolist(),
            "counts": np.diff(starts, append=flat.size).tolist(),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """What is known of one face.

    Use this when you go through the faces of a result; what was not asked for is None.

    Attributes:
        box_xyxy: (4,) float32, px of the frame.
        score: 0..1, how sure it is that this is a face.
        points5: (5, 2) float32, px of the frame: eye left in the image, eye right, nose, mouth left, mouth right.
            Of the landmarks where those were asked for, else the detector's; NaN where neither is known.
        track_id: Stable over a stream and never reused; None for a still.
        landmarks, pose, emotion, parsing, mesh, expression, gaze: None = not asked for, or not available.
        age_ms: Per task, how old the value is; 0 = measured on this frame.
        quality: 0..1, how far the values can be trusted; None = not measured.
        quality_reasons: Why that is low, some of `QUALITY_REASONS`: "small", "blurred", "turned", "covered"; () = it is
            not low, or not measured.
        predicted: True where the face was not seen on this frame and its place is a prediction.

    Example:
        >>> import rtface
        >>> for face in rtface.analyze("group.jpg", tasks=("emotion",)):
        ...     print(face.track_id, face.emotion is not None, face.pose)
        None True None
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
    mesh: FaceMesh | None = None
    expression: Expression | None = None
    gaze: Gaze | None = None
    quality_reasons: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _freeze(self, "box_xyxy", np.float32, (4,))
        _freeze(self, "points5", np.float32, (5, 2))

    def __repr__(self) -> str:
        x0, y0, x1, y1 = (round(float(value)) for value in self.box_xyxy)
        words = [f"#{self.track_id}"] if self.track_id is not None else []
        words += [self.emotion.label] if self.emotion is not None else []
        words += ["predicted"] if self.predicted else []
        return _short(f"<Face {' '.join(words)}{' ' if words else ''}at {x0} {y0} {x1} {y1}, score {self.score:.2f}>")

    def to_dict(self, tasks: Iterable[str] = TASKS) -> dict[str, Any]:
        """The face's record: keys of `tasks` only, ``None`` for what is not available."""
        points5 = rounded(self.points5, PX_DECIMALS)
        record: dict[str, Any] = {
            "track_id": self.track_id,
            "box_px": rounded(self.box_xyxy, PX_DECIMALS),
            "score": round(float(self.score), SCORE_DECIMALS),
            "points5_px": points5 if all(isfinite(x) and isfinite(y) for x, y in points5) else None,
            "quality": None if self.quality is None else round(float(self.quality), SCORE_DECIMALS),
            "quality_reasons": list(self.quality_reasons),
            "predicted": self.predicted,
            "age_ms": {task: round(float(age), MS_DECIMALS) for task, age in self.age_ms.items()},
        }
        for task in tasks:
            record.update(TASK_RECORDS[task](self))
        return record


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds spent in each stage. ``total_ms`` is the analysis; ``age_ms`` is grab to hand-over.

    Use this when you want to know where the time goes.

    Example:
        >>> import rtface
        >>> timing = rtface.analyze("group.jpg").timing
        >>> timing.detect_ms < timing.total_ms
        True
    """

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


_TIMING_KEYS = tuple((one.name.removesuffix("_ms"), one.name) for one in fields(Timing))


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at a moment.

    Use this when you react to changes rather than to every frame: `FrameResult.events`, ``on_event`` of `rtface.live`.

    Attributes:
        kind: "source_lost", "source_back", "source_awaited" (it is not there at the start) or "source_frozen" (the same
            picture again and again), of a camera or stream; "output_lost" or "output_back", of an output's receiver;
            "part_left", a file of a killed run; "emotion_onset", "emotion_offset" or "blink", of a face; those of
            `rtface.Audience`: "arrived", "left", "look_start", "look_end" and "smile", of a visitor, "someone" and
            "nobody", of a camera; "camera_on" (it is open), "camera_off" (it is switched off), "camera_failed" (it is
            given up), "camera_moved" (to another node of a cluster) and "camera_removed", of one of several cameras,
            and "cameras_unread", of the file that lists them; "engine_changed", where a plan of TensorRT's is ready or
            a GPU has failed.
        at: When, in seconds: of the monotonic clock for a source, of the frames' own time for a face.
        what: Why the source was lost; the emotion's label; "both" eyes, or which one, of a blink; whether a visitor was
            "near" or "far"; by what a look was measured, "pose" or "gaze"; what ran the network before, and what runs
            it now.
        track_id: Whose; None for a source.
        duration_s: How long the source was away, the emotion, the look or the blink lasted, the visitor was in view;
            None where it only begins.
        camera: Of which of several cameras; empty where there is one.

    Example:
        >>> import rtface
        >>> rtface.Event("blink", 12.5, "both", track_id=3, duration_s=0.12).to_dict()
        {'kind': 'blink', 'at_s': 12.5, 'what': 'both', 'track_id': 3, 'duration_s': 0.12}
    """

    kind: str
    at: float
    what: str
    track_id: int | None = None
    duration_s: float | None = None
    camera: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a frame's record and in the summary."""
        record: dict[str, Any] = {"kind": self.kind, "at_s": round(self.at, 6), "what": self.what}
        if self.camera:
            record["camera"] = self.camera
        if self.track_id is not None:
            record["track_id"] = self.track_id
        if self.duration_s is not None:
            record["duration_s"] = round(self.duration_s, 3)
        return record


class SkipReason(str, Enum):
    """Why something was not run: the quality level says so, the deadline does not allow it, other faces went first, the
    frame rested, or it is not there at all.

    Use this when your program acts on why a value is missing or old.

    Example:
        >>> import rtface
        >>> rtface.SkipReason("budget") is rtface.SkipReason.BUDGET
        True
    """

    LEVEL = "level"
    BUDGET = "budget"
    FACES = "faces"
    REST = "rest"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Skip:
    """Something that was not run on a frame, for some faces or for all.

    Use this when a value is None or older than the frame, and you want to know why.

    Attributes:
        task: One of `rtface.TASKS`, "detect", "enhance", or "faces" when not all faces were looked at.
        reason: For programs.
        detail: For people.

    Example:
        >>> import rtface
        >>> skip = rtface.Skip("parsing", rtface.SkipReason.LEVEL, "level 2: no parsing")
        >>> skip.reason is rtface.SkipReason.LEVEL
        True
    """

    task: str
    reason: SkipReason
    detail: str

    def of(self, task: str) -> Skip:
        """The same for another task."""
        return Skip(task, self.reason, self.detail)

    def to_dict(self) -> dict[str, str]:
        """As it stands in a frame's record."""
        return {"task": self.task, "reason": self.reason.value, "detail": self.detail}


@dataclass(frozen=True, slots=True, eq=False)
class FrameResult:
    """All faces of one frame, and how they came about. Iterating gives the faces; it is True also without any.

    Use this when you go through a stream, or have analysed a picture: everything about one frame is here.

    Attributes:
        tasks: What was asked for.
        level: Quality level that the frame was analysed at, 0 = full; `Analyzer.describe` names them.
        late: True where the result was handed over after its deadline.
        dropped: Frames that the source gave and nobody analysed, since the result before this one.
        skips: What was not run on this frame, for some faces or for all, and why.
        events: What happened since the result before this one, in order.
        engine: What ran the networks: onnxruntime, openvino, tensorrt, …; empty = not known.
        camera: Which of several cameras it is of; empty where there is one.
        time: UTC at which the frame was taken: of a live source the grab, of a file the moment at which it was
            recorded, where the caller has said when that began; None = not known.
        possible_xyxy: (N, 4) px, everything on this very frame that may be a face, for blurring; None = the detector
            did not look at it, or `Options.privacy` is not "blur".

    Example:
        >>> import rtface
        >>> result = rtface.analyze("group.jpg")
        >>> len(result), bool(result), [row["frame"] for row in result.to_rows()]
        (1, True, [0])
    """

    frame: Frame
    faces: tuple[Face, ...] = ()
    timing: Timing = field(default_factory=Timing)
    tasks: tuple[str, ...] = TASKS
    level: int = 0
    late: bool = False
    dropped: int = 0
    skips: tuple[Skip, ...] = ()
    events: tuple[Event, ...] = ()
    engine: str = ""
    camera: str = ""
    time: datetime | None = None
    possible_xyxy: Array | None = None

    def __len__(self) -> int:
        return len(self.faces)

    def __bool__(self) -> bool:
        return True  # a frame without faces is a result too

    def __iter__(self) -> Iterator[Face]:
        return iter(self.faces)

    def __repr__(self) -> str:
        count = len(self.faces)
        of = f" of {self.camera or self.source!r}" if self.camera or self.source else ""
        words = [f"<FrameResult {self.frame.index}{of}: {count or 'no'} face{'s' * (count != 1)}"]
        words += [f"{self.timing.total_ms:.1f} ms"] if self.timing.total_ms else []
        words += [f"level {self.level}"] if self.level else []
        words += ["late"] if self.late else []
        words += [" ".join(_word(face) for face in self.faces[:6])] if count else []
        return _short(", ".join(words) + ">")

    @property
    def skipped(self) -> dict[str, str]:
        """Task → why it was not run, in words; see `skips`."""
        return {skip.task: skip.detail for skip in self.skips}

    @property
    def source(self) -> str:
        """Where the frame is from: the picture's or video's path, a camera, an address; empty = not known."""
        return self.frame.source

    @property
    def captured_at(self) -> float:
        """Monotonic seconds of the frame's grab; 0.0 when nobody stamped it: a picture handed to ``analyze``."""
        return self.frame.captured_at or 0.0

    def to_supervision(self) -> Any:
        """The faces as ``supervision.Detections``; ``rtface.outputs.supervision`` also has their key points.

        Raises:
            UsageError: supervision is not installed.
        """
        from rtface.outputs.supervision import to_detections

        return to_detections(self)

    def to_dict(self, *, parsing: bool = True) -> dict[str, Any]:
        """The JSON line of this frame, schema ``rtface.result/1``; ``parsing=False`` leaves the label maps out.

        Units are in the keys. An absent key was not asked for; None was asked for and is not available.
        """
        frame = self.frame
        height_px, width_px = frame.image.shape[:2]
        tasks = [task for task in self.tasks if parsing or task != "parsing"]
        return {
            "schema": SCHEMA,
            "kind": "frame",
            "index": frame.index,
            **({"source": frame.source} if frame.source else {}),
            **({"camera": self.camera} if self.camera else {}),
            "time": utc_text(self.time),
            "captured_at_s": round(self.captured_at, 6),
            "media_time_s": None if frame.media_time is None else round(frame.media_time, 6),
            "width_px": width_px,
            "height_px": height_px,
            "faces": [face.to_dict(tasks) for face in self.faces],
            "timing_ms": {name: round(getattr(self.timing, own), MS_DECIMALS) for name, own in _TIMING_KEYS},
            "level": self.level,
            "late": self.late,
            "dropped": self.dropped,
            "skipped": self.skipped,
            "skips": [skip.to_dict() for skip in self.skips],
            "events": [event.to_dict() for event in self.events],
            **({"engine": self.engine} if self.engine else {}),
        }

    def to_rows(self) -> list[dict[str, Any]]:
        """A flat row a face, for tables: ``pandas.DataFrame(row for result in results for row in result.to_rows())``.

        Columns are named as in a ``.csv`` output, before them ``source``, ``camera`` and ``time``; label maps and
        meshes are left out. Columns of a task are there when it was asked for; None = not available.
        """
        frame = self.frame
        base = {
            "source": frame.source,
            "camera": self.camera,
            "time": self.time,
            "frame": frame.index,
            "time_s": round(self.captured_at if frame.media_time is None else frame.media_time, 6),
        }
        tail = {"level": self.level, "age_ms": round(self.timing.age_ms, MS_DECIMALS)}
        return [{**base, **face_row(face, self.tasks), **tail} for face in self.faces]


def decode_parsing(record: Mapping[str, Any]) -> NDArray[np.uint8]:
    """The (h, w) uint8 label map that ``Parsing.to_dict`` packed.

    Use this when you read label maps back from JSON lines.

    Example:
        >>> import rtface
        >>> from rtface.types import decode_parsing
        >>> parsing = rtface.analyze("group.jpg").faces[0].parsing
        >>> bool((decode_parsing(parsing.to_dict()) == parsing.labels).all())
        True
    """
    flat = np.repeat(np.asarray(record["labels"], np.uint8), record["counts"])
    return flat.reshape(record["height"], record["width"])


def utc_text(time: datetime | None) -> str | None:
    """ISO 8601 in UTC, to the millisecond: ``2026-11-30T10:04:05.678Z``."""
    if time is None:
        return None
    return time.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= REPR_LENGTH else f"{text[: REPR_LENGTH - 2]}…>"


def _word(face: Face) -> str:
    words = [f"#{face.track_id}"] if face.track_id is not None else []
    words += [face.emotion.label] if face.emotion is not None else []
    return " ".join(words) or f"{face.score:.2f}"
