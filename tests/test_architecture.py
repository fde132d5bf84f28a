"""The import rules of the house, read from the source: docs/architecture.md says why each of them is there."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "rtface"

GROUND = {"labels", "errors", "version", "system", "geometry"}
"""What everything may import, and what imports nothing above itself."""

STAGES = {"capture", "detect", "track", "engine", "tasks", "smooth", "budget", "drawing", "outputs"}
"""Steps of the pipeline: none imports another; `outputs` may draw."""

LABORATORY = {"bench", "evaluate", "calibrate", "datasets", "train", "cli"}
"""Rooms that no run of the pipeline needs."""

HEAVY = ("torch", "tensorrt", "cuda", "mediapipe", "ray", "av", "cv2", "numpy", "typer", "starlette", "fastapi")


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def room(module: str) -> str:
    """``rtface.engine.ort`` → ``engine``."""
    return module.split(".")[1] if "." in module else "rtface"


def imports(module: str, *, also_lazy: bool = True) -> Iterator[str]:
    """Modules of rtface that a module imports, without those that only type checkers read."""
    tree = ast.parse(MODULES[module].read_text("utf-8"))
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            skipped.update(child for part in node.body for child in ast.walk(part))
        if not also_lazy and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            skipped.update(child for child in ast.walk(node) if child is not node)
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.partition(".")[0] == "rtface")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "rtface":
            assert node.module is not None
            for name in node.names:
                whole = f"{node.module}.{name.name}"
                yield whole if whole in MODULES else node.module


def broken(rule: str) -> list[str]:
    """Every import that breaks a rule, as "importer -> imported"."""
    found = []
    for module in MODULES:
        for target in imports(module):
            a, b = room(module), room(target)
            breaks = {
                "ground": a in GROUND and b not in GROUND,
                "stages": a in STAGES and b in STAGES and a != b and (a, b) != ("outputs", "drawing"),
                "engine": a == "engine" and b in {"types", "tasks", "labels"},
                "laboratory": a not in LABORATORY and a != "__main__" and b in LABORATORY,
                "train": a not in {"cli", "train"} and b == "train",
            }[rule]
            if breaks:
                found.append(f"{module} -> {target}")
    return found


@pytest.mark.parametrize("rule", ["ground", "stages", "engine", "laboratory", "train"])
def test_no_import_breaks_a_rule(rule: str) -> None:
    assert broken(rule) == []


def test_modules_do_not_import_in_a_circle() -> None:
    graph = {module: {target for target in imports(module) if target != module} for module in MODULES}
    done: set[str] = set()
    path: list[str] = []

    def visit(module: str) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        path.append(module)
        for target in sorted(graph.get(module, ())):
            if circle := visit(target):
                return circle
        path.pop()
        done.add(module)
        return []

    for module in MODULES:
        assert visit(module) == []


def test_only_networks_decides_which_engine_and_precision_run() -> None:
    readers = set()
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in {"engine", "precision"}:
                owner = node.value
                name = (
                    owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
                )
                if name in {"options", "_options"}:
                    readers.add(room(module))
    assert readers <= {"networks", "options"}


def test_importing_rtface_loads_nothing_heavy() -> None:
    code = f"import rtface, sys; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
