"""Shapes are told in MediaPipe's order, and eyes that turn take their lids along."""

from __future__ import annotations

import numpy as np

from rtface.datasets.labelled import MEDIAPIPE_BLENDSHAPES
from rtface.train.synth.expression import blendshapes52, looking, sample


def told(weights: dict[str, float]) -> dict[str, float]:
    return {
        name: float(value) for name, value in zip(MEDIAPIPE_BLENDSHAPES, blendshapes52(weights), strict=True) if value
    }


def test_the_order_is_mediapipes() -> None:
    assert (
        len(MEDIAPIPE_BLENDSHAPES) == 52
        and MEDIAPIPE_BLENDSHAPES[0] == "_neutral"
        and "tongueOut" not in MEDIAPIPE_BLENDSHAPES
    )
    places = {"browInnerUp": 3, "eyeBlinkLeft": 9, "jawOpen": 25, "mouthSmileRight": 45, "noseSneerRight": 51}
    assert {name: MEDIAPIPE_BLENDSHAPES.index(name) for name in places} == places


def test_sides_are_the_subjects_and_halves_are_averaged() -> None:
    assert told({"mouthSmile_L": 0.5, "browInnerUp_L": 1.0}) == {"mouthSmileLeft": 0.5, "browInnerUp": 0.5}
    assert told({"jawOpen": 1.4}) == {"jawOpen": 1.0}


def test_eyes_to_the_images_right_look_out_of_the_left_eye_and_into_the_right() -> None:
    right, down = looking(np.array(((17.5, 0.0), (17.5, 0.0)))), looking(np.array(((0.0, -30.0), (0.0, -15.0))))
    assert told(right) == {"eyeLookOutLeft": 0.5, "eyeLookInRight": 0.5}
    assert told(down) == {"eyeLookDownLeft": 1.0, "eyeLookDownRight": 0.5}


def test_samples_are_weights_that_repeat_with_their_seed_and_show_every_shape() -> None:
    seen: set[str] = set()
    for seed in range(300):
        weights = sample(np.random.default_rng(seed))
        assert weights == sample(np.random.default_rng(seed))
        assert all(0 < value <= 1.2 for value in weights.values())
        assert weights.get("mouthClose", 0.0) <= weights.get("jawOpen", 0.0)
        seen |= told(weights).keys()
    looks = {name for name in MEDIAPIPE_BLENDSHAPES if name.startswith("eyeLook")}
    assert seen == set(MEDIAPIPE_BLENDSHAPES) - looks - {"_neutral"}
