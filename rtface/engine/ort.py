"""ONNX Runtime: on the CPU, or on the GPU where its CUDA or TensorRT provider is installed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from rtface.engine.base import Decoders, DeviceFailed, Tensors
from rtface.errors import EngineError
from rtface.system.files import cache_dir
from rtface.system.forked import in_child, keep_for_ever, leave_without_destructors, on_fork
from rtface.system.trusted import untrusted_reason

on_fork(leave_without_destructors)  # that ONNX Runtime was imported is enough for a child to hang at its end

MAX_THREADS = 4
"""Networks of a few milliseconds stop gaining from more threads about here; waking them costs more than they do."""


def default_threads() -> int:
    """CPUs this process may use, at most `MAX_THREADS`."""
    try:
        usable = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows have no affinity call
        usable = os.cpu_count() or 1
    return max(1, min(MAX_THREADS, usable))


PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
"""Device → ONNX Runtime's provider; `tensorrt` is TensorRT inside ONNX Runtime, which builds its plans by itself."""


class OrtEngine:
    """A network under one of ONNX Runtime's providers; implements `Engine`.

    Args:
        model: The ONNX file's bytes.
        name: What messages call it.
        threads: Threads of one call; None = `default_threads()`.
        device: One of `PROVIDERS`.
        decoders: By output name, what answers are decoded by; the others are handed on as copies.
        shapes: Of inputs that `prepare` runs once: a GPU's providers look for kernels at the first of every shape.
        exact_int8: Compute an INT8 network's convolutions on its rounded numbers in float. That is what a processor
            with dot products of bytes (VNNI) answers; others clip the sum of two products to 16 bits, and so lose
            accuracy that is not the network's. For measuring; slow.

    Raises:
        EngineError: ONNX Runtime has no such provider here, or cannot load the network.
        EngineError: TensorRT's plans would lie where others could change them.
    """

    def __init__(
        self,
        model: bytes,
        name: str = "model",
        threads: int | None = None,
        *,
        device: str = "cpu",
        decoders: Decoders | None = None,
        shapes: Sequence[tuple[int, ...]] = (),
        exact_int8: bool = False,
    ) -> None:
        self._name, self._device, self._shapes = name, device, shapes
        self._threads = threads if threads is not None else default_threads()
        _check_provider(name, device)
        providers = _providers(device)
        options = _session_options(self._threads)
        if exact_int8:
            options.add_session_config_entry("session.disable_quant_qdq", "1")
        try:
            session = onnxruntime.InferenceSession(model, options, providers)
        except Exception as error:  # its exceptions share no public base
            raise EngineError(
                name,
                f"onnxruntime {onnxruntime.__version__} cannot load it: {_line(error)}",
                "pip install --upgrade onnxruntime; `rtface models verify` checks the file",
            ) from error
        if PROVIDERS[device] not in session.get_providers():  # it warns and goes on without the GPU
            why = f"onnxruntime cannot start its {PROVIDERS[device]} (driver, CUDA or TensorRT libraries)"
            raise EngineError(name, why, "--engine onnx runs on the CPU; RTFACE_DEBUG=1 shows more")
        self._session: Any = session
        in_child(self._leave_to_parent)
        self._decoders = {name: make() for name, make in (decoders or {}).items()}
        self._input: str = session.get_inputs()[0].name
        self._outputs = tuple(str(output.name) for output in session.get_outputs())

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of everything the network can answer."""
        return self._outputs

    def run(self, batch: NDArray[Any], names: Sequence[str], *, passing: Sequence[str] = ()) -> Tensors:
        """Feed `batch` to the network; return the outputs asked for, as fresh arrays by name.

        Args:
            batch: For the network's one input.
            names: Outputs.
            passing: More outputs, which lie in ONNX Runtime's own memory: for a moment, to be fed to another network.

        Raises:
            EngineError: the engine is closed, or ONNX Runtime refuses the batch.
            DeviceFailed: A GPU fails.
        """
        return self.feed({self._input: batch}, names, passing=passing)

    def feed(self, inputs: Tensors, names: Sequence[str], *, passing: Sequence[str] = ()) -> Tensors:
        """Feed a network of several inputs, by name; the outputs asked for, and those passed on.

        Raises:
            EngineError: The engine is closed, or ONNX Runtime refuses an input.
            DeviceFailed: A GPU fails.
        """
        if self._session is None:
            raise EngineError(self._name, "the engine is closed, or the parent process's", "Open a new Analyzer")
        wanted = [*names, *passing]
        try:
            values = self._session.run(wanted, inputs)
        except Exception as error:
            batch = next(iter(inputs.values()))
            refused = self._device == "cpu" or type(error).__name__ in ("InvalidArgument", "ValueError")
            raise (EngineError if refused else DeviceFailed)(
                self._name,
                f"onnxruntime failed on a {batch.dtype} batch of shape {batch.shape}: {_line(error)}",
                "`rtface models verify` checks the file, `rtface doctor` the installation",
            ) from error
        # Its arrays lie in ONNX Runtime's working memory. One that a caller keeps would split that, and the next call
        # would take new memory.
        kept = {name: self._decoders.get(name, np.array)(value) for name, value in zip(names, values, strict=False)}
        return {**kept, **dict(zip(passing, values[len(names) :], strict=True))}

    def types(self, names: Sequence[str]) -> dict[str, tuple[str, list[int | str | None]]]:
        """Of these outputs: ONNX Runtime's word for the type, and the shape with open sides as it has them."""
        outputs = {output.name: output for output in self._session.get_outputs()}
        return {name: (outputs[name].type, outputs[name].shape) for name in names}

    def prepare(self, *names: Sequence[str]) -> None:
        """Run every shape that was announced, the largest first: TensorRT's plan then reaches to all of them.

        Raises:
            EngineError: The engine is closed, or ONNX Runtime refuses a shape.
            DeviceFailed: A GPU fails.
        """
        for shape in sorted(self._shapes, key=np.prod, reverse=True):
            self.run(np.zeros(shape, np.uint8), self._outputs)

    def warm(self, count: int = 1) -> Tensors:
        """Run once on nothing, so that the first real call finds its memory there; what it answered."""
        shape = self._session.get_inputs()[0].shape[1:]
        if not all(isinstance(side, int) for side in shape):
            return {}
        return self.run(np.zeros((count, *shape), np.uint8), self._outputs)

    def describe(self) -> dict[str, str | int]:
        """Engine, version, device and threads."""
        return {
            "engine": "onnxruntime",
            "version": str(onnxruntime.__version__),
            "device": self._device,
            "threads": self._threads,
        }

    def _leave_to_parent(self) -> None:
        keep_for_ever(self._session)
        self._session = None

    def close(self) -> None:
        """Drop the session with its threads and memory."""
        self._session = None


def _check_provider(name: str, device: str) -> None:
    available = onnxruntime.get_available_providers()
    if PROVIDERS[device] not in available:
        why = f"this onnxruntime has no {PROVIDERS[device]} (it has {', '.join(available)})"
        raise EngineError(name, why, "pip install onnxruntime-gpu in place of onnxruntime, or use --engine onnx")


def _providers(device: str) -> list[str | tuple[str, dict[str, str]]]:
    """The device's provider, and after it those that run what it leaves: TensorRT the uint8 transpose, to CUDA."""
    if device == "cpu":
        return [PROVIDERS["cpu"]]
    if hasattr(onnxruntime, "preload_dlls"):  # from 1.21 on: CUDA's libraries where pip puts them
        onnxruntime.preload_dlls()
    # Trying every algorithm takes seconds, at the first call of every number of faces.
    cuda = (PROVIDERS["cuda"], {"cudnn_conv_algo_search": "HEURISTIC"})
    if device == "cuda":
        return [cuda, PROVIDERS["cpu"]]
    folder = cache_dir() / "onnxruntime"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if why := untrusted_reason(folder):
        mend = f"chmod go-w {folder.parent} {folder} and remove what is not yours, or delete it"
        raise EngineError(str(folder), f"TensorRT's plans are native code, and {why}", mend)
    keeps = {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(folder),
    }
    return [(PROVIDERS["tensorrt"], keeps), cuda, PROVIDERS["cpu"]]


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _session_options(threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    # A pattern is a second block of memory for every batch length and is no faster here (8 faces: 38 MB, 0.0 ms).
    options.enable_mem_pattern = False
    options.log_severity_level = 3  # errors only: its warnings are for those who export models
    # Live, one face at 25 frames a second, 2 cores: result age p50/p95 ms and CPU ms a frame were 5.8/12.6 and 10.6 so,
    # 6.3/19 and 49 with spinning left on between calls, 5.7/11.3 and 7.8 without any, 5.5/10.7 and 7.4 with one thread.
    # Spinning inside a call saves the wake-up of every operator; it must stop with the call, or the detector's idle
    # threads take the cores from the engine's (two sessions, two cores) and from the decoder.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options
