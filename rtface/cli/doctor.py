"""``rtface doctor``."""

from __future__ import annotations

import json
import platform
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from rtface.cli import flags
from rtface.errors import ModelError, RtfaceError
from rtface.system.machine import package_version

doctor = typer.Typer(add_completion=False)

PACKAGES = (
    "numpy",
    "opencv-python",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "tensorrt",
    "tensorrt-cu13",
    "tensorrt-rtx-cu13",
    "cuda-bindings",
    "nvidia-cuda-nvrtc",
    "onnx",
    "typer",
    "rich",
    "torch",
    "pyarrow",
)


@doctor.command(epilog="Examples:\n\n  rtface doctor\n\n  rtface doctor --json\n\n  rtface doctor --gpu > gpu.txt")
def doctor_command(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    models_dir: flags.ModelsDir = None,
    measure: Annotated[
        bool, typer.Option("--measure/--no-measure", help="Time the engines where --engine auto has nothing to go by.")
    ] = True,
    gpu: Annotated[
        bool, typer.Option("--gpu", help="Only the GPU, step by step: what works and what it takes. Minutes at most.")
    ] = False,
) -> None:
    """What is installed, and whether it is in order: versions, threads, models, who owns cv2, cameras, display.

    Says which engine --engine auto runs here, and why. Exit code 4 where a model is missing or damaged.
    """
    if gpu:
        _gpu_report(as_json)
        return
    facts = examine(models_dir, measure=measure)
    if as_json:
        print(json.dumps(facts))
    else:
        for name, value in facts.items():
            _print(name, value)
    for advice in _advice(facts):
        print(advice, file=sys.stderr)
    if any(model["error"] for model in facts["models"]):
        raise typer.Exit(4)


def _gpu_report(as_json: bool) -> None:
    """A report to send along with a bug: no folder, host or picture is in it."""
    from rtface.networks.gpu_check import report
    from rtface.version import __version__

    facts: dict[str, Any] = {"rtface": __version__, "system": platform.platform(), "python": platform.python_version()}
    for name, value in facts.items():
        if not as_json:
            _print(name, value)
    for step, found in report():
        facts[step] = found
        if not as_json:
            _print(step, [f"{name}  {value}" for name, value in found.items()])
            sys.stdout.flush()
    if as_json:
        print(json.dumps(facts))
    if "error" in facts["gpu"]:
        raise typer.Exit(4)


def examine(models_dir: Path | None = None, *, measure: bool = True) -> dict[str, Any]:
    """The machine, the installed packages, the models and the devices."""
    import cv2
    import onnxruntime

    from rtface.capture.camera import list_cameras
    from rtface.outputs.window import why_no_display
    from rtface.system import machine
    from rtface.version import __version__

    return {
        "rtface": __version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": platform.platform(),
        "packages": {name: version for name in PACKAGES if (version := package_version(name)) is not None},
        "cpu": machine.cpu_name(),
        "threads": {"cores": machine.usable_cores(), "opencv": cv2.getNumThreads()},
        "providers": onnxruntime.get_available_providers(),
        "engine": _engine(models_dir, measure),
        "gpu": _gpu(),
        "plans": _plans(),
        "cv2_owners": sorted(set(metadata.packages_distributions().get("cv2", ()))),
        "models": _models(models_dir),
        "cameras": [f"{c.index}: {c.width_px}x{c.height_px} {c.name}".rstrip() for c in list_cameras()],
        "display": why_no_display() or "ok",
    }


def _engine(models_dir: Path | None, measure: bool) -> str:
    """What `--engine auto` runs, and why; measured now where other engines are installed and nothing is remembered."""
    from rtface.networks.selection import Catalogue, choose_backend
    from rtface.networks.speed_test import measure as time_engines
    from rtface.networks.speeds import installed_backends, recall
    from rtface.options import Options
    from rtface.system.machine import runs_int8_fast

    options = Options.load(models_dir=models_dir)
    try:
        catalogue = Catalogue.read(options)
        if measure and installed_backends() and not recall(options, catalogue.models):
            print("timing the engines, once", file=sys.stderr)
            time_engines(options, say=lambda line: print(line, file=sys.stderr))
        backend = choose_backend(options, catalogue)
    except RtfaceError as error:  # a damaged model has its own line
        return f"unknown: {error}"
    slow = "" if backend.precision != "fp32" or runs_int8_fast() else "; int8 would be slower on this CPU (no VNNI)"
    return f"{backend.name} {backend.precision}: {backend.why}{slow}"


def _gpu() -> str:
    from rtface.engine.cuda import gpu

    try:
        facts = gpu()
    except RtfaceError as error:
        return f"none: {error.what} {error.why}"
    return f"{facts.name}, compute capability {facts.capability}, driver for CUDA {facts.driver}"


def _plans() -> list[str]:
    from rtface.engine.plan_cache import PlanCache

    return [
        f"{facts.get('name')} {facts.get('precision')} for {facts.get('tensorrt')}, {facts.get('capability')}"
        for facts in PlanCache().listed()
    ]


def _models(models_dir: Path | None) -> list[dict[str, Any]]:
    from rtface.models import verify

    try:
        checked = verify(models_dir)
    except ModelError as error:  # the registry itself; the rest of the report still helps
        return [{"name": "registry.toml", "bytes": 0, "sha256": "", "error": str(error)}]
    return [
        {
            "name": model.name,
            "bytes": model.bytes,
            "sha256": model.sha256,
            "error": None if error is None else str(error),
        }
        for model, error in checked
    ]


def _advice(facts: dict[str, Any]) -> list[str]:
    """What is wrong, a line each."""
    lines = [model["error"] for model in facts["models"] if model["error"]]
    owners = facts["cv2_owners"]
    if len(owners) > 1:
        lines.append(f"cv2: {' and '.join(owners)} overwrite each other's files. {_mend_of_owners(owners)}")
    return lines


def _mend_of_owners(owners: list[str]) -> str:
    """Commands after which one package owns cv2 and `pip check` finds nothing missing."""
    others = [owner for owner in owners if owner != "opencv-python"]
    asking = sorted({name for owner in others for name in _that_require(owner)})
    if asking:
        return f"{' and '.join(asking)} asks for {' and '.join(others)}: give rtface a virtual environment of its own"
    version = package_version("opencv-python")
    wanted = "opencv-python" if version is None else f"--no-deps opencv-python=={version}"
    return f"pip uninstall -y {' '.join(others)} && pip install --force-reinstall {wanted}"


def _that_require(package: str) -> list[str]:
    """Installed packages that need another one, extras aside."""
    pattern = re.compile(rf"{re.escape(package)}(?![\w.-])", re.IGNORECASE)
    return [
        str(one.metadata["Name"])
        for one in metadata.distributions()
        if any(pattern.match(need) and "extra ==" not in need for need in one.requires or ())
    ]


def _print(name: str, value: Any) -> None:
    if isinstance(value, dict):
        value = ", ".join(f"{key} {item}" for key, item in value.items())
    if not isinstance(value, list):
        print(f"{name:<11} {value}")
        return
    lines = [_model_line(item) if isinstance(item, dict) else str(item) for item in value] or ["none"]
    for number, line in enumerate(lines):
        print(f"{'' if number else name:<11} {line}")


def _model_line(model: dict[str, Any]) -> str:
    return (
        f"{model['name']}  {model['bytes'] / 1e6:.2f} MB  {model['sha256'][:12]}  {'BAD' if model['error'] else 'ok'}"
    )
