"""What can be wrong with backgrounds and workers is said in a line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtface.datasets.labelled import FaceLabel, LabelledImage
from rtface.datasets.writer import Settings, write
from rtface.errors import SourceError, UsageError
from rtface.train.synth.make import read_backgrounds, write_corpus
from rtface.train.synth.scenes import Plan

PICTURE = np.full((300, 960, 3), 90, np.uint8)
FACE = FaceLabel(box_xyxy=np.zeros(4, np.float32))


def a_file(path: Path, *images: LabelledImage) -> Path:
    write(images, path, Settings(max_side=0))
    return path


def test_backgrounds_are_pictures_without_faces_shrunk(tmp_path: Path) -> None:
    file = a_file(
        tmp_path / "a.parquet", LabelledImage("a", "mine", PICTURE), LabelledImage("b", "mine", PICTURE, (FACE,))
    )
    assert [picture.shape for picture in read_backgrounds(file)] == [(150, 480, 3)]


def test_a_file_of_faces_is_no_background(tmp_path: Path) -> None:
    file = a_file(tmp_path / "a.parquet", LabelledImage("b", "mine", PICTURE, (FACE,)))
    with pytest.raises(SourceError, match="no picture without faces"):
        read_backgrounds(file)


def test_workers_that_cannot_begin_are_one_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--workers 1"):
        write_corpus(tmp_path / "no assets", Plan(side=64), 4, tmp_path / "a.parquet", workers=2)
    assert not (tmp_path / "a.parquet").exists()
