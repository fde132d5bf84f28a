from __future__ import annotations

import numpy as np
import pytest

from rtface.train.logit_adjustment import lift


def test_only_classes_below_the_floor_are_lifted_and_to_the_floor() -> None:
    counts = np.array([900, 80, 19, 1])
    lifted = lift(counts, 0.03)
    assert lifted[:2].tolist() == [0.0, 0.0]
    prior = counts / counts.sum()
    assert prior[2:] * np.exp(lifted[2:]) == pytest.approx([0.03, 0.03])


@pytest.mark.parametrize(("counts", "floor"), [([5, 5, 0], 0.1), ([99, 1, 0], 0.0), ([0, 0, 0], 0.5)])
def test_nothing_known_or_nothing_asked_changes_nothing(counts: list[int], floor: float) -> None:
    assert lift(np.array(counts), floor).tolist() == [0.0, 0.0, 0.0]
