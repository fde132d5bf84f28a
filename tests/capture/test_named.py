from __future__ import annotations

from pathlib import Path

import pytest

from rtface.capture.named import NamedSource, name_for, named, read_cameras
from rtface.errors import InputError, OptionError, UsageError


@pytest.mark.parametrize(
    ("text", "name", "source"),
    [
        ("door=rtsp://door.local/stream", "door", "rtsp://door.local/stream"),
        ("hall=1", "hall", "1"),
        ("rtsp://door.local/stream?profile=1", "", "rtsp://door.local/stream?profile=1"),
        ("gst:videotestsrc pattern=ball ! videoconvert", "", "gst:videotestsrc pattern=ball ! videoconvert"),
        ("b=gst:videotestsrc pattern=ball", "b", "gst:videotestsrc pattern=ball"),
        (0, "", 0),
    ],
)
def test_a_camera_may_be_named(text: str, name: str, source: object) -> None:
    camera = named(text)
    assert (camera.name, camera.source) == (name, source)


def test_a_file_with_an_equals_sign_in_its_name_is_that_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b.mp4").touch()
    assert named("a=b.mp4").source == "a=b.mp4"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (0, "camera-0"),
        ("2", "camera-2"),
        ("/dev/video3", "video3"),
        ("demo", "demo"),
        ("films/visit one.mp4", "visit-one"),
        ("rtsp://admin:s3cret@door.local/stream", "door.local-stream"),
        ("http://cam.local/", "cam.local"),
        ("gst:videotestsrc ! videoconvert", "gst"),
    ],
)
def test_a_name_is_derived_without_secrets(source: int | str, name: str) -> None:
    assert name_for(NamedSource(source), ()) == name


def test_names_differ_also_when_a_source_is_given_twice() -> None:
    names: list[str] = []
    for source in (0, 0, "demo", 0):
        names.append(name_for(NamedSource(source), names))
    assert names == ["camera-0", "camera-0-2", "demo", "camera-0-3"]


def test_a_given_name_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="names two cameras"):
        name_for(NamedSource(1, "door"), ["door"])


@pytest.mark.parametrize("name", ["../door", "a b", "-x", "a/b", "{camera}"])
def test_a_name_is_safe_in_file_names_and_topics(name: str) -> None:
    with pytest.raises(UsageError, match="no name of a camera"):
        NamedSource(0, name)


def test_the_file_lists_cameras_in_its_order(tmp_path: Path) -> None:
    file = tmp_path / "cameras.toml"
    file.write_text(
        '[door]\nsource = "rtsp://door.local/stream"\npriority = 1\nmax_level = 2\nrotate = 180\n'
        "[hall]\nsource = 0\nenabled = false\n"
    )
    door, hall = read_cameras(file)
    assert door == NamedSource("rtsp://door.local/stream", "door", 1, 2, options={"rotate": 180})
    assert hall == NamedSource(0, "hall", enabled=False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[door]\nrotate = 90\n", r"\[door\]: has no source"),
        ("[door]\nsource = 1.5\n", "source: expected int or str, got 1.5"),
        ("[door]\nsource = true\n", "source: expected int or str, got True"),
        ('[door]\nsource = 0\npriority = "high"\n', "priority: expected int"),
        ("[door]\nsource = 0\nenabled = 1\n", "enabled: expected bool"),
        ("[door]\nsource = 0\nengine = 1\n", "option 'engine': is none that a camera has"),
        ("[door]\nsource = 0\nmax_level = -1\n", "max_level"),
        ('["a b"]\nsource = 0\n', "no name of a camera"),
        ("door = 0\n", "has no source"),
    ],
)
def test_what_is_wrong_in_the_file_is_said_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "cameras.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        read_cameras(file)
    assert str(file) in str(caught.value)


def test_a_file_that_is_no_toml_is_one_error(tmp_path: Path) -> None:
    file = tmp_path / "cameras.toml"
    file.write_text("[door\n")
    with pytest.raises(OptionError, match="is not TOML"):
        read_cameras(file)
    with pytest.raises(OptionError, match=r"cameras\.toml"):
        read_cameras(tmp_path / "missing" / "cameras.toml")
