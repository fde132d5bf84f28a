"""Assignment, losses and learned task weights of the detector."""

from __future__ import annotations

import math

import pytest
import torch

from rtface.train.detection_losses import (
    EMPTY,
    IMPORTANCE,
    TASKS,
    Truth,
    UncertaintyWeights,
    _ciou_loss,
    assign,
    detection_losses,
    pair_iou,
)
from rtface.train.nets.mos import cells

CENTRES, STRIDES = cells(64, 64)
COUNT = len(CENTRES)  # 64 + 16 + 4
FINE = 3 * 8 + 3  # stride 8, row 3, column 3: centred at 27.5, 27.5


def truth(boxes: list[list[float]], pictures: list[int] | None = None, **more: torch.Tensor) -> Truth:
    """Faces of two pictures at most; points and pose unknown."""
    count = len(boxes)
    fields = {
        "picture": torch.tensor(pictures or [0] * count, dtype=torch.long),
        "boxes": torch.tensor(boxes).reshape(count, 4),
        "points": torch.full((count, 10), torch.nan),
        "pose": torch.full((count, 3), torch.nan),
        "box_weight": torch.ones(count),
        "sure": torch.ones(count),
        "ignore_picture": torch.zeros(0, dtype=torch.long),
        "ignore": torch.zeros(0, 4),
        "trusted": torch.ones(2, COUNT, dtype=torch.bool),
    }
    return Truth(**(fields | more))


def predictions(score: float = 0.5) -> tuple[torch.Tensor, torch.Tensor]:
    """Every cell of two pictures predicts a 16 px box about itself with the same score."""
    boxes = torch.cat((CENTRES - 8, CENTRES + 8), 1)[None].repeat(2, 1, 1)
    return boxes, torch.full((2, COUNT), score)


def output(boxes: torch.Tensor, score: torch.Tensor) -> torch.Tensor:
    """Decoded predictions with points and pose at zero."""
    return torch.cat((boxes, score.logit()[..., None], torch.zeros(2, COUNT, 13)), -1)


def test_overlap_of_boxes() -> None:
    a = torch.tensor((0.0, 0, 10, 10))
    others = torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [3, 3, 3, 3]])
    assert pair_iou(a, others).tolist() == pytest.approx([1, 1 / 3, 0, 0])


def test_a_face_takes_cells_near_its_middle_best_aligned_first() -> None:
    boxes, score = predictions()
    a = assign(boxes, score, truth([[19.5, 19.5, 35.5, 35.5]], [1]), CENTRES, STRIDES, top=4)
    assert set(a.picture.tolist()) == {1} and set(a.face.tolist()) == {0}
    assert FINE in a.cell.tolist() and len(a.cell) <= 4
    best = int(a.target.argmax())
    assert a.cell[best] == FINE and a.target[best] == pytest.approx(1.0)  # it overlaps entirely
    assert (CENTRES[a.cell] - 27.5).abs().max() < 8


def test_a_cell_goes_to_the_better_aligned_of_two_faces() -> None:
    boxes, score = predictions()
    two = truth([[22.0, 20, 38, 36], [19.5, 19.5, 35.5, 35.5]])  # both reach the cell; the second fits its box
    a = assign(boxes, score, two, CENTRES, STRIDES)
    assert a.face[a.cell == FINE].tolist() == [1]
    assert len(set(a.cell.tolist())) == len(a.cell)  # no cell twice
    assert 0 in a.face.tolist()  # the first found others

    swapped = truth(two.boxes.flip(0).tolist())
    b = assign(boxes, score, swapped, CENTRES, STRIDES)
    assert b.face[b.cell == FINE].tolist() == [0]


def test_the_same_cell_of_two_pictures_serves_both() -> None:
    boxes, score = predictions()
    faces = truth([[19.5, 19.5, 35.5, 35.5], [20.5, 20.5, 36.5, 36.5]], [0, 1])  # the second fits less well
    a = assign(boxes, score, faces, CENTRES, STRIDES)
    assert sorted(a.picture[a.cell == FINE].tolist()) == [0, 1]


def test_a_tiny_face_between_cells_is_not_lost() -> None:
    boxes, score = predictions()
    a = assign(boxes, score, truth([[30.5, 30.5, 32.5, 32.5]]), CENTRES, STRIDES)  # 2 px, where four cells meet
    assert len(a.cell) > 0 and (STRIDES[a.cell] == 8).any()
    assert a.target.min() >= 0.1  # the floor under a just-started net's targets


def test_a_higher_score_wins_at_equal_overlap() -> None:
    boxes, score = predictions(0.1)
    boxes[:] = torch.tensor((17.5, 17.5, 37.5, 37.5))
    score[0, FINE + 1] = 0.9
    a = assign(boxes, score, truth([[17.5, 17.5, 37.5, 37.5]]), CENTRES, STRIDES)
    assert a.cell[a.target.argmax()] == FINE + 1


def test_no_faces_leave_only_the_background() -> None:
    boxes, score = predictions(0.2)
    losses, small, false = detection_losses(output(boxes, score), truth([]), CENTRES, STRIDES)
    assert set(losses) == set(TASKS)
    assert losses["face"] > 0
    assert [float(losses[t]) for t in ("box", "points", "pose")] == [0, 0, 0]
    assert small == 0 and false.tolist() == pytest.approx([0.2, 0.2])


def test_the_background_of_a_scene_without_faces_counts_more() -> None:
    boxes, score = predictions(0.2)
    out = output(boxes, score).requires_grad_()
    losses, _, _ = detection_losses(out, truth([[2.0, 2, 18, 18]], [0]), CENTRES, STRIDES)
    losses["face"].backward()
    assert out.grad is not None
    far = (CENTRES > 40).all(1)
    torch.testing.assert_close(out.grad[1, far, 4], EMPTY * out.grad[0, far, 4])


def test_ignore_boxes_are_left_alone() -> None:
    boxes, score = predictions(0.2)
    inside = ((CENTRES > 40) & (CENTRES < 64)).all(1)
    out = output(boxes, score).requires_grad_()
    ignore = {"ignore": torch.tensor([[40.0, 40, 64, 64]]), "ignore_picture": torch.tensor([0])}
    losses, _, _ = detection_losses(out, truth([[2.0, 2, 18, 18]], **ignore), CENTRES, STRIDES)
    losses["face"].backward()
    assert out.grad is not None
    touched = out.grad[..., 4] != 0
    assert not touched[0, inside].any() and touched[1, inside].all()  # the other picture has no such mark
    assert touched[0, ~inside].all()


def test_a_face_in_an_ignore_box_still_counts() -> None:
    boxes, score = predictions(0.2)
    out = output(boxes, score).requires_grad_()
    ignore = {"ignore": torch.tensor([[0.0, 0, 64, 64]]), "ignore_picture": torch.tensor([0])}
    face = truth([[19.5, 19.5, 35.5, 35.5]], **ignore)
    detection_losses(out, face, CENTRES, STRIDES)[0]["face"].backward()
    assert out.grad is not None
    assert out.grad[0, FINE, 4] < 0  # towards a higher score
    assert not out.grad[0, -1, 4]


def test_confident_detections_are_not_punished_where_faces_may_be_unlabelled() -> None:
    boxes, score = predictions(0.1)
    score[:, 5] = 0.8
    out = output(boxes, score).requires_grad_()
    trusted = torch.ones(2, COUNT, dtype=torch.bool)
    trusted[0] = False
    losses, _, false = detection_losses(out, truth([], trusted=trusted), CENTRES, STRIDES)
    losses["face"].backward()
    assert out.grad is not None
    assert out.grad[0, 5, 4] == 0 and out.grad[1, 5, 4] > 0
    assert out.grad[0, 6, 4] > 0  # what is clearly background still is
    assert false.tolist() == pytest.approx([0.0, 0.8])


def test_small_faces_share_of_the_loss() -> None:
    boxes, score = predictions()
    small, large = [10.0, 10, 22, 22], [20.0, 20, 60, 60]
    share = [
        detection_losses(output(boxes, score), truth(faces), CENTRES, STRIDES)[1]
        for faces in ([small], [large], [small, large])
    ]
    assert share[0] == 1.0 and share[1] == 0.0 and 0 < share[2] < 1


def test_unknown_points_and_pose_carry_no_loss() -> None:
    boxes, score = predictions()
    box = [19.5, 19.5, 35.5, 35.5]
    known = truth([box], points=torch.full((1, 10), 3.0), pose=torch.tensor([[10.0, 0, 0]]))
    losses, _, _ = detection_losses(output(boxes, score), known, CENTRES, STRIDES)
    assert losses["points"] > 0 and losses["pose"] > 0
    out = output(boxes, score).requires_grad_()
    half_known = torch.tensor([[torch.nan, *[3.0] * 9]])  # is not known
    losses, _, _ = detection_losses(out, truth([box], points=half_known), CENTRES, STRIDES)
    sum(losses.values(), torch.zeros(())).backward()
    assert losses["points"] == losses["pose"] == 0
    assert out.grad is not None and torch.isfinite(out.grad).all() and not out.grad[..., 5:].any()


def test_learned_weights_settle_at_the_log_of_their_losses() -> None:
    """d/ds (exp(-s) L + s) = 0 at s = log L."""
    values = {"face": 0.5, "box": 2.0, "points": 1.0, "pose": 4.0}
    weights = UncertaintyWeights()
    start = weights({name: torch.tensor(1.0) for name in TASKS})
    assert start["face"] > start["pose"]  # faces weigh most at the start
    optimizer = torch.optim.SGD(weights.parameters(), lr=0.5)
    for _ in range(200):
        optimizer.zero_grad()
        torch.stack(tuple(weights({n: torch.tensor(v) for n, v in values.items()}).values())).sum().backward()
        optimizer.step()
    assert weights.log_variance.tolist() == pytest.approx([math.log(values[name]) for name in TASKS], abs=1e-3)


def test_a_task_without_labels_keeps_its_weight() -> None:
    weights = UncertaintyWeights()
    before = dict(zip(TASKS, weights.log_variance.tolist(), strict=True))
    optimizer = torch.optim.SGD(weights.parameters(), lr=0.5)
    for _ in range(50):
        optimizer.zero_grad()
        losses = {name: torch.tensor(0.0 if name == "pose" else 0.3) for name in TASKS}
        torch.stack(tuple(weights(losses).values())).sum().backward()
        optimizer.step()
    after = dict(zip(TASKS, weights.log_variance.tolist(), strict=True))
    assert after["pose"] == before["pose"] and after["box"] != before["box"]


def test_fixed_weights_do_not_learn() -> None:
    weights = UncertaintyWeights(learned=False)
    assert [p.requires_grad for p in weights.parameters()] == [False]
    loss = torch.ones((), requires_grad=True)
    weights(dict.fromkeys(TASKS, loss))["face"].backward()
    assert loss.grad == pytest.approx(2.0 * IMPORTANCE[TASKS.index("face")])


def test_a_score_says_how_well_its_face_is_framed() -> None:
    """The target is the overlap of a face's best box, and not less than its floor."""
    for overlap, expected in ((0.95, 0.95), (0.7, 0.7), (0.45, 0.45), (0.05, 0.1)):
        boxes, score = predictions()
        boxes[:] = torch.tensor((1000.0, 1000.0, 1016.0, 1016.0))  # but for one cell all look elsewhere
        face = torch.tensor((19.5, 19.5, 35.5, 35.5))
        boxes[0, FINE] = face * torch.tensor((1.0, 1.0, 0.0, 1.0))
        boxes[0, FINE, 2] = 19.5 + 16.0 * overlap  # as much of the face as said, and nothing else
        a = assign(boxes, score, truth([face.tolist()]), CENTRES, STRIDES)
        assert float(a.target.max()) == pytest.approx(expected, abs=1e-5), overlap


def test_two_faces_alike_share_no_cell() -> None:
    """A picture labelled twice, or two faces equally well aligned: every cell still serves one face."""
    boxes, score = predictions()
    twin = [19.5, 19.5, 35.5, 35.5]
    a = assign(boxes, score, truth([twin, twin]), CENTRES, STRIDES)
    assert len(set(a.cell.tolist())) == len(a.cell) > 0
    assert set(a.face.tolist()) == {0}  # of equals the first
    mirrored = truth([[15.5, 19.5, 31.5, 35.5], [23.5, 19.5, 39.5, 35.5]])  # the cell between them overlaps both alike
    b = assign(boxes, score, mirrored, CENTRES, STRIDES)
    assert len(set(b.cell.tolist())) == len(b.cell)
    assert set(b.face.tolist()) == {0, 1}


def test_a_weight_that_overshot_finds_back() -> None:
    weights = UncertaintyWeights()
    with torch.no_grad():
        weights.log_variance.fill_(-3.5)  # a step of the optimiser beyond the limit
    torch.stack(tuple(weights(dict.fromkeys(TASKS, torch.tensor(2.0))).values())).sum().backward()
    assert weights.log_variance.grad is not None
    assert (weights.log_variance.grad < 0).all()  # large losses ask for smaller weights: s grows


def test_the_box_loss_grows_with_distance_and_with_a_wrong_shape() -> None:
    """Zheng et al.'s terms by hand: overlap, distance of the centres over the diagonal around both, aspect."""
    truth = torch.tensor(((0.0, 0.0, 20.0, 40.0),))
    assert _ciou_loss(truth, truth).item() == pytest.approx(0.0, abs=1e-6)
    moved = truth + torch.tensor((30.0, 0.0, 30.0, 0.0))
    assert _ciou_loss(moved, truth).item() == pytest.approx(1 + 900 / (50**2 + 40**2), rel=1e-5)
    squat = torch.tensor(((-10.0, 10.0, 30.0, 30.0),))  # the same centre and area
    overlap, shape = 400 / 1200, 4 / math.pi**2 * (math.atan(0.5) - math.atan(2)) ** 2
    expected = 1 - overlap + shape * shape / (1 - overlap + shape)
    assert _ciou_loss(squat, truth).item() == pytest.approx(expected, rel=1e-5)


def test_a_box_far_away_and_one_without_area_have_a_gradient() -> None:
    boxes = torch.tensor(((100.0, 100.0, 120.0, 140.0), (5.0, 5.0, 5.0, 5.0)), requires_grad=True)
    _ciou_loss(boxes, torch.tensor(((0.0, 0.0, 20.0, 40.0),)).expand(2, 4)).sum().backward()
    assert boxes.grad is not None and torch.isfinite(boxes.grad).all() and boxes.grad[0].any()


def test_what_a_teacher_was_not_sure_of_aims_at_a_lower_score() -> None:
    boxes, score = predictions()
    sure = assign(boxes, score, truth([[20.0, 20, 36, 36]]), CENTRES, STRIDES)
    unsure = assign(boxes, score, truth([[20.0, 20, 36, 36]], sure=torch.tensor([0.5])), CENTRES, STRIDES)
    best = sure.target.argmax()
    assert float(unsure.target[best]) == pytest.approx(0.5 * float(sure.target[best]))
