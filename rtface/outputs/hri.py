"""ROS 4 HRI messages (REP-155) as plain values: topic, type and fields, for a robot's own tools. Needs no ROS."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import cv2
import numpy as np

from rtface.geometry.crop import CROP_SIZE, Crop, crop_from_points5, warp_crops
from rtface.geometry.face_model import MEAN_FACE_MM, rotation_matrix
from rtface.outputs.face_features import geometry_of
from rtface.outputs.head import DEFAULT_FOV_DEG, focal_length_px
from rtface.types import Face, FrameResult

#: Of the camera: x right, y down, z away.
CAMERA_FRAME = "camera_optical_frame"
SELLION = 27
#: Of a mesh, the middles of the subject's right and left iris.
IRISES = (468, 473)
#: What hri_msgs calls our emotions; it has no word for contempt.
EXPRESSIONS = {
    "neutral": "neutral",
    "happiness": "happy",
    "surprise": "surprised",
    "sadness": "sad",
    "anger": "angry",
    "disgust": "disgusted",
    "fear": "scared",
    "contempt": "",
}
#: The fields of hri_msgs 2 that are used; the comments and constants of the originals are left out.
DEFINITIONS = {
    "hri_msgs/msg/IdsList": "std_msgs/Header header\nstring[] ids\n",
    "hri_msgs/msg/NormalizedRegionOfInterest2D": (
        "std_msgs/Header header\nfloat32 xmin\nfloat32 ymin\nfloat32 xmax\nfloat32 ymax\nfloat32 c\n"
    ),
    "hri_msgs/msg/NormalizedPointOfInterest2D": "float32 x\nfloat32 y\nfloat32 c\n",
    "hri_msgs/msg/FacialLandmarks": (
        "std_msgs/Header header\nhri_msgs/NormalizedPointOfInterest2D[70] landmarks\nuint32 height\nuint32 width\n"
    ),
    "hri_msgs/msg/Expression": (
        "std_msgs/Header header\nstring expression\nfloat32 valence\nfloat32 arousal\nfloat32 confidence\n"
    ),
}

#: The kinds of fields that are messages themselves, or lists of them.
NESTED = {
    "header": "std_msgs/msg/Header",
    "stamp": "builtin_interfaces/msg/Time",
    "landmarks": "hri_msgs/msg/NormalizedPointOfInterest2D",
    "transforms": "geometry_msgs/msg/TransformStamped",
    "transform": "geometry_msgs/msg/Transform",
    "translation": "geometry_msgs/msg/Vector3",
    "rotation": "geometry_msgs/msg/Quaternion",
}


class Message(NamedTuple):
    """A message: fields that are messages themselves are dictionaries."""

    topic: str
    kind: str
    fields: dict[str, Any]


def messages(
    result: FrameResult, stamp_s: float, frame_id: str = CAMERA_FRAME, *, pictures: bool = False
) -> Iterable[Message]:
    """The messages of a result.

    Args:
        result: Faces without an id are left out.
        stamp_s: When the frame was taken, seconds since 1970.
        frame_id: The camera's optical frame.
        pictures: Also each face's picture, as it is and turned upright; values of them are (…,) uint8 arrays.
    """
    seconds = int(stamp_s)
    stamp = {"sec": seconds, "nanosec": int((stamp_s - seconds) * 1e9)}
    header = {"stamp": stamp, "frame_id": frame_id}
    faces = [(f"f{face.track_id:05}", face) for face in result.faces if face.track_id is not None]
    ids = {"header": header, "ids": [face_id for face_id, _ in faces]}
    yield Message("/humans/faces/tracked", "hri_msgs/msg/IdsList", ids)
    height, width = result.frame.image.shape[:2]
    for face_id, face in faces:
        yield from _face(f"/humans/faces/{face_id}", face, header, (width, height))
        if pictures:
            yield from _pictures(f"/humans/faces/{face_id}", face, header, result.frame.image)
    transforms = [
        {"header": header, "child_frame_id": child, "transform": transform}
        for face_id, face in faces
        for child, transform in _transforms(face_id, face, (width, height)).items()
    ]
    yield Message("/tf", "tf2_msgs/msg/TFMessage", {"transforms": transforms})


def build(kind: str, fields: dict[str, Any], make: Callable[[str, dict[str, Any]], Any]) -> Any:
    """A message as an object of another library.

    Args:
        kind: Such as "hri_msgs/msg/IdsList".
        fields: As `messages` gives them.
        make: Makes a message of a kind and its fields, whose own messages it has made before.
    """

    def value_of(name: str, value: Any) -> Any:
        if isinstance(value, dict):
            return build(NESTED[name], value, make)
        if isinstance(value, list) and name in NESTED:
            return [build(NESTED[name], one, make) for one in value]
        return value

    return make(kind, {name: value_of(name, value) for name, value in fields.items()})


def _face(topic: str, face: Face, header: dict[str, Any], size_wh: tuple[int, int]) -> Iterable[Message]:
    width, height = size_wh
    x0, y0, x1, y1 = np.clip(face.box_xyxy / (width, height, width, height), 0.0, 1.0).tolist()
    region = {"header": header, "xmin": x0, "ymin": y0, "xmax": x1, "ymax": y1, "c": float(face.score)}
    yield Message(f"{topic}/roi", "hri_msgs/msg/NormalizedRegionOfInterest2D", region)
    if face.landmarks is not None:
        shares = np.clip(face.landmarks.points / (width, height), 0.0, 1.0).tolist()
        points = [{"x": x, "y": y, "c": float(face.landmarks.score)} for x, y in shares]
        points += _pupils(face, size_wh)
        fields = {"header": header, "landmarks": points, "height": height, "width": width}
        yield Message(f"{topic}/landmarks", "hri_msgs/msg/FacialLandmarks", fields)
    if face.emotion is not None:
        fields = {
            "header": header,
            "expression": EXPRESSIONS[face.emotion.label],
            "valence": 0.0,
            "arousal": 0.0,
            "confidence": float(face.emotion.probs.max()),
        }
        yield Message(f"{topic}/expression", "hri_msgs/msg/Expression", fields)


def _pupils(face: Face, size_wh: tuple[int, int]) -> list[dict[str, float]]:
    """The subject's right and left; of a mesh, else not known."""
    if face.mesh is None:
        return [{"x": 0.0, "y": 0.0, "c": 0.0}] * 2
    shares = np.clip(face.mesh.points[list(IRISES)] / size_wh, 0.0, 1.0).tolist()
    return [{"x": x, "y": y, "c": float(face.mesh.score)} for x, y in shares]


def _pictures(topic: str, face: Face, header: dict[str, Any], image: np.ndarray) -> Iterable[Message]:
    """128 x 128: the face in its box, centred, black around it; and cut by its points, with level eyes."""
    x0, y0, x1, y1 = face.box_xyxy.tolist()
    crops = {"cropped": Crop((x0 + x1) / 2.0, (y0 + y1) / 2.0, max(x1 - x0, y1 - y0))}
    upright = crop_from_points5(face.points5)
    if upright.finite:
        (left_x, left_y), (right_x, right_y) = face.points5[:2].tolist()
        roll = float(np.degrees(np.arctan2(right_y - left_y, right_x - left_x)))
        crops["aligned"] = Crop(upright.x, upright.y, upright.side, roll)
    for name, crop in crops.items():
        fields = {
            "header": header,
            "height": CROP_SIZE,
            "width": CROP_SIZE,
            "encoding": "bgr8",
            "is_bigendian": 0,
            "step": 3 * CROP_SIZE,
            "data": warp_crops(image, [crop]).ravel(),
        }
        yield Message(f"{topic}/{name}", "sensor_msgs/msg/Image", fields)


def _transforms(face_id: str, face: Face, size_wh: tuple[int, int]) -> dict[str, dict[str, Any]]:
    """Name of the frame → the way from it to the camera's, metres; both begin at the sellion.

    ``face_…``: x out of the face, z up. ``gaze_…``: z along the line of sight, x right, y down; out of the face where
    that is not known.
    """
    if face.landmarks is None or face.pose is None:
        return {}
    turn = rotation_matrix(face.pose.yaw, face.pose.pitch, face.pose.roll)
    sight = turn if face.gaze is None else rotation_matrix(face.gaze.yaw, face.gaze.pitch, 0.0)
    place = _sellion(face, turn, size_wh)
    axes = {
        f"face_{face_id}": np.column_stack((turn @ (0, 0, -1), turn @ (1, 0, 0), turn @ (0, -1, 0))),
        f"gaze_{face_id}": np.column_stack((sight @ (-1, 0, 0), sight @ (0, 1, 0), sight @ (0, 0, -1))),
    }
    return {name: {"translation": place, "rotation": _quaternion(one)} for name, one in axes.items()}


def _sellion(face: Face, rotation: np.ndarray, size_wh: tuple[int, int]) -> dict[str, float]:
    assert face.landmarks is not None
    width, height = size_wh
    placed = geometry_of(face).placed
    away_mm = focal_length_px(width, DEFAULT_FOV_DEG) / placed.px_per_mm + float((rotation @ MEAN_FACE_MM[SELLION])[2])
    x, y = face.landmarks.points[SELLION].tolist()
    metres = away_mm / focal_length_px(width, DEFAULT_FOV_DEG) / 1000.0
    return {"x": (x - (width - 1) / 2.0) * metres, "y": (y - (height - 1) / 2.0) * metres, "z": away_mm / 1000.0}


def _quaternion(axes: np.ndarray) -> dict[str, float]:
    vector = np.asarray(cv2.Rodrigues(axes)[0], np.float64).ravel()
    angle = float(np.linalg.norm(vector))
    qx, qy, qz = (vector / max(angle, 1e-12) * np.sin(angle / 2.0)).tolist()
    return {"x": qx, "y": qy, "z": qz, "w": float(np.cos(angle / 2.0))}
