"""What a video file's structure says of its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtface.capture.completeness import Structure, structure
from tests.media import cut, encode, sliding

WHOLE = Structure()


def test_an_mp4_with_64_bit_and_open_lengths(tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    head = (16).to_bytes(4, "big") + b"ftypisom\0\0\2\0" + (8).to_bytes(4, "big") + b"moov"
    path.write_bytes(head + (1).to_bytes(4, "big") + b"mdat" + (24).to_bytes(8, "big") + bytes(8))
    assert structure(path, "mp4") == WHOLE
    path.write_bytes(path.read_bytes()[:-1])
    assert structure(path, "mp4") == Structure(short=True)
    path.write_bytes(head + bytes(4) + b"mdat" + bytes(3))
    assert structure(path, "mp4") == WHOLE


def test_an_mp4_in_fragments_is_cut_within_one_of_them(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", sliding(30), container={"movflags": "frag_keyframe+empty_moov"})
    assert structure(path, "mp4") == WHOLE
    assert structure(cut(path, 0.7), "mp4").cut


def test_a_live_recording_announces_no_end(tmp_path: Path) -> None:
    path = encode(tmp_path / "live.mkv", sliding(30), container={"live": "1"})
    assert structure(path, "matroska") == WHOLE
    assert structure(cut(path, 0.95), "matroska").cut


@pytest.mark.parametrize("length", [1, 3, 5])
def test_an_element_of_matroska_may_lack_a_part_of_its_head(tmp_path: Path, length: int) -> None:
    path = tmp_path / "a.mkv"
    begin = b"\x1a\x45\xdf\xa3\x80" + b"\x18\x53\x80\x67" + b"\x01" + b"\xff" * 7
    path.write_bytes(begin + b"\x1f\x43\xb6\x75\x41\x00"[:length])
    assert structure(path, "matroska").cut


def test_zeros_within_matroska_are_damage(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mkv", sliding(60), options={"g": "10"})
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 9000] = bytes(9000)
    path.write_bytes(data)
    assert structure(path, "matroska").damaged


def test_a_transport_stream_ends_with_a_whole_packet(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.ts", sliding(10))
    assert structure(path, "mpeg-ts") == WHOLE
    path.write_bytes(path.read_bytes()[:-50])
    assert structure(path, "mpeg-ts").cut


def test_other_kinds_announce_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.flv"
    path.write_bytes(b"FLV")
    assert structure(path, "flv") == structure(path, None) == WHOLE
