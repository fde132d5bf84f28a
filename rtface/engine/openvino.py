"""OpenVINO on the CPU (extra `[openvino]`).

Its own threads and kernels; reads the same ONNX files as ONNX Runtime. Precision is pinned, because OpenVINO left to
itself takes bfloat16 on one machine and float32 on the next, and a run would not repeat.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.engine.base import Decoders, Tensors
from rtface.engine.ort import default_threads
from rtface.errors import EngineError, RtfaceError, require
from rtface.system.forked import in_child, keep_for_ever

HALF_FLOATS = {"BF16": "bf16", "FP16": "f16"}
"""What the CPU calls its 16-bit float → the hint that asks for it; bfloat16 first, as it has float32's range."""


class OpenVinoEngine:
    """A network under OpenVINO's CPU plugin; implements `Engine`.

    Args:
        model: The ONNX file's bytes.
        name: What messages call it.
        threads: Threads of one call; None = `default_threads()`.
        half: Multiply in the CPU's 16-bit float where the file is in float32; False = float32 throughout.
        decoders: By output name, what answers are decoded by; the others are handed on as copies.

    Raises:
        EngineError: openvino is not installed, it cannot load the network, or the CPU has no 16-bit float.
    """

    def __init__(
        self,
        model: bytes,
        name: str = "model",
        threads: int | None = None,
        *,
        half: bool = False,
        decoders: Decoders | None = None,
    ) -> None:
        openvino = require("openvino", "openvino", EngineError)
        self._name, self._version = name, str(openvino.__version__).partition("-")[0]
        self._threads = threads if threads is not None else default_threads()
        try:
            core = openvino.Core()
            self._hint = self._half(core) if half else "f32"
            network = core.read_model(model)
            compiled = core.compile_model(
                network,
                "CPU",
                {
                    "PERFORMANCE_HINT": "LATENCY",
                    "NUM_STREAMS": 1,
                    "INFERENCE_NUM_THREADS": self._threads,
                    "INFERENCE_PRECISION_HINT": self._hint,
                },
            )
            self._request: Any = compiled.create_infer_request()
        except RtfaceError:
            raise
        except Exception as error:  # its exceptions share no public base
            raise EngineError(
                name,
                f"openvino {self._version} cannot load it: {_line(error)}",
                "--engine onnx runs it; pip install --upgrade openvino",
            ) from error
        # As read, an output has its ONNX name only; compiled, it also has those of tensors that were folded into it.
        self._outputs = tuple(str(output.get_any_name()) for output in network.outputs)
        self._input = compiled.inputs[0]
        self._network: Any = compiled
        in_child(self._leave_to_parent)
        self._decoders = {name: make() for name, make in (decoders or {}).items()}

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of everything the network can answer."""
        return self._outputs

    def run(self, batch: NDArray[Any], names: Sequence[str]) -> Tensors:
        """Feed `batch` to the network; return the outputs asked for, as fresh arrays by name.

        Raises:
            EngineError: the engine is closed, OpenVINO refuses the batch, or a name is not an output.
        """
        if self._request is None:
            raise EngineError(self._name, "the engine is closed, or the parent process's", "Open a new Analyzer")
        if batch.dtype != self._input.element_type.to_dtype():  # it would convert it without a word
            wanted = f"{self._input.element_type.to_dtype()} {self._input.partial_shape}"
            raise EngineError(self._name, f"expected {wanted}, got {_said(batch)}", "Pass uint8 pictures")
        try:
            # The batch is only read during the call; the outputs are the request's own memory, which the next call
            # fills again, and so are copied.
            self._request.infer({0: batch}, share_inputs=True)
            return {name: self._decoders.get(name, np.array)(self._request.get_tensor(name).data) for name in names}
        except Exception as error:
            raise EngineError(
                self._name,
                f"openvino failed on {_said(batch)}: {_line(error)}",
                "--engine onnx runs it; `rtface doctor` shows the installation",
            ) from error

    def describe(self) -> dict[str, str | int]:
        """Engine, version, device, threads and the float type that it multiplies in."""
        return {
            "engine": "openvino",
            "version": self._version,
            "device": "cpu",
            "threads": self._threads,
            "float": self._hint,
        }

    def close(self) -> None:
        """Drop the network with its threads and memory."""
        self._request = self._network = None

    def _leave_to_parent(self) -> None:
        keep_for_ever(self._request)
        keep_for_ever(self._network)
        self._request = self._network = None

    def _half(self, core: Any) -> str:
        able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        for capability, hint in HALF_FLOATS.items():
            if capability in able:
                return hint
        raise EngineError(self._name, "this CPU has no 16-bit float arithmetic", "Use --precision fp32 or int8")


def _said(batch: NDArray[Any]) -> str:
    return f"a {batch.dtype} batch of shape {batch.shape}"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
