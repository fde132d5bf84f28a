"""REP-155 messages, and the bag of them that rosbags reads again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from rtface.outputs.hri import EXPRESSIONS, messages
from rtface.outputs.open import choose
from rtface.types import FaceMesh, Gaze
from tests.outputs.made import HEIGHT, WIDTH, a_face, a_result, a_run, run_through

FACE = a_face(track_id=7, at=(200.0, 240.0), pose=(30.0, 0.0, 0.0), emotion="surprise")


def by_topic(*faces: object) -> dict[str, dict]:  # type: ignore[type-arg]
    return {message.topic: message.fields for message in messages(a_result(*faces), 12.5)}  # type: ignore[arg-type]


def test_faces_are_named_and_normalised() -> None:
    found = by_topic(FACE, a_face(track_id=None))
    assert found["/humans/faces/tracked"]["ids"] == ["f00007"]
    assert found["/humans/faces/tracked"]["header"]["stamp"] == {"sec": 12, "nanosec": 500_000_000}
    region = found["/humans/faces/f00007/roi"]
    assert 0 < region["xmin"] < region["xmax"] < 1
    landmarks = found["/humans/faces/f00007/landmarks"]
    assert (landmarks["height"], landmarks["width"], len(landmarks["landmarks"])) == (HEIGHT, WIDTH, 70)
    nose = FACE.landmarks.points[30]  # type: ignore[union-attr]
    assert landmarks["landmarks"][30]["x"] == pytest.approx(nose[0] / WIDTH, abs=1e-5)
    assert landmarks["landmarks"][69] == {"x": 0.0, "y": 0.0, "c": 0.0}
    assert found["/humans/faces/f00007/expression"]["expression"] == "surprised"
    assert EXPRESSIONS["contempt"] == ""


def rotated(quaternion: dict[str, float], vector: tuple[float, float, float]) -> np.ndarray:
    axis, w = np.array([quaternion[name] for name in "xyz"]), quaternion["w"]
    v = np.array(vector)
    return v + 2 * np.cross(axis, np.cross(axis, v) + w * v)


def test_the_faces_frame_looks_out_of_the_face_with_z_up() -> None:
    transform, _ = by_topic(FACE)["/tf"]["transforms"]
    assert transform["child_frame_id"] == "face_f00007" and transform["header"]["frame_id"] == "camera_optical_frame"
    turn = transform["transform"]["rotation"]
    # The camera's axes: x right, y down, z away. A yaw of 30 degrees turns the nose to the picture's right.
    assert rotated(turn, (1, 0, 0)) == pytest.approx((0.5, 0.0, -0.866), abs=1e-3)
    assert rotated(turn, (0, 0, 1)) == pytest.approx((0.0, -1.0, 0.0), abs=1e-3)
    place = transform["transform"]["translation"]
    assert place["x"] < 0 and place["z"] == pytest.approx(0.55, abs=0.05)


def test_the_gazes_frame_looks_along_the_line_of_sight() -> None:
    for gaze, along in (
        (None, (0.5, 0.0, -0.866)),
        (Gaze(0.0, 0.0, 1.0), (0, 0, -1)),
        (Gaze(0.0, 30.0, 1.0), (0, -0.5, -0.866)),
    ):
        face = a_face(track_id=7, pose=(30.0, 0.0, 0.0), gaze=gaze)
        head, sight = by_topic(face)["/tf"]["transforms"]
        assert sight["child_frame_id"] == "gaze_f00007"
        assert sight["transform"]["translation"] == head["transform"]["translation"]
        turn = sight["transform"]["rotation"]
        assert rotated(turn, (0, 0, 1)) == pytest.approx(along, abs=1e-3)
        right, down = rotated(turn, (1, 0, 0)), rotated(turn, (0, 1, 0))
        assert right[0] < -0.8 and down[1] > 0.8, "the person's right is the picture's left"


def test_pupils_are_the_meshs_irises() -> None:
    points = np.zeros((478, 2), np.float32)
    points[468], points[473] = (160, 120), (320, 240)
    landmarks = by_topic(a_face(track_id=7, mesh=FaceMesh(points, 0.75)))["/humans/faces/f00007/landmarks"]["landmarks"]
    assert landmarks[68:] == [{"x": 0.25, "y": 0.25, "c": 0.75}, {"x": 0.5, "y": 0.5, "c": 0.75}]


def test_pictures_show_the_face_and_level_its_eyes() -> None:
    face = a_face(track_id=7, at=(320.0, 240.0), pose=(0.0, 0.0, 25.0))
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for x, y in face.points5[:2]:
        cv2.circle(image, (round(float(x)), round(float(y))), 4, (0, 255, 0), -1)
    result = a_result(face)
    result = replace(result, frame=replace(result.frame, image=image))
    assert not [one for one in messages(result, 1.0) if one.kind == "sensor_msgs/msg/Image"]
    shown = {one.topic: one.fields for one in messages(result, 1.0, pictures=True)}
    rows = {}
    for name in ("cropped", "aligned"):
        picture = shown[f"/humans/faces/f00007/{name}"]["data"].reshape(128, 128, 3)
        green = (picture[..., 1] > 100).astype(np.uint8)
        count, _, _, centres = cv2.connectedComponentsWithStats(green)
        assert count == 3
        (left_x, left_y), (right_x, right_y) = sorted(centres[1:].tolist())
        rows[name] = right_y - left_y
        assert right_x - left_x > 25
    assert rows["cropped"] > 10 and abs(rows["aligned"]) < 1.0


def test_a_bag_is_read_again_by_rosbags(tmp_path: Path) -> None:
    rosbag2 = pytest.importorskip("rosbags.rosbag2", reason="needs rosbags (pip install 'rtface[ros]')")
    from rosbags.typesys import Stores, get_typestore

    (sink,) = choose([f"{tmp_path / 'visit.rosbag'}?pictures=1"], source="demo")
    results = [a_result(FACE, index=index, media_time=index * 0.04) for index in range(5)] + [a_result(index=5)]
    run_through(sink, results, a_run(live=False))
    assert [one.name for one in tmp_path.iterdir()] == ["visit.rosbag"]
    store = get_typestore(Stores.ROS2_HUMBLE)
    with rosbag2.Reader(tmp_path / "visit.rosbag") as reader:
        kinds = {connection.topic: connection.msgtype for connection in reader.connections}
        for connection in reader.connections:  # as the bag itself describes them
            from rosbags.typesys import get_types_from_msg

            if connection.msgtype.startswith("hri_msgs"):
                store.register(get_types_from_msg(connection.msgdef.data, connection.msgtype))
        read = [(c.topic, store.deserialize_cdr(raw, c.msgtype)) for c, _, raw in reader.messages()]
    assert kinds["/humans/faces/f00007/roi"] == "hri_msgs/msg/NormalizedRegionOfInterest2D"
    tracked = [message.ids for topic, message in read if topic == "/humans/faces/tracked"]
    assert tracked == [["f00007"]] * 5 + [[]]
    landmarks = next(message for topic, message in read if topic.endswith("/landmarks"))
    assert len(landmarks.landmarks) == 70 and landmarks.landmarks[30].c == pytest.approx(0.8)
    transforms = next(message for topic, message in read if topic == "/tf").transforms
    assert [one.child_frame_id for one in transforms] == ["face_f00007", "gaze_f00007"]
    picture = next(message for topic, message in read if topic.endswith("/aligned"))
    assert (picture.width, picture.height, picture.data.size) == (128, 128, 128 * 384)


def test_a_run_that_breaks_off_leaves_no_bag(tmp_path: Path) -> None:
    pytest.importorskip("rosbags.rosbag2", reason="needs rosbags (pip install 'rtface[ros]')")
    (sink,) = choose([tmp_path / "visit.rosbag"], source="demo")
    with sink:
        sink.open(a_run(live=False))
        sink.write(a_result(FACE, media_time=0.0))
    assert not list(tmp_path.iterdir())
