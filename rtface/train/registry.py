"""Writes the registry entry of a file that was just exported; metrics and card of an earlier version stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomlkit

from rtface.train.export import Exported

CODE_LICENCE = "Apache-2.0"
WEIGHTS_LICENCE = (
    "non-commercial research only: trained on Helen, LFPW, AFW (300-W), CelebAMask-HQ, FASSEG, FER2013/FER+, MTFL, "
    "YouTube Faces, LFW, UTKFace, WIDER FACE, MAFA, PASCAL VOC 2007"
)
ENGINE_IO = (
    ["crops uint8 (faces, 128, 128, 3) BGR"],
    [
        "landmarks float32 (faces, 68, 2) crop px, iBUG-68",
        "parsing uint8 (faces, 128, 128) CelebAMask-HQ ids",
        "emotion float32 (faces, 8) probabilities, FER+ order",
        "pose float32 (faces, 3) yaw pitch roll, degrees",
        "face float32 (faces,) probability that the crop holds a face",
        "quality float32 (faces,) 0..1, exp(-25 x expected landmark error / crop side)",
    ],
)
INT8_PARSING = "parsing uint8 (faces, 16 x 19, 32, 32) scores by sub-pixel and class; the largest is the id"
DETECTOR_IO = (
    ["image uint8 (1, height, width, 3) BGR, multiples of 32"],
    ["detections float32 (1, cells, 18): x0 y0 x1 y1 px, score, 5 points px, yaw pitch roll degrees"],
)

ENHANCER_IO = (
    ["crops uint8 (faces, size, size, 3) BGR, size 16, 24 or 32"],
    ["enhanced float32 (faces, 4 size, 4 size, 3) BGR, 0..255"],
)
_IO = {"engine": ENGINE_IO, "detector": DETECTOR_IO, "enhancer": ENHANCER_IO}


def register(folder: Path, name: str, role: str, exported: Exported, precision: str, iterations: int | None) -> None:
    """Add or replace the `[[model]]` called `name` in `folder`/registry.toml."""
    path = folder / "registry.toml"
    document = tomlkit.parse(path.read_text("utf-8")) if path.is_file() else tomlkit.document()
    models: Any = document.setdefault("model", tomlkit.aot())
    table: Any = next((m for m in models if m["name"] == name), None)
    if table is None:
        table = tomlkit.table()
        models.append(table)
        table = models[-1]
    inputs, outputs = _IO[role]
    if role == "engine" and precision == "int8":
        outputs = [INT8_PARSING if output.startswith("parsing") else output for output in outputs]
    table.update(
        {
            "name": name,
            "role": role,
            "file": exported.path.name,
            "precision": precision,
            "sha256": exported.sha256,
            "bytes": exported.bytes,
            "code_licence": CODE_LICENCE,
            "weights_licence": WEIGHTS_LICENCE,
            "card": f"cards/{role}.md",
            "inputs": inputs,
            "outputs": outputs,
        }
    )
    if iterations is not None:
        table["iterations"] = iterations
    part = path.with_suffix(".part")
    part.write_text(tomlkit.dumps(document), "utf-8")
    part.replace(path)
