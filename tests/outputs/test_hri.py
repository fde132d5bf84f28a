"""REP-155 messages, and the bag of them that rosbags reads again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtface.outputs.hri import EXPRESSIONS, messages
from rtface.outputs.open import choose
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
    (transform,) = by_topic(FACE)["/tf"]["transforms"]
    assert transform["child_frame_id"] == "face_f00007" and transform["header"]["frame_id"] == "camera_optical_frame"
    turn = transform["transform"]["rotation"]
    # The camera's axes: x right, y down, z away. A yaw of 30 degrees turns the nose to the picture's right.
    assert rotated(turn, (1, 0, 0)) == pytest.approx((0.5, 0.0, -0.866), abs=1e-3)
    assert rotated(turn, (0, 0, 1)) == pytest.approx((0.0, -1.0, 0.0), abs=1e-3)
    place = transform["transform"]["translation"]
    assert place["x"] < 0 and place["z"] == pytest.approx(0.55, abs=0.05)


def test_a_bag_is_read_again_by_rosbags(tmp_path: Path) -> None:
    rosbag2 = pytest.importorskip("rosbags.rosbag2", reason="needs rosbags (pip install 'rtface[ros]')")
    from rosbags.typesys import Stores, get_typestore

    (sink,) = choose([tmp_path / "visit.rosbag"], source="demo")
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
    assert transforms[0].child_frame_id == "face_f00007"


def test_a_run_that_breaks_off_leaves_no_bag(tmp_path: Path) -> None:
    pytest.importorskip("rosbags.rosbag2", reason="needs rosbags (pip install 'rtface[ros]')")
    (sink,) = choose([tmp_path / "visit.rosbag"], source="demo")
    with sink:
        sink.open(a_run(live=False))
        sink.write(a_result(FACE, media_time=0.0))
    assert not list(tmp_path.iterdir())
