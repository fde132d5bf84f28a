"""What counts as a face that was left as it was."""

from __future__ import annotations

import cv2
import numpy as np

from benchmarks.blur import Counts, add

BOX = np.array((20.0, 20.0, 68.0, 68.0))


def textured(seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(120, 60, (24, 24, 3)).clip(0, 255).astype(np.uint8)
    return cv2.resize(noise, (96, 96), interpolation=cv2.INTER_CUBIC)


def in_blocks(image: np.ndarray, block_px: int) -> np.ndarray:
    small = cv2.resize(image, (96 // block_px, 96 // block_px), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (96, 96), interpolation=cv2.INTER_NEAREST)


def counted(image: np.ndarray, left: np.ndarray) -> tuple[int, int]:
    counts = Counts()
    add(BOX, image, left, counts)
    return counts.faces, counts.unblurred


def test_a_face_left_as_it_was_counts_and_one_in_blocks_does_not() -> None:
    image = textured()
    assert counted(image, image) == (1, 1)
    assert counted(image, cv2.GaussianBlur(image, (3, 3), 0.5)) == (1, 1), "it is still to be recognised"
    assert counted(image, in_blocks(image, 8)) == (1, 0)


def test_a_hard_edge_on_a_blocks_own_edge_is_no_face_left_as_it_was() -> None:
    image = np.full((96, 96, 3), 200, np.uint8)
    image[:, 48:] = 40
    image = np.clip(image + np.random.default_rng(0).normal(0, 4, image.shape), 0, 255).astype(np.uint8)
    assert counted(image, in_blocks(image, 8)) == (1, 0)
    assert counted(image, image) == (1, 1)
