"""Each task's evaluation on a few pictures whose figures can be worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from rtface.datasets.labelled import FaceLabel, LabelledImage
from rtface.errors import UsageError
from rtface.evaluate.detection import DetectionMeasure, ReturnedMeasure, match_detections
from rtface.evaluate.emotion import EmotionMeasure, absolute_majority, majority
from rtface.evaluate.landmarks import LandmarksMeasure
from rtface.evaluate.measure import Measure, evaluate, wanted
from rtface.evaluate.parsing import ParsingMeasure, as_fasseg, to_picture
from rtface.evaluate.points5 import Points5Measure
from rtface.evaluate.pose import PoseMeasure
from rtface.evaluate.registry import MEASURES, measures_for
from rtface.evaluate.worst import HardestCases
from rtface.labels import ALL_TASKS, EMOTIONS, PARSING_CLASSES
from rtface.options import Options
from rtface.types import Emotion, HeadPose, Landmarks, Parsing
from tests.evaluate.made import FakeAnalyzer, face, result, sample

FIVE = np.array([[20, 20], [40, 20], [30, 30], [22, 40], [38, 40]], np.float64)  # eyes 20 px apart


def sixty_eight() -> np.ndarray:
    points = np.stack([20 + np.arange(68) % 10, 20 + np.arange(68) // 10], axis=1).astype(np.float64)
    points[36], points[45] = (20.0, 25.0), (30.0, 25.0)  # 10 px apart
    return points


def values(measure: Measure) -> dict[str, float]:
    return {metric.name: metric.value for metric in measure.metrics()}


def counts(measure: Measure) -> dict[str, int]:
    return {metric.name: metric.count for metric in measure.metrics()}


def test_landmarks_by_outer_eyes_with_a_miss_and_a_bad_jaw() -> None:
    truth = FaceLabel(landmarks68=sixty_eight(), box_xyxy=np.array([15.0, 15.0, 35.0, 35.0]))
    shifted = sixty_eight()
    shifted[:17] += (0.0, 1.0)  # the jaw 1 px low: 17/68 px on average, by 10 px
    measure = LandmarksMeasure()
    measure.add(sample(truth), result(face([15, 15, 35, 35], landmarks=Landmarks(shifted, 0.9))))
    measure.add(sample(truth), result())
    said = values(measure)
    assert said["nme_pct"] == pytest.approx(2.5, abs=1e-4)
    assert said["nme_inner51_pct"] == pytest.approx(0.0, abs=1e-4)
    assert (said["offset_x_px"], said["offset_y_px"]) == pytest.approx((0.0, 17 / 68), abs=1e-6)
    assert said["missed_pct"] == 50.0
    assert said["failure8_pct"] == 50.0
    assert said["auc8_pct"] == pytest.approx(100 * (1 - 2.5 / 8) / 2, abs=1e-3)
    assert counts(measure)["nme_pct"] == 1 and counts(measure)["missed_pct"] == 2
    assert counts(measure)["nme_large_pct"] == 0 and np.isnan(said["nme_large_pct"])
    large = FaceLabel(landmarks68=5 * sixty_eight(), box_xyxy=np.array([75.0, 75.0, 175.0, 175.0]))
    measure.add(sample(large), result(face([75, 75, 175, 175], landmarks=Landmarks(5 * sixty_eight() + (3, 4), 0.9))))
    assert values(measure)["nme_large_pct"] == pytest.approx(10.0) and counts(measure)["nme_large_pct"] == 1


def test_landmarks_count_labelled_faces_only() -> None:
    row = sample(FaceLabel(box_xyxy=np.array([0.0, 0.0, 9.0, 9.0])), FaceLabel(landmarks68=sixty_eight()))
    measure = LandmarksMeasure()
    assert measure.accepts(row.row)
    assert not measure.accepts(sample(FaceLabel(points5=FIVE)).row)
    measure.add(row, result(face([0, 0, 9, 9])))
    assert values(measure)["missed_pct"] == 100.0
    assert math.isnan(values(measure)["nme_pct"])


def test_points5_by_the_eyes_own_distance() -> None:
    truth = FaceLabel(points5=FIVE, points5_source="human")
    measure = Points5Measure()
    measure.add(sample(truth), result(face([10, 10, 50, 50], points5=FIVE + np.array([3.0, 4.0]))))
    assert values(measure)["nme5_pct"] == pytest.approx(25.0)
    assert values(measure)["failure10_pct"] == 100.0
    assert values(measure)["missed_pct"] == 0.0


def test_points5_wants_points_that_people_set_and_no_68() -> None:
    measure = Points5Measure()
    assert measure.accepts(sample(FaceLabel(points5=FIVE, points5_source="human")).row)
    assert not measure.accepts(sample(FaceLabel(points5=FIVE, points5_source="teacher")).row)
    assert not measure.accepts(sample(FaceLabel(points5=FIVE, points5_source="human", landmarks68=sixty_eight())).row)


def test_label_map_comes_back_in_the_pictures_pixels() -> None:
    labels = np.zeros((4, 4), np.uint8)
    labels[1, 2] = 13
    # A crop px is 2 px of the picture; its pixel (0, 0) has its centre at (10, 6).
    mapped, inside = to_picture(Parsing(labels, np.array([[2.0, 0.0, 10.0], [0.0, 2.0, 6.0]])), 20, 30)
    assert mapped.shape == (20, 30)
    rows, columns = np.nonzero(mapped == 13)
    assert (rows.mean(), columns.mean()) == pytest.approx((8.0, 14.0), abs=0.51)
    assert inside.sum() == pytest.approx(64, abs=16) and not inside[0, 0]


def masked(found: np.ndarray | None, truth: np.ndarray, scheme: str = "celebamask19") -> ParsingMeasure:
    """One picture measured: the crop is the whole picture."""
    box = np.array([0.0, 0.0, truth.shape[1], truth.shape[0]])
    one = sample(FaceLabel(box_xyxy=box), parsing=truth, parsing_scheme=scheme, parsing_source="human")
    faces = [] if found is None else [face(box, parsing=Parsing(found, np.eye(2, 3)))]
    measure = ParsingMeasure()
    assert measure.accepts(one.row)
    measure.add(one, result(*faces))
    return measure


def test_parsing_scores_classes_and_components() -> None:
    truth = np.array([[4, 4, 5, 5], [2, 2, 255, 0], [11, 12, 0, 0]], np.uint8)
    found = np.array([[4, 5, 5, 5], [2, 0, 2, 0], [12, 12, 0, 0]], np.uint8)
    said = values(masked(found, truth))
    assert said["left_eye_f"] == pytest.approx(100 * 2 / 3)  # 1 hit, 1 not found
    assert said["right_eye_f"] == pytest.approx(100 * 4 / 5)  # 2 hits, 1 wrong
    assert said["component_eyes_f"] == pytest.approx(100.0)  # left for right is forgiven
    assert said["component_nose_f"] == pytest.approx(100 * 2 / 3)  # the 255 under it is left out
    assert said["component_lips_f"] == pytest.approx(100.0)
    assert math.isnan(said["component_brows_f"])
    assert said["components_f"] == pytest.approx(100 * (1 + 2 / 3 + 1) / 3)
    assert said["components_overall_f"] == pytest.approx(100 * 2 * 7 / (8 + 7))


def test_parsing_of_a_missed_face_scores_nothing() -> None:
    truth = np.array([[4, 4], [0, 0]], np.uint8)
    said = values(masked(None, truth))
    assert said["component_eyes_f"] == 0.0
    assert said["missed_pct"] == 100.0
    assert said["background_f"] == pytest.approx(100 * 4 / 6)


def test_parsing_inside_the_crop_does_not_count_hair_outside() -> None:
    truth = np.full((4, 8), 13, np.uint8)
    box = np.array([0.0, 0.0, 8.0, 4.0])
    one = sample(FaceLabel(box_xyxy=box), parsing=truth, parsing_scheme="celebamask19", parsing_source="human")
    measure = ParsingMeasure()
    measure.add(one, result(face(box, parsing=Parsing(np.full((4, 4), 13, np.uint8), np.eye(2, 3)))))
    assert values(measure)["hair_f"] == pytest.approx(100 * 2 / 3)
    assert values(measure)["hair_in_crop_f"] == pytest.approx(100.0)


def test_fasseg_takes_ears_and_neck_for_skin_or_background() -> None:
    neck, eye, brow, lip = 17, 4, 6, 11
    found = np.array([[neck, neck, neck], [eye, brow, lip]], np.uint8)
    truth = np.array([[0, 1, 4], [3, 2, 5]], np.uint8)
    assert as_fasseg(found, truth).tolist() == [[0, 1, 1], [3, 2, 5]]
    said = values(masked(found, truth, scheme="fasseg6"))
    assert said["fasseg_eyes_f"] == 100.0 and said["fasseg_nose_f"] == 0.0
    assert "components_f" not in said


def test_majority_of_votes() -> None:
    assert majority(np.array([5, 4, 0, 0, 0, 0, 0, 0, 1, 0])) == 0
    assert majority(np.array([1, 4, 0, 0, 0, 0, 0, 0, 5, 0])) is None
    # The authors' mode: the single votes go, then 4 of 8 is no majority and 5 of 8 is one.
    assert absolute_majority(np.array([4, 4, 0, 0, 0, 1, 1, 0, 0, 0])) is None
    assert absolute_majority(np.array([5, 3, 0, 0, 0, 1, 1, 0, 0, 0])) == 0
    assert absolute_majority(np.array([1, 0, 0, 0, 0, 0, 0, 0, 9, 0])) is None


def test_emotion_accuracy_and_recalls() -> None:
    measure = EmotionMeasure()
    for votes, guess in (((9, 1), 0), ((8, 2), 1), ((1, 9), 1), ((6, 4), 0)):
        one = sample(emotion_votes=np.array([*votes, 0, 0, 0, 0, 0, 0, 0, 0]), size_wh=(48, 48))
        assert measure.accepts(one.row)
        assert measure.boxes(one).tolist() == [[0.0, 0.0, 48.0, 48.0]]
        emotion = Emotion(EMOTIONS[guess], np.eye(8)[guess])
        measure.add(one, result(face([0, 0, 48, 48], emotion=emotion)))
    said = values(measure)
    assert said["accuracy_pct"] == 75.0
    assert said["recall_neutral_pct"] == pytest.approx(200 / 3)
    assert said["mean_recall_pct"] == pytest.approx((200 / 3 + 100) / 2)
    assert math.isnan(said["recall_fear_pct"])
    assert counts(measure)["recall_neutral_pct"] == 3
    assert not measure.accepts(sample(emotion_votes=np.array([1, 0, 0, 0, 0, 0, 0, 0, 9, 0])).row)


def test_pose_against_the_true_yaw_up_to_sixty_degrees() -> None:
    measure = PoseMeasure()
    box = [0.0, 0.0, 20.0, 20.0]
    for true, found in ((30.0, 24.0), (-60.0, -50.0), (75.0, 0.0)):
        truth = FaceLabel(box_xyxy=np.array(box), yaw_true=true, pose=np.array([1.0, 1.0, 1.0]))
        measure.add(sample(truth), result(face(box, pose=HeadPose(found, 0.0, 0.0))))
    measure.add(sample(FaceLabel(box_xyxy=np.array(box), yaw_true=0.0)), result())
    said = values(measure)
    assert said["yaw_mae_deg"] == pytest.approx(8.0)
    assert said["yaw_bias_at_+30_deg"] == pytest.approx(-6.0)
    assert said["missed_pct"] == pytest.approx(100 / 3)
    assert math.isnan(said["teacher_mae_deg"])


def test_pose_against_teachers() -> None:
    measure = PoseMeasure()
    truth = FaceLabel(box_xyxy=np.array([0.0, 0.0, 20.0, 20.0]), pose=np.array([10.0, 0.0, -5.0]))
    measure.add(sample(truth), result(face([0, 0, 20, 20], pose=HeadPose(13.0, -6.0, -5.0))))
    said = values(measure)
    assert (said["teacher_yaw_mae_deg"], said["teacher_pitch_mae_deg"], said["teacher_roll_mae_deg"]) == (3.0, 6.0, 0.0)
    assert said["teacher_mae_deg"] == pytest.approx(3.0)


def boxes(*rows: tuple[float, float, float]) -> np.ndarray:
    """Squares from left, top, side."""
    return np.array([[x, y, x + side, y + side] for x, y, side in rows], np.float64).reshape(-1, 4)


def test_a_second_detection_of_a_face_is_wrong() -> None:
    counted, hits = match_detections(boxes((1, 0, 40), (0, 0, 40)), np.array([0.6, 0.9]), boxes((0, 0, 40)), 16)
    assert counted.tolist() == [True, True]
    assert hits.tolist() == [False, True]


def test_small_labelled_faces_are_neither_right_nor_wrong() -> None:
    truths = boxes((0, 0, 10), (100, 0, 40))
    guesses = boxes((0, 0, 10), (3, 3, 4), (100, 0, 40), (200, 0, 10))
    counted, hits = match_detections(guesses, np.array([0.9, 0.8, 0.7, 0.6]), truths, 16)
    assert counted.tolist() == [False, False, True, True]  # on the small face; a part of it; the face; nothing
    assert hits.tolist() == [False, False, True, False]


def test_detection_ap_by_size() -> None:
    truths = [FaceLabel(box_xyxy=box, box_source="human") for box in boxes((0, 0, 20), (100, 0, 50))]
    measure = DetectionMeasure()
    found = [face(box, score) for box, score in zip(boxes((0, 0, 20), (30, 30, 30)), (0.9, 0.95), strict=True)]
    one = sample(*truths, size_wh=(200, 100))
    assert measure.accepts(one.row)
    measure.add(one, result(*found))
    said = values(measure)
    assert said["ap50_16px_pct"] == pytest.approx(25.0)  # wrong, then right: half of the faces at precision 1/2
    assert said["ap50_24px_pct"] == 0.0  # the found one is too small to count
    assert counts(measure) == {"ap50_16px_pct": 2, "ap50_24px_pct": 1, "ap50_40px_pct": 1}
    assert not measure.accepts(sample().row)
    assert not measure.accepts(sample(truths[0], FaceLabel(box_xyxy=truths[0].box_xyxy, box_source="teacher")).row)


def test_what_is_returned_has_precision_and_recall() -> None:
    truths = [FaceLabel(box_xyxy=box, box_source="human") for box in boxes((0, 0, 20), (100, 0, 50), (200, 0, 50))]
    measure = ReturnedMeasure()
    found = [face(box, 0.9) for box in boxes((0, 0, 20), (30, 30, 30), (100, 0, 50))]
    measure.add(sample(*truths, size_wh=(300, 100)), result(*found))
    said = values(measure)
    assert said["recall_16px_pct"] == said["precision_16px_pct"] == pytest.approx(100 * 2 / 3)
    assert said["recall_24px_pct"] == said["precision_24px_pct"] == 50.0
    assert counts(measure)["precision_24px_pct"] == 2  # the face of 20 px and what found it do not count
    assert not ReturnedMeasure.options  # the user's own bar
    assert values(ReturnedMeasure())["precision_16px_pct"] == 0.0


def test_every_measure_asks_for_tasks_and_options_that_exist() -> None:
    for measure in MEASURES.values():
        assert set(measure.tasks) <= set(ALL_TASKS)
        Options(**measure.options)
        assert measures_for(measure.name) == [measure]
    assert len(measures_for("all")) == 9 and ReturnedMeasure not in measures_for("all")
    with pytest.raises(UsageError, match="Did you mean parsing"):
        measures_for("parsin")


def test_rows_are_chosen_by_split_source_and_labels() -> None:
    def row(split: str, scheme: str = "celebamask19", source: str = "made") -> LabelledImage:
        return LabelledImage("x", source, Path("x.jpg"), split=split, parsing_scheme=scheme, parsing_source="human")

    measure = ParsingMeasure()
    usual = wanted(measure)
    assert usual(row("val")) and not usual(row("train"))
    assert usual(row("train", "fasseg6"))  # there is no val part of it
    assert not wanted(measure, split="val")(row("train", "fasseg6"))
    assert wanted(measure, split="any")(row("train"))
    assert not wanted(measure, source="other")(row("val"))
    assert not usual(
        LabelledImage("x", "made", Path("x.jpg"), split="val", parsing_scheme="celebamask19", parsing_source="teacher")
    )


def test_evaluate_asks_for_the_task_alone_and_names_what_it_measured() -> None:
    samples = [
        sample(emotion_votes=np.eye(10, dtype=int)[at] * 10, size_wh=(48, 48)) for at in (EMOTIONS.index("anger"), 0)
    ]
    angry = result(face([0, 0, 48, 48], emotion=Emotion("anger", np.eye(8)[EMOTIONS.index("anger")])))
    analyzer, steps = FakeAnalyzer(lambda image: angry), []
    report = evaluate(EmotionMeasure(HardestCases(4)), samples, analyzer, lambda: steps.append(1))
    assert report.data == {"made val": 2}
    assert len(steps) == 2
    assert analyzer.asked[0][2] == ("emotion",) and analyzer.asked[0][1].tolist() == [[0, 0, 48, 48]]
    record = report.to_dict()
    assert record["metrics"]["accuracy_pct"] == 50.0
    assert record["metrics"]["recall_fear_pct"] is None
    assert ("accuracy, majority vote, %", "50.00", "2") in report.rows()


def test_parsing_classes_have_a_place_in_fasseg() -> None:
    everything = np.arange(len(PARSING_CLASSES), dtype=np.uint8)[None]
    assert as_fasseg(everything, np.full_like(everything, 5)).max() <= 5
