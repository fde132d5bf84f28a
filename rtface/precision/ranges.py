"""What an INT8 network was calibrated on, as text: `calibration/NAME-ranges.json`.

Hashes of the pictures, never the pictures; the lowest and highest value of every tensor; the layers that stay float.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from rtface.errors import ModelError, OutputError
from rtface.models import ModelEntry
from rtface.precision.int8 import Range
from rtface.system.files import write_text
from rtface.system.json_text import parse_json
from rtface.system.package_data import package_data

_MEND = "rtface calibrate CLIP_OR_FOLDER measures them again"


@dataclass(frozen=True, slots=True)
class Record:
    """One network's calibration.

    Attributes:
        model: Name of the fp32 network; `sha256` of its file.
        tool: What measured, with its version; `method` how.
        source: Name of the clip, folder or corpus.
        pictures: Hashes of the pictures, or ids of the corpus's.
        float_layers: Layers that are not quantised, by name.
        ranges: Tensor → its lowest and highest value.
    """

    model: str
    sha256: str
    tool: str
    method: str
    source: str
    pictures: tuple[str, ...]
    float_layers: tuple[str, ...]
    ranges: Mapping[str, Range]


def path_of(model: str, folder: str | Path | None = None) -> Path:
    """Where the record of a network is; `folder` None = what ships."""
    return (package_data("calibration") if folder is None else Path(folder)) / f"{model}-ranges.json"


def read_record(model: ModelEntry, folder: str | Path | None = None) -> Record:
    """The calibration of this very network.

    Raises:
        ModelError: There is none, it cannot be read, or it is that of another file.
    """
    path = path_of(model.name, folder)
    try:
        table = parse_json(path.read_text("utf-8"))
        ranges = {str(name): (float(low), float(high)) for name, (low, high) in table.pop("ranges").items()}
        pictures, layers = tuple(table.pop("pictures")), tuple(table.pop("float_layers"))
        record = Record(pictures=pictures, float_layers=layers, ranges=ranges, **table)
    except FileNotFoundError as error:
        raise ModelError(str(path), f"is missing: {model.name} has no int8 ranges", _MEND) from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(str(path), f"is not a readable calibration ({error})", _MEND) from error
    if record.sha256 != model.sha256:
        why = f"is of another {model.name}: {record.sha256[:12]}…, not {model.sha256[:12]}…"
        raise ModelError(str(path), why, _MEND)
    return record


def write_record(record: Record, folder: str | Path) -> Path:
    """Write a record, one range a line, so that two calibrations can be compared by `diff`.

    Raises:
        OutputError: The folder cannot be written.
    """
    path = path_of(record.model, folder)
    table = asdict(record)
    table["ranges"] = {name: [round(low, 6), round(high, 6)] for name, (low, high) in sorted(record.ranges.items())}
    text = json.dumps({**table, "ranges": None}, indent=1).removesuffix('"ranges": null\n}')
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(pair)}" for name, pair in table["ranges"].items())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, f'{text}"ranges": {{\n{lines}\n }}\n}}\n')
    except OSError as error:
        raise OutputError(str(path), error.strerror or str(error), "Name a folder that can be written") from error
    return path
