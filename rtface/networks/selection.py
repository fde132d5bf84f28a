"""The one decision: which file of which network runs on what, and why.

`select` turns the options into a `Selection`, once; `rtface.networks.open` opens what it names, and the doctor, records
and benchmarks describe it. Nothing else reads `options.engine` and `options.precision`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rtface.errors import ModelError, OptionError, UsageError
from rtface.geometry.crop import CROP_SIZE
from rtface.models import ModelEntry, available, find
from rtface.networks.gates import AccuracyGate, gates, matching
from rtface.networks.profiles import Profile, default_profile, read_profile
from rtface.networks.roles import (
    DETECTOR,
    ENGINE,
    ENHANCER,
    FULL_ENGINE,
    SMALL_ENGINE,
    SMALL_FULL_ENGINE,
    engine_role,
)
from rtface.networks.speeds import installed_backends, recall
from rtface.options import Options
from rtface.system.machine import runs_int8_fast

ORT_ON_GPUS = ("onnx-cuda", "onnx-trt")
"""ONNX Runtime's GPU providers run the float32 files: those in INT8 are made for x86 CPUs."""


@dataclass(frozen=True, slots=True)
class Backend:
    """What networks run on, the precision that goes with it, and why it was chosen, for people."""

    name: str
    precision: str
    why: str


@dataclass(frozen=True, slots=True)
class SelectedNetwork:
    """One network as it will run.

    Attributes:
        role: One of `rtface.networks.roles`.
        model: The file that is opened; TensorRT's plans are made from it.
        backend: onnx, openvino, trt, onnx-cuda or onnx-trt.
        precision: fp32, fp16 or int8.
        gate: What that precision loses on that backend; None = never measured, or nothing to lose.
        why: Why this backend.
        on_cpu: The file that ONNX Runtime runs while a TensorRT plan is built.
        otherwise: What runs where `auto` chose a backend that cannot start any more; None = it is an error.
    """

    role: str
    model: ModelEntry
    backend: str
    precision: str
    gate: AccuracyGate | None
    why: str
    on_cpu: ModelEntry | None = None
    otherwise: SelectedNetwork | None = None

    @property
    def name(self) -> str:
        """The network's name without its precision."""
        return self.model.name.removesuffix("-int8")

    @property
    def size(self) -> int:
        """Side in px of the crops that it takes."""
        return self.model.size or CROP_SIZE


@dataclass(frozen=True, slots=True)
class Selection:
    """What runs, role by role, and why.

    Attributes:
        backend: What the options mean here.
        detector: The network that finds faces.
        multitask: The network that understands them.
        enhancer: The network that super-resolves small faces; None = not asked for.
        fallbacks: What can stand in for `multitask` when time is short, the best first: fewer rounds of interaction,
            then smaller crops, as far as the registry has them.
    """

    backend: Backend
    detector: SelectedNetwork
    multitask: SelectedNetwork
    enhancer: SelectedNetwork | None
    fallbacks: tuple[SelectedNetwork, ...]

    def describe(self) -> dict[str, Any]:
        """For a run's header and the doctor: backend, precision of each network, and why."""
        networks = [one for one in (self.detector, self.multitask, self.enhancer) if one is not None]
        return {
            "backend": self.backend.name,
            "precisions": {one.model.name: one.precision for one in networks},
            "why": self.backend.why,
        }


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What there is to choose among: the models of the registry, and the gates that were measured of them."""

    models: tuple[ModelEntry, ...]
    gates: tuple[AccuracyGate, ...]

    @classmethod
    def read(cls, options: Options) -> Catalogue:
        """The registry and the gates that the options name, each read once; with `rtface.models.available`'s fallback.

        A models folder may hold the gates of its networks, in its folder `calibration`.

        Raises:
            ModelError: One of them cannot be read.
        """
        measured = gates(options.calibration_dir)
        if options.models_dir is not None and options.calibration_dir is None:
            measured = (*gates(Path(options.models_dir) / "calibration"), *measured)
        return cls(available(options.models_dir), measured)

    def model(self, role: str, iterations: int | None, precision: str) -> ModelEntry:
        """The file with this role, rounds of interaction (None = any) and precision (or "auto").

        Raises:
            ModelError: There is none.
        """
        return find(role, iterations, precision, known=self.models)

    def gate(self, role: str, backend: str, precision: str, options: Options) -> AccuracyGate | None:
        """What was measured of the network with this role so; None = nothing, or of other files than those at hand.

        The network for smaller crops has the weights of ITER 0, and, without a gate of its own, its gate.
        """
        iterations = _iterations(role, options)
        for one in dict.fromkeys((role, role.removeprefix("small-"))):
            files = [model for model in self.models if model.role == one and iterations in (None, model.iterations)]
            full = next((model for model in files if model.precision == "fp32"), None)
            hashes = [model.sha256 for model in files]
            gate = None if full is None else matching(self.gates, full.sha256, backend, precision, hashes)
            if gate is not None:
                return gate
        return None

    def gate_allows(self, role: str, backend: str, precision: str, options: Options) -> bool:
        """Whether `auto` may run a network so: any float32, what passed its gate, and ONNX Runtime's INT8 while no gate
        says otherwise. One with more tasks must have passed as the network that it is grafted onto, too."""
        if precision == "fp32":
            return True
        if role.endswith(FULL_ENGINE) and not self.gate_allows(role.replace("full-", ""), backend, precision, options):
            return False
        gate = self.gate(role, backend, precision, options)
        return gate.passed if gate is not None else backend == "onnx"

    def gated_precision(self, role: str, backend: str, precision: str, options: Options) -> str:
        """The precision where the network's gate allows it, else the nearest that loses nothing.

        Networks may differ: the detector runs on one frame in nine, so that float32 costs next to nothing there.
        """
        if self.gate_allows(role, backend, precision, options):
            return precision
        return "fp16" if backend == "trt" else "fp32"


def select(options: Options, catalogue: Catalogue | None = None) -> Selection:
    """What the options mean on this machine.

    Use this when you want to know what would run without opening it; `rtface.Analyzer` calls it once.

    Args:
        options: Their `tasks`, `engine`, `precision`, `iterations`, `enhance`, `models_dir`, `calibration_dir` and
            `threads`.
        catalogue: What there is to choose among; None = read now.

    Raises:
        ModelError: The registry or the gates cannot be read, or no model fits.
        OptionError: The backend cannot run the precision that was asked for.
        UsageError: The detector is MediaPipe's.

    Example:
        >>> from rtface.networks.selection import select
        >>> from rtface.options import Options
        >>> select(Options(engine="onnx", precision="fp32")).multitask.name
        'engine-iter0'
    """
    _refuse_mediapipe(options)
    role = engine_role(options.tasks)
    catalogue = catalogue or Catalogue.read(options)
    backend = choose_backend(options, catalogue)
    enhancer = select_network(ENHANCER, options, catalogue, backend) if options.enhance else None
    return Selection(
        backend,
        select_network(DETECTOR, options, catalogue, backend),
        select_network(role, options, catalogue, backend),
        enhancer,
        tuple(_fallbacks(role, options, catalogue, backend)),
    )


def choose_backend(options: Options, catalogue: Catalogue) -> Backend:
    """What `auto` means here, or what was asked for; the precision of a backend that was measured goes with it."""
    if options.engine not in ("auto", "openvino"):
        return Backend(options.engine, _precision(options, catalogue), "as asked for")
    if options.engine == "auto" and not installed_backends():
        return Backend("onnx", _precision(options, catalogue), "no other engine is installed")
    fitting = [
        speed
        for speed in recall(options, catalogue.models)
        if options.engine in ("auto", speed.engine) and options.precision in ("auto", speed.precision)
    ]
    if not fitting:
        if options.precision == "fp16" and options.engine == "auto" and "openvino" in installed_backends():
            return Backend("openvino", "fp16", "ONNX Runtime has no fp16 on a CPU")
        why = "nothing was measured on this machine yet; rtface doctor does it"
        name = "onnx" if options.engine == "auto" else options.engine
        return Backend(name, _precision(options, catalogue), why)
    best = min(fitting, key=lambda speed: speed.frame_ms)
    listed = ", ".join(f"{one.engine} {one.precision} {one.frame_ms:.2f} ms" for one in fitting)
    return Backend(best.engine, best.precision, f"fastest here of {listed}")


def select_network(
    role: str, options: Options, catalogue: Catalogue | None = None, backend: Backend | None = None
) -> SelectedNetwork:
    """One network as it will run; see `select`, which calls this for each role.

    Raises:
        ModelError: The registry or the gates cannot be read, or no model fits.
        OptionError: The backend cannot run the precision that was asked for.
    """
    catalogue = catalogue or Catalogue.read(options)
    backend = backend or choose_backend(options, catalogue)
    if role == ENHANCER:  # one small float32 file, on ONNX Runtime whatever runs the others
        return SelectedNetwork(role, catalogue.model(role, None, "auto"), "onnx", "fp32", None, "it has one file")
    precision = backend.precision
    if options.precision == "auto":
        precision = catalogue.gated_precision(role, backend.name, precision, options)
    gate = catalogue.gate(role, backend.name, precision, options)
    chosen = SelectedNetwork(
        role, _file(role, backend.name, precision, options, catalogue), backend.name, precision, gate, backend.why
    )
    if backend.name == "trt":
        chosen = replace(chosen, on_cpu=_registered(role, "auto", options, catalogue, lenient=True))
    if options.engine == "auto" and backend.name != "onnx":
        cpu = "auto" if backend.precision == "fp16" else backend.precision
        otherwise = select_network(role, options, catalogue, Backend("onnx", cpu, "the chosen one failed"))
        chosen = replace(chosen, otherwise=otherwise)
    return chosen


def profile_for(options: Options) -> Profile:
    """The build profile that the options name, or that of this machine's kind, with the precision to build for.

    Raises:
        OptionError: It is not a profile.
    """
    suited = default_profile(options.precision) if "trt" in installed_backends() else "cpu"
    profile = read_profile(options.profile or suited)
    return profile if options.precision == "auto" else replace(profile, precision=options.precision)


def _fallbacks(role: str, options: Options, catalogue: Catalogue, backend: Backend) -> Iterator[SelectedNetwork]:
    """The same network with fewer rounds of interaction, then for smaller crops: a CPU's way to half the time."""
    asked = [(role, replace(options, iterations=fewer)) for fewer in range(options.iterations - 1, -1, -1)]
    if backend.name in ("onnx", "openvino"):
        asked.append((SMALL_FULL_ENGINE if role == FULL_ENGINE else SMALL_ENGINE, options))
    for role, chosen in asked:
        with suppress(ModelError):
            catalogue.model(role, _iterations(role, chosen) if role == ENGINE else None, "auto")
            yield select_network(role, chosen, catalogue, backend)


def _file(role: str, backend: str, precision: str, options: Options, catalogue: Catalogue) -> ModelEntry:
    """The file of the registry that a backend opens for a precision."""
    lenient = options.precision == "auto" and backend not in ORT_ON_GPUS
    if backend == "trt":
        return _registered(role, "fp32", options, catalogue, lenient=lenient)
    if backend == "openvino":
        return _registered(role, "fp32" if precision == "fp16" else precision, options, catalogue, lenient=lenient)
    fitting = ("fp32",) if backend in ORT_ON_GPUS else ("fp32", "int8", "auto")
    if precision not in fitting:
        others = "trt, or on a CPU openvino" if precision == "fp16" else "trt, or on a CPU onnx or openvino"
        mend = f"Use --precision fp32, or for {precision} --engine {others}"
        expected = " or ".join(name for name in fitting if name != "auto")
        raise OptionError("precision", f"expected {expected} for --engine {backend}, got {precision!r}", mend)
    return _registered(role, precision, options, catalogue, lenient=lenient)


def _registered(role: str, precision: str, options: Options, catalogue: Catalogue, *, lenient: bool) -> ModelEntry:
    """The file in this precision; `lenient`: of a registry with one precision only, that one."""
    iterations = options.iterations if role == ENGINE else None
    try:
        return catalogue.model(role, iterations, precision)
    except ModelError:
        if not lenient:
            raise
        return catalogue.model(role, iterations, "auto")


def _iterations(role: str, options: Options) -> int | None:
    return {ENGINE: options.iterations, FULL_ENGINE: 0, SMALL_ENGINE: 0, SMALL_FULL_ENGINE: 0}.get(role)


def _precision(options: Options, catalogue: Catalogue) -> str:
    if options.precision != "auto":
        return options.precision
    if options.engine == "trt":
        return "fp16"
    if options.engine in ORT_ON_GPUS:
        return "fp32"
    return "int8" if runs_int8_fast() and catalogue.gate_allows(ENGINE, "onnx", "int8", options) else "fp32"


def _refuse_mediapipe(options: Options) -> None:
    if options.detector != "mediapipe":
        return
    why = "cannot run inside rtface: its wheels install a second cv2 over ours and carry no detector model any more"
    mend = (
        "Run it in a virtual environment of its own (python -m venv mp; mp/bin/pip install mediapipe) with a model "
        "file such as blaze_face_short_range.tflite, and hand its boxes to rtface.analyze(image, boxes=…)"
    )
    raise UsageError("detector mediapipe", why, mend)
