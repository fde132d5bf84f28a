"""The loss of masks, value and gradient, against the same written out at the crop's own size."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from rtface.train.nets.ifan import PARSING, SUB
from rtface.train.parsing_loss import COMPONENTS, IGNORE, parsing_loss

SIZE = 64
FASSEG = {0: (0, 14, 15, 18), 1: (1, 3, 8, 9, 16, 17), 2: (6, 7, 13), 3: (4, 5), 4: (2,), 5: (10, 11, 12)}


def logits_of(labels: Tensor, strength: float = 12.0) -> Tensor:
    """Sub-pixel logits that say exactly `labels` (N, SIZE, SIZE)."""
    one_hot = F.one_hot(labels.long(), PARSING).permute(0, 3, 1, 2).float() * strength
    return F.pixel_unshuffle(one_hot, SUB)


def fine(count: int) -> Tensor:
    return torch.zeros(count, dtype=torch.bool)


def test_right_masks_cost_little_and_wrong_ones_much() -> None:
    labels = torch.randint(0, PARSING, (2, SIZE, SIZE), dtype=torch.uint8)
    labels[0, :8] = IGNORE
    right = logits_of(labels.where(labels != IGNORE, 0))
    assert float(parsing_loss(right, labels, fine(2))) < 0.01
    assert float(parsing_loss(-right, labels, fine(2))) > 5
    assert all(0 < c < PARSING for c in COMPONENTS)


def written_out(logits: Tensor, labels: Tensor, coarse: Tensor) -> Tensor:
    """The loss pixel by pixel, with torch's own backward pass."""
    log_prob = torch.log_softmax(F.pixel_shuffle(logits, SUB), 1)
    masks = labels.long()
    total = logits.new_zeros(())
    if bool((~coarse).any()):
        prob, told = log_prob[~coarse].exp(), masks[~coarse]
        total = total + F.nll_loss(log_prob[~coarse], told, ignore_index=IGNORE)
        overlaps = []
        for c in COMPONENTS:
            truth = (told == c).float()
            either = (prob[:, c] * (told != IGNORE)).sum() + truth.sum()
            overlaps.append((2 * (prob[:, c] * truth).sum() + 20) / (either + 20))
        total = total + 0.5 * (1 - torch.stack(overlaps)).mean()
    if bool(coarse.any()):
        summed = torch.stack([log_prob[coarse][:, list(of)].exp().sum(1) for of in FASSEG.values()], 1).log()
        total = total + 0.3 * coarse.float().mean() * F.nll_loss(summed, masks[coarse], ignore_index=IGNORE)
    return total


def slopes(loss: Callable[[Tensor, Tensor, Tensor], Tensor], logits: Tensor, *labels: Tensor) -> tuple[Tensor, Tensor]:
    given = logits.detach().clone().requires_grad_()
    value = loss(given, *labels)
    (3.0 * value).backward()
    assert given.grad is not None
    return value.detach(), given.grad


@pytest.mark.parametrize("coarse", [(False, False, False), (False, True, False), (True, True, True)])
@pytest.mark.parametrize("unknown", ["none", "some"])
def test_value_and_gradient_are_those_of_cross_entropy_and_dice(coarse: tuple[bool, ...], unknown: str) -> None:
    generator = torch.Generator().manual_seed(3)
    labels = torch.randint(0, 6, (3, SIZE, SIZE), dtype=torch.uint8, generator=generator)
    if unknown == "some":
        labels[:, :9] = IGNORE
    shape = (3, PARSING * SUB * SUB, SIZE // SUB, SIZE // SUB)
    logits = 2 * torch.randn(shape, generator=generator)
    rough = torch.tensor(coarse)
    ours, theirs = slopes(parsing_loss, logits, labels, rough), slopes(written_out, logits, labels, rough)
    torch.testing.assert_close(ours[0], theirs[0])
    torch.testing.assert_close(ours[1], theirs[1], rtol=1e-4, atol=1e-8)


def test_the_gradient_is_that_of_small_steps() -> None:
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 6, (2, 4, 4), dtype=torch.uint8, generator=generator)
    labels[0, 0] = IGNORE
    logits = torch.randn(2, PARSING * SUB * SUB, 1, 1, generator=generator)
    coarse = torch.tensor([False, True])
    _, slope = slopes(parsing_loss, logits, labels, coarse)
    way = torch.randn(logits.shape, generator=generator)
    there, back = (parsing_loss(logits + step * way, labels, coarse) for step in (1e-2, -1e-2))
    assert float((there - back) / 2e-2) == pytest.approx(float((slope / 3 * way).sum()), rel=1e-2)


def test_masks_that_know_nothing_cost_nothing() -> None:
    logits = torch.randn(2, PARSING * SUB * SUB, 4, 4, requires_grad=True)
    nothing = torch.full((2, 16, 16), IGNORE, dtype=torch.uint8)
    assert float(parsing_loss(logits, nothing, torch.tensor([False, True]))) == 0.0
    nothing[0] = 1  # a fine mask, and a coarse one without a known pixel
    parsing_loss(logits, nothing, torch.tensor([False, True])).backward()
    assert logits.grad is not None and logits.grad[0].any() and not logits.grad[1].any()


@pytest.mark.parametrize(
    ("fine_class", "coarse"),
    [(17, 1), (8, 1), (13, 2), (7, 2), (4, 3), (5, 3), (2, 4), (10, 5), (12, 5), (18, 0)],
    ids=["neck", "ear", "hair", "brow", "left eye", "right eye", "nose", "mouth", "lip", "cloth"],
)
def test_a_fine_class_satisfies_its_coarse_mask(fine_class: int, coarse: int) -> None:
    said = logits_of(torch.full((2, SIZE, SIZE), fine_class))
    everywhere = torch.ones(2, dtype=torch.bool)
    cost = [
        float(parsing_loss(said, torch.full((2, SIZE, SIZE), c, dtype=torch.uint8), everywhere))
        for c in (coarse, (coarse + 1) % 6)
    ]
    assert cost[0] < 0.01 < 1 < cost[1]
