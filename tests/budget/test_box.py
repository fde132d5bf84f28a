from __future__ import annotations

from rtface.budget import BoxLadder, Ladder
from rtface.testing import FakeClock


def run(cameras: int, seconds: float, late_every: int) -> BoxLadder:
    """`cameras` at 30 fps, of whose frames every `late_every`-th is late."""
    clock = FakeClock()
    ladder, count = BoxLadder(clock, Ladder(9)), 0
    for _ in range(round(seconds * 30)):
        for _ in range(cameras):
            count += 1
            late = count % late_every == 0
            ladder.judge(1.2 if late else 0.9, late=late)
        clock.time += 1 / 30
    return ladder


def test_the_level_goes_down_for_the_same_share_of_late_frames_however_many_cameras_there_are() -> None:
    for cameras in (1, 2, 4, 8):
        assert run(cameras, 20.0, late_every=10).level > 0, cameras
        assert run(cameras, 20.0, late_every=40).level == 0, cameras


def test_it_goes_up_again_when_all_have_time() -> None:
    clock = FakeClock()
    ladder = BoxLadder(clock, Ladder(9))
    for frame in range(30 * 4):
        for _ in range(4):
            ladder.judge(1.5 if frame < 20 else 0.3, late=frame < 20)
        clock.time += 1 / 30
    assert ladder.moves >= 2 and ladder.level < 3


def test_a_rung_that_matters_to_one_camera_only_is_taken() -> None:
    clock = FakeClock()
    ladder = BoxLadder(clock, Ladder(9))
    for _ in range(12):
        ladder.judge(1.5, late=True, useful=lambda level: False)
        ladder.judge(1.5, late=True, useful=lambda level: level == 4)
        clock.time += 1 / 30
    assert ladder.level == 4
