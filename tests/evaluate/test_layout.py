"""Rows straight from a public set's layout, and what the measures make of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rtface.datasets.corpus import Row
from rtface.errors import SourceError
from rtface.evaluate.detection import DetectionMeasure, judge
from rtface.evaluate.emotion import EmotionMeasure
from rtface.evaluate.landmarks import LandmarksMeasure
from rtface.evaluate.layout import Layout, wanted
from tests.datasets.made import picture, points, spaced, text
from tests.evaluate.made import FakeAnalyzer, face, result


def anything(row: Row) -> bool:
    return True


def some(folder: Path) -> Path:
    for name in "abcd":
        picture(folder / f"{name}.jpg")
    rows = [
        f"{name}.jpg,{split},{spaced(points(68))}"
        for name, split in zip("abcd", ("train", "val", "", "val"), strict=True)
    ]
    text(folder / "labels.csv", "image,split,landmarks68", *rows)
    return folder


def test_samples_carry_labels_and_pixels(tmp_path: Path) -> None:
    layout = Layout("folder", some(tmp_path), anything, limit=2)
    samples = list(layout)
    assert len(layout) == len(samples) == 2
    (truth,) = samples[0].row.faces
    assert truth.landmarks68 is not None and truth.landmarks68.dtype == np.float64
    assert truth.landmarks68.tolist() == points(68).tolist()
    assert samples[0].image.shape == (30, 40, 3) and samples[0].parsing is None


@pytest.mark.parametrize(
    ("split", "names"), [(None, "bcd"), ("any", "abcd"), ("train", "ac"), ("val", "bcd"), ("test", "c")]
)
def test_without_a_split_all_but_train_is_measured(tmp_path: Path, split: str | None, names: str) -> None:
    layout = Layout("folder", some(tmp_path), wanted(LandmarksMeasure(), split=split))
    assert [sample.row.id for sample in layout] == [f"folder-{name}" for name in names]


def test_source_and_labels_choose_too(tmp_path: Path) -> None:
    assert len(Layout("folder", some(tmp_path), wanted(LandmarksMeasure(), source="other"))) == 0
    assert len(Layout("folder", tmp_path, wanted(DetectionMeasure()))) == 0


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    (some(tmp_path) / "b.jpg").unlink()
    with pytest.raises(SourceError, match=r"b\.jpg: no such file"):
        list(Layout("folder", tmp_path, anything))


def test_an_emotion_is_read_in_its_labelled_box(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    text(tmp_path / "labels.csv", "image,emotion,x0,y0,x1,y1", "a.jpg,fear,10,10,20,20")
    (sample,) = Layout("folder", tmp_path, anything)
    boxes = EmotionMeasure().boxes(sample)
    assert boxes is not None and boxes.tolist() == [[4, 4, 14, 14]]  # px of the cut


def test_invalid_faces_are_neither_right_nor_wrong(tmp_path: Path) -> None:
    picture(tmp_path / "WIDER_val/images/a.jpg", 200, 100)
    rows = ["a.jpg", "2", "0 0 40 40 0 0 0 0 0 0", "100 0 40 40 0 0 0 1 0 0"]
    text(tmp_path / "wider_face_split/wider_face_val_bbx_gt.txt", *rows)
    (sample,) = Layout("wider", tmp_path, wanted(DetectionMeasure()))
    measure = DetectionMeasure()
    found = FakeAnalyzer(lambda image: result(face([0, 0, 40, 40], 0.8), face([100, 0, 140, 40], 0.9)))
    measure.add(sample, found.image(sample.image))
    said = {metric.name: (metric.value, metric.count) for metric in measure.metrics()}
    assert said["ap50_40px_pct"] == (100.0, 1)
    box = np.array([[100.0, 0.0, 140.0, 40.0]])
    assert judge(box, np.array([0.9]), np.zeros((0, 4)), 16)[0].tolist() == [True]  # without the mark: wrong


def test_evaluation_and_formats_need_no_torch() -> None:
    code = "import rtface.evaluate.layout, rtface.datasets.parquet, rtface.cli.import_, sys\n"
    code += "from rtface.datasets.registry import FORMATS, read_module\n"
    code += "[read_module(name) for name in FORMATS]\n"
    code += "print([m for m in ('torch', 'pyarrow', 'scipy', 'rtface.train') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
