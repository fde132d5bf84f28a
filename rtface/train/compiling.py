"""Networks compiled by torch (`--compile`): fewer passes over memory; on a GPU CUDA graphs replay a step's kernels.

Every shape is compiled once, so a training keeps to few: batches always have the same size, crops two or three sides,
and decoders see fixed rows (`Sampler.rows`). The network stays the object that it is: checkpoints, averages and
processes under torchrun see its own names, and a run goes on with or without.
"""

from __future__ import annotations

import torch
from torch import nn

from rtface.errors import OptionError


def compile_network(net: nn.Module, device: torch.device) -> None:
    """Compile what `net(...)` computes, in place, when it is first called at a shape.

    Raises:
        OptionError: Nothing can be compiled here, for example because there is no compiler.
    """
    _try(device)
    # CUDA graphs need memory that stays where it is; on a CPU that mode means nothing
    net.compile(dynamic=False, mode="reduce-overhead" if device.type == "cuda" else "default")


def _try(device: torch.device) -> None:
    """Compile something small: a failure is said now, not after a corpus was read."""
    number = torch.zeros(8, device=device)
    try:
        torch.compile(_add)(number)
    except Exception as error:  # a compiler that is missing, too old, or lacks Python's headers: each has its own
        why = next((line for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__).strip()
        needed = "A GPU needs Triton: pip install triton" if device.type == "cuda" else "A CPU needs g++ or clang++"
        raise OptionError("--compile", f"torch.compile fails here: {why}", f"{needed}; or leave it out") from error


def _add(number: torch.Tensor) -> torch.Tensor:
    return number + 1.0
