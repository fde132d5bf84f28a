"""The corpus reader: what was written is what is read, once decoded; damage is named."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from rtface.errors import InputError
from rtface.train.data import corpus as reader
from rtface.train.data.corpus import read_corpus
from tests.evaluate.made import write
from tests.train.made import encoded, face, mask, mesh_of, picture, placed, row

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
    full, bare = read_corpus([one_of_each(tmp_path / "a.parquet")], tmp_path / "cache")  # val is not asked for
    assert (full.id, full.source, full.split, full.pose_class) == ("full", "helen", "train", 4)
    np.testing.assert_array_equal(full.image, IMAGE)
    assert full.parsing is not None
    np.testing.assert_array_equal(full.parsing, MASK)
    assert (full.parsing_scheme, full.parsing_source, full.votes) == ("celebamask19", "teacher", None)
    known, bystander = full.faces
    assert known.landmarks68 == pytest.approx(POINTS, abs=1e-4)
    assert known.mesh478 == pytest.approx(mesh_of(POINTS), abs=1e-4)
    assert known.points5 is not None and known.points5.shape == (5, 2)
    assert known.points5[2] == pytest.approx(POINTS[30], abs=1e-4)
    assert known.box is not None and known.box[2:] == pytest.approx(POINTS.max(0), abs=1e-4)
    assert known.pose == pytest.approx((12, -4, 3))
    assert (known.pose_spread, known.yaw_true) == (3.5, -15.0)
    assert (known.points5_source, known.landmarks68_source) == ("human", "semi-automatic")
    assert bystander.box is not None and bystander.points5 is None and bystander.pose is None
    np.testing.assert_array_equal(bare.image, IMAGE[:40, :30])
    assert bare.faces == [] and bare.parsing is None

    (grey,) = read_corpus([tmp_path / "a.parquet"], tmp_path / "cache", splits=("val",))
    assert grey.image.shape == IMAGE.shape  # three channels, whatever was stored
    assert grey.votes is not None and grey.votes.tolist() == [1, 2, 3, 4, 0, 0, 0, 0, 0, 0]


def test_decodes_once_and_again_when_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, cache = one_of_each(tmp_path / "a.parquet"), tmp_path / "cache"
    read_corpus([path], cache)
    kept = sorted(cache.iterdir())
    assert len(kept) == 2  # pixels and index, nothing unfinished

    decoded: list[str] = []
    original = reader._decode

    def noting(source: Path, *files: Path) -> None:
        decoded.append(source.name)
        original(source, *files)

    monkeypatch.setattr(reader, "_decode", noting)
    assert len(read_corpus([path], cache)) == 2
    assert decoded == [] and sorted(cache.iterdir()) == kept

    write(path, [row("other", "helen", "train", IMAGE[::-1])])
    (other,) = read_corpus([path], cache)
    assert decoded == ["a.parquet"]
    np.testing.assert_array_equal(other.image, IMAGE[::-1])

    for pixels in cache.glob("*.u8"):
        pixels.unlink()
    assert len(read_corpus([path], cache)) == 1  # an index alone is not trusted
    assert decoded == ["a.parquet"] * 2


def test_a_missing_file_says_what_to_pass(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"landmarks\.parquet: no such file\. .*--data"):
        read_corpus([tmp_path / "landmarks.parquet"], tmp_path)


def test_other_bytes_are_no_corpus(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"not a parquet file, whatever its name says" * 10)
    with pytest.raises(InputError, match=r"cannot read .*a\.parquet"):
        read_corpus([path], tmp_path / "cache")


def test_a_damaged_page_is_named(tmp_path: Path) -> None:
    path = one_of_each(tmp_path / "a.parquet")
    column = pq.ParquetFile(path).metadata.row_group(0).column(3)
    assert column.path_in_schema == "image"
    data = bytearray(path.read_bytes())
    start = column.dictionary_page_offset or column.data_page_offset
    data[start : start + 64] = b"\xff" * 64
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"cannot read .*a\.parquet"):
        read_corpus([path], tmp_path / "cache")


def test_another_schema_names_the_column(tmp_path: Path) -> None:
    path = one_of_each(tmp_path / "a.parquet")
    pq.write_table(pq.read_table(path).drop_columns(["split"]), path)
    with pytest.raises(InputError, match=r"no column 'split'.*schema"):
        read_corpus([path], tmp_path / "cache")


@pytest.mark.parametrize("damaged", [b"", b"RIFF....WEBPVP8L....", None])
def test_a_picture_that_does_not_decode_is_named(tmp_path: Path, damaged: bytes | None) -> None:
    whole = row("whole", "helen", "train", IMAGE)
    path = write(tmp_path / "a.parquet", [whole, whole | {"image": damaged}])
    with pytest.raises(InputError, match=r"picture 1 of .*a\.parquet: its bytes do not decode"):
        read_corpus([path], tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_mask_of_another_size_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [row("a", "helen", "train", IMAGE) | {"parsing": encoded(MASK[:50], ".png")}])
    with pytest.raises(InputError, match=r"mask of picture 0 .* 144x50 px, the picture 144x104"):
        read_corpus([path], tmp_path / "cache")
