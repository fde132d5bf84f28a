"""The networks that the options name, from the registry, opened and ready."""

from __future__ import annotations

from rtface.detect import Detector, MosDetector
from rtface.engine import Engine, OrtEngine
from rtface.models import ModelEntry, find, load
from rtface.options import Options


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
    )
    return detector, model


def open_engine(options: Options) -> tuple[Engine, ModelEntry]:
    """The multi-task network under ONNX Runtime, and its registry entry; raises as `open_detector`."""
    return _open("engine", options.iterations, options)


def open_enhancer(options: Options) -> tuple[Engine, ModelEntry]:
    """The network that super-resolves small faces, and its registry entry; raises as `open_detector`."""
    model = find("enhancer", models_dir=options.models_dir)  # there is one precision of it
    return OrtEngine(load(model), model.name, options.threads), model


def _open(role: str, iterations: int | None, options: Options) -> tuple[OrtEngine, ModelEntry]:
    model = find(role, iterations, options.precision, options.models_dir)
    return OrtEngine(load(model), model.name, options.threads), model
