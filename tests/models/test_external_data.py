"""A model that reads its weights from other files is refused wherever it keeps them."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtface.errors import ModelError
from rtface.models import PACKAGE_DIR
from rtface.models.external_data import has_external_data, refuse_external_data

onnx = pytest.importorskip("onnx", reason="needs onnx, in the test extra")
helper, TensorProto = onnx.helper, onnx.TensorProto


def weight(*, external: bool) -> object:
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [2], [1.0, 2.0])
    if external:
        tensor.ClearField("float_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="../../.ssh/id_rsa")
    return tensor


def model(where: str, *, external: bool) -> bytes:
    tensor, y = weight(external=external), helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    weights = [tensor] if where == "graph" else []
    constant = helper.make_node("Constant", [], ["w"], value=tensor)
    copy = helper.make_node("Identity", ["w"], ["y"])
    nodes = [copy] if where == "graph" else [constant, copy]
    if where == "branch":
        branch = helper.make_graph([constant, helper.make_node("Identity", ["w"], ["z"])], "b", [], [y])
        condition = helper.make_node("Constant", [], ["c"], value=helper.make_tensor("c", TensorProto.BOOL, [], [True]))
        nodes = [condition, helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)]
    functions = []
    if where == "function":
        opsets = [helper.make_opsetid("", 17)]
        functions = [helper.make_function("own", "f", [], ["w"], [constant], opsets)]
        nodes = [helper.make_node("f", [], ["w"], domain="own"), copy]
    graph = helper.make_graph(nodes, "g", [], [y], weights)
    return helper.make_model(graph, functions=functions).SerializeToString()


@pytest.mark.parametrize("where", ["graph", "constant", "branch", "function"])
def test_weights_elsewhere_are_found_wherever_they_are(where: str) -> None:
    assert has_external_data(model(where, external=True))
    assert not has_external_data(model(where, external=False))


def test_the_networks_that_ship_keep_their_weights_themselves() -> None:
    files = sorted(PACKAGE_DIR.glob("*.onnx"))
    assert files and not any(has_external_data(file.read_bytes()) for file in files)


def test_it_is_one_line_with_the_mend() -> None:
    with pytest.raises(ModelError, match=r"a\.onnx: keeps weights in other files .* Save it as one file: onnx\.save"):
        refuse_external_data(model("graph", external=True), Path("a.onnx"))
    refuse_external_data(b"no model", Path("a.onnx"))  # who opens it says so
