"""opentrack's packets, read by a receiver written from its layout by someone who had not read the sender."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from rtface.outputs.open import choose
from rtface.outputs.opentrack import OpenTrackSink
from rtface.outputs.output_url import parse_output_url
from rtface.types import Face, HeadPose, Landmarks
from tests.outputs.made import HEIGHT, WIDTH, a_face, a_result, a_run, run_through
from tests.outputs.receivers import datagrams, listening, opentrack, wait_for


def sent(face: Face, settings: str = "") -> opentrack.HeadPose:
    with listening() as game:
        (sink,) = choose([f"opentrack://127.0.0.1:{game.getsockname()[1]}{settings}"], source="demo")
        run_through(sink, [a_result(face)])
        return opentrack.decode(game.recv(1000))


def test_a_head_arrives_in_centimetres_and_degrees() -> None:
    # 1 px a mm: 554 px focal length of a 640 px picture of 60 degrees are 55 cm.
    pose = sent(a_face(at=(WIDTH / 2 + 100, HEIGHT / 2 - 50)))
    assert (pose.x, pose.y, pose.z) == pytest.approx((10.0, 5.0, 55.4), abs=0.2)


def test_angles_have_opentracks_signs_beside_the_record_of_the_same_frame(tmp_path: Path) -> None:
    result = a_result(a_face(pose=(20.0, 10.0, 5.0)))  # nose to the picture's right and up, tilted clockwise
    (record,) = choose([tmp_path / "faces.jsonl"], source="demo")
    run_through(record, [result])
    lines = [json.loads(line) for line in (tmp_path / "faces.jsonl").read_text().splitlines()]
    said = next(line["faces"][0] for line in lines if line.get("faces"))
    got = sent(result.faces[0])
    assert (got.yaw, got.pitch, got.roll) == pytest.approx((-said["yaw_deg"], said["pitch_deg"], said["roll_deg"]))


def test_a_mirror_exchanges_left_and_right() -> None:
    face = a_face(at=(WIDTH / 2 + 100, HEIGHT / 2), pose=(20.0, 10.0, 5.0))
    as_is, mirrored = sent(face), sent(face, "?mirror=1")
    assert mirrored == pytest.approx(
        as_is._replace(x=-as_is.x, yaw=-as_is.yaw, roll=-as_is.roll),
    )


def test_what_is_not_a_number_is_never_sent() -> None:
    points = np.full((68, 2), np.nan)
    bad = a_face(landmarks=Landmarks(points, 0.5), box_xyxy=np.full(4, np.nan), pose=(1.0, 0.0, 0.0))
    sick = a_face(pose=(0.0, 0.0, 0.0))
    object.__setattr__(sick, "pose", HeadPose(math.nan, 0.0, 0.0))
    with listening() as game:
        sink = OpenTrackSink(parse_output_url(f"opentrack://127.0.0.1:{game.getsockname()[1]}"))
        with sink:
            sink.open(a_run())
            for count, face in enumerate((bad, sick, a_face(pose=(3.0, 0.0, 0.0))), 1):
                sink.write(a_result(face))
                wait_for(lambda count=count: sink.sent == count)  # type: ignore[misc]
            sink.finish({})
        (only,) = datagrams(game)
    assert opentrack.decode(only).yaw == pytest.approx(-3.0)


def test_a_face_that_is_gone_holds_then_glides_back_to_neutral() -> None:
    sink = OpenTrackSink(parse_output_url("opentrack://127.0.0.1:9"))
    sink._info = a_run()
    (seen,) = map(opentrack.decode, sink.packets(a_result(a_face(pose=(30.0, 0.0, 0.0)))))
    after = [opentrack.decode(next(iter(sink.packets(a_result(index=index))))) for index in range(1, 100)]
    assert all(pose == seen for pose in after[:24])
    yaws = [pose.yaw for pose in after[24:]]
    assert yaws == sorted(yaws) and yaws[0] == pytest.approx(-25.5) and abs(yaws[-1]) < 0.01
    assert after[-1].z == pytest.approx(seen.z)


def test_nothing_is_sent_before_anybody_was_there() -> None:
    sink = OpenTrackSink(parse_output_url("opentrack://127.0.0.1:9"))
    sink._info = a_run()
    assert not list(sink.packets(a_result())) and not list(sink.idle_packets())
