"""The detector around a network that sees one white square: layouts, thresholds, and the way back to the picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rtface.detect import MosDetector, mos
from rtface.detect.letterbox import COARSE_SMALLEST, FINE_LARGEST, still_passes, stream_view


def square_net(canvas: np.ndarray) -> np.ndarray:
    """One confident cell around the bright pixels of the canvas, one doubtful cell beside it, the rest empty."""
    assert canvas.dtype == np.uint8 and canvas.shape[1] % 32 == 0 and canvas.shape[2] % 32 == 0
    rows = np.zeros((1, 20, 18), np.float32)
    ys, xs = np.nonzero(canvas[0, :, :, 0] > 127)
    if len(xs):
        x0, x1, y0, y1 = xs.min() - 0.5, xs.max() + 0.5, ys.min() - 0.5, ys.max() + 0.5
        corners = [x0, y0, x1, y0, (x0 + x1) / 2, (y0 + y1) / 2, x0, y1, x1, y1]
        rows[0, 3] = [x0, y0, x1, y1, 0.9, *corners, 10, 20, 30]
        rows[0, 4] = [x0 + 1, y0 + 1, x1 + 1, y1 + 1, 0.8, *corners, 0, 0, 0]
        rows[0, 9] = [x0 + 200, y0, x1 + 200, y1, 0.35, *corners, 0, 0, 0]
    return rows


def square(width: int, height: int, x: int, y: int, side: int) -> np.ndarray:
    image = np.zeros((height, width, 3), np.uint8)
    image[y : y + side, x : x + side] = 255
    return image


@pytest.fixture
def as_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores as the network gives them, whatever the size."""
    monkeypatch.setattr(mos, "SIZE_DOUBT", 0.0)


@pytest.mark.usefixtures("as_scored")
@pytest.mark.parametrize("size", [(640, 480), (480, 640), (1280, 720), (333, 517), (320, 240)])
@pytest.mark.parametrize("still", [False, True])
def test_a_square_comes_back_where_it_is(size: tuple[int, int], still: bool) -> None:
    image = square(*size, 100, 60, 96)
    found = MosDetector(square_net, still_score_threshold=0.5).detect(image, still=still)
    coarse = max(size) / 320  # a canvas px in picture px
    assert len(found) == 1
    assert found.boxes_xyxy[0] == pytest.approx([99.5, 59.5, 195.5, 155.5], abs=coarse)
    assert found.points5[0, 2] == pytest.approx([147.5, 107.5], abs=coarse)
    assert found.pose[0].tolist() == [10, 20, 30] and found.scores[0] == pytest.approx(0.9)


@pytest.mark.usefixtures("as_scored")
def test_thresholds_of_streams_and_stills_differ() -> None:
    image = square(640, 480, 50, 100, 60)
    detector = MosDetector(square_net, score_threshold=0.5, still_score_threshold=0.3)
    assert len(detector.detect(image)) == 1
    scores = detector.detect(image, still=True).scores  # the doubtful cell stands elsewhere in each of two views
    assert scores == pytest.approx([0.9, 0.35 / 3, 0.35 / 3])  # and a closer look shows nothing there
    assert len(MosDetector(square_net, score_threshold=0.95).detect(image)) == 0


def test_unusual_sizes_are_doubted() -> None:
    scores, sides = np.float32([0.3, 0.5, 0.9, 0.0, 1.0]), np.float32([100.0] * 5)
    assert mos.doubted(scores, sides) == pytest.approx(scores)
    for side in (4.0, 16.0, 300.0):
        less = mos.doubted(scores, np.full(5, side, np.float32))
        assert (less[:3] < scores[:3]).all() and less[3:].tolist() == [0.0, 1.0]
        assert (np.diff(less[[3, 0, 1, 2, 4]]) > 0).all()  # of one size, the order stays
    (quarter,) = mos.doubted(np.float32([0.5]), np.float32([25.0]))
    assert np.log(quarter / (1 - quarter)) == pytest.approx(-4 * mos.SIZE_DOUBT)


@pytest.mark.parametrize("possible", [False, True])
def test_a_doubted_face_is_left_out_but_may_be_one(possible: bool) -> None:
    image = square(640, 480, 300, 200, 24)  # 12 px of the canvas, scored .9
    (score,) = MosDetector(square_net).detect(image).scores
    assert score < 0.8
    found = MosDetector(square_net, score_threshold=0.85, possible=possible).detect(image)
    assert len(found) == 0
    assert (found.possible_xyxy is not None and len(found.possible_xyxy) > 0) == possible


def test_small_faces_and_surplus_faces_are_left_out() -> None:
    image = square(640, 480, 300, 200, 20)
    assert len(MosDetector(square_net, min_face_px=24).detect(image)) == 0
    assert len(MosDetector(square_net, min_face_px=16).detect(image)) == 1
    assert len(MosDetector(square_net, still_max_faces=1).detect(image, still=True)) == 1


def test_the_margin_stays_black_when_frames_follow_each_other() -> None:
    seen: list[np.ndarray] = []

    def keep(canvas: np.ndarray) -> np.ndarray:
        seen.append(canvas.copy())
        return square_net(canvas)

    detector = MosDetector(keep)
    for image in (square(640, 480, 0, 0, 480), square(480, 640, 0, 0, 480), square(640, 480, 0, 0, 20)):
        detector.detect(image)
    assert [canvas.shape[1:3] for canvas in seen] == [(256, 320), (320, 256), (256, 320)]
    assert not seen[0][0, 240:].any() and not seen[1][0, :, 240:].any()
    assert not seen[2][0, 20:].any()


def test_a_cut_out_face_lies_amid_a_margin() -> None:
    first, second = (group[0].view for group in still_passes(48, 48, 640))
    assert (first.width, first.left, first.canvas_width) == (160, 80, 320)
    assert second.width < first.width and second.canvas_width >= 3 * second.width - 32
    face = np.full((48, 48, 3), 255, np.uint8)
    box = MosDetector(square_net).detect(face, still=True).boxes_xyxy[0]
    assert box == pytest.approx([-0.5, -0.5, 47.5, 47.5], abs=0.5)


def test_a_still_without_a_face_is_seen_again() -> None:
    sizes: list[tuple[int, ...]] = []

    def blind(canvas: np.ndarray) -> np.ndarray:
        sizes.append(canvas.shape[1:3])
        return np.zeros((1, 5, 18), np.float32)

    detector = MosDetector(blind)
    assert len(detector.detect(np.zeros((1500, 2000, 3), np.uint8), still=True)) == 0
    assert sizes == [(480, 640), (256, 320), (960, 1280), (384, 512)]
    sizes.clear()
    detector.detect(np.zeros((480, 640, 3), np.uint8))
    assert len(sizes) == 1  # a stream's next frame comes soon enough


@pytest.mark.parametrize(("side", "views"), [(20, "fine"), (100, "both"), (300, "coarse")])
def test_a_still_is_seen_at_two_sizes(side: int, views: str) -> None:
    """A face counts where the network knows its size; seen twice, it is still one face."""
    ((fine, coarse), *_) = still_passes(640, 480, 640)
    assert (fine.view.width, coarse.view.width) == (640, 320)
    believed = {"fine": side <= FINE_LARGEST, "coarse": side / 2 >= COARSE_SMALLEST}
    assert believed == {"fine": views != "coarse", "coarse": views != "fine"}
    found = MosDetector(square_net, still_score_threshold=0.5).detect(square(640, 480, 90, 70, side), still=True)
    assert len(found) == 1
    assert found.boxes_xyxy[0] == pytest.approx([89.5, 69.5, 89.5 + side, 69.5 + side], abs=1.5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (3000, 2), (8, 8)])
def test_odd_pictures_fit_the_grid(shape: tuple[int, int]) -> None:
    image = np.zeros((*shape, 3), np.uint8)
    detector = MosDetector(square_net)
    assert len(detector.detect(image)) == 0 and len(detector.detect(image, still=True)) == 0


def test_ten_thousand_confident_cells() -> None:
    def crowd(canvas: np.ndarray) -> np.ndarray:
        rows = np.zeros((1, 10_000, 18), np.float32)
        low = np.random.default_rng(0).uniform(0, 600, (10_000, 2))
        rows[0, :, :2], rows[0, :, 2:4] = low, low + 30
        rows[0, :, 4] = np.linspace(0.3, 1, 10_000)
        return rows

    found = MosDetector(crowd).detect(np.zeros((640, 640, 3), np.uint8), still=True)
    assert 100 < len(found) <= 256
    assert found.scores[0] == pytest.approx(1) and (np.diff(found.scores) <= 0).all()


def test_stream_view_maps_back_exactly() -> None:
    view = stream_view(1279, 717, 320)
    corners = np.array([[-0.5, -0.5], [view.width - 0.5, view.height - 0.5]])
    assert view.to_picture(corners) == pytest.approx(np.array([[-0.5, -0.5], [1278.5, 716.5]]), abs=1e-3)


def test_what_may_be_a_face_is_told_beside_what_is_one() -> None:
    image = square(640, 480, 50, 100, 60)
    found = MosDetector(square_net, score_threshold=0.5, possible=True).detect(image)
    assert len(found) == 1
    assert found.possible_xyxy is not None and len(found.possible_xyxy) == 2  # the doubtful one too
    large_only = MosDetector(square_net, min_face_px=100, possible=True).detect(image)
    assert len(large_only) == 0
    assert large_only.possible_xyxy is not None and len(large_only.possible_xyxy) == 2
    assert MosDetector(square_net).detect(image).possible_xyxy is None


def each_square(canvases: np.ndarray) -> np.ndarray:
    return np.concatenate([square_net(canvas[None]) for canvas in canvases])


def test_frames_of_several_streams_are_answered_as_each_alone() -> None:
    images = [square(640, 480, 50, 100, 60), square(320, 240, 30, 40, 50), square(640, 480, 300, 200, 90)]
    calls = []

    def count(canvases: np.ndarray) -> np.ndarray:
        calls.append(len(canvases))
        return each_square(canvases)

    detector = MosDetector(count, possible=True)
    for _ in range(2):  # canvases are kept between calls
        together = detector.detect_batch(images)
        assert sum(calls) == 3 and len(calls) <= 2  # frames of one form share a call
        calls.clear()
        for image, found in zip(images, together, strict=True):
            alone = MosDetector(each_square, possible=True).detect(image)
            np.testing.assert_array_equal(found.boxes_xyxy, alone.boxes_xyxy)
            np.testing.assert_array_equal(found.points5, alone.points5)
            assert found.possible_xyxy is not None and alone.possible_xyxy is not None
            np.testing.assert_array_equal(found.possible_xyxy, alone.possible_xyxy)
        images.reverse()


def test_the_detector_that_ships_takes_a_batch() -> None:
    import rtface
    from rtface.capture.open import open_source

    with open_source("demo") as source:
        frames = [source.read() for _ in range(3)]
    images = [frame.image for frame in frames if frame is not None]
    images.append(images[0][:, ::-1].copy())
    with rtface.Analyzer(rtface.Options(threads=1), streams=4) as analyzer:
        found = analyzer.detector.detect_batch(images)  # type: ignore[attr-defined]
        for image, one in zip(images, found, strict=True):
            alone = analyzer.detector.detect(image)
            assert len(one) == len(alone) == 1
            np.testing.assert_allclose(one.boxes_xyxy, alone.boxes_xyxy, atol=1e-2)
            np.testing.assert_allclose(one.scores, alone.scores, atol=1e-4)


@pytest.mark.usefixtures("as_scored")
def test_a_doubtful_face_of_a_still_is_looked_at_again_closer_and_in_the_mirror() -> None:
    """The mean of three looks counts where it is less; a sure face costs no look."""
    seen: list[np.ndarray] = []
    first = [0.6]

    def net(canvas: np.ndarray) -> np.ndarray:
        rows = square_net(canvas)
        if canvas.shape[1:3] == (192, 192):
            seen.append(canvas.copy())
            rows[..., 4] *= 0.5
        else:
            rows[..., 4] = np.where(rows[..., 4] > 0.85, first[0], 0.0)
        return rows

    image = square(640, 480, 104, 60, 90)
    image[60:80, 104:124] = 140  # left is not right
    for score_of_first, looks, score in ((0.6, 2, 0.5), (0.42, 2, 0.42), (0.7, 0, 0.7)):
        seen.clear()
        first[:] = [score_of_first]
        found = MosDetector(net, still_score_threshold=0.37).detect(image, still=True)
        assert len(seen) == looks and found.scores[0] == pytest.approx(score, abs=1e-6)
        assert found.boxes_xyxy[0] == pytest.approx([103.5, 59.5, 193.5, 149.5], abs=2)
    seen.clear()
    first[:] = [0.6]
    MosDetector(net, still_score_threshold=0.3).detect(image, still=True)
    close, mirrored = seen[0][0], seen[1][0]
    assert np.array_equal(close, mirrored[:, ::-1])
    assert close[96, 96].tolist() == [255] * 3 and not close[:60].any() and not close[:, :60].any()
    assert (close[..., 0] > 127).any(axis=1).sum() == pytest.approx(64, abs=2)  # the face's longer side


def test_a_doubtful_face_at_the_border_and_beyond_every_size() -> None:
    def net(canvas: np.ndarray) -> np.ndarray:
        rows = np.zeros((1, 4, 18), np.float32)
        rows[0, 0, :5] = [-40, -30, canvas.shape[2] + 50, canvas.shape[1] + 20, 0.5]
        rows[0, 1, :5] = [1, 1, 1.2, 1.1, 0.5]
        return rows

    for shape in ((300, 400, 3), (3000, 50, 3)):
        found = MosDetector(net, still_score_threshold=0.05, min_face_px=1).detect(
            np.zeros(shape, np.uint8), still=True
        )
        assert np.isfinite(found.scores).all() and (found.scores <= 0.5).all()


def test_a_look_that_is_begun_sees_what_one_that_is_waited_for_sees() -> None:
    image, other = square(640, 480, 90, 70, 60), square(640, 480, 400, 200, 50)
    begun: list[np.ndarray] = []

    def begin(canvas: np.ndarray) -> Callable[[], np.ndarray]:
        begun.append(canvas.copy())
        return lambda kept=begun[-1]: square_net(kept)

    now: Any = None
    detector = MosDetector(square_net, begin=lambda: now)
    assert detector.begin_detect(image) is None
    now = begin
    first, second = detector.begin_detect(image), detector.begin_detect(other)  # on the same canvas
    assert first is not None and second is not None
    for answer, picture in ((second, other), (first, image)):
        found, expected = answer(), detector.detect(picture)
        assert len(found) == 1 and np.array_equal(found.boxes_xyxy, expected.boxes_xyxy)
        assert np.array_equal(found.points5, expected.points5) and np.array_equal(found.scores, expected.scores)
