"""OpenSeeFace's packets: for VSeeFace, VTube Studio, VNyan, Godot plugins and others that take its tracker's data.

One UDP datagram a frame, sent only when a face is there, of faces back to back, 1785 bytes each, little-endian without
padding. The layout is that of OpenSeeFace's ``facetracker.py`` and of its receiver ``Unity/OpenSee.cs``.
"""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Iterable, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.geometry.face_model import MEAN_FACE_MM, FacePlacement, frontal_points, place_face, rotation_matrix
from rtface.outputs.blend_shapes import BlendShapes
from rtface.outputs.eyes import Eye, Eyes, eyes_of
from rtface.outputs.follow import Slots, frame_time
from rtface.outputs.network import DatagramSink
from rtface.outputs.output_url import OutputUrl
from rtface.types import Face, FrameResult

Floats = NDArray[np.float64]

PORT = 11573
POINTS = 66
FACE_BYTES = 1785
#: More faces would make a datagram larger than UDP takes; OpenSeeFace sends no more either.
MOST_FACES = 36
#: Length of its face model's unit.
UNIT_MM = 142.0
#: A face whose fit is worse is ignored by receivers; ours is said in px, as theirs.
_HEAD = struct.Struct("<di2f2fBf4f3f3f")
#: Confidences, points, 3D points, features: 68, 136, 210 and 14.
_BODY_FLOATS = 428
#: Its 66 points as iBUG's indices: all of the face to the eyes, then lips without the corners' second copies.
FROM_IBUG = (*range(48), *range(49, 54), *range(55, 60), 48, 61, 62, 63, 54, 65, 66, 67)
_FROM_IBUG = np.array(FROM_IBUG)
NOSE_TIP = 30
#: Of the distance between an eye's corners, how far behind them the eyeball's middle is: 12 of 31 mm.
EYEBALL = 0.385
#: (2, 68): of the subject's right and left eye, the middle of its points and that of its corners.
_MIDDLES, _BETWEEN_CORNERS = np.zeros((2, 68)), np.zeros((2, 68))
_MIDDLES[0, 36:42] = _MIDDLES[1, 42:48] = 1.0 / 6.0
_BETWEEN_CORNERS[0, [36, 39]] = _BETWEEN_CORNERS[1, [42, 45]] = 0.5


class OpenSeeFaceSink(DatagramSink):
    """Every face as OpenSeeFace's tracker would send it; a face keeps its number while it is there, the first is 0.

    Pupils are where the tasks gaze or expression say; else the eyes' middles with confidence 0, since 68 points do not
    show them.

    Args:
        url: ``openseeface://host:11573?faces=N``.
    """

    def __init__(self, url: OutputUrl) -> None:
        url.only("faces")
        super().__init__(url.shown, url.host or "127.0.0.1", url.port or PORT)
        self._slots = Slots(url.whole("faces", MOST_FACES, 1, MOST_FACES))
        self._shapes = BlendShapes()

    def packets(self, result: FrameResult) -> Iterable[bytes]:
        at = frame_time(result.frame, self.info.live)
        faces, _ = self._slots.update(result, at)
        height, width = result.frame.image.shape[:2]
        now = time.time()
        packed = [
            face_bytes(face, slot, (width, height), now, self._shapes.of(face, at))
            for slot, face in sorted(faces.items())
            if face.landmarks is not None and np.isfinite(face.landmarks.points).all()
            if face.pose is None or np.isfinite((face.pose.yaw, face.pose.pitch, face.pose.roll)).all()
        ]
        return (b"".join(packed),) if packed else ()


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
    pose = face.pose
    angles = (pose.yaw, pose.pitch, pose.roll) if pose is not None else (0.0, 0.0, 0.0)
    rotation = rotation_matrix(*angles)
    points = np.asarray(face.landmarks.points, np.float64)
    placed = place_face(points, rotation)
    turn = _their_rotation(rotation)
    eyes = eyes_of(face)
    solid = _their_points(points, rotation, placed, eyes)
    pupils = _MIDDLES @ points
    if eyes is not None:
        pupils += _pupils_off(solid, rotation, placed)
    score = float(np.clip(face.landmarks.score, 0.0, 1.0))
    head = _HEAD.pack(
        now,
        number,
        *map(float, size_wh),
        1.0 - shapes["eyeBlinkRight"],
        1.0 - shapes["eyeBlinkLeft"],
        pose is not None,
        _fit_error(points, rotation, placed),
        *_their_quaternion(turn),
        *_their_euler(turn),
        *_their_translation(points, placed, size_wh),
    )
    body = np.empty(_BODY_FLOATS, "<f4")  # packed by struct it would cost half of all
    body[:POINTS] = score
    body[POINTS:68] = 0.0 if eyes is None else score
    body[68:200] = points[_FROM_IBUG].ravel()
    body[200:204] = pupils.ravel()
    body[204:414] = solid.ravel()
    body[414:] = _their_features(shapes)
    return head + body.tobytes()


def _their_rotation(rotation: Floats) -> Floats:
    """The matrix that their PnP finds: its first axis is up in the picture, its second left, its third away.

    Rows before columns, a model whose x is the picture's left, y up and z towards the camera, and a solution behind the
    camera: so say the signs that ``OpenSee.cs`` and ``OpenSeeIKTarget.cs`` give each axis when they put it into
        Unity's.
    """
    turned: Floats = np.stack((rotation[1], rotation[0], -rotation[2]))
    return turned


def _their_quaternion(matrix: Floats) -> tuple[float, float, float, float]:
    """x, y, z, w of the transposed matrix, which is what their converter gives."""
    vector, _ = cv2.Rodrigues(matrix.T)
    vector = np.asarray(vector, np.float64).ravel()
    angle = float(np.linalg.norm(vector))
    x, y, z = (vector / max(angle, 1e-12) * np.sin(angle / 2.0)).tolist()
    return x, y, z, float(np.cos(angle / 2.0))


def _their_euler(matrix: Floats) -> tuple[float, float, float]:
    """Degrees of RQ decomposition, of the two ways to say it the one around (180, 0, 90), which receivers subtract."""
    x, y, z = cv2.RQDecomp3x3(matrix)[0]
    if abs(x) < 90.0:
        x, y, z = x + 180.0, 180.0 - y, z + 180.0
    return _wrapped(x, 180.0), _wrapped(y, 0.0), _wrapped(z, 90.0)


def _wrapped(degrees: float, near: float) -> float:
    turned = (degrees - near + 180.0) % 360.0 + near - 180.0
    return turned - 360.0 if turned > 180.0 else turned


def _their_translation(points: Floats, placed: FacePlacement, size_wh: tuple[int, int]) -> tuple[float, float, float]:
    """Of the nose's tip in their units: up, to the picture's left, and the distance negative; their lens is as wide as
    the picture in focal lengths.
    """
    width, height = size_wh
    px_per_unit = placed.px_per_mm * UNIT_MM
    x, y = points[NOSE_TIP]
    return (height / 2.0 - y) / px_per_unit, (width / 2.0 - x) / px_per_unit, -width / px_per_unit


def _their_points(points: Floats, rotation: Floats, placed: FacePlacement, eyes: Eyes | None) -> Floats:
    """(70, 3): 66 points, pupils and eyeballs around the nose's tip, unturned, with x, -y, -z of their model's axes."""
    flat = frontal_points(points, rotation, placed)
    solid = np.column_stack((-flat[:, 0], -flat[:, 1], -MEAN_FACE_MM[:, 2]))  # left, up, towards the camera
    solid = (solid - solid[NOSE_TIP]) / UNIT_MM
    pupils = _BETWEEN_CORNERS @ solid
    depth = EYEBALL * math.dist(solid[36].tolist(), solid[39].tolist())
    balls = pupils - (0.0, 0.0, depth)
    if eyes is not None:
        pupils = balls + depth * np.array((_ahead(eyes.right), _ahead(eyes.left)))
    theirs: Floats = np.concatenate((solid[_FROM_IBUG], pupils, balls)) * (1.0, -1.0, -1.0)
    return theirs


def _ahead(eye: Eye) -> tuple[float, float, float]:
    """Where an eye looks in the axes of their face model: to the picture's left, up, towards the camera."""
    yaw, pitch = math.radians(eye.yaw), math.radians(eye.pitch)
    return math.sin(yaw) * math.cos(pitch), math.sin(pitch), math.cos(yaw) * math.cos(pitch)


def _pupils_off(solid: Floats, rotation: Floats, placed: FacePlacement) -> Floats:
    """(2, 2) px of the right and the left pupil from where they are when the eyes look ahead."""
    right, left, right_ball, left_ball = solid[POINTS:]
    off = np.stack((right - right_ball, left - left_ball))  # x to the picture's left, y down, z away
    off[:, 2] += np.linalg.norm(off, axis=1)
    px: Floats = (off * (-1.0, 1.0, 1.0)) @ rotation[:2].T * (placed.px_per_mm * UNIT_MM)
    return px


def _fit_error(points: Floats, rotation: Floats, placed: FacePlacement) -> float:
    """Root mean square distance in px of the points from the mean face, laid as it fits."""
    model = MEAN_FACE_MM @ rotation[:2].T * placed.px_per_mm + (placed.x_px, placed.y_px)
    return float(np.sqrt(((points - model) ** 2).mean()))


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
