"""Blend shapes in ARKit's names: the task expression's where it was asked for, else worked out from 68 points as far
as 68 points go.

Of 68 points. Solid: eyeBlink, jawOpen, mouthSmile, mouthFrown, browInnerUp, browOuterUp, browDown. Weak, a hint of a
movement rather than a measure: eyeWide, mouthPucker, mouthFunnel, mouthLeft/Right, jawLeft/Right, mouthStretch,
mouthUpperUp, mouthLowerDown, mouthRoll. All others stay 0, because 68 points do not show them: eyeLook (no iris; of
the task gaze where it was asked for), cheeks, nose, tongue, dimples, press, shrug, squint, jawForward.

What is neutral differs from person to person, so it is learned: the median of a track's features (as OpenSeeFace does),
begun with what is common. Half a minute of a face makes the values its own.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from rtface.labels import BLENDSHAPES
from rtface.outputs.eyes import eyes_of, look_shapes
from rtface.outputs.face_features import INDEX, face_features
from rtface.types import Expression, Face

SOLID: frozenset[str] = frozenset(
    (
        *("eyeBlinkLeft", "eyeBlinkRight", "jawOpen", "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft"),
        *("mouthFrownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "browDownLeft", "browDownRight"),
    )
)
NEUTRAL: Mapping[str, float] = dict.fromkeys(BLENDSHAPES, 0.0)

#: Medians of the shipped networks' features on 131 faces of LFPW, Helen and AFW that they call neutral, and how far
#: people differ (standard deviation). A neutral face is learned within three of these: nobody's mouth is open at rest.
COMMON_NEUTRAL = np.array(
    (
        *(0.343, 0.343, 0.013, 0.804, -0.365, -0.365, 0.341, 0.341, 0.253, 0.253),
        *(0.0, 0.0, 0.225, 0.134, 0.105, 0.151, 1.038),
    )
)
COMMON_SPREAD = np.array(
    (
        *(0.048, 0.048, 0.025, 0.071, 0.044, 0.044, 0.056, 0.056, 0.044, 0.044),
        *(0.022, 0.036, 0.030, 0.026, 0.015, 0.022, 0.113),
    )
)
_COMMON: list[float] = COMMON_NEUTRAL.tolist()
#: Places of features; of those that both sides have the left one's first.
_EYES, _CORNERS, _INNER, _OUTER = (
    [INDEX[f"{name}_{side}"] for side in ("left", "right")] for name in ("eye", "corner", "brow_inner", "brow_outer")
)
_GAP, _WIDTH, _MOUTH_SIDE, _JAW_SIDE, _UPPER_LIP, _LOWER_LIP, _UPPER_THICKNESS, _LOWER_THICKNESS = (
    INDEX[name]
    for name in (
        *("mouth_gap", "mouth_width", "mouth_side", "jaw_side"),
        *("upper_lip", "lower_lip", "upper_thickness", "lower_thickness"),
    )
)
#: The blend shapes of each side, left first.
_SIDED = [
    [
        *(f"eyeBlink{side}", f"eyeWide{side}", f"mouthSmile{side}", f"mouthFrown{side}", f"mouthStretch{side}"),
        *(f"mouthUpperUp{side}", f"mouthLowerDown{side}", f"browOuterUp{side}", f"browDown{side}"),
    ]
    for side in ("Left", "Right")
]
#: Beyond these angles the far half of a face is a guess: the last values stand.
TRUSTED_YAW_DEG, TRUSTED_PITCH_DEG = 35.0, 30.0
TRUSTED_QUALITY = 0.3
#: Seconds between two samples of the neutral face, at first; it doubles each time that the memory is full.
SAMPLE_S, LONGEST_SAMPLE_S = 0.2, 3.2
SAMPLES = 200
#: The median is worked out anew with each of the first eight samples, then with each eighth.
OFTEN = 8
#: What is common counts as much as so many samples.
COMMON_WEIGHT = 8.0
_WEIGHTED_COMMON = COMMON_NEUTRAL * COMMON_WEIGHT
_LOWEST_NEUTRAL, _HIGHEST_NEUTRAL = COMMON_NEUTRAL - 3.0 * COMMON_SPREAD, COMMON_NEUTRAL + 3.0 * COMMON_SPREAD
#: Tracks that are remembered; the one not seen for longest is forgotten first.
TRACKS = 32


class _NeutralFace:
    """The median features of one track."""

    def __init__(self) -> None:
        self._samples: list[Sequence[float]] = []
        self._every_s = SAMPLE_S
        self._last_at = float("-inf")
        self.features: Sequence[float] = _COMMON

    def add(self, features: Sequence[float], at: float) -> None:
        if 0.0 <= at - self._last_at < self._every_s:
            return
        self._last_at = at
        self._samples.append(features)
        if len(self._samples) > SAMPLES:
            self._samples = self._samples[::2]
            self._every_s = min(self._every_s * 2.0, LONGEST_SAMPLE_S)
        count = len(self._samples)
        if count > OFTEN and count % OFTEN:  # a sample more says little, and all are sorted
            return
        ordered = np.sort(np.array(self._samples), axis=0)
        own = ordered[count // 2]
        own[_EYES] = ordered[count * 3 // 4, _EYES]  # people look down for longer than they stare
        own = np.minimum(np.maximum(own, _LOWEST_NEUTRAL), _HIGHEST_NEUTRAL)
        self.features = ((_WEIGHTED_COMMON + own * count) / (COMMON_WEIGHT + count)).tolist()


@dataclass(slots=True)
class _Track:
    neutral: _NeutralFace = field(default_factory=_NeutralFace)
    values: dict[str, float] = field(default_factory=lambda: dict(NEUTRAL))
    face: Face | None = None  # the last one: held up again, it is no second measurement


class BlendShapes:
    """Blend shapes of the faces of a stream, each measured against its own track's neutral face.

    Args:
        mirror: Exchange left and right, as in a mirror.

    Example:
        >>> import rtface
        >>> shapes = BlendShapes()
        >>> face = rtface.analyze("group.jpg").faces[0]
        >>> 0 <= shapes.of(face, at=0.0)["jawOpen"] <= 1
        True
    """

    def __init__(self, mirror: bool = False) -> None:
        self._mirror = mirror
        self._tracks: OrderedDict[int | None, _Track] = OrderedDict()

    def of(self, face: Face, at: float) -> Mapping[str, float]:
        """Name → value 0..1 of all 52; the last values where the face is turned too far or hardly seen.

        Args:
            face: With an expression or landmarks; without, what was last known of its track.
            at: Seconds of the frame.
        """
        track = self._tracks.get(face.track_id)
        if track is None:
            track = self._tracks[face.track_id] = _Track()
        self._tracks.move_to_end(face.track_id)
        if len(self._tracks) > TRACKS:
            self._tracks.popitem(last=False)
        if face is not track.face:
            track.face = face
            self._measure(track, face, at)
        return mirrored(track.values) if self._mirror else dict(track.values)

    def _measure(self, track: _Track, face: Face, at: float) -> None:
        if face.expression is not None:
            track.values.update(shapes_of_expression(face.expression))
            return
        eyes = None if face.gaze is None else eyes_of(face)
        if eyes is not None:
            track.values.update(look_shapes(eyes))
        features = self._trusted(face)
        if features is not None:
            track.neutral.add(features, at)
            track.values.update(shapes_from_features(features, track.neutral.features))

    @staticmethod
    def _trusted(face: Face) -> Sequence[float] | None:
        turned = face.pose is not None and (
            abs(face.pose.yaw) > TRUSTED_YAW_DEG or abs(face.pose.pitch) > TRUSTED_PITCH_DEG
        )
        hardly_seen = face.quality is not None and face.quality < TRUSTED_QUALITY
        if face.landmarks is None or face.predicted or turned or hardly_seen:
            return None
        features = face_features(face)
        return features if math.isfinite(sum(features)) else None


def shapes_from_features(features: Sequence[float], neutral: Sequence[float]) -> dict[str, float]:
    """The blend shapes that features say, beside a neutral face's; those that are always 0 are left out.

    Ranges come from the same faces as `COMMON_NEUTRAL`: a laugh lifts the corners by 0.12 and widens the mouth by
    0.17, a look of surprise opens it by 0.3 and lifts the brows by 0.09.
    """
    rise = [now - rest for now, rest in zip(features, neutral, strict=True)]
    gap = max(features[_GAP] - max(neutral[_GAP], 0.0), 0.0)
    wider, open_ = rise[_WIDTH], _share(gap / 0.40)
    narrow, apart = _share(-wider / 0.20, 0.15), _share(gap / 0.15)
    shapes = {
        "jawOpen": open_,
        "browInnerUp": _share((rise[_INNER[0]] + rise[_INNER[1]]) / 2.0 / 0.10, 0.10),
        "mouthPucker": narrow * (1.0 - apart),
        "mouthFunnel": narrow * apart,
        "mouthLeft": _share(rise[_MOUTH_SIDE] / 0.12, 0.25),
        "mouthRight": _share(-rise[_MOUTH_SIDE] / 0.12, 0.25),
        "jawLeft": _share(rise[_JAW_SIDE] / 0.18, 0.30),
        "jawRight": _share(-rise[_JAW_SIDE] / 0.18, 0.30),
        "mouthRollUpper": _share(-rise[_UPPER_THICKNESS] / 0.08, 0.35),
        "mouthRollLower": _share(-rise[_LOWER_THICKNESS] / 0.10, 0.35),
    }
    for names, eye, corner, inner, outer in zip(_SIDED, _EYES, _CORNERS, _INNER, _OUTER, strict=True):
        opened = features[eye] / max(neutral[eye], 0.1)
        smile = _share(0.6 * rise[corner] / 0.12 + 0.4 * wider / 0.18, 0.12)
        values = (
            # A laugh narrows the eyes by a sixth, which is no blink; closed lids leave about a third.
            _share((0.82 - opened) / (0.82 - 0.40)),
            _share((opened - 1.0) / 0.30, 0.35),
            smile,
            _share((-rise[corner] - 0.5 * gap) / 0.08, 0.25),
            _share(wider / 0.20 - smile, 0.2),
            _share(-rise[_UPPER_LIP] / 0.10 - 0.6 * smile, 0.2),
            _share(rise[_LOWER_LIP] / 0.12 - 0.8 * open_, 0.2),
            _share(rise[outer] / 0.09, 0.12),
            _share(-rise[inner] / 0.06, 0.25),
        )
        shapes.update(zip(names, values, strict=True))
    return shapes


def shapes_of_expression(expression: Expression) -> dict[str, float]:
    """All 52 by name; the eyes shut as far as they do beside how open this face's usually are."""
    shapes: dict[str, float] = dict(zip(BLENDSHAPES, expression.coefficients.tolist(), strict=True))
    left, right = expression.eye_open
    return shapes | {"eyeBlinkLeft": 1.0 - left, "eyeBlinkRight": 1.0 - right}


def mirrored(shapes: Mapping[str, float]) -> dict[str, float]:
    """Left and right exchanged."""
    return {_OTHER_SIDE[name]: value for name, value in shapes.items()}


def _other_side(name: str) -> str:
    if name.endswith("Left"):
        return name[: -len("Left")] + "Right"
    return name[: -len("Right")] + "Left" if name.endswith("Right") else name


_OTHER_SIDE = {name: _other_side(name) for name in BLENDSHAPES}


def _share(value: float, dead: float = 0.0) -> float:
    """Within 0..1; what is below `dead` is noise and person, and counts as 0."""
    share = (value - dead) / (1.0 - dead)
    return 0.0 if share < 0.0 else 1.0 if share > 1.0 else share


#: The names that 68 points tell something of; the others are always 0.
MEASURED: tuple[str, ...] = tuple(name for name in BLENDSHAPES if name in shapes_from_features(_COMMON, _COMMON))


#: Those that the line of sight tells.
LOOKS: tuple[str, ...] = tuple(name for name in BLENDSHAPES if name.startswith("eyeLook"))


def measured_of(face: Face) -> tuple[str, ...]:
    """The names that can be other than 0 of a face."""
    if face.expression is not None:
        return BLENDSHAPES
    return MEASURED if face.gaze is None else (*MEASURED, *LOOKS)
