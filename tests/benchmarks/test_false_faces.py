"""Pictures without faces, and what is counted on them."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.false_faces import PICTURES, SHOWN_PX, Curve, arguments, as_bgr, drawn, pictures, text


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
