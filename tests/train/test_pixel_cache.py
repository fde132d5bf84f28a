"""The corpus reader: what was written is what is read, once decoded; damage is named."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from rtface.errors import OutputError, SourceError
from rtface.train.data import pixel_cache as reader
from rtface.train.data.pixel_cache import read_pictures, stale_entries
from tests.evaluate.made import write
from tests.train.made import encoded, face, files_up_to, mask, mesh_of, picture, placed, row

POINTS = placed(70.25, 55.5, 22, roll=7)
IMAGE = picture(POINTS, 144, 104, seed=1)
MASK = mask(POINTS, 144, 104)


def one_of_each(path: Path) -> Path:
    everything = face(POINTS, "box_xyxy", "points5", "landmarks68", "mesh478", "pose", pose_spread=3.5, yaw_true=-15.0)
    everything |= {"points5_source": "human", "landmarks68_source": "semi-automatic"}
    votes = [1, 2, 3, 4, 0, 0, 0, 0, 0, 0]
    labels = {"parsing": MASK, "parsing_scheme": "celebamask19", "parsing_source": "teacher"}
    return write(
        path,
        [
            row("full", "helen", "train", IMAGE, faces=[everything, face(POINTS, "box_xyxy")], pose_class=4, **labels),
            row("grey", "ferplus", "val", cv2.cvtColor(IMAGE, cv2.COLOR_BGR2GRAY), emotion_votes=votes),
            row("bare", "negative", "unlabelled", IMAGE[:40, :30]),
        ],
    )


def test_reads_back_what_was_written(tmp_path: Path) -> None:
    full, bare = read_pictures([one_of_each(tmp_path / "a.parquet")], tmp_path / "cache")  # val is not asked for
    assert (full.id, full.source, full.split, full.labels.pose_class) == ("full", "helen", "train", 4)
    np.testing.assert_array_equal(full.image, IMAGE)
    assert full.parsing is not None
    np.testing.assert_array_equal(full.parsing, MASK)
    labels = full.labels
    assert (labels.parsing_scheme, labels.parsing_source, labels.emotion_votes) == ("celebamask19", "teacher", None)
    known, bystander = full.faces
    assert known.landmarks68 == pytest.approx(POINTS, abs=1e-4)
    assert known.mesh478 == pytest.approx(mesh_of(POINTS), abs=1e-4)
    assert known.points5 is not None and known.points5.shape == (5, 2)
    assert known.points5[2] == pytest.approx(POINTS[30], abs=1e-4)
    assert known.box_xyxy is not None and known.box_xyxy[2:] == pytest.approx(POINTS.max(0), abs=1e-4)
    assert known.pose == pytest.approx((12, -4, 3))
    assert (known.pose_spread, known.yaw_true) == (3.5, -15.0)
    assert (known.points5_source, known.landmarks68_source) == ("human", "semi-automatic")
    assert bystander.box_xyxy is not None and bystander.points5 is None and bystander.pose is None
    np.testing.assert_array_equal(bare.image, IMAGE[:40, :30])
    assert bare.faces == () and bare.parsing is None

    (grey,) = read_pictures([tmp_path / "a.parquet"], tmp_path / "cache", splits=("val",))
    assert grey.image.shape == IMAGE.shape  # three channels, whatever was stored
    assert grey.labels.emotion_votes is not None and grey.labels.emotion_votes.tolist() == [
        1,
        2,
        3,
        4,
        0,
        0,
        0,
        0,
        0,
        0,
    ]


def test_decodes_once_and_again_when_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, cache = one_of_each(tmp_path / "a.parquet"), tmp_path / "cache"
    read_pictures([path], cache)
    kept = sorted(cache.iterdir())
    assert len(kept) == 3  # pixels, index, and which file they are of: nothing unfinished

    decoded: list[str] = []
    original = reader._decode

    def noting(source: Path, *files: Path) -> None:
        decoded.append(source.name)
        original(source, *files)

    monkeypatch.setattr(reader, "_decode", noting)
    assert len(read_pictures([path], cache)) == 2
    assert decoded == [] and sorted(cache.iterdir()) == kept

    write(path, [row("other", "helen", "train", IMAGE[::-1])])
    (other,) = read_pictures([path], cache)
    assert decoded == ["a.parquet"]
    np.testing.assert_array_equal(other.image, IMAGE[::-1])

    for pixels in cache.glob("*.u8"):
        pixels.unlink()
    assert len(read_pictures([path], cache)) == 1  # an index alone is not trusted
    assert decoded == ["a.parquet"] * 2


def test_a_missing_file_says_what_to_pass(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"landmarks\.parquet: does not exist"):
        read_pictures([tmp_path / "landmarks.parquet"], tmp_path)


def test_other_bytes_are_no_corpus(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"not a parquet file, whatever its name says" * 10)
    with pytest.raises(SourceError, match=r"a\.parquet: is not a parquet file"):
        read_pictures([path], tmp_path / "cache")


def test_a_damaged_page_is_named(tmp_path: Path) -> None:
    path = one_of_each(tmp_path / "a.parquet")
    column = pq.ParquetFile(path).metadata.row_group(0).column(3)
    assert column.path_in_schema == "image"
    data = bytearray(path.read_bytes())
    start = column.dictionary_page_offset or column.data_page_offset
    data[start : start + 64] = b"\xff" * 64
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"a\.parquet: is not a parquet file"):
        read_pictures([path], tmp_path / "cache")


def test_another_schema_names_the_column(tmp_path: Path) -> None:
    path = one_of_each(tmp_path / "a.parquet")
    pq.write_table(pq.read_table(path).drop_columns(["split"]), path)
    with pytest.raises(SourceError, match=r"lacks the columns split"):
        read_pictures([path], tmp_path / "cache")


@pytest.mark.parametrize("damaged", [b"", b"RIFF....WEBPVP8L....", None])
def test_a_picture_that_does_not_decode_is_named_or_left_out(
    tmp_path: Path, damaged: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = row("whole", "helen", "train", IMAGE)
    path = write(tmp_path / "a.parquet", [whole, whole | {"image": damaged}])
    with pytest.raises(SourceError, match=r"a\.parquet: 1 picture does not decode, e\.g\. row whole.*--skip-bad"):
        read_pictures([path], tmp_path / "cache")
    (one,) = read_pictures([path], tmp_path / "cache", skip_bad=True)
    assert one.id == "whole" and "left out what does not decode: 1 of 2" in capsys.readouterr().err
    read_pictures([path], tmp_path / "cache", ("val",), skip_bad=True)
    assert capsys.readouterr().err == ""  # once a file is enough


def test_a_mask_of_another_size_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [row("a", "helen", "train", IMAGE) | {"parsing": encoded(MASK[:50], ".png")}])
    with pytest.raises(SourceError, match=r"mask of .*, row a: is 144x50 px, the picture 144x104"):
        read_pictures([path], tmp_path / "cache")


def test_pixels_of_changed_and_gone_files_are_stale(tmp_path: Path) -> None:
    cache, files = tmp_path / "cache", [one_of_each(tmp_path / f"{name}.parquet") for name in "abc"]
    read_pictures(files, cache)
    assert stale_entries(cache) == []
    (cache / "half.part-0123abcd.npy").write_bytes(b"12345")
    write(files[1], [row("other", "helen", "train", IMAGE)])
    files[2].unlink()
    stale = stale_entries(cache)
    assert sorted(entry.files[0].name[:2] for entry in stale) == ["b-", "c-", "ha"]
    assert sum(entry.bytes for entry in stale) == sum(file.stat().st_size for entry in stale for file in entry.files)
    assert len(stale[0].files) == 3


def test_a_full_disk_names_the_cache_and_what_makes_room(tmp_path: Path) -> None:
    path = one_of_each(tmp_path / "a.parquet")
    with files_up_to(1000), pytest.raises(OutputError, match=r"\.u8: cannot be written .*rtface train caches --cache"):
        read_pictures([path], tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())
    assert len(read_pictures([path], tmp_path / "cache")) == 2
