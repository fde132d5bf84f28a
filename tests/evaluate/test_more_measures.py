"""Mesh, expression and gaze on faces whose figures can be worked out by hand; and how honest confidences are."""

from __future__ import annotations

import numpy as np
import pytest

from rtface.datasets.labelled import FaceLabel
from rtface.evaluate.expression import ExpressionMeasure
from rtface.evaluate.gaze import GazeMeasure
from rtface.evaluate.measure import Measure
from rtface.evaluate.mesh import MeshMeasure
from rtface.evaluate.metrics import calibration_error
from rtface.labels import BLENDSHAPES
from rtface.types import Expression, FaceMesh, Gaze
from tests.evaluate.made import face, result, sample

BOX = np.array([10.0, 10.0, 60.0, 60.0])


def values(measure: Measure) -> dict[str, float]:
    return {metric.name: metric.value for metric in measure.metrics()}


def a_mesh() -> np.ndarray:
    mesh = np.full((478, 2), 30.0)
    mesh[33], mesh[263], mesh[468], mesh[473] = (10, 20), (60, 20), (22, 20), (47, 20)  # 50 and 25 px apart
    return mesh


def test_a_mesh_is_measured_by_the_outer_corners_and_by_the_pupils() -> None:
    truth = FaceLabel(mesh478=a_mesh(), box_xyxy=BOX)
    measure = MeshMeasure()
    assert measure.accepts(sample(truth).row) and not measure.accepts(sample(FaceLabel(box_xyxy=BOX)).row)
    moved = a_mesh() + np.array((0.0, 1.0))
    moved[468:] += (0.0, 1.0)
    measure.add(sample(truth), result(face(BOX, mesh=FaceMesh(moved, 0.9))))
    measure.add(sample(truth), result())
    said = values(measure)
    assert said["mesh_pct"] == pytest.approx(100 * (468 + 20) / 478 / 50, rel=1e-5)
    assert said["mesh_pupils_pct"] == pytest.approx(2 * said["mesh_pct"])
    assert said["irises_pct"] == pytest.approx(4.0) and said["lids_pct"] == pytest.approx(2.0)
    assert said["missed_pct"] == 50.0


def test_blend_shapes_are_compared_by_name_without_the_tongue() -> None:
    told = np.zeros(52, np.float32)
    names = ["_neutral", *sorted(name for name in BLENDSHAPES if name != "tongueOut")]
    told[names.index("jawOpen")], told[0] = 0.8, 1.0
    truth = FaceLabel(blendshapes52=told, box_xyxy=BOX)
    guess = np.zeros(52, np.float32)
    guess[BLENDSHAPES.index("jawOpen")] = 0.5
    measure = ExpressionMeasure()
    measure.add(sample(truth), result(face(BOX, expression=Expression(guess, (1, 1), 0, 0))))
    measure.add(sample(truth), result())
    said = values(measure)
    assert said["mae"] == pytest.approx(0.3 / 51) and said["shown_mae"] == pytest.approx(0.3)
    assert said["jawOpen_mae"] == pytest.approx(0.3) and said["missed_pct"] == 50.0


def test_gaze_counts_open_eyes_of_heads_that_face_the_camera() -> None:
    def label(**more: object) -> FaceLabel:
        return FaceLabel(box_xyxy=BOX, gaze=np.array((10.0, 0.0)), **more)  # type: ignore[arg-type]

    measure = GazeMeasure()
    shut = np.full(52, 0.9, np.float32)
    assert measure.accepts(sample(label()).row) and not measure.accepts(sample(FaceLabel(box_xyxy=BOX)).row)
    assert not measure.accepts(sample(label(pose=np.array((45.0, 0, 0)))).row)
    assert not measure.accepts(sample(label(blendshapes52=shut)).row)
    measure.add(sample(label()), result(face(BOX, gaze=Gaze(16.0, 0.0, 0.2))))
    measure.add(sample(label(mesh478=a_mesh())), result(face(BOX, gaze=Gaze(10.0, -4.0, 0.2))))
    said = values(measure)
    assert said["angle_deg"] == pytest.approx(5.0, abs=0.01)
    assert said["shown_angle_deg"] == pytest.approx(4.0, abs=0.01)  # the other's eyes nobody labelled
    assert (said["yaw_mae_deg"], said["pitch_mae_deg"]) == pytest.approx((3.0, 2.0))


def test_honest_confidences_have_no_calibration_error() -> None:
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.3, 1.0, 20000)
    assert calibration_error(sure, rng.uniform(size=20000) < sure) < 0.01
    assert calibration_error(np.full(100, 0.6), np.ones(100)) == pytest.approx(0.4)
    assert np.isnan(calibration_error(np.zeros(0), np.zeros(0)))
