"""Which engine network a run trains, and which one a checkpoint holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from torch import Tensor

from rtface.errors import OptionError
from rtface.train.nets.ifan import EngineNet
from rtface.train.nets.ifan_paper import PaperNet

Network: TypeAlias = EngineNet | PaperNet
NETWORKS = ("fast", "ifan-paper")
_TRAINING_ONLY = ("association.",)  # names that only training reads
_TRAINING_ONLY_ENDS = (".task_mean", ".task_var")


def check_parts(network: str, residual: bool, association: bool, reencode: bool) -> None:
    """Raises OptionError for an unknown network, or a part that it does not have."""
    if network not in NETWORKS:
        raise OptionError("--network", f"expected {' or '.join(NETWORKS)}, got {network!r}", "Pass one of these")
    if network == "ifan-paper" and (residual or association or not reencode):
        raise OptionError("--network", "ifan-paper has no residual, association or bare feedback", "Use network fast")


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
