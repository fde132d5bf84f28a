"""TensorRT for a network of the registry: its plan found, or built in a child process while ONNX Runtime runs."""

from __future__ import annotations

import logging
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from rtface.engine import Engine
from rtface.engine.cuda import Gpu, gpu, open_cuda
from rtface.engine.fallback import FallbackEngine
from rtface.engine.hotswap import HotSwapEngine
from rtface.engine.plan_cache import PlanCache, PlanKey
from rtface.engine.tensorrt import TrtEngine
from rtface.engine.trt_api import find_api, is_rtx
from rtface.engine.trt_build import NotBuilt, Progress, Shapes, build_plan, target
from rtface.engine.trt_plan import PlanRefused
from rtface.errors import EngineError, RtfaceError
from rtface.geometry.crop import CROP_SIZE
from rtface.models import ModelEntry
from rtface.networks.gates import AccuracyGate, gate_of
from rtface.networks.profiles import Profile, default_profile, read_profile
from rtface.networks.roles import DETECTOR
from rtface.networks.shapes import stream_shapes, warm_shapes
from rtface.options import Options
from rtface.precision.convert import convert, fingerprint

log = logging.getLogger(__name__)


def profiles_for(model: ModelEntry, profile: Profile) -> tuple[Shapes, ...]:
    """The input sizes that a network's plan is tuned for.

    The multi-task network: 1, 2, 4 … faces, the usual and the largest number, each a size of its own. The detector: the
    canvases of a stream, each its own, and for stills every canvas between the smallest and the largest.
    """
    if model.role != DETECTOR:
        size, (least, usual, most) = model.size or CROP_SIZE, profile.faces
        twice = (1 << power for power in range(most.bit_length()))
        counts = sorted({least, usual, most, *(count for count in twice if least <= count <= most)})
        return tuple(Shapes.only(count, size, size, 3) for count in counts)
    low, width, high = profile.detector_px
    usual_height = max(low, width * 4 // 5 // 32 * 32)  # a 5:4 canvas lies between 4:3 and portrait
    canvases = (shape for shape in stream_shapes(width) if low <= min(shape[1:3]) and max(shape[1:3]) <= high)
    stills = Shapes((1, low, low, 3), (1, usual_height, width, 3), (1, high, high, 3))
    return (*(Shapes.only(*shape) for shape in canvases), stills)


def key_for(model: ModelEntry, precision: str, profile: Profile, options: Options, api: Any, on: Gpu | None) -> PlanKey:
    """What the plan of a network is called.

    Args:
        on: The GPU that is to run it; None = none is here, and TensorRT-RTX builds for every card.

    Raises:
        ModelError: INT8 is asked for, and there are no ranges of this network.
        EngineError: TensorRT-RTX is not for this GPU.
    """
    one = target(api, on, model.name)
    portable = is_rtx(api) or on is None
    return PlanKey(
        name=model.name,
        fingerprint=fingerprint(model, precision, options.calibration_dir),
        precision=precision,
        shapes="; ".join(map(str, profiles_for(model, profile))),
        tensorrt=f"{api.__name__} {api.__version__}",
        capability=one or "any" if on is None or portable else on.capability,
        gpu="any" if on is None or portable else _called(on),
        system=f"{platform.system()} {platform.machine()}",
    )


def _called(on: Gpu) -> str:
    return f"{on.name}, {on.processors} processors"


def gated_precision(model: ModelEntry, precision: str, gate: AccuracyGate | None) -> str:
    """The precision that its gate in INT8 leaves a network: a measured failure makes it FP16, said aloud."""
    if precision != "int8" or gate is None or gate.passed:
        return precision
    worst = ", ".join(str(head["name"]) for head in gate.failed)
    log.warning("%s runs in fp16: in int8 it loses more than its gate allows (%s)", model.name, worst)
    return "fp16"


def precision_for(model: ModelEntry, precision: str, options: Options) -> str:
    """`gated_precision` by the gates that the options name.

    Raises:
        ModelError: They cannot be read.
    """
    return gated_precision(model, precision, gate_of(model.sha256, "trt", "int8", options.calibration_dir))


def make_plan(
    model: ModelEntry,
    precision: str,
    profile: Profile,
    options: Options,
    *,
    progress: Progress | None = None,
    cache: PlanCache | None = None,
    api: Any = None,
) -> tuple[PlanKey, bool]:
    """Build a network's plan where it is not there yet; its key, and whether it was built now.

    Raises:
        UsageError: The package onnx is not installed.
        EngineError: TensorRT is not installed, there is no GPU (TensorRT-RTX needs none), or it cannot build the plan.
        ModelError: The network is damaged, or has no INT8 ranges.
        OutputError: The cache cannot be written.
    """
    api, cache = api or find_api(), cache or PlanCache()
    on = _gpu_for(api)
    key = key_for(model, precision, profile, options, api, on)
    with cache.locked(key):
        if cache.load(key) is not None:
            return key, False
        profiles, one = profiles_for(model, profile), target(api, on, model.name)

        def built(precision: str) -> bytes:
            return build_plan(
                convert(model, precision, options.calibration_dir),
                model.name,
                profiles,
                workspace_mb=profile.workspace_mb,
                capability=one,
                timings=cache.timings(key),
                progress=progress,
                api=api,
            )

        with nullcontext() if is_rtx(api) else cache.alone():
            try:
                plan, really = built(precision), precision
            except NotBuilt as error:
                if precision != "int8":
                    raise
                log.warning("%s; it is built in fp16 instead", error)
                plan, really = built("fp16"), "fp16"
        cache.save(key, plan, profile=profile.name, model_sha256=model.sha256, built_as=really)
    return key, True


def _gpu_for(api: Any) -> Gpu | None:
    """The GPU that is here; for TensorRT-RTX, which builds without one, None where there is none."""
    try:
        return gpu()
    except EngineError:
        if is_rtx(api):
            return None
        raise


def plan_ready(model: ModelEntry, precision: str, options: Options) -> bool:
    """Whether the plan for this machine is there, and a GPU to run it."""
    try:
        profile = read_profile(options.profile or default_profile(precision))
        key = key_for(model, precision_for(model, precision, options), profile, options, find_api(), gpu())
        return PlanCache().load(key) is not None
    except RtfaceError:
        return False


def open_trt(
    model: ModelEntry,
    precision: str,
    options: Options,
    first: Callable[[], Engine],
    gate: AccuracyGate | None = None,
    streams: int = 1,
) -> Engine:
    """The network on TensorRT; where its plan is missing or does not load, on `first` while it is built.

    Args:
        model: The fp32 network.
        precision: fp32, fp16 or int8.
        options: For the calibration.
        first: Opens the network on ONNX Runtime: it runs until the plan is there, and after the GPU failed.
        gate: What was measured of the network in this precision; None = nothing.
        streams: How many share it: with several, two calls are under way at a time.

    Raises:
        EngineError: TensorRT or cuda-bindings is not installed, there is no GPU, or the plan lies where others could
            have put it.
        ModelError: INT8 is asked for, and there are no ranges of this network.
    """
    api, on = find_api(), gpu()
    precision = gated_precision(model, precision, gate)
    profile = read_profile(options.profile or default_profile(precision))
    key = key_for(model, precision, profile, options, api, on)
    cache = PlanCache()

    def start(plan: bytes) -> Engine:
        engine = TrtEngine(
            plan,
            model.name,
            warm=warm_shapes(model, options),
            crops=model.role != DETECTOR,
            ahead=streams > 1,
            kernels=cache.kernels(key, _called(on)),
            api=api,
            cuda=open_cuda(urgent=model.role != DETECTOR),  # every frame needs the faces, one in nine the detector
        )
        return FallbackEngine(model.name, engine, first, model.size or CROP_SIZE)

    def prepare(stop: threading.Event) -> Engine:
        _build_apart(model, replace(options, precision=precision), profile, stop, lambda: cache.load(key) is not None)
        built = cache.load(key)
        if built is None:
            raise EngineError(model.name, "its plan was built and is not there", f"Look into {cache.folder}")
        return start(built)

    if (plan := cache.load(key)) is not None:
        try:
            return start(plan)
        except PlanRefused as error:
            cache.set_aside(key)
            log.warning("%s; it is set aside and built again", error)
    log.warning("%s: TensorRT builds its plan; ONNX Runtime runs until then", model.name)
    return HotSwapEngine(model.name, first(), prepare)


def _build_apart(
    model: ModelEntry, options: Options, profile: Profile, stop: threading.Event, there: Callable[[], bool]
) -> None:
    """Build in a child process: TensorRT holds the interpreter and the GPU while it builds.

    What it says goes to stderr as it comes. Whether it succeeded is seen by the plan: CUDA's libraries have made
    processes crash that had done all their work.
    """
    code = "from rtface.cli.app import main; main()"
    command = [
        sys.executable,
        "-c",
        code,
        "build",
        "--profile",
        options.profile or profile.name,
        "--network",
        model.name,
        "--no-measure",
    ]
    command += ["--precision", options.precision]
    given = {"RTFACE_MODELS_DIR": options.models_dir, "RTFACE_CALIBRATION_DIR": options.calibration_dir}
    environment = {**os.environ, **{name: value for name, value in given.items() if value is not None}}
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=2, env=environment) as child:
        while child.poll() is None:
            if stop.wait(0.1):
                child.terminate()
                raise EngineError(model.name, "the run ended before its plan was built", "`rtface build` builds it")
    if child.returncode and not there():
        raise EngineError(model.name, f"building its plan failed ({child.returncode})", "`rtface build` says why")
