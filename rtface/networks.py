"""The networks that the options name, from the registry, opened and ready."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from rtface.detect import Detector, MosDetector
from rtface.engine import CpuEngine, Engine
from rtface.errors import ModelError
from rtface.models import ModelEntry, find, load
from rtface.options import Options
from rtface.tasks import parsing
from rtface.tasks.typed import outputs_for


def open_detector(options: Options) -> tuple[Detector, ModelEntry]:
    """The face detector and its registry entry.

    Raises:
        ModelError: No model fits, or its file is missing or damaged.
        EngineError: ONNX Runtime cannot load it.
    """
    network, model = _open("detector", None, options)
    detector = MosDetector(
        lambda canvas: network.run(canvas, ("detections",))["detections"],
        stream_px=options.detect_width,
        still_px=options.still_width,
        score_threshold=options.score_threshold,
        still_score_threshold=options.still_score_threshold,
        nms_iou=options.nms_iou,
        min_face_px=options.min_face_px,
        max_faces=options.max_faces,
        still_max_faces=options.still_max_faces,
        prepare=lambda: network.prepare(("detections",)),
    )
    return detector, model


def open_engine(options: Options) -> tuple[Engine, ModelEntry]:
    """The multi-task network under ONNX Runtime, and its registry entry; raises as `open_detector`."""
    return _open("engine", options.iterations, options, outputs_for(options.tasks, places=True))


def open_cheaper_engines(options: Options) -> list[tuple[Engine, ModelEntry]]:
    """The same network with fewer rounds of interaction, as far as the registry has it, the best first."""
    cheaper = []
    for iterations in range(options.iterations - 1, -1, -1):
        with suppress(ModelError):
            find("engine", iterations, options.precision, options.models_dir)
            cheaper.append(iterations)
    return [_open("engine", iterations, options, outputs_for(options.tasks, places=True)) for iterations in cheaper]


def _open(
    role: str, iterations: int | None, options: Options, names: Sequence[str] | None = None
) -> tuple[CpuEngine, ModelEntry]:
    model = find(role, iterations, options.precision, options.models_dir)
    dear = () if names is None else (parsing.OUTPUT,)
    return CpuEngine(load(model), model.name, options.threads, dear=dear, names=names), model
