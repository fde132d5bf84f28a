"""A second look in the mirror averages out what the two looks disagree on."""

from __future__ import annotations

import numpy as np
import pytest

from rtface.tasks.mirror import MIRROR_68, average, mirrored


def test_the_mirror_of_the_mirror_is_the_face() -> None:
    assert MIRROR_68[MIRROR_68].tolist() == list(range(68))
    assert {36: 45, 0: 16, 17: 26, 48: 54, 30: 30}.items() <= dict(enumerate(MIRROR_68.tolist())).items()
    crops = np.random.default_rng(0).integers(0, 255, (2, 128, 128, 3), dtype=np.uint8)
    assert (mirrored(mirrored(crops)) == crops).all() and (mirrored(crops)[0, 5, 0] == crops[0, 5, 127]).all()


def test_answers_that_agree_stay_and_others_meet_in_the_middle() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 127, (1, 68, 2)).astype(np.float32)
    turned = points[:, MIRROR_68] * (-1, 1) + (127, 0)
    seen = {
        "landmarks": points,
        "pose": np.float32([[10, 5, -3]]),
        "emotion": np.float32([[0.8, 0.2]]),
        "parsing": np.uint8([[[4]]]),
    }
    other = {
        "landmarks": turned,
        "pose": np.float32([[-20, 7, 3]]),
        "emotion": np.float32([[0.4, 0.6]]),
        "parsing": np.uint8([[[5]]]),
    }
    mean = average(seen, other)
    assert mean["landmarks"] == pytest.approx(points, abs=1e-4)
    assert mean["pose"].tolist() == [[15, 6, -3]]
    assert mean["emotion"] == pytest.approx(np.float32([[0.6, 0.4]]))
    assert mean["parsing"].tolist() == [[[4]]]
