"""The reader, on parquet files written by the test."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rtface.errors import SourceError
from rtface.evaluate.samples import Samples
from tests.evaluate.made import png, record, write


def grey(value: int) -> np.ndarray:
    return np.full((4, 6, 3), value, np.uint8)


def test_reads_pictures_masks_and_labels(tmp_path: Path) -> None:
    mask = np.zeros((4, 6), np.uint8)
    mask[1, 2], mask[3, 5] = 17, 255
    labelled = {
        "box_xyxy": [1.0, 2.0, 3.0, 4.0],
        "box_source": "human",
        "points5": list(map(float, range(10))),
        "points5_source": "human",
        "landmarks68": list(map(float, range(136))),
        "mesh478": [0.0] * 956,
        "pose": [10.0, -5.0, 2.0],
        "yaw_true": 15.0,
    }
    path = write(
        tmp_path / "all.parquet",
        [
            record(
                "a",
                grey(7),
                faces=[labelled, {}],
                parsing=png(mask),
                parsing_scheme="celebamask19",
                parsing_source="human",
                emotion_votes=[9, 1, 0, 0, 0, 0, 0, 0, 0, 0],
            )
        ],
    )
    (sample,) = list(Samples(path, lambda row: True))
    first, second = sample.row.faces
    assert sample.image.shape == (4, 6, 3) and (sample.image == 7).all()
    assert sample.parsing is not None and sample.parsing.tolist() == mask.tolist()
    assert first.landmarks68 is not None and first.landmarks68[1].tolist() == [2.0, 3.0]
    assert first.points5 is not None and first.points5.shape == (5, 2)
    assert first.box_xyxy is not None and first.box_xyxy.tolist() == [1.0, 2.0, 3.0, 4.0]
    assert (first.yaw_true, first.box_source, first.points5_source) == (15.0, "human", "human")
    assert second.box_xyxy is None and second.landmarks68 is None
    assert sample.row.emotion_votes is not None and sample.row.emotion_votes[0] == 9


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes")
def test_a_name_that_is_not_utf_8(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [record("a", grey(7))])
    folder = tmp_path / os.fsdecode(b"Stra\xdfe")
    folder.mkdir()
    (tmp_path / "a.parquet").rename(folder / "a.parquet")
    (sample,) = list(Samples(folder, lambda row: True))
    assert (sample.image == 7).all()


def test_takes_wanted_rows_of_all_files_in_order_up_to_the_limit(tmp_path: Path) -> None:
    for number, name in enumerate("ab"):
        rows = [record(f"{name}{i}", grey(10 * number + i), split="val" if i % 2 else "train") for i in range(4)]
        write(tmp_path / f"{name}.parquet", rows)
    corpus = Samples(tmp_path, lambda row: row.split == "val", limit=3)
    assert len(corpus) == 3
    assert [(s.row.id, int(s.image[0, 0, 0])) for s in corpus] == [("a1", 1), ("a3", 3), ("b1", 11)]
    assert len(Samples(tmp_path, lambda row: False)) == 0


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.mkdir(), "has no .parquet file"),
        (lambda path: path.write_bytes(b"PAR1 and then nothing of the kind"), "is not a parquet file"),
        (lambda path: pq.write_table(pa.table({"id": ["a"]}), path), "lacks the columns"),
    ],
)
def test_says_what_is_wrong_with_the_path(tmp_path: Path, make: object, says: str) -> None:
    path = tmp_path / "data.parquet"
    make(path)  # type: ignore[operator]
    with pytest.raises(SourceError, match=says):
        Samples(path, lambda row: True)


def test_names_the_row_whose_picture_is_damaged(tmp_path: Path) -> None:
    broken = record("broken", grey(0)) | {"image": b"no picture"}
    path = write(tmp_path / "one.parquet", [broken])
    with pytest.raises(SourceError, match="row broken"):
        list(Samples(path, lambda row: True))
