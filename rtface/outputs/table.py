"""Tables for statistics programs: CSV as it goes, and Parquet; ``?columns=rtface|openface|pyfeat`` names a layout."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Any

from rtface.outputs.columns import LAYOUTS, Columns, Row, Value, with_tasks
from rtface.outputs.follow import frame_time
from rtface.outputs.jsonl import LineSink
from rtface.outputs.output_url import OutputUrl
from rtface.outputs.sink import RunInfo, Sink, tell_parts_left
from rtface.system.files import PartFile, not_written
from rtface.types import FrameResult

#: Rows that a Parquet file keeps in memory before they become a group.
GROUP_ROWS = 2000


class _Clock:
    """Seconds since the first frame, or of the file's own time."""

    def __init__(self) -> None:
        self._start: float | None = None

    def seconds(self, result: FrameResult, live: bool) -> float:
        at = frame_time(result.frame, live)
        if not live and result.frame.media_time is not None:
            return at
        self._start = at if self._start is None else self._start
        return at - self._start


class CsvSink(LineSink):
    """Comma-separated values with a head line, UTF-8; missing numbers are NaN.

    Args:
        path: The file.
        layout: Its columns.
        overwrite: Whether a file that is there may be replaced.
    """

    def __init__(self, path: Path, layout: Columns, *, overwrite: bool = False) -> None:
        super().__init__(path, overwrite=overwrite)
        self._layout = layout
        self._live = False
        self._time = _Clock()

    def first(self, info: RunInfo) -> str:
        self._live, self._layout = info.live, with_tasks(self._layout, info.tasks)
        return (f",{self._layout.gap}").join(self._layout.names) + "\n"

    def lines(self, result: FrameResult) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        for row in self._layout.rows(result, self._time.seconds(result, self._live)):
            writer.writerow([_text(value) for value in row])
        lines = text.getvalue()
        return lines.replace(",", f",{self._layout.gap}") if self._layout.gap else lines


def _text(value: Value) -> Value:
    if isinstance(value, bool):
        return int(value)
    return "NaN" if isinstance(value, float) and math.isnan(value) else value


class ParquetSink(Sink):
    """A Parquet file, complete when the run ends well; until then, and after a kill, it is not under its name.

    Args:
        path: The file.
        layout: Its columns.
        overwrite: Whether a file that is there may be replaced.
    """

    picture = "none"

    def __init__(self, path: Path, layout: Columns, *, overwrite: bool = False) -> None:
        self.name = str(path)
        self._path, self._layout, self._overwrite = path, layout, overwrite
        self._rows: list[Row] = []
        self._part: PartFile | None = None
        self._file: io.BufferedWriter | None = None
        self._writer: Any = None
        self._time = _Clock()

    def open(self, info: RunInfo) -> None:
        import pyarrow.parquet

        self._live, self._layout = info.live, with_tasks(self._layout, info.tasks)
        self._schema = schema_of(self._layout)
        tell_parts_left(self._path, info)
        try:
            self._part = PartFile(self._path, overwrite=self._overwrite)
        except OSError as error:
            raise not_written(self.name, error) from error
        self._writer = pyarrow.parquet.ParquetWriter(_Unseekable(self._part), self._schema, compression="zstd")

    def write(self, result: FrameResult) -> None:
        self._rows += self._layout.rows(result, self._time.seconds(result, self._live))
        if len(self._rows) >= GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        import pyarrow

        if not self._rows:
            return
        columns = list(zip(*self._rows, strict=True))
        self._rows = []
        arrays = [
            pyarrow.array(values, field.type, from_pandas=True)
            for values, field in zip(columns, self._schema, strict=True)
        ]
        try:
            self._writer.write_table(pyarrow.Table.from_arrays(arrays, schema=self._schema))
        except OSError as error:
            raise not_written(self.name, error) from error

    def finish(self, summary: dict[str, Any]) -> None:
        assert self._part is not None
        self._flush()
        try:
            self._writer.close()
            self._writer = None
            self._part.publish()
        except OSError as error:
            raise not_written(self.name, error) from error
        self._part = None

    def close(self) -> None:
        self._writer = None
        if self._part is not None:
            self._part.keep()


class _Unseekable(io.RawIOBase):
    """A part as pyarrow wants a file."""

    def __init__(self, part: PartFile) -> None:
        self._part = part

    def write(self, data: Any) -> int:
        return self._part.write(data)

    def tell(self) -> int:
        return self._part.tell()

    def writable(self) -> bool:
        return True


def schema_of(layout: Columns) -> Any:
    import pyarrow

    def kind(name: str) -> Any:
        if name in layout.texts:
            return pyarrow.string()
        if name == "predicted":
            return pyarrow.bool_()
        return pyarrow.int64() if name in layout.whole else pyarrow.float64() if "time" in name else pyarrow.float32()

    return pyarrow.schema([(name, kind(name)) for name in layout.names])


def open_file(path: Path, settings: OutputUrl, *, overwrite: bool) -> Sink:
    """The output for a path."""
    settings.only("columns")
    layout = LAYOUTS[settings.one_of("columns", *LAYOUTS)]
    kind = CsvSink if path.suffix.lower() == ".csv" else ParquetSink
    return kind(path, layout, overwrite=overwrite)
