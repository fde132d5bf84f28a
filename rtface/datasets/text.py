"""Text files of labels: every fault is named with file and line."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from rtface.errors import SourceError


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not empty, stripped, with their numbers from 1.

    Raises:
        SourceError: The file is missing or is no text.
    """
    if not path.is_file():
        raise SourceError(str(path), "no such file", "Give the set's folder as it was published")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(str(path), "is not a text file", "Copy it again") from error
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield number, line.strip()


def numbers(words: Sequence[str], count: int, path: Path, line: int, what: str) -> list[float]:
    """Exactly `count` finite numbers.

    Raises:
        SourceError: There are more or fewer, or one is no number.
    """
    if len(words) != count:
        raise bad(path, line, f"expected {count} numbers ({what}), got {len(words)}")
    try:
        values = [float(word) for word in words]
    except ValueError as error:
        raise bad(path, line, f"expected {count} numbers ({what}), got {_no_number(words)!r}") from error
    if not all(map(math.isfinite, values)):
        raise bad(path, line, f"expected finite numbers ({what}), got {' '.join(words[:6])}")
    return values


def table(
    path: Path, needed: Sequence[str], header: Sequence[str] | None = None
) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a CSV file as dicts, with their line numbers.

    Args:
        needed: Columns that must be there.
        header: The columns of a file that has no header line (whose first cell is not the first of these).

    Raises:
        SourceError: The file is missing, lacks one of the `needed` columns, or a row has another number of cells.
    """
    if not path.is_file():
        raise SourceError(str(path), "no such file", "Give the set's folder as it was published")
    csv.field_size_limit(1 << 24)  # fer2013.csv has a picture in a cell
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, skipinitialspace=True)
        try:
            columns: Sequence[str] = ()
            for row in reader:
                if not columns:
                    headless = header is not None and row[:1] != list(header[:1])
                    columns = header if headless and header is not None else row
                    missing = [name for name in needed if name not in columns]
                    if missing:
                        raise bad(path, 1, f"lacks the columns {', '.join(missing)}")
                    if not headless:
                        continue
                if len(row) != len(columns):
                    raise bad(path, reader.line_num, f"expected {len(columns)} cells, got {len(row)}")
                yield reader.line_num, dict(zip(columns, row, strict=True))
        except (UnicodeDecodeError, csv.Error) as error:
            raise SourceError(str(path), f"is not a CSV file ({error})", "Copy it again") from error


def bad(path: Path, line: int, why: str) -> SourceError:
    """The error of a bad line."""
    return SourceError(f"{path}, line {line}", why, "Mend the line, or copy the file again")


def _no_number(words: Sequence[str]) -> str:
    for word in words:
        try:
            float(word)
        except ValueError:
            return word
    return ""
