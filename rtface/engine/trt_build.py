"""An ONNX file into a TensorRT plan: strongly typed, so the file's own types are the precision; one dynamic profile.

TensorRT-RTX builds without a GPU, for every RTX card; TensorRT builds on the GPU that will run the plan.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rtface.engine.tensorrt import find_api, is_rtx, logger_of
from rtface.errors import EngineError

Progress = Callable[[str, float], None]
"""Called with the phase's name and its share done, 0..1."""


@dataclass(frozen=True, slots=True)
class Shapes:
    """The smallest, usual and largest input that a plan takes."""

    least: tuple[int, ...]
    usual: tuple[int, ...]
    most: tuple[int, ...]

    def __str__(self) -> str:
        return " ".join("x".join(map(str, shape)) for shape in (self.least, self.usual, self.most))


def build_plan(
    model: bytes,
    name: str,
    shapes: Shapes,
    *,
    workspace_mb: int = 1024,
    progress: Progress | None = None,
    api: Any = None,
) -> bytes:
    """The plan of an ONNX file's bytes, as `rtface.precision.convert` makes them.

    Args:
        model: The ONNX file.
        name: What messages call it.
        shapes: Of its one input.
        workspace_mb: Most memory of the GPU that building and running may use for scratch.
        progress: Told how far the builder is.
        api: The TensorRT module; None = the one that is installed.

    Raises:
        EngineError: TensorRT is not installed.
        EngineError: TensorRT cannot read the file or cannot build it.
    """
    api = api or find_api()
    version = f"{api.__name__} {api.__version__}"
    logger = logger_of(api)
    builder = api.Builder(logger)
    if builder is None:
        raise EngineError(name, f"{version} finds no GPU to build on", "nvidia-smi shows the driver")
    network = builder.create_network(_typed(api))
    parser = api.OnnxParser(network, logger)
    if not parser.parse(model):
        errors = "; ".join(" ".join(str(parser.get_error(at)).split()) for at in range(parser.num_errors))
        raise EngineError(name, f"{version} cannot read it: {errors[:500]}", "--engine onnx runs it")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(api.MemoryPoolType.WORKSPACE, workspace_mb << 20)
    # float32 means float32: TF32 rounds to ten bits, which the parity test would rightly refuse.
    config.clear_flag(api.BuilderFlag.TF32)
    profile = builder.create_optimization_profile()
    profile.set_shape(network.get_input(0).name, shapes.least, shapes.usual, shapes.most)
    if config.add_optimization_profile(profile) < 0:
        raise EngineError(name, f"{version} refuses the shapes {shapes}", "Choose smaller ones in engines/*.toml")
    monitor = None
    if progress is not None and hasattr(config, "progress_monitor"):
        config.progress_monitor = monitor = _monitor(api, progress)  # the name keeps it alive: TensorRT does not
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise EngineError(name, f"{version} cannot build it", "RTFACE_DEBUG=1 shows its log; --engine onnx runs it")
    del monitor
    return bytes(plan)


def _typed(api: Any) -> int:
    """Flags of a strongly typed network; where the flag is gone every network is."""
    flag = getattr(api.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def portable(api: Any) -> bool:
    """Whether a plan is for every card, not for the GPU that built it."""
    return is_rtx(api)


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
