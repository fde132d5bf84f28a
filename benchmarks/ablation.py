"""What each idea is worth: arms trained under one equal budget, in a table as the papers print them.

    python benchmarks/ablation.py --data CORPUS --runs FOLDER            # train what is missing, then the table
    python benchmarks/ablation.py --table                                # the table of what is there

Every arm gets the same steps, crops a step, data and seed, on 64 px crops (detector: 256 px scenes), from scratch. A
finished arm adds one JSON line to --out and is not trained again under the same budget; an interrupted one goes on
from its checkpoint in --runs. The default schedule is short: some 1 % of the shipped networks' pictures. It shows what
an idea does early in training; it cannot show where long trainings end, and differences smaller than those between
two seeds (arms iter0 and iter0-seed1, mos and mos-seed1) show nothing.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rtface.bench.machine import facts

OUT = Path(__file__).parent / "results" / "ablation.jsonl"
ROWS = {  # arm: what a reader calls it
    "single": "iFAN: a network for each task",
    "iter0": "iFAN: ITER 0 (one network, no interaction)",
    "iter0-seed1": "   the same, another seed",
    "iter1": "iFAN: ITER 1",
    "iter2": "iFAN: ITER 2",
    "iter3": "iFAN: ITER 3",
    "iter1-no-reencoders": "iFAN: ITER 1 without re-encoders",
    "task-norm*": "iFAN: ITER 0, task-wise batch norm, each set by its own statistics",
    "task-norm": "   the same in one pass, statistics of the mix",
    "residual": "RMT-Net: residual on",
    "association": "RMT-Net: association on",
    "residual+association": "RMT-Net: both on",
    "paper-iter0": "iFAN's own network: ITER 0",
    "paper-iter1": "iFAN's own network: ITER 1",
}
COLUMNS = {"landmarks": "NME 68, AFW", "five": "NME 5, MTFL", "parsing": "F parsing", "emotion": "acc. FER+"}
COST = "M mult-adds"
DETECTOR_ROWS = {
    "mos": "MOS: cross-stitch, uncertainty, feedback",
    "mos-seed1": "   the same, another seed",
    "no-cross-stitch": "MOS without cross-stitch",
    "no-uncertainty": "MOS without learned task weights",
    "no-feedback": "MOS without feedback sampling",
}
DETECTOR_COLUMNS = {"ap50_16px": "AP 16 px", "ap50_24px": "AP 24 px", "ap50_40px": "AP 40 px"}


def read(path: Path) -> list[dict[str, Any]]:
    """The records of earlier runs. Raises SystemExit where a line is damaged."""
    if not path.is_file():
        return []
    try:
        return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
    except json.JSONDecodeError as error:
        raise SystemExit(f"{path}: a line is no JSON ({error}); delete that line") from error


def table(records: Iterable[dict[str, Any]]) -> str:
    """Both tables, in per cent: NME lower is better, else higher."""
    by_arm = {record["arm"]: record for record in records}
    rows = []
    for arm, label in ROWS.items():
        figures = [_figure(by_arm, arm, column) for column in COLUMNS]
        if any(figures):
            rows.append([label, *figures, _spent(by_arm, arm)])
    text = _markdown(["engine", *COLUMNS.values(), COST], rows)
    rows = [
        [label, *(f"{by_arm[arm]['scores'][column]:.2f}" for column in DETECTOR_COLUMNS), _spent(by_arm, arm)]
        for arm, label in DETECTOR_ROWS.items()
        if arm in by_arm
    ]
    return text + ("\n\n" + _markdown(["detector, WIDER val", *DETECTOR_COLUMNS.values(), COST], rows) if rows else "")


def _figure(by_arm: dict[str, dict[str, Any]], arm: str, column: str) -> str:
    """A score after the arm's last round; "" where there is none."""
    key = "scores_by_task_statistics" if arm.endswith("*") else "scores"
    if arm == "single":
        arm = f"single-{'landmarks' if column == 'five' else column}"
    record = by_arm.get(arm.removesuffix("*"))
    value = record[key].get(f"{column}{record['rounds']}") if record else None
    return "" if value is None else f"{value:.2f}"


def _spent(by_arm: dict[str, dict[str, Any]], arm: str) -> str:
    """Millions of multiply-adds; of three networks together in the row of single tasks."""
    arms = [f"single-{task}" for task in ("landmarks", "parsing", "emotion")] if arm == "single" else [arm.strip("*")]
    values = [by_arm[name]["m_multiply_adds"] for name in arms if name in by_arm]
    return f"{sum(values):.0f}" if len(values) == len(arms) else ""


def _markdown(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


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
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    if not options.table:
        _train(parser, options)
    records = read(options.out)
    budgets = {json.dumps(r["budget"]): r["budget"] for r in records}
    for key, budget in budgets.items():
        print(f"budget: {', '.join(f'{name} {value}' for name, value in budget.items())}\n")
        print(table(r for r in records if json.dumps(r["budget"]) == key), end="\n\n")
    print(json.dumps({"arms": len(records), "machine": facts()}))


def _train(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    from benchmarks.arms import DETECTOR_ARMS, ENGINE_ARMS, Bench, Budget

    if options.data is None:
        parser.error("--data is missing: the corpus's folder, or pass --table")
    unknown = set(options.arms or ()) - {*ENGINE_ARMS, *DETECTOR_ARMS}
    if unknown:
        known = ", ".join((*ENGINE_ARMS, *DETECTOR_ARMS))
        parser.error(f"unknown arm {', '.join(sorted(unknown))}; there are {known}")
    budget = Budget(options.steps, options.batch, options.detector_steps, options.detector_batch, options.seed)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a stopped arm saves, as after Ctrl-C
    bench = Bench(options.data, options.cache, options.runs, budget, options.threads)
    for arm in options.arms or (*ENGINE_ARMS, *DETECTOR_ARMS):
        done = {r["arm"] for r in read(options.out) if r["budget"] == asdict(budget)}
        if arm in done:
            continue
        print(f"arm {arm}", file=sys.stderr, flush=True)
        record = bench(arm) | {"budget": asdict(budget), "machine": facts()}
        options.out.parent.mkdir(parents=True, exist_ok=True)
        with options.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
