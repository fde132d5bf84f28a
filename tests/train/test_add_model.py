"""`rtface models add`: what a file is is read off it; roles that a folder lacks are the shipped networks'."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from rtface import models
from rtface.errors import ModelError
from rtface.models import available
from rtface.train.add_model import add_model, signature
from tests.conftest import Cli

SHIPPED = models.PACKAGE_DIR


@pytest.mark.parametrize(
    ("name", "role", "size", "precision"),
    [
        ("detector", "detector", None, "fp32"),
        ("detector-int8", "detector", None, "int8"),
        ("engine-iter1", "engine", 128, "fp32"),
        ("engine-iter1-int8", "engine", 128, "int8"),
        ("enhancer", "enhancer", None, "fp32"),
    ],
)
def test_what_a_file_is_is_read_off_it(name: str, role: str, size: int | None, precision: str) -> None:
    found = signature(models.entry(name).path)
    assert (found.role, found.size, found.precision) == (role, size, precision)


def test_a_folder_with_one_role_runs_the_shipped_networks_for_the_others(tmp_path: Path, cli: Cli) -> None:
    file = models.entry("detector").path
    done = cli("models", "add", file, "--models-dir", tmp_path, "--name", "mine", "--license", "CC0")
    assert done.code == 0, done.err
    assert "mine: detector, fp32" in done.out
    (own,) = models.entries(tmp_path)
    assert (own.name, own.role, own.weights_licence) == ("mine", "detector", "CC0")
    assert own.sha256 == models.entry("detector").sha256 and models.verify(tmp_path) == [(own, None)]
    card = models.card("mine", tmp_path)
    assert "CC0" in card and own.sha256 in card and "no manifest" in card
    assert cli("models", "show", "mine", "--models-dir", tmp_path).code == 0
    known = available(tmp_path)
    assert [one.name for one in known if one.role == "detector"] == ["mine"]
    assert {one.role for one in known} == {one.role for one in models.entries()}
    add_model(models.entry("engine-iter0").path, tmp_path, "CC0")
    second = add_model(models.entry("detector-int8").path, tmp_path, "MIT")
    card = models.card("mine", tmp_path)  # of both now
    assert "CC0; MIT" in card and own.sha256 in card and second.sha256 in card
    noted = tmp_path / "cards" / "detector.md"
    noted.write_text("# By hand\n", "utf-8")
    add_model(models.entry("detector-int8").path, tmp_path, "MIT", "third")
    assert noted.read_text("utf-8") == "# By hand\n"
    assert {one.path.parent for one in available(tmp_path) if "engine" in one.role} == {tmp_path}  # no mixed ladder


def test_a_file_that_borrows_its_weights_is_copied_with_them(tmp_path: Path) -> None:
    shipped = models.entry("engine-iter1")
    added = add_model(shipped.path, tmp_path, "CC0", iterations=1)
    assert shipped.weights and added.weights is None and added.bytes > 10 * shipped.bytes
    assert models.load(added) == models.load(shipped)
    again = add_model(added.path, tmp_path, "CC0", iterations=1)
    assert again == added


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no such file"):
        signature(tmp_path / "no.onnx")
    (tmp_path / "text.onnx").write_bytes(b"hello")
    with pytest.raises(ModelError, match="ONNX Runtime cannot run it"):
        signature(tmp_path / "text.onnx")
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "other",
        [value("x", TensorProto.FLOAT, [1])],
        [value("y", TensorProto.FLOAT, [1])],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), tmp_path / "other.onnx"
    )
    with pytest.raises(ModelError, match="is no network of rtface: it takes x and gives y"):
        signature(tmp_path / "other.onnx")
