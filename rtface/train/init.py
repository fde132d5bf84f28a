"""Start a training run from an earlier network: a run's checkpoint, or what an exported ONNX file holds, put back into
the layers it came from.

An export folds batch norm and identity branches into one convolution. Going back, the identity is taken out again, and
each batch norm begins with the statistics of its first batch and the scale and shift that undo them, so that the
network answers as the file did and every layer can learn on.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rtface.errors import ModelError, require
from rtface.models import read_network
from rtface.models.external_data import refuse_external_data
from rtface.train.nets.blocks import ConvBN
from rtface.train.nets.registry import training_only
from rtface.train.run import read_checkpoint

OPTIONAL = ("residual.", "association.")  # parts that a file may lack: they begin as they are made, saying nothing
_PARTS = {"net": "network of this kind", "heads": "heads for mesh and expression", "sight": "line of sight"}
_MEND = "Name an exported .onnx file, or the last.pt of a run, with --init"


def initialize(net: nn.Module, model: Path, run: Callable[[], object]) -> None:
    """`continue_from` a run's `last.pt`, or `warm_start` from an exported network, whose `run` then makes a batch.

    Raises:
        ModelError: The file is missing, is neither a checkpoint nor an ONNX file, or is of another network.
    """
    if model.suffix == ".pt":
        continue_from(net, model)
    else:
        warm_start(net, model, "net.", run)


def continue_from(net: nn.Module, checkpoint: Path) -> None:
    """Fill `net` with the averaged weights of a run's `last.pt`; parts that the run did not have stay as they are.

    Raises:
        ModelError: The file is missing, is no checkpoint, or is of another network.
    """
    try:
        saved: dict[str, Tensor] = read_checkpoint(checkpoint, ("ema",))["ema"]
    except ModelError as error:
        raise ModelError(error.what, error.why, _MEND) from error
    own = net.state_dict()
    for name in dict.fromkeys((*own, *saved)):
        if (name not in saved and name.startswith(OPTIONAL)) or (
            training_only(name) and not (name in own and name in saved)
        ):
            continue
        expected, got = (str(tuple(state[name].shape)) if name in state else "none" for state in (own, saved))
        if expected != got:
            why = f"is of another network: expected {name} of shape {expected}, got {got}"
            raise ModelError(str(checkpoint), why, "Name a run with the same --network and parts with --init")
    net.load_state_dict({name: value for name, value in saved.items() if name in own}, strict=False)


@torch.no_grad()
def warm_start(net: nn.Module, model: Path, prefix: str, run: Callable[[], object]) -> set[str]:
    """Fill `net` with the weights of an exported file.

    Args:
        net: The network, freshly made; left in training mode.
        model: Its export (`rtface export` names initialisers as the modules are named). What it borrows from another
            network is taken from there, by the registry beside it.
        prefix: What the export puts before the modules' names.
        run: Passes one varied batch through `net`; the batch norms' first statistics are taken from it.

    Returns:
        Names of all that the file holds under this prefix, used or not.

    Raises:
        ModelError: The file is missing, is no ONNX file, or is of another network.
    """
    stored = _weights(model, prefix)
    held = set(stored)
    for name, module in net.named_modules():
        if callable(unfolded := getattr(module, "unfolded", None)):
            own = {key.removeprefix(f"{name}."): value for key, value in stored.items() if key.startswith(f"{name}.")}
            stored |= {f"{name}.{key}": value for key, value in unfolded(own).items()}
    folded: dict[nn.Module, Tensor] = {}
    for name, module in net.named_modules():
        if isinstance(module, ConvBN):
            weight = _fill(stored, f"{name}.conv.weight", module.conv.weight, model)
            if module.skip:
                weight -= nn.init.dirac_(torch.empty_like(weight))
            module.conv.weight.copy_(weight)
            folded[module.bn] = _fill(stored, f"{name}.conv.bias", torch.empty(len(weight)), model)
    inside = {f"{name}.{part}" for name, m in net.named_modules() if isinstance(m, ConvBN) for part in m.state_dict()}
    for name, value in net.state_dict().items():
        if name not in inside and not (name.startswith(OPTIONAL) and name not in stored):
            value.copy_(_fill(stored, name, value, model))
    hooks = [bn.register_forward_pre_hook(_undo(bias)) for bn, bias in folded.items()]
    net.train()
    run()
    for hook in hooks:
        hook.remove()
    return held


def _undo(bias: Tensor) -> Callable[[nn.Module, tuple[Tensor]], None]:
    """A hook that sets a batch norm, on its first call, to add `bias` and do nothing else."""
    done = False

    def hook(bn: nn.Module, inputs: tuple[Tensor]) -> None:
        nonlocal done
        if done or not isinstance(bn, nn.BatchNorm2d):
            return
        done = True
        x = inputs[0].float()
        mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
        for own, value in ((bn.running_mean, mean), (bn.running_var, variance)):
            if own is not None:
                own.copy_(value)
        bn.weight.copy_((variance + bn.eps).sqrt())
        bn.bias.copy_(mean + bias)

    return hook


def _weights(model: Path, prefix: str) -> dict[str, Tensor]:
    onnx, numpy_helper = require("onnx", "train"), require("onnx.numpy_helper", "train")
    if not model.is_file():
        raise ModelError(str(model), "there is no such file", _MEND)
    data = read_network(model)
    refuse_external_data(data, model)
    try:
        graph = onnx.load_from_string(data).graph
    except Exception as error:  # protobuf's own, of many kinds
        raise ModelError(str(model), "is no readable ONNX file", _MEND) from error
    names, stored = _named_by_their_nodes(graph), {}
    for tensor in graph.initializer:
        value, name = numpy_helper.to_array(tensor), tensor.name.removesuffix("_half")
        whole = names.get(name, name)
        if whole.startswith(prefix):
            stored[whole.removeprefix(prefix)] = torch.from_numpy(value.T.copy() if name in names else value.copy())
    if not stored:
        what = _PARTS.get(prefix.strip(".").rpartition(".")[2], prefix)
        raise ModelError(str(model), f"holds no {what}", "Name a float32 export of this very network with --init")
    return stored


def _named_by_their_nodes(graph: Any) -> dict[str, str]:
    """Of linear layers without a bias, whose weights come transposed and without their name: that name.

    The node has it: PART./heads/mesh/mesh.0/MatMul belongs to PART.heads.mesh.0.weight, after what was grafted, PART.
    """
    names = {}
    for node in graph.node:
        part, _, path = node.name.partition("/")
        if node.op_type == "MatMul" and "onnx::" in node.input[1]:
            steps = path.split("/")[:-1]
            own = [step.removeprefix(f"{before}.") for before, step in zip(("", *steps), steps, strict=False)]
            names[node.input[1]] = f"{part}{'.'.join(own)}.weight"
    return names


def _fill(stored: dict[str, Tensor], name: str, like: Tensor, model: Path) -> Tensor:
    value = stored.get(name)
    if value is None or value.shape != like.shape:
        got = "none" if value is None else str(tuple(value.shape))
        why = f"expected {name} of shape {tuple(like.shape)}, got {got}"
        raise ModelError(str(model), why, "Name a float32 export of this very network with --init")
    return value.to(torch.float32)
