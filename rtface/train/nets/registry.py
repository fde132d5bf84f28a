"""Which engine network a run trains, and which one a checkpoint holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from torch import Tensor

from rtface.train.config import check_parts
from rtface.train.nets.ifan import EngineNet
from rtface.train.nets.ifan_paper import PaperNet

Network: TypeAlias = EngineNet | PaperNet
_TRAINING_ONLY = ("association.",)  # names that only training reads
_TRAINING_ONLY_ENDS = (".task_mean", ".task_var")


def build_engine(
    network: str = "fast", residual: bool = False, association: bool = False, reencode: bool = True
) -> Network:
    """A fresh network by name, with the fast one's optional parts.

    Raises:
        OptionError: The network is unknown, or has no such part.
    """
    check_parts(network, residual, association, reencode)
    return EngineNet(residual, association, reencode) if network == "fast" else PaperNet()


def training_only(name: str) -> bool:
    """Whether only training reads what a state dict has under this name."""
    return name.startswith(_TRAINING_ONLY) or name.endswith(_TRAINING_ONLY_ENDS)


def engine_like(state: Mapping[str, Tensor]) -> tuple[Network, dict[str, Tensor]]:
    """A network that a run's state dict fits into as it serves, and the state without what only training reads."""
    kept = {name: value for name, value in state.items() if not training_only(name)}
    if any(name.startswith("decoders.") for name in kept):
        return PaperNet(), kept
    residual = any(name.startswith("residual.") for name in kept)
    reencode = any(name.startswith("reencode.") for name in kept)
    return EngineNet(residual, reencode=reencode), kept
