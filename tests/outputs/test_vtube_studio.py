"""VTube Studio's inputs, on a fake written from the published API by someone who had not read the sender."""

from __future__ import annotations

import math
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from rtface.labels import EMOTIONS
from rtface.outputs import vtube_studio
from rtface.outputs.output_url import parse_output_url
from rtface.outputs.vtube_studio import VTubeStudioSink
from rtface.system.backoff import Backoff
from rtface.types import Event, Face, Gaze, HeadPose
from tests.outputs.made import HEIGHT, WIDTH, a_face, a_result, a_run
from tests.outputs.receivers import wait_for

pytest.importorskip("websockets.sync.server", reason="needs websockets (pip install 'rtface[vts]')")

from tests.outputs.receivers.vtube_studio import DEFAULTS, VTubeStudio


@pytest.fixture
def studio(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[VTubeStudio]:
    monkeypatch.setattr(vtube_studio, "cache_dir", lambda: tmp_path)
    with VTubeStudio() as one:
        yield one
        assert one.refusals == [] or not one.allow, one.refusals


def sink_to(studio: VTubeStudio, settings: str = "") -> VTubeStudioSink:
    sink = VTubeStudioSink(parse_output_url(f"vts://127.0.0.1:{studio.port}{settings}"))
    sink._backoff = Backoff(0.01, 0.02)
    return sink


def injected(studio: VTubeStudio, *faces: Face, settings: str = "") -> dict[str, float]:
    """What VTube Studio got for the last of the faces."""
    with sink_to(studio, settings) as sink:
        sink.open(a_run())
        wait_for(lambda: sink.connected)
        for index, face in enumerate(faces):
            before = sink.sent
            sink.write(a_result(face, index=index))
            wait_for(lambda before=before: sink.sent > before)  # type: ignore[misc]
    assert studio.injections[-1].face_found
    return studio.injections[-1].values


def test_a_head_moves_the_avatar_as_a_mirror_does(studio: VTubeStudio) -> None:
    # Nose to the picture's left and up, the top of the head to the picture's left: to the screen's right, and up.
    straight, moved = a_face(), a_face(at=(WIDTH / 2 - 50, HEIGHT / 2 - 20), pose=(-20.0, 10.0, -5.0))
    values = injected(studio, straight, moved)
    assert [values[f"FaceAngle{axis}"] for axis in "XYZ"] == pytest.approx([20.0, 10.0, 5.0])
    assert values["FacePositionX"] > 2 and values["FacePositionY"] > 0.5 and abs(values["FacePositionZ"]) < 2
    other = injected(studio, straight, moved, settings="?mirror=1")
    assert [other[f"FaceAngle{axis}"] for axis in "XYZ"] == pytest.approx([-20.0, 10.0, -5.0])


def test_values_are_within_what_the_inputs_take(studio: VTubeStudio) -> None:
    values = injected(studio, a_face(pose=(80.0, -60.0, 100.0)))
    for name, (low, high) in DEFAULTS.items():
        assert low <= values.get(name, low) <= high, name
    assert {name for name in values if name not in DEFAULTS} == {f"Rtface{name.capitalize()}" for name in EMOTIONS}
    assert values["RtfaceHappiness"] == pytest.approx(0.7)


def test_eyes_look_where_the_person_does_and_are_left_alone_where_that_is_not_known(studio: VTubeStudio) -> None:
    values = injected(studio, a_face(gaze=Gaze(-15.0, 7.5, 0.5)))  # to the owner's right: + as FaceAngleX
    assert values["EyeLeftX"] == values["EyeRightX"] == pytest.approx(0.5, abs=1e-3)
    assert values["EyeLeftY"] == values["EyeRightY"] == pytest.approx(0.25, abs=1e-3)
    assert "EyeLeftX" not in injected(studio, a_face())


def test_eyes_and_mouth_are_the_subjects(studio: VTubeStudio) -> None:
    blink = {37: (0, 4), 38: (0, 4), 40: (0, -3.5), 41: (0, -3.5)}  # the right eye, left in the picture
    opened = dict.fromkeys((61, 62, 63), (0.0, -10.0)) | dict.fromkeys((65, 66, 67), (0.0, 10.0))
    values = injected(studio, a_face(), a_face(moved=blink | opened))
    assert values["EyeOpenRight"] < 0.5 < 0.8 < values["EyeOpenLeft"] <= 1.0
    assert values["MouthOpen"] > 0.4 and values["Brows"] == pytest.approx(0.5, abs=0.1)


def test_the_token_is_kept_for_this_user_and_the_user_asked_once(studio: VTubeStudio, tmp_path: Path) -> None:
    for _ in range(2):
        with sink_to(studio) as sink:
            sink.open(a_run())
            wait_for(lambda sink=sink: sink.connected)  # type: ignore[misc]
    assert studio.asked_users == 1 and len(studio.custom) == len(EMOTIONS)
    (token,) = (tmp_path / "tokens").iterdir()
    assert token.read_text() in studio.tokens and stat.S_IMODE(token.stat().st_mode) == 0o600


def test_a_token_that_was_taken_back_is_asked_for_again(studio: VTubeStudio) -> None:
    injected(studio, a_face())
    studio.revoke()
    assert injected(studio, a_face())["EyeOpenLeft"] == 1.0
    assert studio.asked_users == 2


def test_a_user_who_does_not_allow_it_is_said(studio: VTubeStudio) -> None:
    studio.allow = False
    told: list[Event] = []
    with sink_to(studio) as sink:
        sink.open(a_run(on_event=told.append))
        wait_for(lambda: told)
    assert "the user has denied access; press Allow in VTube Studio" in told[0].what


def test_control_is_kept_while_no_frame_comes(studio: VTubeStudio) -> None:
    assert VTubeStudioSink.beat_s is not None and VTubeStudioSink.beat_s < 0.5  # a value is lost after a second
    with sink_to(studio) as sink:
        sink.open(a_run())
        sink.write(a_result(a_face()))
        wait_for(lambda: len(studio.injections) > 2)
        assert studio.value("EyeOpenLeft") == 1.0


def test_a_face_that_is_gone_glides_to_rest(studio: VTubeStudio) -> None:
    with sink_to(studio) as sink:
        sink.open(a_run())
        wait_for(lambda: sink.connected)
        for count in range(60):
            before = sink.sent
            sink.write(a_result(a_face(pose=(-20.0, 0.0, 0.0)), at=0.0) if count == 0 else a_result(at=5.0 + count))
            wait_for(lambda before=before: sink.sent > before)  # type: ignore[misc]
    turns = [one.values["FaceAngleX"] for one in studio.injections]
    assert turns == sorted(turns, reverse=True) and 10 < turns[1] < 20 and turns[-1] < 0.01
    last = studio.injections[-1]
    assert not last.face_found and last.values["EyeOpenLeft"] == 1.0 and last.values["Brows"] == pytest.approx(0.5)


def test_what_is_not_a_number_is_never_sent(studio: VTubeStudio) -> None:
    sick = a_face()
    object.__setattr__(sick, "pose", HeadPose(math.nan, 0.0, 0.0))
    assert injected(studio, a_face(pose=(-20.0, 0.0, 0.0)), sick)["FaceAngleX"] == pytest.approx(20.0)
