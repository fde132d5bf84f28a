"""Batch norm with one set of statistics a task, and the way back to one pass.

iFAN (ACM MM 2017, section 3.3) trains on data sets that look different (48 px grey crops beside photographs), so that
one mean and variance fit none of them: in training each data set is normalised by its own. A live system does not know
which data set its frame is of, and one set is all that folds into a convolution; so `reestimate` measures the
statistics of the mixed stream at the end. Scale and shift are shared, and the plain statistics keep their names:
without the tasks' sets a state dict is that of `nn.BatchNorm2d`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rtface.train.nets.blocks import ConvBN


@dataclass
class TaskIds:
    """Which task each row of the batch on its way is of, (N,) int64; None = all as one. Shared by a network's norms."""

    rows: Tensor | None = None


class TaskNorm(nn.BatchNorm2d):
    """Batch norm whose rows are normalised by their own task's statistics while the shared `ids` name tasks.

    With `ids.rows` None it is `nn.BatchNorm2d`. Raises ValueError for a batch of another length than the ids.
    """

    def __init__(self, like: nn.BatchNorm2d, tasks: int, ids: TaskIds) -> None:
        super().__init__(like.num_features, like.eps, like.momentum)
        self.load_state_dict(like.state_dict())
        self.ids = ids
        self.task_mean: Tensor
        self.task_var: Tensor
        self.register_buffer("task_mean", torch.zeros(tasks, like.num_features))
        self.register_buffer("task_var", torch.ones(tasks, like.num_features))

    def forward(self, x: Tensor) -> Tensor:
        if self.ids.rows is None:
            return super().forward(x)
        if len(self.ids.rows) != len(x):
            raise ValueError(f"expected {len(self.ids.rows)} rows, one a task id, got {len(x)}")
        named = self.ids.rows.to(x.device)
        rows = [(named == task).nonzero()[:, 0] for task in range(len(self.task_mean))]
        rows = [of for of in rows if len(of)]
        parts = [self._of(int(named[of[0]]), x[of]) for of in rows]
        return torch.cat(parts)[torch.cat(rows).argsort()]

    def _of(self, task: int, x: Tensor) -> Tensor:
        mean, var = self.task_mean[task], self.task_var[task]  # views: running statistics change in place
        return F.batch_norm(x, mean, var, self.weight, self.bias, self.training, 0.1, self.eps)


def task_norms(net: nn.Module, tasks: int) -> TaskIds:
    """Put task-wise norms in place of the batch norms of every `ConvBN` in `net`; what names their tasks."""
    ids = TaskIds()
    for module in net.modules():
        if isinstance(module, ConvBN) and isinstance(module.bn, nn.BatchNorm2d):
            module.bn = TaskNorm(module.bn, tasks, ids)
    return ids


@contextmanager
def naming(ids: TaskIds | None, rows: Tensor | None) -> Iterator[None]:
    """Within the context, batches have these tasks; nothing happens where a network has no task-wise norms."""
    if ids is not None:
        ids.rows = rows
    try:
        yield
    finally:
        if ids is not None:
            ids.rows = None


@torch.no_grad()
def reestimate(net: nn.Module, batches: Iterable[Tensor]) -> None:
    """Measure the task-wise norms' plain statistics on crops (N, S, S, 3) as the network will meet them: mixed.

    Each layer's statistics are those behind layers that are normalised by the mixed batch too; the mean over `batches`.
    """
    norms = [m for m in net.modules() if isinstance(m, TaskNorm)]
    kept = [(m.training, m.momentum) for m in norms]
    for norm in norms:
        norm.train()
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over batches
    for crops in batches:
        net(crops)
    for norm, (training, momentum) in zip(norms, kept, strict=True):
        norm.train(training)
        norm.momentum = momentum
