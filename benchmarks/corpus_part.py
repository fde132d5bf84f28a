"""A small part of a corpus: the first rows of every source and split of each file, under the same names.

    python -m benchmarks.corpus_part corpus /tmp/part --rows 16         # needs: pip install 'rtface[eval]'

For `benchmarks/reproduce.sh --quick`, which runs the whole way to weights on it in minutes. Files that are there stay.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rtface.errors import SourceError
from rtface.system.files import atomic_write


def part(file: Path, rows: int) -> pa.Table:
    """The first `rows` of every source and split of a corpus file, in its order."""
    whole = pq.ParquetFile(file)
    kept, taken = [], Counter[tuple[str, str]]()
    for group in range(whole.num_row_groups):
        table = whole.read_row_group(group)
        pairs = zip(table["source"].to_pylist(), table["split"].to_pylist(), strict=True)
        wanted = []
        for at, pair in enumerate(pairs):
            if taken[pair] < rows:
                taken[pair] += 1
                wanted.append(at)
        kept.append(table.take(pa.array(wanted, pa.int64())))
    return pa.concat_tables(kept)


def main(given: Sequence[str] | None = None) -> None:
    """Write the parts that are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, metavar="CORPUS")
    parser.add_argument("out", type=Path, metavar="FOLDER")
    parser.add_argument("--rows", type=int, default=16, help="of each source and split (default: %(default)s)")
    args = parser.parse_args(given)
    files = sorted(args.corpus.glob("*.parquet"))
    if not files:
        raise SourceError(str(args.corpus), "there is no parquet file", "Name the corpus' folder")
    args.out.mkdir(parents=True, exist_ok=True)
    for file in files:
        if not (args.out / file.name).is_file():
            table = part(file, args.rows)
            with atomic_write(args.out / file.name) as out:
                pq.write_table(table, out)
            print(f"{file.name}: {table.num_rows} rows")


if __name__ == "__main__":
    main()
