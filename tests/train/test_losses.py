"""Losses of the engine: right answers cost little, unlabelled samples nothing, coarse masks fit fine classes."""

from __future__ import annotations

import math
from dataclasses import fields

import pytest
import torch

from rtface.train.losses import (
    Targets,
    engine_losses,
    landmark_losses,
    vector_losses,
    wing,
)
from rtface.train.nets.ifan import PARSING, SUB, Outputs
from rtface.train.parsing_loss import IGNORE

N, SIZE = 2, 64


def targets(**known: torch.Tensor) -> Targets:
    """Two samples without any label but what is given."""
    fields = {
        "landmarks": torch.zeros(N, 68, 2),
        "landmark_weight": torch.zeros(N, 68),
        "points5": torch.zeros(N, 5, 2),
        "points5_weight": torch.zeros(N),
        "parsing": torch.full((N, SIZE, SIZE), IGNORE, dtype=torch.uint8),
        "coarse_parsing": torch.zeros(N, dtype=torch.bool),
        "pose": torch.zeros(N, 3),
        "pose_weight": torch.zeros(N, 3),
        "emotion": torch.zeros(N, 8),
        "emotion_weight": torch.zeros(N),
        "is_face": torch.ones(N),
        "task": torch.zeros(N, dtype=torch.int64),
    }
    return Targets(**(fields | known))


def outputs(**known: torch.Tensor) -> Outputs:
    torch.manual_seed(0)
    cells = SIZE // 8
    fields = {
        "points": torch.randn(N, 68, 2) * 0.3,
        "heat": torch.randn(N, 68, cells, cells),
        "parsing_logits": torch.randn(N, PARSING * SUB * SUB, 2 * cells, 2 * cells),
        "emotion_logits": torch.randn(N, 8),
        "pose": torch.randn(N, 3),
        "face_logit": torch.randn(N),
        "landmark_std": torch.rand(N),
    }
    return Outputs(**(fields | known))


def test_wing_is_continuous_and_grows() -> None:
    at = torch.tensor([0.0, 1.0, 6.0 - 1e-4, 6.0 + 1e-4, 20.0])
    value = wing(at)
    assert value[0] == 0 and (value.diff() > 0).all()
    assert value[3] - value[2] < 1e-3 and value[4] - value[3] == pytest.approx(14.0, abs=1e-3)


def test_only_labelled_samples_pull() -> None:
    out = outputs()
    for prediction in vars(out).values():
        if prediction is not None:
            prediction.requires_grad_()
    labelled = torch.tensor((1.0, 0.0))
    known = targets(
        landmark_weight=labelled[:, None].repeat(1, 68),
        pose_weight=labelled[:, None].repeat(1, 3),
        emotion=torch.eye(8)[:N],
        emotion_weight=labelled,
        parsing=torch.stack((torch.ones(SIZE, SIZE), torch.full((SIZE, SIZE), float(IGNORE)))).to(torch.uint8),
    )
    losses = engine_losses([out], known)
    assert set(losses) == {"points", "heat", "landmark_std", "parsing", "emotion", "pose", "face"}
    sum((v for k, v in losses.items() if k != "face"), torch.zeros(())).backward()
    for name in ("points", "heat", "parsing_logits", "emotion_logits", "pose", "landmark_std"):
        gradient = getattr(out, name).grad
        assert gradient is not None and gradient[0].any() and not gradient[1].any(), name


def test_nothing_labelled_costs_nothing_but_presence() -> None:
    losses = engine_losses([outputs()], targets())
    assert {k for k, v in losses.items() if float(v) != 0} == {"face"}


def test_rows_that_lie_together_are_a_slice() -> None:
    weight = torch.tensor([0.0, 1, 1, 0])[:, None].expand(4, 68)
    masks = torch.full((4, 8, 8), IGNORE, dtype=torch.uint8)
    masks[[0, 3]] = 1
    some = {f.name: torch.zeros(4, 1) for f in fields(Targets)} | {"landmark_weight": weight, "parsing": masks}
    some["points5_weight"] = torch.zeros(4)
    rows = Targets(**some).rows()
    assert rows.landmarks == slice(1, 3)
    assert isinstance(rows.parsing, torch.Tensor) and rows.parsing.tolist() == [0, 3]


def test_every_round_counts() -> None:
    one, two = outputs(), targets(landmark_weight=torch.ones(N, 68))
    once, twice = engine_losses([one], two), engine_losses([one, one], two)
    for name, value in once.items():
        torch.testing.assert_close(twice[name], 2 * value)


def test_right_points_cost_nothing_and_far_ones_more() -> None:
    truth = torch.rand(N, 68, 2) - 0.5
    known = targets(landmarks=truth, landmark_weight=torch.ones(N, 68))
    cost = [float(landmark_losses(outputs(points=truth + d), known)["points"]) for d in (0.0, 0.02, 0.2)]
    assert cost[0] == 0 and 0 < cost[1] < cost[2]


def test_heat_wants_the_points_cell() -> None:
    cells = SIZE // 8
    truth = torch.zeros(N, 68, 2) + (2 * 2.5 / cells - 1)  # the middle of cell 2, 2
    known = targets(landmarks=truth, landmark_weight=torch.ones(N, 68))
    peak = torch.zeros(N, 68, cells, cells)
    right, wrong = peak.clone(), peak.clone()
    right[..., 2, 2], wrong[..., 5, 5] = 5.0, 5.0
    cost = [float(landmark_losses(outputs(heat=heat), known)["heat"]) for heat in (right, peak, wrong)]
    assert cost[0] < cost[1] < cost[2]


def test_five_points_are_means_and_single_points_of_the_68() -> None:
    points = torch.zeros(N, 68, 2)
    points[:, 36:42], points[:, 42:48], points[:, 30] = -0.4, 0.4, 0.1
    points[:, 48], points[:, 54] = -0.2, 0.3
    five = torch.tensor((-0.4, 0.4, 0.1, -0.2, 0.3))[None, :, None].expand(N, 5, 2)
    known = targets(points5=five, points5_weight=torch.ones(N))
    assert float(landmark_losses(outputs(points=points), known)["points"]) == pytest.approx(0, abs=1e-6)
    assert float(landmark_losses(outputs(points=points + 0.1), known)["points"]) > 0.1


def test_spread_learns_the_mean_error() -> None:
    truth = torch.zeros(N, 68, 2)
    known = targets(landmarks=truth, landmark_weight=torch.ones(N, 68))
    points = truth + torch.tensor((0.06, 0.08))  # 0.1 of half a side
    cost = [
        float(landmark_losses(outputs(points=points, landmark_std=torch.full((N,), s)), known)["landmark_std"])
        for s in (0.05, 0.1)
    ]
    assert cost[0] == pytest.approx(0, abs=1e-5) and cost[1] > 0.1


def test_vectors() -> None:
    shares = torch.tensor([[0.5, 0.5, 0, 0, 0, 0, 0, 0], [0, 0, 0, 1.0, 0, 0, 0, 0]])
    known = targets(
        emotion=shares, emotion_weight=torch.ones(N), pose=torch.full((N, 3), 45.0), pose_weight=torch.ones(N, 3)
    )
    right = vector_losses(
        outputs(emotion_logits=(shares + 1e-4).log(), pose=torch.ones(N, 3), face_logit=torch.full((N,), 9.0)), known
    )
    wrong = vector_losses(
        outputs(emotion_logits=-(shares + 1e-4).log(), pose=-torch.ones(N, 3), face_logit=torch.full((N,), -9.0)), known
    )
    assert float(right["pose"]) == 0 and float(right["face"]) < 1e-3
    assert float(right["emotion"]) == pytest.approx(math.log(2) / 2, abs=0.01)  # the votes' own entropy
    assert all(wrong[name] > right[name] + 1 for name in right)
