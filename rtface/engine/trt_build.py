"""An ONNX file into a TensorRT plan: strongly typed, so the file's own types are the precision.

TensorRT-RTX builds without a GPU, for every card from Ampere's on or for Turing's; TensorRT builds on the GPU that will
run the plan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtface.engine.cuda import Gpu
from rtface.engine.trt_api import find_api, is_rtx, logger_of, must_make
from rtface.errors import EngineError, OutputError
from rtface.system.files import write_private
from rtface.system.trusted import read_trusted

Progress = Callable[[str, float], None]
"""Called with the phase's name and its share done, 0..1."""


class NotBuilt(EngineError):
    """TensorRT read the network and found no way to run it."""


@dataclass(frozen=True, slots=True)
class Shapes:
    """The smallest, usual and largest input that a plan takes."""

    least: tuple[int, ...]
    usual: tuple[int, ...]
    most: tuple[int, ...]

    @classmethod
    def only(cls, *shape: int) -> Shapes:
        """One size and no other."""
        return cls(shape, shape, shape)

    def __str__(self) -> str:
        return " ".join("x".join(map(str, shape)) for shape in (self.least, self.usual, self.most))


def build_plan(
    model: bytes,
    name: str,
    profiles: Sequence[Shapes],
    *,
    workspace_mb: int = 1024,
    capability: str | None = None,
    timings: Path | None = None,
    progress: Progress | None = None,
    api: Any = None,
) -> bytes:
    """The plan of an ONNX file's bytes, as `rtface.precision.convert` makes them.

    Args:
        model: The ONNX file.
        name: What messages call it.
        profiles: Of its one input: TensorRT chooses kernels for each. One size only is best where it comes often.
        workspace_mb: Most memory of the GPU that building and running may use for scratch.
        capability: Of TensorRT-RTX's plans: the one compute capability that the plan is for; None = all that such a
            plan can be for.
        timings: File in which TensorRT keeps what it measured of this GPU's kernels, so that the next plan takes less
            long; None = it measures everything.
        progress: Told how far the builder is.
        api: The TensorRT module; None = the one that is installed.

    Raises:
        EngineError: TensorRT is not installed.
        EngineError: TensorRT cannot read the file, or finds no GPU.
        NotBuilt: It cannot build it.
    """
    api = api or find_api()
    version = f"{api.__name__} {api.__version__}"
    logger = logger_of(api)
    builder = must_make(name, f"{version}'s builder", lambda: api.Builder(logger))
    network = must_make(name, f"{version}'s network", lambda: builder.create_network(_typed(api)))
    parser = must_make(name, f"{version}'s parser", lambda: api.OnnxParser(network, logger))
    if not parser.parse(model):
        errors = "; ".join(" ".join(str(parser.get_error(at)).split()) for at in range(parser.num_errors))
        raise EngineError(name, f"{version} cannot read it: {errors[:500]}", "--engine onnx runs it")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(api.MemoryPoolType.WORKSPACE, workspace_mb << 20)
    # float32 means float32: TF32 rounds to ten bits, which the parity test would rightly refuse.
    config.clear_flag(api.BuilderFlag.TF32)
    _small_scratch(api, config)
    if capability is not None:
        _for_one(api, config, name, capability)
    for shapes in profiles:
        profile = builder.create_optimization_profile()
        profile.set_shape(network.get_input(0).name, shapes.least, shapes.usual, shapes.most)
        if config.add_optimization_profile(profile) < 0:
            raise EngineError(name, f"{version} refuses the shapes {shapes}", "Choose smaller ones in engines/*.toml")
    monitor = None
    if progress is not None and hasattr(config, "progress_monitor"):
        config.progress_monitor = monitor = _monitor(api, progress)  # the name keeps it alive: TensorRT does not
    if keeps := timings is not None and not is_rtx(api):
        _use_timings(config, timings)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise NotBuilt(name, f"{version} cannot build it", "RTFACE_DEBUG=1 shows its log; --engine onnx runs it")
    del monitor
    if keeps and timings is not None:
        with suppress(OutputError):  # the next build measures again
            write_private(timings, bytes(config.get_timing_cache().serialize()))
    return bytes(plan)


def _small_scratch(api: Any, config: Any) -> None:
    """Let contexts ask for the memory that their input needs, not for that of the largest (from 10.10 on)."""
    feature = getattr(api.PreviewFeature, "RUNTIME_ACTIVATION_RESIZE_10_10", None)
    if feature is not None:
        config.set_preview_feature(feature, True)


def _for_one(api: Any, config: Any, name: str, capability: str) -> None:
    kind = getattr(api.ComputeCapability, "SM" + capability.replace(".", ""), None)
    if kind is None:
        why = f"{api.__name__} {api.__version__} builds nothing for compute capability {capability}"
        raise EngineError(name, why, "pip install 'rtface[tensorrt]'")
    config.num_compute_capabilities = 1
    if not config.set_compute_capability(kind, 0):
        raise EngineError(name, f"TensorRT-RTX refuses compute capability {capability}", "--engine onnx runs it")


def _use_timings(config: Any, path: Path) -> None:
    """Give the builder what was measured before; it adds to it."""
    known = b""
    with suppress(OSError):  # there is none, or none that can be trusted
        known = read_trusted(path)
    cache = config.create_timing_cache(known)
    if cache is None or not config.set_timing_cache(cache, False):  # of another version or GPU
        config.set_timing_cache(config.create_timing_cache(b""), False)


def _typed(api: Any) -> int:
    """Flags of a strongly typed network; where the flag is gone every network is."""
    flag = getattr(api.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


PORTABLE = ((8, 6), (8, 9), (12, 0))
"""Compute capabilities that one plan of TensorRT-RTX is for (its support matrix)."""

ALONE = ((7, 5), (12, 1))
"""Those that have to have plans of their own. The data centre's (8.0, 9.0, 10.x) and Jetson's are not supported."""


def target(api: Any, gpu: Gpu | None, name: str) -> str | None:
    """The compute capability that TensorRT-RTX has to be told to build for.

    Args:
        api: The TensorRT module.
        gpu: What the plan is for; None = every card.
        name: What messages call the network.

    Returns:
        None: TensorRT, which builds for the GPU that is there, or a plan for every card.

    Raises:
        EngineError: TensorRT-RTX is not for this GPU.
    """
    if gpu is None or not is_rtx(api) or gpu.number in PORTABLE:
        return None
    if gpu.number in ALONE:
        return gpu.capability
    why = f"TensorRT-RTX is not for this GPU ({gpu.name}, compute capability {gpu.capability})"
    raise EngineError(name, why, "pip uninstall tensorrt-rtx, pip install 'rtface[tensorrt]'; --engine onnx runs too")


def _monitor(api: Any, progress: Progress) -> Any:
    class Monitor(api.IProgressMonitor):  # type: ignore[misc]
        """Told by TensorRT, from threads of its own, of nested phases; the outermost says enough."""

        def __init__(self) -> None:
            api.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if parent_phase is None:
                self._steps[phase_name] = max(1, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            if steps := self._steps.get(phase_name):
                progress(phase_name, min(1.0, (step + 1) / steps))
            return True  # go on

        def phase_finish(self, phase_name: str) -> None:
            self._steps.pop(phase_name, None)

    return Monitor()
