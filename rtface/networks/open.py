"""Opens the networks that a `Selection` names."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.detect import Detector, MosDetector
from rtface.detect.mos import Begin
from rtface.engine import CpuEngine, Engine, OrtEngine, Preparable
from rtface.engine.fallback import FallbackEngine
from rtface.engine.tickets import submitter
from rtface.errors import ModelError, RtfaceError
from rtface.models import ModelEntry, load
from rtface.networks.roles import DETECTOR, ENHANCER
from rtface.networks.selection import SelectedNetwork
from rtface.networks.shapes import warm_shapes
from rtface.options import Options
from rtface.tasks import gaze, parsing
from rtface.tasks.decode import outputs_for
from rtface.tasks.parsing_scores import DECODERS

ORT_DEVICES = {"onnx": "cpu", "onnx-cuda": "cuda", "onnx-trt": "tensorrt"}

log = logging.getLogger(__name__)


def open_detector(chosen: SelectedNetwork, options: Options, streams: int = 1) -> tuple[Detector, ModelEntry]:
    """The face detector, and the file that runs in it; for so many `streams` at once.

    Raises:
        ModelError: The file is missing or damaged.
        EngineError: The backend is not installed, or cannot load it.
    """
    network, model = open_network(chosen, options, streams)
    return detector_on(network, options), model


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
        possible=options.privacy == "blur",
        begin=lambda: _beginner(network),
        prepare=lambda: _prepare(network, ("detections",)),
        close=network.close,
    )


def open_network(chosen: SelectedNetwork, options: Options, streams: int = 1) -> tuple[Engine, ModelEntry]:
    """A network, and the file that runs in it; so many `streams` share it: a detector takes frames of all at once.

    What `auto` chose by an old measurement and cannot start any more is replaced by ONNX Runtime, with a warning.

    Raises:
        ModelError: The file is missing or damaged, or the network lacks an answer that `options.tasks` need.
        EngineError: The backend is not installed, or cannot load it.
    """
    _refuse_without_gaze(chosen.model, options)
    try:
        return _open(chosen, options, streams), chosen.model
    except RtfaceError as error:
        if chosen.otherwise is None:
            raise
        log.warning("%s; ONNX Runtime runs instead", error)
        return _open(chosen.otherwise, options, streams), chosen.otherwise.model


def _refuse_without_gaze(model: ModelEntry, options: Options) -> None:
    told = [output.partition(" ")[0] for output in model.outputs]
    if "gaze" in options.tasks and "mesh" in told and gaze.OUTPUT not in told:
        where = model.path.parent
        mend = (
            f"Leave gaze out of --tasks, or add it: rtface train heads --part gaze --models {where} …, then "
            f"rtface export gaze --out {where} …"
        )
        raise ModelError(model.name, "has mesh and expression, but no line of sight", mend)


def _open(chosen: SelectedNetwork, options: Options, streams: int) -> Engine:
    model, backend = chosen.model, chosen.backend
    if chosen.gate is not None and not chosen.gate.passed and backend != "trt":  # TensorRT has its own way out
        worst = ", ".join(f"{head['name']} {head['fp32']} → {head['value']}" for head in chosen.gate.failed)
        said = "%s in %s on %s loses more than its gate allows: %s"
        log.warning(said, chosen.gate.model, chosen.precision, backend, worst)
    if backend == "trt":
        from rtface.networks.tensorrt import open_trt

        on_cpu = chosen.on_cpu or model
        spare = partial(_on_ort, on_cpu, "onnx", options, streams)
        return open_trt(model, chosen.precision, options, spare, chosen.gate, streams)
    if backend == "openvino":
        from rtface.engine.openvino import OpenVinoEngine

        half = chosen.precision == "fp16"
        return OpenVinoEngine(load(model), model.name, options.threads, half=half, decoders=DECODERS)
    return _on_ort(model, backend, options, streams)


def _on_ort(model: ModelEntry, backend: str, options: Options, streams: int = 1) -> Engine:
    if backend != "onnx":
        gpu = OrtEngine(
            load(model),
            model.name,
            options.threads,
            device=ORT_DEVICES[backend],
            decoders=DECODERS,
            shapes=warm_shapes(model, options),
        )
        return FallbackEngine(model.name, gpu, lambda: _on_ort(model, "onnx", options))
    if model.role == ENHANCER:
        return CpuEngine(load(model), model.name, options.threads)
    if model.role == DETECTOR:
        return CpuEngine(load(model), model.name, options.threads, rows=streams, shared=streams > 1)
    names, rows = outputs_for(options.tasks, places=True), options.max_faces
    return CpuEngine(
        load(model),
        model.name,
        options.threads,
        expensive_outputs=(parsing.OUTPUT,),
        names=names,
        rows=rows,
        shared=streams > 1,
        decoders=DECODERS,
    )


def _beginner(network: Engine) -> Begin | None:
    """What begins the detector's network beside other work, where it can do that now."""
    able = submitter(network)
    if able is None:
        return None

    def begin(canvas: NDArray[np.uint8]) -> Callable[[], NDArray[Any]]:
        ticket = able.submit(canvas, ("detections",))
        return lambda: ticket.collect()["detections"]

    return begin


def _prepare(network: Engine, *names: Sequence[str]) -> None:
    if isinstance(network, Preparable):
        network.prepare(*names)
