"""What each idea is worth: arms trained under one equal budget, in a table as the papers print them.

    python benchmarks/ablation.py --data CORPUS --runs FOLDER            # train what is missing, then the table
    python benchmarks/ablation.py --table                                # the table of what is there

Every arm gets the same steps, crops a step, data and seed, on 64 px crops (detector: 256 px scenes; enhancer: faces of
16 px), from scratch. A finished arm adds one JSON line to --out and is not trained again under the same budget; an
interrupted one goes on from its checkpoint in --runs. The default schedule is short: some 1 % of the shipped networks'
pictures (enhancer: a fifth). It shows what an idea does early in training; it cannot show where long trainings end. The
tables say by how much two seeds of one arm differ (iter0, mos and pixel with a second seed; --seed trains more):
differences of that size show nothing.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from benchmarks.ablation_table import tables
from rtface.system.machine import facts

OUT = Path(__file__).parent / "results" / "ablation.jsonl"


def read(path: Path) -> list[dict[str, Any]]:
    """The records of earlier runs. Raises SystemExit where a line is damaged."""
    if not path.is_file():
        return []
    try:
        return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
    except json.JSONDecodeError as error:
        raise SystemExit(f"{path}: a line is no JSON ({error}); delete that line") from error


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with the corpus's parquet files")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "rtface" / "corpus")
    parser.add_argument("--runs", type=Path, default=Path("runs/ablation"), help="checkpoints and logs of the arms")
    parser.add_argument("--out", type=Path, default=OUT, help="JSON lines, one a finished arm")
    parser.add_argument("--arms", nargs="+", help="only these, in this order")
    parser.add_argument("--table", action="store_true", help="print the table of what is there, train nothing")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--detector-steps", type=int, default=200)
    parser.add_argument("--detector-batch", type=int, default=16)
    parser.add_argument("--enhancer-steps", type=int, default=700)
    parser.add_argument("--enhancer-batch", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    if not options.table:
        _train(parser, options)
    records = read(options.out)
    print(tables(records), end="\n\n")
    print(json.dumps({"arms": len(records), "machine": facts()}))


def _train(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    from benchmarks.arms import ARMS, Bench, Budget

    if options.data is None:
        parser.error("--data is missing: the corpus's folder, or pass --table")
    if unknown := set(options.arms or ()) - set(ARMS):
        parser.error(f"unknown arm {', '.join(sorted(unknown))}; there are {', '.join(ARMS)}")
    budget = Budget(**{field.name: getattr(options, field.name) for field in fields(Budget)})
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a stopped arm saves, as after Ctrl-C
    bench = Bench(options.data, options.cache, options.runs, budget, options.threads)
    for arm in options.arms or ARMS:
        spent = budget.of(arm)
        if any(r["arm"] == arm and r["budget"].items() >= spent.items() for r in read(options.out)):
            continue
        print(f"arm {arm}", file=sys.stderr, flush=True)
        record = bench(arm) | {"budget": spent, "machine": facts()}
        options.out.parent.mkdir(parents=True, exist_ok=True)
        with options.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
