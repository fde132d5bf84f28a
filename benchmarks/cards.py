"""Writes the figures that `rtface eval` printed into the registry and the model cards.

    rtface eval all --data CORPUS --json figures.jsonl
    python benchmarks/cards.py figures.jsonl

Every card has a block between `<!-- figures -->` and `<!-- end -->`; the registry gets the main figures as metrics.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import tomlkit

MODELS = Path(__file__).parent.parent / "rtface" / "models"
START, END = "<!-- figures -->", "<!-- end -->"
TASKS_OF = {
    "engine": ("landmarks", "points5", "parsing", "emotion", "pose"),
    "full-engine": ("mesh", "expression", "gaze"),
    "detector": ("detection",),
}
CARDS = {"full-engine": "heads"}
MAIN = {
    "landmarks": ("nme_pct", "nme_inner51_pct", "nme_large_pct", "auc8_pct", "missed_pct"),
    "points5": ("nme5_pct", "missed_pct"),
    "parsing": ("components_f", "components_overall_f", "mean_f"),
    "emotion": ("accuracy_pct", "mean_recall_pct"),
    "pose": ("yaw_mae_deg", "teacher_mae_deg"),
    "mesh": ("mesh_pct", "irises_pct", "lids_pct"),
    "expression": ("mae", "shown_mae"),
    "gaze": ("angle_deg",),
    "detection": ("ap50_16px_pct", "ap50_24px_pct", "ap50_40px_pct"),
}


def read_figures(path: Path) -> dict[str, dict[str, Any]]:
    """The records of `rtface eval --json`, by task."""
    records = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
    return {record["task"]: record for record in records}


def command_of(task: str) -> str:
    """What prints a task's figures; of gaze only synthetic heads have truth (`rtface train synth`)."""
    return f"rtface eval {task} --data {'SYNTH' if task == 'gaze' else 'CORPUS'}"


def table(records: dict[str, dict[str, Any]], tasks: tuple[str, ...], made: str) -> str:
    """Markdown: one row a figure, with the data and the command."""
    lines = [f"{made}", "", "| figure | value | measured on | command |", "|---|---|---|---|"]
    for task in tasks:
        for name, value in records[task]["metrics"].items() if task in records else ():
            if value is not None:
                count = records[task]["counts"][name]
                data = ", ".join(f"{source} ({n})" for source, n in records[task]["data"].items())
                said = f"{value:.3f}" if task == "expression" else f"{value:.2f}"
                lines.append(f"| {task} {name} | {said} | {data}; {count} | `{command_of(task)}` |")
    return "\n".join(lines)


def put_block(card: str, block: str) -> str:
    """`card` with the text between its markers replaced."""
    head, _, rest = card.partition(START)
    _, _, tail = rest.partition(END)
    return f"{head}{START}\n{block}\n{END}{tail}"


def metrics_of(records: dict[str, dict[str, Any]], tasks: tuple[str, ...]) -> list[dict[str, Any]]:
    """Registry metrics: the main figures of each task."""
    found = []
    for task in tasks:
        for name in MAIN[task] if task in records else ():
            value = records[task]["metrics"].get(name)
            if value is not None:
                data = ", ".join(f"{source} ({n})" for source, n in records[task]["data"].items())
                found.append({"name": f"{task} {name}", "value": value, "data": data, "command": command_of(task)})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", type=Path, help="what rtface eval all --json wrote with the default options")
    parser.add_argument("--made", default="Defaults of `rtface.analyze`.", help="a line above the table")
    arguments = parser.parse_args()
    records = read_figures(arguments.figures)
    registry = MODELS / "registry.toml"
    document = tomlkit.parse(registry.read_text("utf-8"))
    for model in document["model"]:
        tasks = TASKS_OF.get(model["role"], ())
        if not any(task in records for task in tasks):  # measured elsewhere, as benchmarks/enhance.py does, or not now
            continue
        model.pop("metrics", None)
        # what the default options take on a processor with VNNI
        if model["precision"] == "int8" and model.get("iterations", 0) == 0:
            metrics = tomlkit.aot()
            for metric in metrics_of(records, tasks):
                item = tomlkit.table()
                item.update(metric)
                metrics.append(item)
            model["metrics"] = metrics
    registry.write_text(tomlkit.dumps(document), "utf-8")
    for role, tasks in TASKS_OF.items():
        if not any(task in records for task in tasks):
            continue
        path = MODELS / "cards" / f"{CARDS.get(role, role)}.md"
        path.write_text(put_block(path.read_text("utf-8"), table(records, tasks, arguments.made)), "utf-8")


if __name__ == "__main__":
    main()
