"""Task-wise batch norm: each task by its own statistics, one pass by those of the mix."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from rtface.train.nets.blocks import ConvBN
from rtface.train.nets.norms import TaskIds, TaskNorm, naming, reestimate, task_norms

ROWS = torch.tensor([0, 1, 0, 1, 1])


def two_worlds() -> torch.Tensor:
    """Rows of two tasks that differ in mean and spread."""
    torch.manual_seed(0)
    x = torch.randn(5, 3, 6, 6)
    return torch.where((ROWS == 1)[:, None, None, None], 4 * x + 10, x)


def norm(ids: TaskIds) -> TaskNorm:
    return TaskNorm(nn.BatchNorm2d(3), 3, ids)


def test_each_task_is_normalised_by_itself_and_rows_keep_their_order() -> None:
    ids = TaskIds(ROWS)
    x, layer = two_worlds(), norm(ids)
    y = layer(x)
    for task in (0, 1):
        own = nn.BatchNorm2d(3)(x[task == ROWS])
        torch.testing.assert_close(y[task == ROWS], own)
    assert float(nn.BatchNorm2d(3)(x)[ROWS == 0].detach().mean()) < -0.5
    assert abs(float(y[ROWS == 0].detach().mean())) < 1e-5


def test_statistics_of_tasks_that_are_there_are_kept() -> None:
    ids = TaskIds(ROWS)
    layer = norm(ids)
    for _ in range(60):
        layer(two_worlds())
    assert layer.task_mean.mean(1).tolist() == pytest.approx([0, 10, 0], abs=0.5)
    assert layer.task_var[2].tolist() == [1, 1, 1]  # never seen
    assert not layer.running_mean.any()  # those of the mix are measured at the end
    layer.eval()
    x = two_worlds()
    own = (x[ROWS == 1] - layer.task_mean[1][:, None, None]) / (layer.task_var[1][:, None, None] + layer.eps).sqrt()
    torch.testing.assert_close(layer(x)[ROWS == 1], own)


def test_without_names_it_is_batch_norm() -> None:
    plain = nn.BatchNorm2d(3)
    nn.init.uniform_(plain.weight)
    layer = TaskNorm(plain, 3, TaskIds())
    x = two_worlds()
    torch.testing.assert_close(layer(x), plain(x))
    torch.testing.assert_close(layer.running_mean, plain.running_mean)
    assert set(layer.state_dict()) - set(plain.state_dict()) == {"task_mean", "task_var"}


def test_a_batch_of_another_length() -> None:
    with pytest.raises(ValueError, match="expected 5 rows, one a task id, got 4"):
        norm(TaskIds(ROWS))(two_worlds()[:4])


def test_names_hold_within_the_context_only() -> None:
    ids = TaskIds()
    with pytest.raises(KeyError), naming(ids, ROWS):
        assert ids.rows is ROWS
        raise KeyError
    assert ids.rows is None
    with naming(None, ROWS):
        pass  # a network without such norms


@torch.no_grad()
def test_statistics_of_the_mix_fold_into_one_pass() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(ConvBN(3, 4), ConvBN(4, 4, skip=True))
    ids = task_norms(net, 2)
    assert all(isinstance(block.bn, TaskNorm) for block in net)  # type: ignore[union-attr]
    x = two_worlds()
    for _ in range(3):
        with naming(ids, ROWS):
            net.train()(x)
    net.eval()
    reestimate(net, [x, x])
    first, second = net
    assert not first.bn.training and first.bn.momentum == 0.1
    seen = first.conv(x)
    torch.testing.assert_close(first.bn.running_mean, seen.mean((0, 2, 3)))
    torch.testing.assert_close(first.bn.running_var, seen.var((0, 2, 3)))
    before = net(x)
    for block in (first, second):
        block.fold()
    torch.testing.assert_close(net(x), before, atol=1e-4, rtol=1e-4)
    with naming(ids, ROWS):
        torch.testing.assert_close(net(x), before, atol=1e-4, rtol=1e-4)  # folded, it knows of no tasks
