"""Tests of training need the train extra: without it every file here is skipped. One torch thread, one corpus."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

EXTRA = ("torch", "onnx", "pyarrow", "matplotlib", "tomlkit")
MISSING = [name for name in EXTRA if find_spec(name) is None]


class _Untrained(pytest.Module):
    """A test file that is not imported, and says why."""

    def collect(self) -> list[pytest.Item]:
        pytest.skip(f"{', '.join(MISSING)} not installed: pip install 'rtface[train]'", allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    return _Untrained.from_parent(parent, path=module_path) if MISSING else None


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker("train")  # `pytest -m "not train"` leaves these out


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the made-up corpus."""
    from tests.train.made import write_corpus

    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder for its decoded pixels."""
    return tmp_path_factory.mktemp("cache")
