"""Writes the registry entry of a file that was just exported; metrics and card of an earlier version stay."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtface.errors import require
from rtface.geometry.crop import CROP_SIZE
from rtface.models import ModelEntry
from rtface.system.files import write_text
from rtface.version import LICENCE

DETECTOR_IO = (
    ["image uint8 (batch, height, width, 3) BGR, multiples of 32"],
    ["detections float32 (batch, cells, 18): x0 y0 x1 y1 px, score, 5 points px, yaw pitch roll degrees"],
)

ENHANCER_IO = (
    ["crops uint8 (faces, size, size, 3) BGR, size 16, 24 or 32"],
    ["enhanced float32 (faces, 4 size, 4 size, 3) BGR, 0..255"],
)
_IO = {"detector": DETECTOR_IO, "enhancer": ENHANCER_IO}


@dataclass(frozen=True)
class Exported:
    """One written file: where, its size and hash, and how far ONNX Runtime was from torch per output."""

    path: Path
    bytes: int
    sha256: str
    difference: dict[str, float]


def _engine_io(size: int, precision: str, full: bool, gaze: bool) -> tuple[list[str], list[str]]:
    parsing = f"parsing uint8 (faces, {size}, {size}) CelebAMask-HQ ids"
    if precision == "int8":
        parsing = f"parsing uint8 (faces, 16 x 19, {size // 4}, {size // 4}) scores by sub-pixel and class"
    outputs = [
        "landmarks float32 (faces, 68, 2) crop px, iBUG-68",
        parsing,
        "emotion float32 (faces, 8) probabilities, FER+ order",
        "pose float32 (faces, 3) yaw pitch roll, degrees",
        "face float32 (faces,) probability that the crop holds a face",
        "quality float32 (faces,) 0..1, exp(-25 x expected landmark error / crop side)",
    ]
    if full:
        outputs += [
            "mesh float32 (faces, 478, 2) crop px, MediaPipe's order",
            "mesh_score float32 (faces,) 0..1, exp(-25 x expected mesh error / crop side)",
            "expression float32 (faces, 52) blend shapes 0..1, ARKit's order",
        ]
    if gaze:
        outputs.append("gaze float32 (faces, 2) yaw pitch of the line of sight in the crop, degrees")
    return [f"crops uint8 (faces, {size}, {size}, 3) BGR"], outputs


def card_of(role: str) -> str:
    """Name of the card of a role's networks."""
    return "heads" if role.endswith("full-engine") else role.removeprefix("small-")


def register(
    folder: Path,
    name: str,
    role: str,
    exported: Exported,
    precision: str,
    iterations: int | None,
    *,
    terms: str,
    size: int | None = None,
    weights: str | None = None,
    weights_sha256: str | None = None,
    like: ModelEntry | None = None,
    gaze: bool = False,
) -> None:
    """Add or replace the `[[model]]` called `name` in `folder`/registry.toml.

    `terms` are those of the weights, `size` is that of a face engine's crops in px, `weights` the model that lends it
    its weights, whose file has the hash `weights_sha256`. What corrects answers is as it is of the model `like`.
    `gaze`: an engine has the line of sight too.
    """
    tomlkit = require("tomlkit", "train")
    path = folder / "registry.toml"
    document = tomlkit.parse(path.read_text("utf-8")) if path.is_file() else tomlkit.document()
    models: Any = document.setdefault("model", tomlkit.aot())
    table: Any = next((m for m in models if m["name"] == name), None)
    if table is None:
        table = tomlkit.table()
        models.append(table)
        table = models[-1]
    inputs, outputs = _IO[role] if role in _IO else _engine_io(size or CROP_SIZE, precision, "full" in role, gaze)
    table.update(
        {
            "name": name,
            "role": role,
            "file": exported.path.name,
            "precision": precision,
            "sha256": exported.sha256,
            "bytes": exported.bytes,
            "code_licence": LICENCE,
            "weights_licence": terms,
            "card": f"cards/{card_of(role)}.md",
            "inputs": inputs,
            "outputs": outputs,
        }
    )
    more: dict[str, Any] = {
        "iterations": iterations,
        "size": size,
        "weights": weights,
        "weights_sha256": weights_sha256,
    }
    if like is not None:
        more |= {"landmark_shift": list(like.landmark_shift), "emotion_temperature": like.emotion_temperature}
    for key, value in more.items():
        if value is not None:
            table[key] = value
    write_text(path, tomlkit.dumps(document))
