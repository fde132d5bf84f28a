"""A network's ONNX file into a models folder: what it is is read off its inputs and outputs, and tried once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from rtface.errors import ModelError
from rtface.geometry.crop import CROP_SIZE
from rtface.models import ModelEntry, entry, read_network
from rtface.models.external_data import refuse_external_data
from rtface.networks.roles import ENGINE, FULL_ENGINE
from rtface.system.files import atomic_write
from rtface.train.card import note_added
from rtface.train.register import Exported, card_of, register

MULTITASK_OUTPUTS = {"landmarks", "parsing", "emotion", "pose", "face", "quality"}


@dataclass(frozen=True, slots=True)
class Signature:
    """What a file is: its role, the side of its crops in px (None = any), its precision, whether it tells gaze."""

    role: str
    size: int | None
    precision: str
    gaze: bool = False


def signature(path: Path) -> Signature:
    """What an ONNX file is, after one run on noise.

    Raises:
        ModelError: It is missing, ONNX Runtime cannot run it, its inputs and outputs are no network's of rtface, or
            its answers are not finite.
    """
    if not path.is_file():
        raise ModelError(str(path), "there is no such file", "Name an ONNX file")
    data = read_network(path)
    refuse_external_data(data, path)
    try:
        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        inputs, outputs = session.get_inputs(), [one.name for one in session.get_outputs()]
        found = _of(inputs[0].name, inputs[0].shape, set(outputs), data, path)
        noise = np.random.default_rng(0).integers(0, 256, _shape(found), dtype=np.uint8)
        answers = session.run(outputs, {inputs[0].name: noise})
    except ModelError:
        raise
    except Exception as error:  # onnxruntime's own, of many kinds
        first = str(error).partition("\n")[0]
        raise ModelError(str(path), f"ONNX Runtime cannot run it ({first})", "Export it again") from error
    for name, values in zip(outputs, answers, strict=True):
        if not np.isfinite(np.asarray(values, np.float64)).all():
            raise ModelError(str(path), f"answers {name} that are not finite", "Train or export it again")
    return found


def _of(name: str, shape: list[Any], outputs: set[str], data: bytes, path: Path) -> Signature:
    precision = "int8" if b"QuantizeLinear" in data else "fp32"
    if name == "image" and outputs == {"detections"}:
        return Signature("detector", None, precision)
    if name == "crops" and outputs >= MULTITASK_OUTPUTS:
        size = shape[1] if isinstance(shape[1], int) else CROP_SIZE
        role = FULL_ENGINE if outputs >= {"mesh", "mesh_score", "expression"} else ENGINE
        return Signature(role if size == CROP_SIZE else f"small-{role}", size, precision, "gaze" in outputs)
    if name == "crops" and outputs == {"enhanced"}:
        return Signature("enhancer", None, precision)
    why = f"is no network of rtface: it takes {name} and gives {', '.join(sorted(outputs))}"
    raise ModelError(str(path), why, "rtface models show detector names what each role takes and gives")


def _shape(found: Signature) -> tuple[int, int, int, int]:
    side = {"detector": 64, "enhancer": 16}.get(found.role, found.size or CROP_SIZE)
    return (1, side, side, 3)


def add_model(path: Path, folder: Path, terms: str, name: str | None = None, iterations: int = 0) -> ModelEntry:
    """Copy a file into a models folder and register it; its entry.

    Args:
        path: The ONNX file; one that lies in the folder already is registered where it is.
        folder: The models folder, made when it is not there.
        terms: Of the weights.
        name: In the registry; by default the file's.
        iterations: Rounds of interaction of a multi-task network.

    Raises:
        ModelError: The file is missing, ONNX Runtime cannot run it, or it is no network of rtface.
        UsageError: tomlkit is not installed.
    """
    found = signature(path)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name or path.stem}.onnx"
    if target.resolve() != path.resolve():
        with atomic_write(target) as file:
            file.write(read_network(path))  # what it borrowed where it was is not there
    data = target.read_bytes()
    exported = Exported(target, len(data), hashlib.sha256(data).hexdigest(), {})
    rounds = iterations if found.role.endswith("engine") else None
    kind = found.role, exported, found.precision, rounds
    register(folder, target.stem, *kind, terms=terms, size=found.size, gaze=found.gaze)
    note_added(folder, card_of(found.role))
    return entry(target.stem, folder)
