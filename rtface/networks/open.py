"""The networks that the options name, from the registry, opened on the engine that the options or `auto` name."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from rtface.detect import Detector, MosDetector
from rtface.engine import CpuEngine, Engine, OrtEngine, Preparable
from rtface.errors import ModelError, OptionError, RtfaceError, UsageError
from rtface.geometry.crop import CROP_SIZE
from rtface.models import ModelEntry, find, load
from rtface.networks.roles import ENGINE, SMALL_ENGINE
from rtface.networks.selection import ORT_ON_GPUS, Choice, choose, gate_for, precision_of
from rtface.options import Options
from rtface.tasks import parsing
from rtface.tasks.decode import outputs_for
from rtface.tasks.parsing_scores import DECODERS

ORT_DEVICES = {"onnx": "cpu", "onnx-cuda": "cuda", "onnx-trt": "tensorrt"}

log = logging.getLogger(__name__)


def open_detector(options: Options) -> tuple[Detector, ModelEntry]:
    """The face detector and its registry entry.

    Raises:
        ModelError: No model fits, or its file is missing or damaged.
        EngineError: The engine is not installed, or cannot load it.
        UsageError: The detector is MediaPipe's.
    """
    if options.detector == "mediapipe":
        why = "cannot run inside rtface: its wheels install a second cv2 over ours and carry no detector model any more"
        mend = (
            "Run it in a virtual environment of its own (python -m venv mp; mp/bin/pip install mediapipe) with a model "
            "file such as blaze_face_short_range.tflite, and hand its boxes to rtface.analyze(image, boxes=…)"
        )
        raise UsageError("detector mediapipe", why, mend)
    network, model = open_network("detector", options)
    return detector_on(network, options), model


def open_engine(options: Options) -> tuple[Engine, ModelEntry]:
    """The multi-task network and its registry entry; raises as `open_detector`."""
    return open_network("engine", options)


class StandIn(NamedTuple):
    """What can stand in for the engine: `open_network`'s arguments, the crops' size in px, and its name."""

    role: str
    options: Options
    size: int
    name: str


def stand_ins(options: Options) -> list[StandIn]:
    """The same network with fewer rounds of interaction, then for smaller crops, as far as the registry has it.

    Nothing is opened. The smaller crops are a CPU's way to half the time; a GPU has its own.
    """
    asked = [(ENGINE, replace(options, iterations=fewer)) for fewer in range(options.iterations - 1, -1, -1)]
    if choose(options).engine in ("onnx", "openvino"):
        asked.append((SMALL_ENGINE, options))
    found = []
    for role, chosen in asked:
        with suppress(ModelError):
            model = find(role, chosen.iterations if role == ENGINE else None, "auto", options.models_dir)
            found.append(StandIn(role, chosen, model.size or CROP_SIZE, model.name.removesuffix("-int8")))
    return found


def detector_on(network: Engine, options: Options) -> Detector:
    """The detector around its network."""
    return MosDetector(
        lambda canvas: network.run(canvas, ("detections",))["detections"],
        stream_px=options.detect_width,
        still_px=options.still_width,
        score_threshold=options.score_threshold,
        still_score_threshold=options.still_score_threshold,
        nms_iou=options.nms_iou,
        min_face_px=options.min_face_px,
        max_faces=options.max_faces,
        still_max_faces=options.still_max_faces,
        prepare=lambda: _prepare(network, ("detections",)),
        close=network.close,
    )


def open_network(role: str, options: Options) -> tuple[Engine, ModelEntry]:
    """The network with this role (detector, engine), and its registry entry.

    What `auto` chose by an old measurement and cannot start any more is replaced by ONNX Runtime, with a warning.

    Raises:
        As `open_detector`.
    """
    choice = choose(options)
    try:
        return _open(role, choice, options)
    except RtfaceError as error:
        if options.engine != "auto" or choice.engine == "onnx":
            raise
        log.warning("%s; ONNX Runtime runs instead", error)
        return _open(role, Choice("onnx", _on_cpu(choice.precision), "the chosen one failed"), options)


def open_enhancer(options: Options) -> tuple[Engine, ModelEntry]:
    """The network that super-resolves small faces, and its registry entry; raises as `open_detector`.

    On ONNX Runtime on the CPU, whatever runs the others: there is one small file of it, in float32.
    """
    model = find("enhancer", models_dir=options.models_dir)
    return CpuEngine(load(model), model.name, options.threads), model


def _open(role: str, choice: Choice, options: Options) -> tuple[Engine, ModelEntry]:
    iterations = options.iterations if role == "engine" else None
    precision = precision_of(role, choice, options)
    gate = gate_for(role, choice.engine, precision, options)
    if gate is not None and not gate.passed and choice.engine != "trt":  # TensorRT has its own way out
        worst = ", ".join(f"{head['name']} {head['fp32']} → {head['value']}" for head in gate.failed)
        log.warning("%s in %s on %s loses more than its gate allows: %s", gate.model, precision, choice.engine, worst)

    def registered(precision: str) -> ModelEntry:
        try:
            return find(role, iterations, precision, options.models_dir)
        except ModelError:
            if options.precision != "auto" or choice.engine in ORT_ON_GPUS:
                raise
            return find(role, iterations, "auto", options.models_dir)  # a registry with one precision only

    if choice.engine == "trt":
        from rtface.networks.tensorrt import open_trt

        full = registered("fp32")
        return open_trt(full, precision, options, lambda: _on_ort(registered("auto"), "onnx", options)), full
    if choice.engine == "openvino":
        from rtface.engine.openvino import OpenVinoEngine

        half = precision == "fp16"
        model = registered("fp32" if half else precision)
        return OpenVinoEngine(load(model), model.name, options.threads, half=half, decoders=DECODERS), model
    fitting = ("fp32",) if choice.engine in ORT_ON_GPUS else ("fp32", "int8", "auto")
    if precision not in fitting:
        others = "trt, or on a CPU openvino" if precision == "fp16" else "trt, or on a CPU onnx or openvino"
        mend = f"Use --precision fp32, or for {precision} --engine {others}"
        expected = " or ".join(name for name in fitting if name != "auto")
        raise OptionError("precision", f"expected {expected} for --engine {choice.engine}, got {precision!r}", mend)
    model = registered(precision)
    return _on_ort(model, choice.engine, options), model


def _on_ort(model: ModelEntry, engine: str, options: Options) -> Engine:
    if engine != "onnx":
        return OrtEngine(load(model), model.name, options.threads, device=ORT_DEVICES[engine], decoders=DECODERS)
    if model.role == "detector":
        return CpuEngine(load(model), model.name, options.threads, rows=1)
    names, rows = outputs_for(options.tasks, places=True), options.max_faces
    return CpuEngine(
        load(model), model.name, options.threads, dear=(parsing.OUTPUT,), names=names, rows=rows, decoders=DECODERS
    )


def _prepare(network: Engine, *names: Sequence[str]) -> None:
    if isinstance(network, Preparable):
        network.prepare(*names)


def _on_cpu(precision: str) -> str:
    return "auto" if precision == "fp16" else precision
