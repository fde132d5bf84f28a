"""What runs see on val crops: the labels themselves score as perfect, and an offset counts as one."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs pip install 'rtface[train]'")

import torch

from benchmarks import crop_scores
from rtface.train.parsing_loss import IGNORE


class Knows:
    """A network that answers what it was given, moved by `offset`."""

    def __init__(self, told: SimpleNamespace, offset: float = 0.0) -> None:
        self.told, self.offset = told, offset

    def __call__(self, crops: torch.Tensor, iterations: int) -> list[SimpleNamespace]:
        classes = torch.nn.functional.one_hot(self.told.parsing.clamp(max=18), 19).permute(0, 3, 1, 2).float()
        logits = torch.nn.functional.pixel_unshuffle(classes, crop_scores.SUB)
        return [SimpleNamespace(points=self.told.landmarks + self.offset, parsing_logits=logits)]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    rng = np.random.default_rng(0)
    parsing = torch.from_numpy(rng.integers(0, 19, (2, 128, 128)))
    parsing[:, :10] = IGNORE
    made = SimpleNamespace(
        landmarks=torch.from_numpy(rng.uniform(-1, 1, (2, 68, 2)).astype(np.float32)), parsing=parsing
    )
    monkeypatch.setattr(crop_scores, "batches", lambda samples: iter([(torch.zeros(2, 128, 128, 3), made)]))
    return made


def test_the_labels_themselves_are_perfect(told: SimpleNamespace) -> None:
    assert crop_scores.points(Knows(told), [])["points: all 68"] == pytest.approx(0.0)
    assert crop_scores.parsing(Knows(told), [])["F, eyes to lips"] == pytest.approx(100.0)


def test_an_offset_counts_but_not_where_it_is_taken_off(told: SimpleNamespace) -> None:
    told.landmarks[1, 36:46] = told.landmarks[0, 36:46]  # the same distance between the eyes
    figures = crop_scores.points(Knows(told, offset=0.1), [])
    assert figures["points: inner 51"] > 1.0
    assert figures["points: inner 51, offset off"] == pytest.approx(0.0, abs=1e-3)
