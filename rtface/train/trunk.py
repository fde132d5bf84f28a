"""The features of a multi-task network that ships, read by heads that learn on it while it stays as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import helper
from torch import Tensor

from rtface.errors import ModelError
from rtface.models import load

_READERS = ("encoder.s4.0", "encoder.s8.0", "landmarks.conv")
"""Layers that read the features of strides 2, 4 and 8, as heads do."""


def taps(model: onnx.ModelProto) -> tuple[str, ...]:
    """Names of the graph's tensors that heads read: features of strides 2, 4 and 8, in INT8 as floats again.

    Raises:
        ModelError: It is another network.
    """
    found = []
    for layer in _READERS:
        weight = f"net.{layer}.conv.weight"
        reader = next((n for n in model.graph.node if n.op_type == "Conv" and n.input[1].startswith(weight)), None)
        if reader is None:
            mend = "Heads learn on the fast network: rtface export engine"
            raise ModelError("the network", f"has no layer {layer}", mend)
        found.append(str(reader.input[0]))
    return tuple(found)


class Trunk:
    """An exported network up to its features and points, under ONNX Runtime.

    Args:
        name: A multi-task network of the registry.
        models_dir: Of another registry.
        threads: Of ONNX Runtime.

    Raises:
        ModelError: There is no such model, its file is missing or damaged, or it is another network.
    """

    def __init__(self, name: str, models_dir: Path | None = None, threads: int = 1) -> None:
        model = onnx.load_from_string(load(name, models_dir))
        self._names = (*taps(model), "landmarks")
        for tap in self._names[:-1]:
            model.graph.output.append(helper.make_empty_tensor_value_info(tap))
        part = onnx.utils.Extractor(model).extract_model([model.graph.input[0].name], list(self._names))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        self._session: Any = onnxruntime.InferenceSession(
            part.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def run(self, crops: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
        """Features (N, C, h, w) of strides 2, 4 and 8, and landmarks (N, 68, 2) in crop px."""
        answers: list[np.ndarray[Any, Any]] = self._session.run(self._names, {"crops": np.ascontiguousarray(crops)})
        return answers

    def __call__(self, crops: Tensor) -> tuple[Tensor, ...]:
        """Features as `run`, and points (N, 68, 2) normalised, of crops (N, S, S, 3) uint8."""
        *features, points = (torch.from_numpy(one) for one in self.run(crops.cpu().numpy()))
        return (*features, (points + 0.5) * (2.0 / crops.shape[1]) - 1.0)
