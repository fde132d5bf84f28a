"""Windows as a table for other programs: CSV, JSON or Parquet."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from rtface.errors import OutputError, require
from rtface.outputs.report.data import Record, Report


def flat(record: Record) -> dict[str, Any]:
    """A window as one row: units in the names, a column a bucket and an emotion; without the heat map."""
    row: dict[str, Any] = {name: record[name] for name in ("camera", "span", "start", "end", "visits", "watchers")}
    row |= {"looks": record["looks"], "attraction_ratio": record["attraction_ratio"]}
    for name in ("dwell_s", "attention_s"):
        spread = record[name] or dict.fromkeys(("total", "mean", "median", "p90"))
        row |= {f"{name.removesuffix('_s')}_{figure}_s": value for figure, value in spread.items()}
    row |= {f"attention_{name}_s": count for name, count in record["attention_buckets"].items()}
    row |= {"smilers": record["smilers"], "smiles": record["smiles"]}
    busiest = record["busiest_minute"] or {"start": None, "visits": None}
    return row | {"busiest_minute": busiest["start"], "busiest_minute_visits": busiest["visits"]}


def rows(report: Report) -> list[dict[str, Any]]:
    """All windows as rows with the same columns."""
    names = sorted({name for record in report.windows for name in record["emotions"]})
    return [
        flat(record) | {f"emotion_{name}": record["emotions"].get(name, None if report.k else 0) for name in names}
        for record in report.windows
    ]


def as_json(report: Report) -> bytes:
    """The records with their heat maps, and the total."""
    content = {"schema": "rtface.audience/1", "k": report.k, "total": report.total, "windows": list(report.windows)}
    return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode()


def as_csv(report: Report) -> bytes:
    """A header and a line a window; what is not told is empty."""
    table = rows(report)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(table[0]))
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue().encode()


def as_parquet(report: Report) -> bytes:
    """The table of `as_csv`, typed.

    Raises:
        OutputError: pyarrow is not installed.
    """
    require("pyarrow", "report", OutputError)
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows(report)), buffer)
    return buffer.getvalue()
