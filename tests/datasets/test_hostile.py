"""Label files that are made to do harm: packed gigabytes, numbers that are none, kinds that nobody expects."""

from __future__ import annotations

import resource
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rtface.datasets import corpus
from rtface.datasets.labelled import LabelledImage
from rtface.datasets.matfile import MOST_BYTES, read_mat
from rtface.errors import SourceError
from tests.datasets.made import mat
from tests.evaluate.made import png, record, write

GREY = np.full((4, 6, 3), 90, np.uint8)


def first(path: Path) -> LabelledImage:
    return next(corpus.read(path))


def test_a_mat_file_that_unpacks_to_gigabytes_is_refused_before_it_does(tmp_path: Path) -> None:
    path = mat(tmp_path / "a.mat", compressed=True, x=np.ones((2, 3)))
    assert read_mat(path)["x"].tolist() == [[1, 1, 1], [1, 1, 1]]
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(2 * MOST_BYTES >> 20)) + packer.flush()
    head = path.read_bytes()[:128]
    path.write_bytes(head + struct.pack("<II", 15, len(packed)) + packed)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SourceError, match=r"unpacks to over 32 MB"):
        read_mat(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 3 * MOST_BYTES >> 10
    for _ in range(2):  # and one in the other
        packed = zlib.compress(struct.pack("<II", 15, len(packed)) + packed)
        path.write_bytes(head + struct.pack("<II", 15, len(packed)) + packed)
        with pytest.raises(SourceError, match=r"is packed twice|unpacks to over"):
            read_mat(path)
    with path.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(SourceError, match="has 32 MB, more than 32"):
        read_mat(path)


def table(path: Path, **columns: Any) -> Path:
    whole = {"id": ["a"], "source": ["made"], "split": ["val"], "image": [png(GREY)]} | columns
    pq.write_table(pa.table(whole), path)
    return path


def test_a_parquet_file_that_stands_for_gigabytes_is_refused_before_it_unpacks(tmp_path: Path) -> None:
    rows = 2000
    long = "x" * (1 << 20)
    names = [f"{at:06}" for at in range(rows)]
    repeated = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([long]))
    columns = {"id": names, "source": ["made"] * rows, "split": ["val"] * rows, "image": [png(GREY)] * rows}
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({**columns, "licence": repeated}), path)
    assert path.stat().st_size < 3 << 20
    with pytest.raises(SourceError, match=r"unpacks to over \d+ MB, from \d+ bytes"):
        first(path)
    pictures = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(rows, np.int32)), pa.array([png(GREY) + bytes(1 << 20)])
    )
    pq.write_table(pa.table({**columns, "image": pictures}), path)
    with pytest.raises(SourceError, match=r"column image holds|unpacks to over"):
        first(path).load()
    many = 10_000_000
    columns = {name: pa.array(np.zeros(many, np.int8)).cast(pa.string()) for name in ("id", "source", "split")}
    pq.write_table(pa.table({**columns, "image": pa.nulls(many, pa.binary())}), path)
    with pytest.raises(SourceError, match=r"claims 10000000 rows in \d+ bytes"):
        first(path)


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"faces": ["none"]}, "column faces holds string"),
        ({"image": ["text"]}, "column image holds string"),
        ({"id": [7]}, "column id holds int64"),
        ({"id": pa.array([None], pa.string())}, "lacks its id"),
        ({"faces": [[{"box_xyxy": "0 0 4 4"}]]}, "column faces holds"),
        ({"faces": [[{"box_xyxy": [0.0, 0.0, 4.0]}]]}, r"row a: box_xyxy: expected numbers of shape \(4,\)"),
        ({"faces": [[{"box_xyxy": [0.0, 0.0, 4.0, np.nan]}]]}, "row a: box_xyxy: expected finite numbers"),
        ({"faces": [[{"landmarks68": [np.inf] * 136}]]}, "row a: landmarks68: expected finite numbers"),
        ({"faces": [[{"box_xyxy": [0.0, 0.0, None, 4.0]}]]}, "row a: box_xyxy: expected"),
        ({"faces": [[{"box_xyxy": [0.0, 0.0, 4.0, 4.0], "score": np.nan}]]}, "score: expected a finite number"),
        ({"ignore_xyxy": [[[0.0, 0.0, np.nan, 4.0]]]}, "ignore_xyxy: expected finite numbers"),
        ({"ignore_xyxy": [[[0.0, 0.0, 4.0]]]}, "ignore_xyxy: expected numbers of shape"),
        ({"emotion_votes": [[1, 2, 3]]}, "emotion_votes: expected numbers of shape"),
        ({"width": ["six"]}, "column width holds string"),
    ],
)
def test_what_a_column_holds_is_looked_at(tmp_path: Path, columns: dict[str, Any], why: str) -> None:
    path = table(tmp_path / "a.parquet", **columns)
    with pytest.raises(SourceError, match=why) as caught:
        list(corpus.read(path))
    assert "\n" not in str(caught.value)


def test_other_widths_of_numbers_and_no_faces_are_fine(tmp_path: Path) -> None:
    boxes = pa.array([[[0, 0, 4, 4]]], pa.large_list(pa.list_(pa.int64())))
    one = first(
        table(tmp_path / "a.parquet", faces=pa.nulls(1), ignore_xyxy=boxes, pose_class=pa.array([3], pa.int8()))
    )
    assert (one.faces, one.pose_class, one.ignore_xyxy.tolist()) == ((), 3, [[0, 0, 4, 4]])


def test_a_labelled_picture_of_a_billion_pixels_is_not_decoded(tmp_path: Path) -> None:
    huge = struct.pack(">II", 40000, 40000)
    bomb = bytearray(png(GREY))
    bomb[16:24] = huge
    bomb[29:33] = struct.pack(">I", zlib.crc32(bytes(bomb[12:29])))
    with pytest.raises(SourceError, match="is too large: 40000x40000 px"):
        first(table(tmp_path / "a.parquet", image=[bytes(bomb)])).load()
    (tmp_path / "b.png").write_bytes(bomb)
    with pytest.raises(SourceError, match="is too large: 40000x40000 px"):
        LabelledImage("b", "made", tmp_path / "b.png").load()


def test_a_corpus_file_is_what_it_was(tmp_path: Path) -> None:
    path = write(tmp_path / "all.parquet", [record(str(at), GREY) for at in range(600)])
    assert [one.id for one in corpus.read(path)] == [str(at) for at in range(600)]
