"""RMT-Net's parts: residuals that say nothing at first, and losses that stand in for missing labels only."""

from __future__ import annotations

import math

import pytest
import torch

from rtface.errors import OptionError
from rtface.train.association import association_losses
from rtface.train.losses import Targets, engine_losses
from rtface.train.nets.ifan import EngineNet, Outputs, Rows
from rtface.train.nets.ifan_paper import PaperNet
from rtface.train.nets.registry import build_engine, engine_like
from rtface.train.nets.rmt import Association, shape_of
from tests.train.made import TEMPLATE

CROPS = torch.randint(0, 256, (3, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
FACE = torch.tensor(TEMPLATE, dtype=torch.float32) * 0.4


@pytest.fixture(scope="module")
def nets() -> tuple[EngineNet, EngineNet]:
    """A plain network, and one with both parts and the same weights."""
    torch.manual_seed(0)
    plain, more = EngineNet(), EngineNet(residual=True, association=True)
    missing, unexpected = more.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected and {name.partition(".")[0] for name in missing} == {"residual", "association"}
    return plain.eval(), more.eval()


def spoken(net: EngineNet) -> EngineNet:
    """The network with a residual that has learned something."""
    assert net.residual is not None
    for last in (net.residual.points, net.residual.emotion):
        torch.nn.init.normal_(last.weight, std=0.1)
    return net


# -- residual --


@torch.no_grad()
def test_fresh_residuals_change_nothing(nets: tuple[EngineNet, EngineNet]) -> None:
    plain, more = nets
    for before, after in zip(plain(CROPS, 1), more(CROPS, 1), strict=True):
        for name in ("points", "heat", "parsing_logits", "emotion_logits", "pose", "face_logit", "landmark_std"):
            assert torch.equal(getattr(before, name), getattr(after, name)), name


@torch.no_grad()
def test_learned_residuals_correct_both_and_can_be_switched_off() -> None:
    torch.manual_seed(0)
    net = spoken(EngineNet(residual=True)).eval()
    out = net(CROPS)[0]
    assert out.plain is not None
    assert (out.points - out.plain[0]).abs().max() > 1e-3 and (out.emotion_logits - out.plain[1]).abs().max() > 1e-3
    net.residual = None
    without = net(CROPS)[0]
    assert torch.equal(without.points, out.plain[0]) and torch.equal(without.emotion_logits, out.plain[1])


def test_each_correction_reads_the_other_tasks_features() -> None:
    net = spoken(EngineNet(residual=True))
    assert net.residual is not None
    landmark_map, expression = torch.randn(2, 80, 8, 8, requires_grad=True), torch.randn(2, 192, requires_grad=True)
    points, emotion = net.residual(landmark_map, expression)
    (of_expression,) = torch.autograd.grad(points.square().sum(), expression, retain_graph=True)
    (of_map,) = torch.autograd.grad(emotion.square().sum(), landmark_map)
    assert of_expression.abs().max() > 0 and of_map.abs().max() > 0


def test_both_answers_are_taught(nets: tuple[EngineNet, EngineNet]) -> None:
    """The uncorrected answers have a loss of their own, so that switching the residual off leaves a trained network."""
    out = EngineNet(residual=True).train()(CROPS)[0]
    assert out.plain is not None
    for tensor in (*out.plain, out.points, out.emotion_logits):
        tensor.retain_grad()
    losses = engine_losses([out], targets())
    torch.stack(tuple(losses.values())).sum().backward()
    assert all(t.grad is not None and t.grad.any() for t in (*out.plain, out.points, out.emotion_logits))


def test_rows_leave_points_of_every_sample() -> None:
    rows = Rows(torch.tensor([0]), torch.tensor([1]))
    for net in (EngineNet(residual=True), EngineNet(association=True)):
        out = net.eval()(CROPS, rows=rows)[0]
        assert out.points.shape == (3, 68, 2) and out.parsing_logits.shape[0] == 1
        assert out.rows is not None and out.rows.landmarks == slice(None)


# -- association --


def targets() -> Targets:
    """Points for the first face, an emotion for the second, both for the third (68 px apart from the template)."""
    face = FACE.expand(3, 68, 2)
    return Targets(
        landmarks=face,
        landmark_weight=torch.tensor([1.0, 0, 1])[:, None].expand(3, 68),
        points5=torch.zeros(3, 5, 2),
        points5_weight=torch.zeros(3),
        parsing=torch.full((3, 64, 64), 255, dtype=torch.uint8),
        coarse_parsing=torch.zeros(3, dtype=torch.bool),
        pose=torch.zeros(3, 3),
        pose_weight=torch.zeros(3, 3),
        emotion=torch.eye(8)[[0, 3, 3]],
        emotion_weight=torch.tensor([0.0, 1, 1]),
        is_face=torch.ones(3),
        task=torch.zeros(3, dtype=torch.int64),
    )


def answers() -> Outputs:
    generator = torch.Generator().manual_seed(1)
    points = FACE + 0.1 * torch.randn(3, 68, 2, generator=generator)
    nothing = torch.zeros(3)
    return Outputs(
        points=points.requires_grad_(),
        heat=torch.zeros(3, 68, 8, 8),
        parsing_logits=torch.zeros(3, 304, 16, 16),
        emotion_logits=torch.randn(3, 8, generator=generator).requires_grad_(),
        pose=torch.zeros(3, 3),
        face_logit=nothing,
        landmark_std=nothing,
    )


def test_maps_learn_where_their_target_is_labelled_and_the_network_does_not() -> None:
    out, maps = answers(), Association()
    losses = association_losses(out, targets(), maps)
    (losses["map_expression"] + losses["map_shape"]).backward()
    assert out.points.grad is None and out.emotion_logits.grad is None
    assert all(p.grad is not None and p.grad.any() for n, p in maps.named_parameters() if n.endswith("bias"))


def test_the_network_learns_where_its_label_is_missing_and_the_maps_do_not() -> None:
    out, maps = answers(), Association()
    losses = association_losses(out, targets(), maps)
    (losses["consistent_expression"] + losses["consistent_shape"]).backward()
    assert all(p.grad is None for p in maps.parameters())
    assert out.emotion_logits.grad is not None and out.points.grad is not None
    assert out.emotion_logits.grad.abs().amax(1).gt(0).tolist() == [True, False, False]
    assert out.points.grad.abs().amax((1, 2)).gt(0).tolist() == [False, True, False]


def test_nothing_is_associated_with_what_is_no_face() -> None:
    t = targets()
    t.is_face = torch.zeros(3)
    assert not any(bool(loss) for loss in association_losses(answers(), t, Association()).values())


def test_partial_points_do_not_count_as_labelled() -> None:
    t = targets()
    t.landmark_weight = t.landmark_weight.clone()
    t.landmark_weight[0, :17] = 0
    out = answers()
    losses = association_losses(out, t, Association())
    assert losses["consistent_expression"] == 0


def test_points_of_some_samples_only_are_refused() -> None:
    out = answers()
    out.points = out.points[:2]
    with pytest.raises(ValueError, match="points of all 3 samples, got 2"):
        association_losses(out, targets(), Association())


def test_a_shape_has_no_place_size_or_roll() -> None:
    turn = math.radians(25)
    rotation = torch.tensor([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    moved = 0.3 * FACE @ rotation + torch.tensor((0.2, -0.4))
    both = shape_of(torch.stack((FACE, moved)))
    torch.testing.assert_close(both[0], both[1], atol=1e-5, rtol=1e-5)
    assert both[0].square().mean() == pytest.approx(1.0)
    assert both[0, 36, 1] == pytest.approx(float(both[0, 45, 1]), abs=1e-5)  # the eyes are level


def test_the_maps_find_what_links_shape_and_expression() -> None:
    """Open mouths (surprise) and closed ones (neutral): each side tells the other."""
    torch.manual_seed(0)
    open_mouth = FACE.clone()
    open_mouth[55:60, 1] += 0.3
    t = targets()
    t.landmarks = torch.stack((FACE, open_mouth, open_mouth))
    t.landmark_weight, t.emotion_weight = torch.ones(3, 68), torch.ones(3)
    t.emotion = torch.eye(8)[[0, 2, 2]]
    out = answers()
    out.points, out.emotion_logits = t.landmarks, t.emotion * 12
    maps = Association()
    optimizer = torch.optim.Adam(maps.parameters(), lr=0.01)
    for _ in range(200):
        optimizer.zero_grad()
        losses = association_losses(out, t, maps)
        (losses["map_expression"] + losses["map_shape"]).backward()
        optimizer.step()
    with torch.no_grad():
        assert maps.expression(shape_of(t.landmarks)).argmax(1).tolist() == [0, 2, 2]
        mean, spread = maps.shape(torch.eye(8)[[0, 2]])
        torch.testing.assert_close(mean, shape_of(torch.stack((FACE, open_mouth))), atol=0.1, rtol=0)
        assert (spread > 0).all()


# -- which network a checkpoint holds --


@pytest.mark.parametrize(
    "parts", [{}, {"residual": True}, {"residual": True, "association": True}, {"reencode": False}]
)
def test_a_state_finds_its_network(parts: dict[str, bool]) -> None:
    net, state = engine_like(build_engine(**parts).state_dict())  # type: ignore[arg-type]
    assert isinstance(net, EngineNet) and net.association is None
    net.load_state_dict(state)
    assert (net.residual is not None, net.reencode.encode) == (
        parts.get("residual", False),
        parts.get("reencode", True),
    )


def test_the_papers_state_finds_its_network() -> None:
    net, state = engine_like(PaperNet().state_dict())
    assert isinstance(net, PaperNet)
    net.load_state_dict(state)


def test_unknown_networks_and_parts_are_refused() -> None:
    with pytest.raises(OptionError, match="expected fast or ifan-paper, got 'resnet'"):
        build_engine("resnet")
    with pytest.raises(OptionError, match="ifan-paper has no residual"):
        build_engine("ifan-paper", residual=True)
