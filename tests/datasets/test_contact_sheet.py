"""The contact sheet: what lies where, and that a wrong side shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtface.datasets.contact_sheet import IGNORED, LEFT, RIGHT, contact_sheet, drawn
from rtface.datasets.labelled import FaceLabel, LabelledImage, face_of_landmarks
from rtface.drawing.tiles import CAPTION_PX, TILE_PX
from tests.conftest import Cli
from tests.datasets import schematic

UPRIGHT = schematic.placed(schematic.ibug68(), roll=0.0)
GREY = np.full((200, 200, 3), 128, np.uint8)


def columns_of(tile: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return np.nonzero((tile == colour).all(axis=2))[1]


def test_the_subjects_left_is_blue_and_lies_on_the_pictures_right() -> None:
    tile = drawn(LabelledImage("a", "made", GREY, (face_of_landmarks(UPRIGHT),)))
    assert columns_of(tile, LEFT).mean() > TILE_PX / 2 + 20 > TILE_PX / 2 - 20 > columns_of(tile, RIGHT).mean()
    mirrored = drawn(LabelledImage("a", "made", GREY, (face_of_landmarks(UPRIGHT * (-1, 1) + (200, 0)),)))
    assert columns_of(mirrored, LEFT).mean() < columns_of(mirrored, RIGHT).mean()  # a set that swaps sides


def test_a_crowd_is_shown_whole_and_ignored_faces_are_crossed_out() -> None:
    boxes = (FaceLabel(box_xyxy=np.array((10, 10, 40, 50))), FaceLabel(box_xyxy=np.array((150, 10, 180, 50))))
    crowd = LabelledImage("a", "made", GREY, boxes, ignore_xyxy=np.array([(80, 120, 120, 180)], np.float32))
    tile = drawn(crowd)
    assert tile.shape == (TILE_PX, TILE_PX, 3)
    across = columns_of(tile, IGNORED)
    assert across.min() > 80 * TILE_PX / 200 - 3 and across.max() < 120 * TILE_PX / 200 + 3


def test_masks_poses_five_points_and_votes_are_drawn() -> None:
    mask = np.zeros((200, 200), np.uint8)
    mask[60:150, 60:150], mask[80:90, 75:95], mask[80:90, 115:135], mask[120:130, 80:120] = 1, 5, 4, 12
    labelled = LabelledImage(
        "a", "made", GREY, mask=lambda: mask, parsing_scheme="celebamask19", emotion_votes=np.eye(10, dtype=int)[1]
    )
    assert (drawn(labelled) != 128).any()
    five = schematic.placed(schematic.five(), roll=0.0)
    posed = FaceLabel(points5=five, pose=np.array((30.0, 0.0, 0.0)))
    assert columns_of(drawn(LabelledImage("b", "made", GREY, (posed,))), LEFT).size > 0
    sheet = contact_sheet([labelled] * 8, count=7, columns=3)
    assert sheet is not None and sheet.shape == (3 * (TILE_PX + CAPTION_PX), 3 * TILE_PX, 3)
    assert contact_sheet([]) is None


def test_the_command_draws_before_anything_is_written(tmp_path: Path, cli: Cli) -> None:
    pytest.importorskip("pyarrow", reason="needs the eval extra")
    from tests.datasets.test_real_layouts import lapa

    lapa(tmp_path / "LaPa")
    sheet, out = tmp_path / "sheets" / "lapa.png", tmp_path / "corpus" / "faces.parquet"
    done = cli("import", "lapa", tmp_path / "LaPa", "--check", sheet)
    assert done.code == 0, done.err
    assert sheet.read_bytes()[:4] == b"\x89PNG" and not out.exists() and done.out == ""
    done = cli("import", "lapa", tmp_path / "LaPa", "--out", out, "--license", "CC0")
    assert done.code == 0 and out.is_file(), done.err
    assert "exists already" in cli("import", "lapa", tmp_path / "LaPa", "--check", sheet).err
    done = cli("import", "lapa", tmp_path / "LaPa")
    assert done.code == 2 and "--check sheet.png" in done.err
