"""The benchmark of `--enhance`: a small face lies where the large one says, and back."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from benchmarks.enhance import Scores, arguments, crops_of, shrink
from rtface.datasets.labelled import FaceLabel, LabelledImage
from rtface.evaluate.metrics import psnr
from rtface.evaluate.samples import Sample

POINTS = np.array([[130, 140], [190, 142], [160, 180], [135, 210], [185, 211]], float)
BOX = np.array([90.0, 80.0, 230.0, 260.0])


def picture() -> np.ndarray:
    rng = np.random.default_rng(0)
    return cv2.resize(rng.integers(0, 256, (12, 16, 3), np.uint8), (400, 300), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("width", [16, 32])
def test_a_shrunk_face_has_the_width_asked_for_and_leads_back(width: int) -> None:
    shrunk = shrink(picture(), BOX, width)
    assert max(shrunk.box[2:] - shrunk.box[:2]) == pytest.approx(width, rel=0.03)
    back = shrunk.to_large(np.array([[1.0, 0, 0], [0, 1, 0]]))
    assert shrunk.small(POINTS) @ back[:, :2].T + back[:, 2] == pytest.approx(POINTS)
    height, across = shrunk.image.shape[:2]
    assert (shrunk.box[:2] > 0).all() and (shrunk.box[2:] < (across, height)).all()


def test_both_crops_show_the_same_part() -> None:
    image, truth = picture(), FaceLabel(box_xyxy=BOX, points5=POINTS)
    sample = Sample(LabelledImage("a", "afw", "val", (truth,)), image)
    found = crops_of(sample, truth, shrink(image, BOX, 32), None)
    assert found is not None and found[0].shape == found[1].shape == (128, 128, 3)
    middle = (slice(16, -16), slice(16, -16))
    right = psnr(found[0][middle], found[1][middle])
    moved = psnr(
        found[0][middle], np.roll(found[1], 4, axis=1)[middle]
    )  # one px of the small picture is four of the crop
    assert right > 30 and right > moved + 3
    assert crops_of(sample, FaceLabel(box_xyxy=BOX), shrink(image, BOX, 32), None) is None


def test_figures_that_were_not_measured_are_none() -> None:
    scores = Scores()
    scores.errors += [0.05, 0.15]
    record = scores.record()
    assert (record["nme_pct"], record["failure8_pct"], record["landmark_faces"]) == (10.0, 50.0, 2)
    assert record["parsing_f"] is None and record["psnr_db"] is None


def test_the_corpus_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments([])
    assert "--data" in capsys.readouterr().err
