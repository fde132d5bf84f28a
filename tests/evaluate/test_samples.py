"""Rows straight from a public set's layout, and what the measures make of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rtface.datasets.labelled import LabelledImage
from rtface.datasets.registry import read
from rtface.datasets.writer import Settings, write
from rtface.errors import SourceError
from rtface.evaluate.detection import DetectionMeasure, match_detections
from rtface.evaluate.emotion import EmotionMeasure
from rtface.evaluate.landmarks import LandmarksMeasure
from rtface.evaluate.measure import wanted_of_layout as wanted
from rtface.evaluate.samples import Samples
from tests.datasets.made import picture, points, spaced, text
from tests.evaluate.made import FakeAnalyzer, face, result


def anything(row: LabelledImage) -> bool:
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
    samples = Samples(some(tmp_path), anything, 2, layout="folder")
    first, second = samples
    assert len(samples) == 2 and second.row.id == "folder-b"
    (truth,) = first.row.faces
    assert truth.landmarks68 is not None
    assert truth.landmarks68.tolist() == points(68).tolist()
    assert first.image.shape == (30, 40, 3) and first.parsing is None


@pytest.mark.parametrize(
    ("split", "names"), [(None, "bcd"), ("any", "abcd"), ("train", "ac"), ("val", "bcd"), ("test", "c")]
)
def test_without_a_split_all_but_train_is_measured(tmp_path: Path, split: str | None, names: str) -> None:
    samples = Samples(some(tmp_path), wanted(LandmarksMeasure(), split=split), layout="folder")
    assert [sample.row.id for sample in samples] == [f"folder-{name}" for name in names]


def test_source_and_labels_choose_too(tmp_path: Path) -> None:
    assert len(Samples(some(tmp_path), wanted(LandmarksMeasure(), source="other"), layout="folder")) == 0
    assert len(Samples(tmp_path, wanted(DetectionMeasure()), layout="folder")) == 0


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    (some(tmp_path) / "b.jpg").unlink()
    with pytest.raises(SourceError, match=r"b\.jpg: no such file"):
        list(Samples(tmp_path, anything, layout="folder"))


def test_an_emotion_is_read_in_its_labelled_box(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    text(tmp_path / "labels.csv", "image,emotion,x0,y0,x1,y1", "a.jpg,fear,10,10,20,20")
    (sample,) = Samples(tmp_path, anything, layout="folder")
    boxes = EmotionMeasure().boxes(sample)
    assert boxes is not None and boxes.tolist() == [[4, 4, 14, 14]]  # px of the cut


def test_invalid_faces_are_neither_right_nor_wrong(tmp_path: Path) -> None:
    picture(tmp_path / "WIDER_val/images/a.jpg", 200, 100)
    rows = ["a.jpg", "2", "0 0 40 40 0 0 0 0 0 0", "100 0 40 40 0 0 0 1 0 0"]
    text(tmp_path / "wider_face_split/wider_face_val_bbx_gt.txt", *rows)
    (sample,) = Samples(tmp_path, wanted(DetectionMeasure()), layout="wider")
    measure = DetectionMeasure()
    found = FakeAnalyzer(lambda image: result(face([0, 0, 40, 40], 0.8), face([100, 0, 140, 40], 0.9)))
    measure.add(sample, found.image(sample.image))
    said = {metric.name: (metric.value, metric.count) for metric in measure.metrics()}
    assert said["ap50_40px_pct"] == (100.0, 1)
    box = np.array([[100.0, 0.0, 140.0, 40.0]])
    assert match_detections(box, np.array([0.9]), np.zeros((0, 4)), 16)[0].tolist() == [True]  # without the mark: wrong


def test_ignored_faces_survive_the_import(tmp_path: Path) -> None:
    """Average precision by the layout and after import is the same."""
    pytest.importorskip("pyarrow", reason="needs the eval extra")
    picture(tmp_path / "WIDER_val/images/a.jpg", 200, 100)
    rows = ["a.jpg", "2", "0 0 40 40 0 0 0 0 0 0", "100 0 40 40 0 0 0 1 0 0"]
    text(tmp_path / "wider_face_split/wider_face_val_bbx_gt.txt", *rows)
    write(read("wider", tmp_path), tmp_path / "wider.parquet", Settings())
    figures = []
    for samples in (
        Samples(tmp_path, anything, layout="wider"),
        Samples(tmp_path / "wider.parquet", anything),
    ):
        measure = DetectionMeasure()
        for sample in samples:
            measure.add(sample, result(face([0, 0, 40, 40], 0.8), face([100, 0, 140, 40], 0.9)))
        figures.append({metric.name: metric.value for metric in measure.metrics()})
    assert figures[0] == figures[1] and figures[1]["ap50_40px_pct"] == 100.0


def test_evaluation_and_formats_need_no_torch() -> None:
    code = "import rtface.evaluate.samples, rtface.datasets.writer, rtface.cli.import_, sys\n"
    code += "from rtface.datasets.registry import FORMATS, read_module\n"
    code += "[read_module(name) for name in FORMATS]\n"
    code += "print([m for m in ('torch', 'pyarrow', 'scipy', 'rtface.train') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
