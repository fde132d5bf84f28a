"""Pictures without faces, and what is counted on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.false_faces import (
    PICTURES,
    SHOWN_PX,
    Curve,
    arguments,
    as_bgr,
    doubts,
    drawn,
    lines,
    pictures,
    streamed,
    text,
)
from rtface import Options
from rtface.datasets.labelled import FaceLabel, LabelledImage
from rtface.detect.base import Detections
from rtface.evaluate.samples import Sample


def test_all_pictures_come_with_scikit_image() -> None:
    pytest.importorskip("skimage", reason="needs scikit-image, in the test extra")
    found = dict(pictures())
    assert tuple(found) == PICTURES and len(found) == 16
    assert all(image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8 for image in found.values())
    assert {int(v) for v in np.unique(found["horse"])} == {0, 255}  # a black and white picture


def test_colours_are_turned_round_and_grey_stays_grey() -> None:
    rgba = np.array([[[10, 20, 30, 255]]], np.uint8)
    assert as_bgr(rgba).tolist() == [[[30, 20, 10]]] and as_bgr(rgba[..., :3]).tolist() == [[[30, 20, 10]]]
    assert as_bgr(np.array([[7]], np.uint8)).tolist() == [[[7, 7, 7]]]


def test_boxes_are_drawn_at_the_sheets_scale() -> None:
    sheet = drawn(np.zeros((100, 200, 3), np.uint8), [np.array([20.0, 10, 60, 50])])
    assert sheet.shape == (SHOWN_PX, SHOWN_PX, 3)
    y, x = np.nonzero(sheet[..., 2])
    scale = SHOWN_PX / 200
    assert (x.min(), y.min(), x.max(), y.max()) == pytest.approx(
        (20 * scale, 10 * scale, 60 * scale, 50 * scale), abs=2
    )


def test_the_table_says_what_was_found_where() -> None:
    found = {"coins": {"still": [0.4], "stream": []}}
    said = text({"ships": {"false_stills": 1, "false_streams": 0, "found": found}})
    assert "false_stills" in said and "ships: coins still [0.4] stream []" in said


def test_other_detectors_are_given_by_name() -> None:
    assert arguments(["--detector", "a=b.onnx", "--detector", "c=d.onnx"]).detector == ["a=b.onnx", "c=d.onnx"]


def test_a_curve_counts_faces_by_their_size() -> None:
    truths = np.array([[0.0, 0, 20, 20], [100, 100, 150, 150]])
    both, none = Curve(), np.zeros((0, 4))
    both.add(
        np.array([[0.0, 0, 20, 20], [300, 300, 350, 350], [100, 100, 150, 150]]),
        np.array([0.9, 0.8, 0.7]),
        truths,
        none,
    )
    # 16 px: hit, false, hit = 0.5 + 0.5 * 2 / 3; from 24 px on the first is ignored: false, hit
    assert both.figures("network_") == {
        "network_ap50_16px_pct": 83.33,
        "network_ap50_24px_pct": 50.0,
        "network_ap50_40px_pct": 50.0,
    }


def picture_with(boxes: Sequence[Sequence[float]], side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """WIDER val is one picture with these labelled boxes."""
    image = np.zeros((side, side, 3), np.uint8)
    faces = tuple(FaceLabel(box_xyxy=np.float32(box), box_source="human") for box in boxes)
    monkeypatch.setattr(
        "benchmarks.false_faces.Samples",
        lambda path, wanted: [Sample(LabelledImage("a", "wider", image, faces, "val"), image)],
    )


class Sees:
    """A network that sees a face of 100 px and, more surely, one of 10 px; both in the fine view of a still only."""

    def __init__(self) -> None:
        self.runs = 0

    def run(self, canvas: np.ndarray[Any, Any], names: Sequence[str]) -> dict[str, np.ndarray[Any, Any]]:
        self.runs += 1
        rows = np.zeros((1, 2, 18), np.float32)
        if canvas.shape[2] == 640:
            rows[0, 0, :5], rows[0, 1, :5] = (100, 100, 160, 200, 0.6), (400, 400, 407, 410, 0.7)
        return {"detections": rows}

    def close(self) -> None:
        pass


def test_each_doubt_has_its_curve_and_the_network_runs_once(monkeypatch: pytest.MonkeyPatch) -> None:
    picture_with([(100, 100, 160, 200)], 640, monkeypatch)
    options = Options(min_face_px=8, still_score_threshold=0.02)
    one, network = Sees(), Sees()
    doubts(one, options, Path(), [0.0])  # type: ignore[arg-type]  # all of a network that is asked for here
    found = doubts(network, options, Path(), [0.0, 0.3])  # type: ignore[arg-type]
    assert network.runs == one.runs
    assert found[0.0]["network_ap50_40px_pct"] == 50.0  # the small false one comes first
    assert found[0.3]["network_ap50_40px_pct"] == 100.0


def test_in_streams_sizes_are_those_that_the_network_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    picture_with([(0, 0, 60, 60), (300, 300, 420, 420)], 640, monkeypatch)  # at 320 px: 30 and 60

    class Finds:
        def detect(self, image: np.ndarray[Any, Any]) -> Detections:
            boxes = np.float32([(300, 300, 420, 420), (500, 0, 600, 100)])
            return Detections(boxes, np.float32([0.9, 0.5]), np.zeros((2, 5, 2), np.float32), np.zeros((2, 3)))

    found = streamed(Finds(), Path(), 320)  # type: ignore[arg-type]
    assert [found[f"recall_{size}px_pct"] for size in (16, 24, 40)] == [50.0, 50.0, 100.0]
    assert [found[f"precision_{size}px_pct"] for size in (16, 24, 40)] == [50.0] * 3


def test_a_row_says_its_figures_by_name() -> None:
    assert lines({"doubt 0": {"a": 1.0, "b": 2.0}, "stream": {"c": 3.0}}) == "  doubt 0: a 1.0  b 2.0\n  stream: c 3.0"


def test_what_needs_the_corpus_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    for asked in (["--doubt", "0"], ["--streams"], ["--cost", "3"]):
        with pytest.raises(SystemExit):
            arguments(asked)
        assert "--data" in capsys.readouterr().err
    given = arguments(["--data", "x", "--doubt", "0", "--doubt", ".06", "--streams"])
    assert given.doubt == [0.0, 0.06] and given.streams
