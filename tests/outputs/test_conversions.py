"""Results for supervision, COCO-WholeBody, Rerun, LSL and virtual cameras, taken by these programs themselves."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rtface.outputs.open import choose
from rtface.outputs.output_url import parse_output_url
from rtface.outputs.virtual_camera import VirtualCameraSink
from rtface.types import Event
from tests.outputs.made import HEIGHT, WIDTH, a_face, a_result, a_run, run_through
from tests.outputs.receivers import needs, wait_for

FACES = (a_face(track_id=3, at=(200.0, 240.0)), a_face(track_id=4, at=(450.0, 240.0), pose=None, emotion=None))


def test_supervision_draws_what_we_found() -> None:
    sv = pytest.importorskip("supervision", reason="needs supervision (pip install 'rtface[supervision]')")
    from rtface.outputs.supervision import to_key_points

    result = a_result(*FACES)
    found = result.to_supervision()
    assert len(found) == 2 and found.tracker_id.tolist() == [3, 4]
    assert found.data["emotion"].tolist() == ["happiness", ""] and math.isnan(found.data["yaw"][1])
    assert len(a_result().to_supervision()) == 0
    picture = sv.BoxAnnotator().annotate(np.zeros((HEIGHT, WIDTH, 3), np.uint8), found)
    assert picture.any()
    points = to_key_points(result)
    assert points.xy.shape == (2, 68, 2)
    assert sv.VertexAnnotator().annotate(np.zeros((HEIGHT, WIDTH, 3), np.uint8), points).any()
    assert len(found[found.data["emotion"] == "happiness"]) == 1


def test_coco_wholebody_is_loaded_by_pycocotools(tmp_path: Path) -> None:
    (sink,) = choose([tmp_path / "faces.coco.json"], source="demo")
    run_through(sink, [a_result(*FACES), a_result(index=1), a_result(a_face(landmarks=None), index=2)])
    whole = json.loads((tmp_path / "faces.coco.json").read_text())
    assert [one["face_valid"] for one in whole["annotations"]] == [True, True, False]
    first = whole["annotations"][0]
    assert len(first["face_kpts"]) == 204 and first["face_kpts"][90:93] == pytest.approx([200.0, 270.3, 0.8], abs=0.1)
    assert (len(first["keypoints"]), len(first["lefthand_kpts"]), len(first["foot_kpts"])) == (51, 63, 18)
    coco = pytest.importorskip("pycocotools.coco", reason="needs pycocotools (pip install pycocotools)")
    loaded = coco.COCO(str(tmp_path / "faces.coco.json"))
    assert sorted(loaded.getImgIds()) == [1, 2, 3] and len(loaded.getAnnIds(imgIds=[1])) == 2
    assert loaded.loadAnns(loaded.getAnnIds(imgIds=[1]))[1]["track_id"] == 4


def test_rerun_verifies_the_recording(tmp_path: Path) -> None:
    pytest.importorskip("rerun", reason="needs rerun-sdk (pip install 'rtface[rerun]')")
    (sink,) = choose([tmp_path / "visit.rrd"], source="demo")
    run_through(sink, [a_result(*FACES, index=index, media_time=index * 0.04) for index in range(5)], a_run(live=False))
    assert [one.name for one in tmp_path.iterdir()] == ["visit.rrd"]
    command = [sys.executable, "-m", "rerun", "rrd", "verify", str(tmp_path / "visit.rrd")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    stats = subprocess.run([*command[:4], "stats", command[-1]], capture_output=True, text=True, check=True).stdout
    assert "num_entity_paths" in stats


def test_another_process_finds_the_stream_of_the_lab() -> None:
    pytest.importorskip("pylsl", reason="needs pylsl (pip install 'rtface[lsl]')")
    from rtface.outputs.lsl import CHANNELS, LslSink

    code = """
import pylsl
(info,) = pylsl.resolve_byprop("name", "rtface-test", minimum=1, timeout=20)
inlet = pylsl.StreamInlet(info)
labels, channel = [], inlet.info().desc().child("channels").child("channel")
while not channel.empty():
    labels.append(channel.child_value("label"))
    channel = channel.next_sibling("channel")
sample, stamp = inlet.pull_sample(timeout=20)
print(info.type(), ",".join(labels), *sample[:5], abs(stamp + inlet.time_correction() - pylsl.local_clock()) < 5,
sep="|")
"""
    listener = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    sink = LslSink(parse_output_url("lsl:rtface-test"))
    with sink:
        sink.open(a_run(live=True))
        index = 0
        while listener.poll() is None and index < 1000:
            index += 1
            sink.write(a_result(a_face(track_id=3, pose=(12.0, 3.0, -4.0)), at=sink._clock.now()))
            sink._clock.wait(sink._stop, 0.02)
        sink.finish({})
    out, _ = listener.communicate(timeout=30)
    kind, labels, track_id, yaw, pitch, roll, _, near = out.strip().split("|")
    assert kind == "Face" and labels.split(",") == [label for label, _ in CHANNELS]
    assert [float(track_id), float(yaw), float(pitch), float(roll)] == pytest.approx([3.0, 12.0, 3.0, -4.0])
    assert near == "True"


def test_pictures_reach_the_virtual_camera(tmp_path: Path) -> None:
    ffprobe = needs("ffprobe", "ffmpeg")

    class ToFile(VirtualCameraSink):
        """A file in place of the device, which needs a kernel module."""

        def target(self) -> list[str]:
            return ["-f", "nut", self._device]

    device = tmp_path / "video10"
    device.touch()
    with ToFile(parse_output_url(f"v4l2:{device}")) as sink:
        sink.open(a_run())
        for index in range(10):
            sink.write(a_result(a_face(), index=index))
            wait_for(lambda index=index: sink.sent == index + 1)  # type: ignore[misc]
        sink.finish({})
    command = [
        ffprobe,
        "-v",
        "error",
        "-count_frames",
        "-show_entries",
        "stream=width,height,nb_read_frames",
        "-of",
        "csv",
    ]
    done = subprocess.run([*command, str(device)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"stream,{WIDTH},{HEIGHT},10"


def test_a_device_that_is_not_there_is_said_with_what_makes_one() -> None:
    told: list[Event] = []
    with VirtualCameraSink(parse_output_url("v4l2:/dev/video987")) as sink:
        sink.open(a_run(on_event=told.append))
        wait_for(lambda: told)
    assert "modprobe v4l2loopback" in told[0].what
