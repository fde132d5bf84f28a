"""OpenSeeFace's packets: for VSeeFace, VTube Studio, VNyan, Godot plugins and others that take its tracker's data.

One UDP datagram a frame, sent only when a face is there, of faces back to back, 1785 bytes each, little-endian without
padding. The layout is that of OpenSeeFace's ``facetracker.py`` and of its receiver ``Unity/OpenSee.cs``.
"""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from operator import add, mul

import numpy as np
from numpy.typing import NDArray

from rtface.geometry.face_model import (
    MEAN_FACE_MM,
    FacePlacement,
    Frontal,
    Rows,
    misfit_px,
    rotation_quaternion,
    to_the_front,
)
from rtface.geometry.mirror import MIRROR_68, MIRROR_BLENDSHAPES
from rtface.outputs.blend_shapes import BlendShapes
from rtface.outputs.eyes import Eye, Eyes, eyes_of
from rtface.outputs.face_features import angles_of, geometry_of
from rtface.outputs.follow import Slots, frame_time
from rtface.outputs.network import DatagramSink
from rtface.outputs.output_url import OutputUrl
from rtface.types import Face, FrameResult, HeadPose, Landmarks

Floats = NDArray[np.float64]
Points = Sequence[Sequence[float]]

PORT = 11573
POINTS = 66
FACE_BYTES = 1785
#: More faces would make a datagram larger than UDP takes; OpenSeeFace sends no more either.
MOST_FACES = 36
#: Length of its face model's unit.
UNIT_MM = 142.0
#: A face whose fit is worse is ignored by receivers; ours is said in px, as theirs.
_HEAD = struct.Struct("<di2f2fBf4f3f3f")
_FLOAT, _PUPILS, _EYEBALLS, _FEATURES = (struct.Struct(f"<{count}f") for count in (1, 4, 12, 14))
#: Its 66 points as iBUG's indices: all of the face to the eyes, then lips without the corners' second copies.
FROM_IBUG = (*range(48), *range(49, 54), *range(55, 60), 48, 61, 62, 63, 54, 65, 66, 67)
_FROM_IBUG = np.array(FROM_IBUG)
NOSE_TIP = 30
#: Of the distance between an eye's corners, how far behind them the eyeball's middle is: 12 of 31 mm.
EYEBALL = 0.385
#: (2, 68): the middles of the points of the subject's right and left eye.
_MIDDLES = np.zeros((2, 68))
_MIDDLES[0, 36:42] = _MIDDLES[1, 42:48] = 1.0 / 6.0
#: (66, 1): depths of their points from the nose's tip, in their units.
_SOLID_DEPTHS = (MEAN_FACE_MM[_FROM_IBUG, 2:] - MEAN_FACE_MM[NOSE_TIP, 2]) / UNIT_MM


class OpenSeeFaceSink(DatagramSink):
    """Every face as OpenSeeFace's tracker would send it; a face keeps its number while it is there, the first is 0.

    Pupils are where the tasks gaze or expression say; else the eyes' middles with confidence 0, since 68 points do not
    show them.

    Args:
        url: ``openseeface://host:11573?faces=N&mirror=1``.
    """

    def __init__(self, url: OutputUrl) -> None:
        url.only("faces", "mirror")
        super().__init__(url.shown, url.host or "127.0.0.1", url.port or PORT)
        self._slots = Slots(url.whole("faces", MOST_FACES, 1, MOST_FACES))
        self._mirror = url.switch("mirror")
        self._shapes = BlendShapes()

    def packets(self, result: FrameResult) -> Iterable[bytes]:
        at = frame_time(result.frame, self.info.live)
        faces, _ = self._slots.update(result, at)
        height, width = result.frame.image.shape[:2]
        now = time.time()
        if self._mirror:
            faces = {slot: in_a_mirror(face, width) for slot, face in faces.items()}
        packed = [
            face_bytes(face, slot, (width, height), now, self._shapes.of(face, at))
            for slot, face in sorted(faces.items())
            if face.landmarks is not None and all(map(math.isfinite, geometry_of(face).placed))
        ]
        return (b"".join(packed),) if packed else ()


def in_a_mirror(face: Face, width_px: int) -> Face:
    """The face as it is in a picture that is mirrored, as far as it is sent."""
    landmarks, pose, gaze, shown = face.landmarks, face.pose, face.gaze, face.expression
    if landmarks is not None:
        points = landmarks.points[MIRROR_68] * (-1.0, 1.0) + (width_px - 1.0, 0.0)
        landmarks = Landmarks(points, landmarks.score)
    if shown is not None:
        eyes = shown.eye_open[::-1]
        shown = replace(shown, coefficients=shown.coefficients[MIRROR_BLENDSHAPES], eye_open=(eyes[0], eyes[1]))
    return replace(
        face,
        landmarks=landmarks,
        pose=None if pose is None else HeadPose(-pose.yaw, pose.pitch, -pose.roll),
        gaze=None if gaze is None else replace(gaze, yaw=-gaze.yaw),
        expression=shown,
    )


def face_bytes(face: Face, number: int, size_wh: tuple[int, int], now: float, shapes: Mapping[str, float]) -> bytes:
    """One face as 1785 bytes.

    Args:
        face: With landmarks.
        number: Its id.
        size_wh: The picture's, px.
        now: Seconds since 1970.
        shapes: Its blend shapes.
    """
    assert face.landmarks is not None
    points, rotation, placed, _ = geometry_of(face)
    eyes = eyes_of(face)
    score = min(max(float(face.landmarks.score), 0.0), 1.0)
    head = _HEAD.pack(
        now,
        number,
        *map(float, size_wh),
        1.0 - shapes["eyeBlinkRight"],
        1.0 - shapes["eyeBlinkLeft"],
        face.pose is not None,
        misfit_px(points, rotation, placed),
        *_their_quaternion(face.pose),
        *_their_euler(face.pose),
        *_their_translation(points, placed, size_wh),
    )
    theirs = points.take(_FROM_IBUG, axis=0)
    solid = _solid(theirs, to_the_front(rotation, placed))
    pupils, balls, radius = _eyeballs(solid[36:46].tolist(), eyes)
    seen: list[list[float]] = (_MIDDLES @ points).tolist()
    if eyes is not None:
        px = radius * placed.px_per_mm * UNIT_MM
        seen = [
            list(map(add, middle, _pupil_off(eye, rotation, px)))
            for middle, eye in zip(seen, (eyes.right, eyes.left), strict=True)
        ]
    confidence, of_pupil = _FLOAT.pack(score), _FLOAT.pack(0.0 if eyes is None else score)
    return b"".join(
        (
            head,
            confidence * POINTS + of_pupil * 2,
            theirs.astype("<f4").tobytes(),
            _PUPILS.pack(*seen[0], *seen[1]),
            solid.astype("<f4").tobytes(),
            _EYEBALLS.pack(*pupils[0], *pupils[1], *balls[0], *balls[1]),
            _FEATURES.pack(*_their_features(shapes)),
        )
    )


def _their_quaternion(pose: HeadPose | None) -> tuple[float, float, float, float]:
    """x, y, z, w of the transposed matrix that their PnP finds, which is what their converter gives.

    That matrix' first axis is up in the picture, its second left, its third away. Rows before columns, a model whose x
    is the picture's left, y up and z towards the camera, and a solution behind the camera: so say the signs that
    ``OpenSee.cs`` and ``OpenSeeIKTarget.cs`` give each axis when they put it into Unity's. It is the head's rotation
    and then half a turn about the diagonal of x and y.
    """
    x, y, z, w = rotation_quaternion(*angles_of(pose))
    a, b, c, d = (value * math.sqrt(0.5) for value in (-w - z, z - w, x - y, -x - y))
    return (a, b, c, d) if (d, a) > (0.0, 0.0) else (-a, -b, -c, -d)


def _their_euler(pose: HeadPose | None) -> tuple[float, float, float]:
    """Degrees of RQ decomposition of that matrix, of the two ways to say it the one around (180, 0, 90), which
    receivers subtract.
    """
    yaw, pitch, roll = angles_of(pose)
    return _wrapped(180.0 - pitch), _wrapped(yaw), _wrapped(90.0 - roll)


def _wrapped(degrees: float) -> float:
    return degrees - 360.0 if degrees > 180.0 else degrees


def _their_translation(points: Floats, placed: FacePlacement, size_wh: tuple[int, int]) -> tuple[float, float, float]:
    """Of the nose's tip in their units: up, to the picture's left, and the distance negative; their lens is as wide as
    the picture in focal lengths.
    """
    width, height = size_wh
    px_per_unit = placed.px_per_mm * UNIT_MM
    x, y = points[NOSE_TIP].tolist()
    return (height / 2.0 - y) / px_per_unit, (width / 2.0 - x) / px_per_unit, -width / px_per_unit


def _solid(theirs: Floats, to: Frontal) -> Floats:
    """(66, 3): their points around the nose's tip, unturned, with x, -y, -z of their model's axes, in its units."""
    xx, yx, zx, xy, yy, zy = to
    # x is the picture's left.
    turned = np.array(((-xx / UNIT_MM, xy / UNIT_MM, 0.0), (-yx / UNIT_MM, yy / UNIT_MM, 0.0), (-zx, zy, 1.0)))
    solid: Floats = (theirs - theirs[NOSE_TIP]) @ turned[:2] + _SOLID_DEPTHS * turned[2]
    return solid


def _eyeballs(corners: Points, eyes: Eyes | None) -> tuple[Points, Points, float]:
    """Pupils and middles of the eyeballs, of the right and the left eye, in the axes of `_solid`; and how far a pupil
    is from its eyeball's middle.

    Args:
        corners: Of their points the ten from the right eye's outer corner to the left one's.
        eyes: Where they look; None = ahead.
    """
    radius = EYEBALL * math.dist(corners[0], corners[3])
    middles = [
        [(one + other) / 2.0 for one, other in zip(corners[first], corners[second], strict=True)]
        for first, second in ((0, 3), (6, 9))
    ]
    balls = [(x, y, z + radius) for x, y, z in middles]
    if eyes is None:
        return middles, balls, radius
    looks = zip(balls, (_ahead(eyes.right), _ahead(eyes.left)), strict=True)
    pupils = [(x + radius * left, y - radius * up, z - radius * ahead) for (x, y, z), (left, up, ahead) in looks]
    return pupils, balls, radius


def _ahead(eye: Eye) -> tuple[float, float, float]:
    """Where an eye looks in the axes of their face model: to the picture's left, up, towards the camera."""
    yaw, pitch = math.radians(eye.yaw), math.radians(eye.pitch)
    return math.sin(yaw) * math.cos(pitch), math.sin(pitch), math.cos(yaw) * math.cos(pitch)


def _pupil_off(eye: Eye, rotation: Rows, radius_px: float) -> tuple[float, float]:
    """px of a pupil from where it is when the eye looks ahead."""
    left, up, ahead = _ahead(eye)
    off = -left, -up, 1.0 - ahead  # x to the picture's right, y down, z away
    across, down = (radius_px * sum(map(mul, row, off)) for row in rotation[:2])
    return across, down


def _their_features(shapes: Mapping[str, float]) -> list[float]:
    """14 numbers from -1 over 0, which is this person's neutral, to 1."""

    def brow(side: str) -> tuple[float, float, float]:
        up = (shapes["browInnerUp"] + shapes[f"browOuterUp{side}"]) / 2.0 - shapes[f"browDown{side}"]
        steep = shapes[f"browDown{side}"] - shapes["browInnerUp"]  # the inner end lower than the outer
        quirk = max(shapes[f"browOuterUp{side}"] - shapes["browInnerUp"], 0.0)
        return _signed(steep), _signed(up), _signed(quirk)

    def corner(side: str) -> tuple[float, float]:
        updown = shapes[f"mouthSmile{side}"] - shapes[f"mouthFrown{side}"]
        inout = max(shapes[f"mouthStretch{side}"], shapes[f"mouthSmile{side}"]) - narrow
        return _signed(updown), _signed(inout)

    narrow = max(shapes["mouthPucker"], shapes["mouthFunnel"])
    wide = max(shapes["mouthStretchLeft"], shapes["mouthStretchRight"], shapes["mouthSmileLeft"])
    eyes = [_signed(shapes[f"eyeWide{side}"] - shapes[f"eyeBlink{side}"]) for side in ("Left", "Right")]
    brows = [*brow("Left"), *brow("Right")]
    corners = [*corner("Left"), *corner("Right")]
    return [*eyes, *brows, *corners, shapes["jawOpen"], _signed(wide - narrow)]


def _signed(value: float) -> float:
    return min(max(value, -1.0), 1.0)


def open_output(url: OutputUrl) -> OpenSeeFaceSink:
    """The output for an address."""
    return OpenSeeFaceSink(url)
