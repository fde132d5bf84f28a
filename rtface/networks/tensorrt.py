"""TensorRT for a network of the registry: its plan found, or built in a child process while ONNX Runtime runs."""

from __future__ import annotations

import logging
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rtface.engine import Engine
from rtface.engine.cuda import Cuda, open_cuda
from rtface.engine.hotswap import SwapEngine
from rtface.engine.plan_cache import PlanCache, PlanKey
from rtface.engine.tensorrt import TrtEngine, find_api
from rtface.engine.trt_build import Progress, Shapes, build_plan, portable
from rtface.errors import EngineError, RtfaceError
from rtface.geometry.crop import CROP_SIZE
from rtface.models import ModelEntry
from rtface.networks.gates import gate_of
from rtface.networks.profiles import Profile, default_profile, read_profile
from rtface.options import Options
from rtface.precision.convert import derive, recipe

PLACES = {"engine": 8, "detector": 3}
"""Input shapes kept ready: the engine's are 1 to 8 faces; the detector's those of the stream and of a still's looks."""

log = logging.getLogger(__name__)


def shapes_for(model: ModelEntry, profile: Profile) -> Shapes:
    """The input sizes of a network in a profile."""
    if model.role in ("engine", "small-engine"):
        size = model.size or CROP_SIZE
        least, usual, most = ((faces, size, size, 3) for faces in profile.faces)
        return Shapes(least, usual, most)
    low, usual_width, high = profile.detector_px
    usual_height = max(low, usual_width * 4 // 5 // 32 * 32)  # a 5:4 canvas lies between 4:3 and portrait
    return Shapes((1, low, low, 3), (1, usual_height, usual_width, 3), (1, high, high, 3))


def key_for(
    model: ModelEntry, precision: str, profile: Profile, options: Options, api: Any, capability: str
) -> PlanKey:
    """What the plan of a network is called.

    Raises:
        ModelError: INT8 is asked for, and there are no ranges of this network.
    """
    return PlanKey(
        name=model.name,
        recipe=recipe(model, precision, options.calibration_dir),
        precision=precision,
        shapes=str(shapes_for(model, profile)),
        tensorrt=f"{api.__name__} {api.__version__}",
        capability="any" if portable(api) else capability,
        system=f"{platform.system()} {platform.machine()}",
    )


def allowed(model: ModelEntry, precision: str, options: Options) -> str:
    """The precision that the accuracy gate leaves a network: a measured failure of INT8 makes it FP16, said aloud."""
    if precision != "int8":
        return precision
    gate = gate_of(model.sha256, "trt", "int8", options.calibration_dir)
    if gate is None or gate.passed:
        return "int8"
    worst = ", ".join(str(head["name"]) for head in gate.failed)
    log.warning("%s runs in fp16: in int8 it loses more than its gate allows (%s)", model.name, worst)
    return "fp16"


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
    key = key_for(model, precision, profile, options, api, "any" if portable(api) else open_cuda().capability)
    with cache.locked(key):
        if cache.load(key) is not None:
            return key, False
        onnx = derive(model, precision, options.calibration_dir)
        shapes = shapes_for(model, profile)
        plan = build_plan(onnx, model.name, shapes, workspace_mb=profile.workspace_mb, progress=progress, api=api)
        cache.save(key, plan, profile=profile.name, model_sha256=model.sha256)
    return key, True


def plan_ready(model: ModelEntry, precision: str, options: Options) -> bool:
    """Whether the plan for this machine is there, and a GPU to run it."""
    try:
        profile = read_profile(options.profile or default_profile(precision))
        key = key_for(model, allowed(model, precision, options), profile, options, find_api(), open_cuda().capability)
        return PlanCache().load(key) is not None
    except RtfaceError:
        return False


def open_trt(model: ModelEntry, precision: str, options: Options, first: Callable[[], Engine]) -> Engine:
    """The network on TensorRT; where its plan is missing or does not load, on `first` while it is built.

    Args:
        model: The fp32 network.
        precision: fp32, fp16 or int8.
        options: For the calibration.
        first: Opens the network on ONNX Runtime.

    Raises:
        EngineError: TensorRT or cuda-core is not installed, there is no GPU, or the plan lies where others could have
            put it.
        ModelError: INT8 is asked for, and there are no ranges of this network.
    """
    api, cuda = find_api(), open_cuda()
    precision = allowed(model, precision, options)
    profile = read_profile(options.profile or default_profile(precision))
    key = key_for(model, precision, profile, options, api, cuda.capability)
    cache = PlanCache()

    def start(plan: bytes, on: Cuda) -> Engine:
        return TrtEngine(plan, model.name, places=PLACES[model.role], api=api, cuda=on)

    def prepare(stop: threading.Event) -> Engine:
        _build_apart(model, replace(options, precision=precision), profile, stop)
        built = cache.load(key)
        if built is None:
            raise EngineError(model.name, "its plan was built and is not there", f"Look into {cache.folder}")
        return start(built, open_cuda())

    if (plan := cache.load(key)) is not None:
        try:
            return start(plan, cuda)
        except EngineError as error:
            cache.set_aside(key)
            log.warning("%s; it is set aside and built again", error)
    cuda.close()
    log.warning("%s: TensorRT builds its plan; ONNX Runtime runs until then", model.name)
    return SwapEngine(model.name, first(), prepare)


def _build_apart(model: ModelEntry, options: Options, profile: Profile, stop: threading.Event) -> None:
    """Build in a child process: TensorRT holds the interpreter and the GPU while it builds.

    What it says goes to stderr as it comes.
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
    if child.returncode:
        raise EngineError(model.name, f"building its plan failed ({child.returncode})", "`rtface build` says why")
