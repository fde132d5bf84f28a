"""What a corpus file is held to before it is believed: kinds of columns, finite numbers, and what reading it may take.

A parquet file of a few kilobytes can stand for gigabytes: one value, repeated. What it says of itself is looked at
before anything is decoded, and what is decoded is counted as it comes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rtface.datasets.labelled import Array
from rtface.errors import SourceError, require

LABEL_TIMES, PIXEL_TIMES = 20, 4
"""Labels, and pictures in their own compression, may take so many times the file's size in memory."""

SPARE_BYTES = 64 << 20
"""… and this much, for small files."""

ROW_BYTES = 32
"""A row with a name and a picture has more bytes than these."""

_AT_ONCE = 256

_MEND = "Copy it again; rtface import makes them"


def check_kinds(file: Path, found: Any, wanted: Any) -> None:
    """Every column of the arrow schema `found` that `wanted` knows is of its kind.

    Raises:
        SourceError: One is not.
    """
    for column in wanted:
        at = found.get_field_index(column.name)
        if at >= 0 and not _is_like(found.field(at).type, column.type):
            why = f"column {column.name} holds {found.field(at).type}, expected {column.type}"
            raise SourceError(str(file), why, _MEND)


def _is_like(found: Any, wanted: Any) -> bool:
    """Whether values of one arrow type can stand for those of another: the widths of numbers are all the same."""
    types = require("pyarrow", "eval").types
    if types.is_null(found):
        return True
    if types.is_struct(wanted):
        names = {field.name for field in found} if types.is_struct(found) else set()
        return bool(names) and all(_is_like(found.field(f.name).type, f.type) for f in wanted if f.name in names)
    if types.is_list(wanted):
        lists = types.is_list(found) or types.is_large_list(found) or types.is_fixed_size_list(found)
        return lists and _is_like(found.value_type, wanted.value_type)
    if types.is_dictionary(found):
        found = found.value_type
    if types.is_floating(wanted):
        return bool(types.is_floating(found) or types.is_integer(found))
    kinds = {
        "string": (types.is_string, types.is_large_string),
        "binary": (types.is_binary, types.is_large_binary),
        "int32": (types.is_integer,),
    }
    return any(one(found) for one in kinds[str(wanted)])


def read_within(file: Path, opened: Any, columns: Collection[str], times: int) -> Any:
    """The columns (paths of leaves, or of whole columns) as an arrow table, if they take at most `times` the file's
    size.

    Raises:
        SourceError: They take more.
    """
    size = file.stat().st_size
    most, facts = SPARE_BYTES + times * size, opened.metadata
    if facts.num_rows * ROW_BYTES > size + SPARE_BYTES // 64:
        raise SourceError(str(file), f"claims {facts.num_rows} rows in {size} bytes", _MEND)
    heads = {name.partition(".")[0] for name in columns}
    groups = [facts.row_group(at) for at in range(facts.num_row_groups)]
    leaves = [group.column(at) for group in groups for at in range(group.num_columns)]
    declared = sum(leaf.total_uncompressed_size for leaf in leaves if leaf.path_in_schema.partition(".")[0] in heads)
    batches, total = [], 0
    if declared <= most:
        for batch in opened.iter_batches(_AT_ONCE, columns=list(columns)):
            whole = _spelt_out(batch)
            total += whole.nbytes
            if total > most:
                break
            batches.append(whole)
    if max(declared, total) > most:
        raise SourceError(str(file), f"unpacks to over {most >> 20} MB, from {size} bytes", _MEND)
    arrow = require("pyarrow", "eval")
    if not batches:
        return opened.read(columns=list(columns))
    return arrow.Table.from_batches(batches)


def _spelt_out(batch: Any) -> Any:
    """A batch whose repeated values stand in every row, as they will in Python."""
    arrow = require("pyarrow", "eval")
    columns = [one.dictionary_decode() if hasattr(one, "dictionary_decode") else one for one in batch.columns]
    return arrow.RecordBatch.from_arrays(columns, batch.schema.names)


def array_of(values: Any, shape: tuple[int, ...], row: str, name: str) -> Array:
    """A flat list of the file as a float32 array of a shape with finite numbers.

    Raises:
        SourceError: It is not.
    """
    try:
        array = np.asarray(values, np.float32).reshape(shape)
    except (TypeError, ValueError) as error:
        raise SourceError(row, f"{name}: expected numbers of shape {shape} ({error})", _MEND) from error
    if not np.isfinite(array).all():
        raise SourceError(row, f"{name}: expected finite numbers, got NaN or infinity", _MEND)
    return array


def check_scalars(values: Mapping[str, Any], row: str) -> None:
    """
    Raises:
        SourceError: A number among the values is not finite.
    """
    wrong: Iterable[str] = (name for name, one in values.items() if isinstance(one, float) and not np.isfinite(one))
    for name in wrong:
        raise SourceError(row, f"{name}: expected a finite number, got {values[name]}", _MEND)
