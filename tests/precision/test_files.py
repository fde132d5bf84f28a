"""FP16 and symmetric INT8 files: what is in them, and what they answer, on a made network and on those that ship."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from rtface import models
from rtface.engine import OrtEngine
from rtface.errors import ModelError
from rtface.precision import fp16, graph, int8
from rtface.precision.convert import convert, fingerprint
from rtface.precision.ranges import Record, path_of, read_record, write_record
from tests.precision.made import crops, entry, network

FULL = [one.name for one in models.entries() if one.precision == "fp32"]


def answers(data: bytes, batch: np.ndarray) -> dict[str, np.ndarray]:
    engine = OrtEngine(data, threads=1)
    return engine.run(batch, engine.outputs)


def kinds(data: bytes) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load_from_string(data).graph.node)


def test_the_plain_form_answers_the_same_and_starts_with_a_cast() -> None:
    made = network()
    before, plain = made.SerializeToString(), graph.normalize_graph(made)
    a, b = answers(before, crops(3)), answers(plain.SerializeToString(), crops(3))
    assert a["points"] == pytest.approx(b["points"], abs=1e-3)
    first = next(node for node in plain.graph.node if "crops" in node.input)
    assert first.op_type == "Cast", "TensorRT takes bytes in no other node"
    assert not any(node.op_type == "DequantizeLinear" for node in plain.graph.node)
    assert all(tensor.data_type != TensorProto.FLOAT16 for tensor in plain.graph.initializer)


def test_heads_and_decode_are_read_off_the_graph() -> None:
    plain = graph.normalize_graph(network())
    assert graph.own_layers(plain) == {"points": ["points/Conv"], "labels": ["labels/Conv"]}
    assert graph.last_layers(plain) == ["points/Conv", "labels/Conv"]
    decode = set(graph.decode(plain))
    assert {"points/mean", "points/far", "labels/scale", "labels/floor", "labels/squeeze"} == decode


def test_half_keeps_the_decode_exact() -> None:
    full = network().SerializeToString()
    half = fp16.to_fp16_bytes(full, "made")
    model = onnx.load_from_string(half)
    big = [tensor for tensor in model.graph.initializer if len(tensor.dims) == 4]
    assert big and all(tensor.data_type == TensorProto.FLOAT16 for tensor in big)
    assert all(value.type.tensor_type.elem_type == TensorProto.FLOAT for value in model.graph.output)
    a, b = answers(full, crops(4)), answers(half, crops(4))
    assert b["points"] == pytest.approx(a["points"], abs=0.01)
    assert (b["points"] % 0.5 > 0.01).any(), "float16 would have rounded a thousand and a bit to halves"
    # A logit's float16 has a step of 2**-11 of its size; times 4096 and floored, that is a few whole numbers.
    assert np.abs(a["labels"] - b["labels"]).max() < 4096 * 2.0**-8


def calibrated(full: bytes) -> dict[str, tuple[float, float]]:
    return int8.measure(full, [crops(8, seed) for seed in range(4)], "made")


def test_int8_is_symmetric_per_channel_and_leaves_biases_alone() -> None:
    full = network().SerializeToString()
    ranges = calibrated(full)
    data = int8.quantised(full, ranges, ("points/Conv", "labels/Conv"), "made", half_rest=False)
    model = onnx.load_from_string(data)
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    linear = [node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert sum(node.op_type == "QuantizeLinear" for node in linear) == 2, "two convolutions, an input each"
    for node in linear:
        zero = stored[node.input[2]]
        assert zero.dtype == np.int8 and not zero.any()
    weights = [value for value in stored.values() if value.dtype == np.int8 and value.ndim == 4]
    assert len(weights) == 2 and all(np.abs(w.reshape(len(w), -1).astype(int)).max(axis=1).min() > 120 for w in weights)
    assert not any(value.dtype == np.int32 and value.size > 1 for value in stored.values()), "no quantised bias"
    assert {opset.domain for opset in model.opset_import} == {""}
    a, b = answers(full, crops(4, 9)), answers(data, crops(4, 9))
    assert b["points"] == pytest.approx(a["points"], abs=0.05)


def test_a_layer_that_stays_float_has_float_weights_of_its_own() -> None:
    """Rounds of interaction use weights again; those of the last round, which stays float, are not rounded."""
    made = network()
    nodes = {node.name: node for node in made.graph.node}
    again = onnx.NodeProto()
    again.CopyFrom(nodes["body/Conv"])
    again.name, again.input[0], again.output[0] = "again/Conv", "d", "e"
    nodes["points/Conv"].input[0] = nodes["labels/Conv"].input[0] = "e"
    before, after = [list(made.graph.node)[part] for part in (slice(10), slice(10, None))]
    assert before[-1].name == "body/Relu"
    made = onnx.helper.make_model(
        onnx.helper.make_graph(
            [*before, again, *after], "again", made.graph.input, made.graph.output, made.graph.initializer
        ),
        opset_imports=made.opset_import,
        ir_version=made.ir_version,
    )
    full = made.SerializeToString()
    model = onnx.load_from_string(int8.quantised(full, calibrated(full), ("again/Conv",), "made", half_rest=False))
    from_int8 = {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    weights = {node.name: node.input[1] in from_int8 for node in model.graph.node if node.op_type == "Conv"}
    assert weights["body/Conv"] and not weights["again/Conv"]


def test_int8_with_a_float16_rest_answers_nearly_the_same() -> None:
    full = network().SerializeToString()
    ranges = calibrated(full)
    wide, narrow = (int8.quantised(full, ranges, (), "made", half_rest=half) for half in (False, True))
    a, b = answers(wide, crops(4, 9)), answers(narrow, crops(4, 9))
    assert b["points"] == pytest.approx(a["points"], abs=0.05)
    assert kinds(narrow)["QuantizeLinear"] == kinds(wide)["QuantizeLinear"] == 4  # a pair for each convolution


def test_ranges_are_those_of_the_tensors() -> None:
    full = network().SerializeToString()
    low, high = calibrated(full)["b"]
    assert low == 0.0 and 0.5 < high < 10.0
    with pytest.raises(ModelError, match="another network's"):
        int8.quantised(full, {"b": (0.0, 1.0)}, (), "made")


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(ModelError, match="made: is no ONNX file"):
        fp16.to_fp16_bytes(b"junk", "made")


@pytest.fixture
def record(tmp_path: Path) -> Record:
    model = entry(tmp_path)
    ranges = calibrated(model.path.read_bytes())
    return Record("made", model.sha256, "tool 1", "min-max", "clip.mp4", ("0123", "4567"), ("points/Conv",), ranges)


def test_a_record_is_text_and_makes_the_same_file_again(record: Record, tmp_path: Path) -> None:
    model, folder = entry(tmp_path), tmp_path / "calibration"
    path = write_record(record, folder)
    assert path.read_text().count("\n") > len(record.ranges), "a line a range"
    read = read_record(model, folder)
    assert read.ranges == {name: pytest.approx(pair, abs=1e-6) for name, pair in record.ranges.items()}
    assert (read.pictures, read.float_layers, read.source) == (("0123", "4567"), ("points/Conv",), "clip.mp4")
    assert convert(model, "int8", folder) == convert(model, "int8", folder)
    assert kinds(convert(model, "int8", folder))["QuantizeLinear"] == 3
    before = fingerprint(model, "int8", folder)
    path.write_text(path.read_text().replace("clip.mp4", "other.mp4"))
    assert fingerprint(model, "int8", folder) != before and fingerprint(model, "fp16", folder) == fingerprint(
        model, "fp16"
    )


def test_a_record_of_another_network_is_refused(record: Record, tmp_path: Path) -> None:
    folder = tmp_path / "calibration"
    with pytest.raises(ModelError, match="has no int8 ranges"):
        convert(entry(tmp_path), "int8", folder)
    write_record(record, folder)
    with pytest.raises(ModelError, match="is of another made"):
        fingerprint(entry(tmp_path, seed=1), "int8", folder)
    good = path_of("made", folder).read_text()
    for text in ("{", "[" * 100_000, good.replace(": [", ": [NaN, ", 1), good.replace("[-", "[-9e999, -", 1)):
        assert text != good
        path_of("made", folder).write_text(text)
        with pytest.raises(ModelError, match="not a readable calibration"):
            read_record(entry(tmp_path), folder)


@pytest.mark.parametrize("name", FULL)
def test_the_networks_that_ship_in_fp16(name: str) -> None:
    model = models.entry(name)
    rng = np.random.default_rng(0)
    shape = (1, 128, 160, 3) if model.size is None else (2, model.size, model.size, 3)
    batch = rng.integers(0, 256, shape, np.uint8)
    a, b = answers(models.load(model), batch), answers(convert(model, "fp16"), batch)
    limits = {"landmarks": 0.5, "pose": 0.5, "emotion": 0.02, "face": 0.02, "quality": 0.02, "detections": 4.0}
    for output, limit in limits.items():
        if output in a:
            assert np.abs(a[output] - b[output]).max() < limit, output
    if "parsing" in a:
        assert (a["parsing"] != b["parsing"]).mean() < 0.01, "class ids ride in bits that float16 has not"
