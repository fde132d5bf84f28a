"""Several processes that train one network, a GPU each, as torchrun starts them:

    torchrun --nproc-per-node 8 -m -- rtface train engine --data corpus --run runs/next --batch 512

Each learns from batches of its own; after every step's backward pass their gradients are averaged, so that all take the
same step. The networks have about a million weights: one sum of 4 MB after the pass costs less than a wrapper that sums
while it runs (torch's DistributedDataParallel) could save, and a task that none of a process' batch has labels for is
simply a gradient that only the others have. The first process decides (when it is time to validate, to stop), writes
and speaks; without torchrun everything here is one process and does nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

from rtface.errors import OptionError

#: That the others wait for the first, which may be decoding a corpus or validating.
PATIENCE = timedelta(hours=2)


@dataclass(frozen=True)
class Team:
    """This process among those that train together: its number, how many they are, its number on this machine."""

    rank: int = 0
    size: int = 1
    local: int = 0


def team() -> Team:
    """The team of this process, after `join`; of one where torchrun did not start it."""
    if not (dist.is_available() and dist.is_initialized()):
        return Team()
    return Team(dist.get_rank(), dist.get_world_size(), int(os.environ.get("LOCAL_RANK", 0)))


def leads() -> bool:
    """Whether this process is the one that writes and speaks."""
    return team().rank == 0


def join(device: str) -> None:
    """Meet the other processes that torchrun started, if it did.

    Args:
        device: auto, cpu or cuda, as `pick_device` takes it: GPUs talk by NCCL, CPUs by Gloo.

    Raises:
        OptionError: There are more processes on this machine than GPUs, or torch was built without this.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) < 2 or team().size > 1:
        return
    if not dist.is_available():
        raise OptionError("torchrun", "this torch was built without torch.distributed", "Start one process")
    on_gpu = device != "cpu" and torch.cuda.is_available()
    if on_gpu:
        local, gpus = int(os.environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
        if local >= gpus:
            raise OptionError("--nproc-per-node", f"there are {gpus} GPUs here", f"Start {gpus} processes")
        torch.cuda.set_device(local)
    dist.init_process_group("nccl" if on_gpu else "gloo", timeout=PATIENCE)
    if not leads():
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - until the process ends


def alone(verb: str) -> None:
    """Raises OptionError where several processes were started for a training that is one process' work."""
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise OptionError("torchrun", f"`rtface train {verb}` is trained by one process", "Start it without torchrun")


def leave() -> None:
    """End what `join` began."""
    if team().size > 1:
        dist.destroy_process_group()


def tell(text: str) -> None:
    """A line on stderr, said once."""
    if leads():
        print(text, file=sys.stderr, flush=True)


@contextmanager
def leader_first() -> Iterator[None]:
    """The first process runs the body before the others do: what it decodes into the cache they find there."""
    if not leads():
        dist.barrier()
    yield
    if leads() and team().size > 1:
        dist.barrier()


@torch.no_grad()
def share(net: nn.Module) -> None:
    """Give every process the first one's weights and statistics."""
    if team().size > 1:
        for value in net.state_dict().values():
            told = value.contiguous()  # memory in channels_last is not always taken
            dist.broadcast(told, 0)
            value.copy_(told)


@torch.no_grad()
def average_gradients(net: nn.Module) -> None:
    """After a backward pass: each weight's gradient becomes the mean over the processes, or stays None for all."""
    size = team().size
    if size == 1:
        return
    weights = [weight for weight in net.parameters() if weight.requires_grad]
    known = torch.tensor([float(weight.grad is not None) for weight in weights], device=weights[0].device)
    parts = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
    flat = torch.cat([known, *(part.reshape(-1).float() for part in parts)])
    dist.all_reduce(flat)
    known, *means = torch.split(flat, [len(weights), *(weight.numel() for weight in weights)])
    for weight, has, mean in zip(weights, known.tolist(), means, strict=True):
        weight.grad = (mean / size).view_as(weight).to(weight) if has else None


def agree(value: float) -> float:
    """The first process' number."""
    if team().size == 1:
        return value
    told: Tensor = torch.tensor(value, dtype=torch.float64, device="cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.broadcast(told, 0)
    return float(told)
