"""Faces of stills that are upside down or on their side, with the networks that ship."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest

import rtface
from rtface.analyzer import Analyzer, still, upright
from rtface.analyzer.upright import doubtful_rows
from rtface.detect import Detections, UprightDetector
from rtface.geometry.crop import Crop
from rtface.options import Options

Picture = np.ndarray


@pytest.fixture(scope="module")
def face() -> Picture:
    """A frame of the demo clip."""
    with rtface.frames("demo", tasks=()) as results:
        return np.array(next(iter(results)).frame.image)


@pytest.fixture(scope="module")
def analyzer() -> Iterator[Analyzer]:
    with Analyzer(Options(tasks=("landmarks", "pose"))) as opened:
        yield opened


def turned(picture: Picture, quarters: int) -> Picture:
    return np.ascontiguousarray(np.rot90(picture, -quarters))


def turned_back(points: np.ndarray, picture: Picture, quarters: int) -> np.ndarray:
    """Points of `turned(picture, quarters)` as those of `picture`."""
    height, width = turned(picture, quarters).shape[:2]
    for _ in range(quarters % 4):
        points = np.stack([points[:, 1], width - 1 - points[:, 0]], axis=1)
        height, width = width, height
    return points


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_points_of_a_turned_face_are_right(analyzer: Analyzer, face: Picture, quarters: int) -> None:
    (stands,) = analyzer.image(face).faces
    (lies,) = analyzer.image(turned(face, quarters)).faces
    back = turned_back(lies.landmarks.points, face, quarters)
    eyes_px = np.linalg.norm(stands.landmarks.points[36] - stands.landmarks.points[45])
    off_px = np.linalg.norm(back - stands.landmarks.points, axis=1).mean()
    assert off_px < 0.05 * eyes_px
    roll = (lies.pose.roll - stands.pose.roll + 180) % 360 - 180
    assert abs((roll - 90 * quarters + 180) % 360 - 180) < 5
    assert lies.pose.yaw == pytest.approx(stands.pose.yaw, abs=5)


def test_the_five_points_are_right_without_landmarks_too(face: Picture) -> None:
    with Analyzer(Options(tasks=("pose",))) as analyzer:
        (stands,) = analyzer.image(face).faces
        (lies,) = analyzer.image(turned(face, 2)).faces
    back = turned_back(lies.points5, face, 2)
    assert np.linalg.norm(back - stands.points5, axis=1).max() < 0.1 * np.ptp(stands.box_xyxy[[0, 2]])


@pytest.mark.parametrize("tasks", [("landmarks", "pose"), ("pose",)])
@pytest.mark.parametrize("looks", [1, 4])
def test_with_one_pass_a_turned_face_is_right_too(face: Picture, looks: int, tasks: tuple[str, ...]) -> None:
    with Analyzer(Options(tasks=tasks, still_refine=1, still_tta=looks)) as analyzer:
        (stands,) = analyzer.image(face).faces
        (lies,) = analyzer.image(turned(face, 2)).faces
    back = turned_back(lies.points5, face, 2)
    assert np.linalg.norm(back - stands.points5, axis=1).max() < 0.1 * np.ptp(stands.box_xyxy[[0, 2]])
    assert abs(abs(lies.pose.roll - stands.pose.roll) - 180) < 10


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_without_tasks_the_five_points_are_right_or_the_face_is_not_reported(face: Picture, quarters: int) -> None:
    # Of a large part of the picture the detector is surer: closer, a face on its head scores over the bar as well.
    near = np.ascontiguousarray(face[100:420, 180:460])
    with Analyzer(Options(tasks=())) as analyzer:
        (stands,) = analyzer.image(near).faces
        for lies in analyzer.image(turned(near, quarters)).faces:
            back = turned_back(lies.points5, near, quarters)
            assert np.linalg.norm(back - stands.points5, axis=1).max() < 0.12 * np.ptp(stands.box_xyxy[[0, 2]])


@pytest.mark.parametrize("degrees", [-60, -45, 45, 60, 135, 225])
def test_without_tasks_the_five_points_of_a_rolled_face_are_right(face: Picture, degrees: int) -> None:
    height, width = face.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), -degrees, 1.0)  # OpenCV turns counter-clockwise
    rolled = cv2.warpAffine(face, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    with Analyzer(Options(tasks=())) as analyzer:
        (stands,) = analyzer.image(face).faces
        there = stands.points5 @ matrix[:, :2].T + matrix[:, 2]
        box = np.concatenate((there.min(axis=0) - 60, there.max(axis=0) + 60))[None].astype(np.float32)
        seen = analyzer.detector.detect(rolled, still=True)[:1]
        if not len(seen):  # the detector sees none: what it would be asked if it did
            seen = Detections(box, np.array([0.6], np.float32), stands.points5[None], np.zeros((1, 3), np.float32))
        assert isinstance(analyzer.detector, UprightDetector)
        found = analyzer.detector.uprighted(rolled, seen)
    assert np.linalg.norm(found.points5[0] - there, axis=1).max() < 0.12 * np.ptp(stands.box_xyxy[[0, 2]])
    assert abs((found.pose[0, 2] - degrees + 180) % 360 - 180) < 25


def test_the_detector_tells_which_way_up_a_face_is(face: Picture) -> None:
    with Analyzer(Options(tasks=())) as analyzer:
        stands = analyzer.detector.detect(face, still=True)[:1]
        picture = turned(face, 2)
        corners = turned_back(stands.boxes_xyxy.reshape(2, 2), picture, 2)
        box = np.concatenate((corners.min(axis=0), corners.max(axis=0)))[None].astype(np.float32)
        mistaken = replace(stands, boxes_xyxy=box, scores=np.array([0.55], np.float32))
        assert isinstance(analyzer.detector, UprightDetector)
        lies = analyzer.detector.uprighted(picture, mistaken)
    back = turned_back(lies.points5[0], face, 2)
    assert np.linalg.norm(back - stands.points5[0], axis=1).max() < 0.1 * np.ptp(stands.boxes_xyxy[0, [0, 2]])
    assert abs(abs(lies.pose[0, 2]) - 180) < 15
    assert lies.boxes_xyxy is mistaken.boxes_xyxy


def test_boxes_that_are_known_may_be_of_turned_faces(analyzer: Analyzer, face: Picture) -> None:
    (stands,) = analyzer.image(face).faces
    box = turned_back(stands.box_xyxy.reshape(2, 2), turned(face, 2), 2)  # half a turn and half a turn
    (lies,) = analyzer.image(turned(face, 2), boxes=[[*box.min(axis=0), *box.max(axis=0)]]).faces
    back = turned_back(lies.landmarks.points, face, 2)
    assert np.linalg.norm(back - stands.landmarks.points, axis=1).mean() < 0.05 * np.ptp(stands.box_xyxy[[0, 2]])


def test_an_upright_face_is_looked_at_no_more_than_before(
    analyzer: Analyzer, face: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def rows(quality: Picture, boxed: Sequence[Crop]) -> Picture:
        asked.append(len(doubtful_rows(quality, boxed)))
        return doubtful_rows(quality, boxed)

    monkeypatch.setattr(still, "doubtful_rows", rows)
    analyzer.image(face)
    assert asked == [0]


def test_faces_too_small_to_tell_are_not_asked() -> None:
    boxed = [Crop(50, 50, 20), Crop(50, 50, 60), Crop(50, 50, 60)]
    assert doubtful_rows(np.array([0.1, 0.1, 0.6], np.float32), boxed).tolist() == [1]


def test_a_face_is_turned_only_by_a_look_that_is_clearly_better() -> None:
    quality = np.array([0.1, 0.4, 0.2], np.float32)
    in_turns = np.array([0.3, 0.1, 0.1, 0.455, 0.3, 0.3, 0.1, 0.6, 0.5], np.float32)
    rows, choices = upright.turned_rows(quality, in_turns)
    assert rows.tolist() == [2] and choices.tolist() == [7]


def test_two_crops_of_one_face_are_told_from_two_faces() -> None:
    crop = Crop(100, 100, 50, roll=180)
    assert upright.same_face(crop, Crop(105, 100, 60, roll=175))
    assert not upright.same_face(crop, Crop(130, 100, 50))
