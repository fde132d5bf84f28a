"""Online feedback sampling (MOS, section 3.4), and the batches that it steers."""

from __future__ import annotations

import numpy as np
import pytest

from rtface.train.data.scene_sources import build_sources
from rtface.train.data.scenes import CLOSING_SIZE, Scene, SceneMaker
from rtface.train.detector import FALSE_SCORE, SMALL_SHARE, Batches, Feedback, collate
from tests.train.test_scenes import disc


def scene(size: int = 64, value: int = 0) -> Scene:
    trusted = np.ones((size // 8, size // 8), np.bool_)
    return Scene(np.full((size, size, 3), value, np.uint8), trusted=trusted)


def test_asks_for_small_faces_while_they_carry_too_little_loss() -> None:
    feedback = Feedback(enabled=True)
    assert not feedback.want_small
    feedback.update(SMALL_SHARE - 0.01, [], [])
    assert feedback.want_small
    feedback.update(SMALL_SHARE + 0.01, [], [])
    assert not feedback.want_small


def test_keeps_scenes_with_false_faces() -> None:
    feedback, scenes = Feedback(enabled=True), [scene(), scene(), scene()]
    feedback.update(1.0, [FALSE_SCORE + 0.1, FALSE_SCORE - 0.1, 0.99], scenes)
    assert [any(kept is s for kept in feedback.hard) for s in scenes] == [True, False, True]
    for _ in range(300):
        feedback.update(1.0, [1.0], [scenes[1]])
    assert len(feedback.hard) == 192 and feedback.hard[0] is scenes[1]  # the oldest make room


def test_switched_off_it_does_nothing() -> None:
    feedback = Feedback(enabled=False)
    feedback.update(0.0, [1.0], [scene()])
    assert not feedback.want_small and not feedback.hard


@pytest.fixture
def batches() -> Batches:
    maker = SceneMaker(build_sources([disc()]), 128, np.random.default_rng(0))
    return Batches(maker, 8, Feedback(enabled=True))


def test_replays_hard_scenes_of_this_size(batches: Batches) -> None:
    batches.feedback.update(1.0, [1.0, 1.0], [scene(128, 77), scene(64, 99)])
    replayed = [s for _ in range(8) for s in batches()[2] if (s.image == 77).all()]
    assert 4 < len(replayed) <= 16  # two slots a batch, half of them drew the 64 px scene, which cannot be stacked


def test_small_batches_replay_nothing(batches: Batches) -> None:
    batches.feedback.update(0.0, [1.0], [scene(128, 77)])
    assert not [s for _ in range(4) for s in batches()[2] if (s.image == 77).all()]
    assert batches.maker.small


def test_the_end_begins_with_a_whole_batch(batches: Batches) -> None:
    """The training thread asks for closing scenes while a batch is made: that batch stays as it was."""
    make, asked = batches.maker.__class__.__call__, []

    class Interrupted(SceneMaker):
        def __call__(self) -> Scene:
            batches.closing = True
            asked.append(self.size)
            return make(self)

    batches.maker.__class__ = Interrupted
    assert batches()[0].shape == (8, 128, 128, 3)
    assert batches()[0].shape == (8, CLOSING_SIZE, CLOSING_SIZE, 3)
    assert asked == [128] * 8 + [CLOSING_SIZE] * 8


def test_collate_lists_all_faces_with_their_picture() -> None:
    one, two, three = scene(), scene(), scene()
    row = np.arange(19, dtype=np.float32)
    two.faces += [row, row + 1]
    three.faces += [row + 2]
    three.ignore += [np.array((1, 2, 3, 4), np.float32)]
    three.trusted[:4] = False
    images, truth = collate([one, two, three])
    assert images.shape == (3, 64, 64, 3)
    assert truth.picture.tolist() == [1, 1, 2]
    assert truth.boxes[2].tolist() == [2, 3, 4, 5]
    assert truth.points.shape == (3, 10) and truth.pose[0].tolist() == [14, 15, 16]
    assert truth.box_weight.tolist() == [17, 18, 19] and truth.sure.tolist() == [18, 19, 20]
    assert (truth.ignore_picture.tolist(), truth.ignore.tolist()) == ([2], [[1, 2, 3, 4]])
    # 8x8 cells at stride 8, 4x4 at 16, 2x2 at 32: the upper half of the third picture is not trusted at any
    assert truth.trusted.shape == (3, 64 + 16 + 4)
    assert truth.trusted[:2].all()
    for level, side in ((truth.trusted[2, :64], 8), (truth.trusted[2, 64:80], 4), (truth.trusted[2, 80:], 2)):
        grid = level.reshape(side, side)
        assert not grid[: side // 2].any() and grid[side // 2 :].all()


def test_collate_without_any_face() -> None:
    _, truth = collate([scene(), scene()])
    assert truth.boxes.shape == (0, 4) and truth.points.shape == (0, 10) and truth.ignore.shape == (0, 4)
