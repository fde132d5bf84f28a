"""Weights in other files, which ONNX allows: their names could be those of any file that the user can read."""

from __future__ import annotations

from pathlib import Path

from rtface.errors import ModelError
from rtface.models.onnx_bytes import _fields

_GRAPH, _FUNCTION = 7, 25  # of ModelProto
_NODE, _INITIALIZER, _SPARSE, _ATTRIBUTE = 1, 5, 15, 5  # of GraphProto, the last of NodeProto
_FUNCTION_NODE = 7
_TENSORS, _GRAPHS = (5, 10), (6, 11)  # of AttributeProto
_EXTERNAL = 13  # of TensorProto
_DEEPEST = 16


def refuse_external_data(model: bytes, path: Path) -> None:
    """
    Raises:
        ModelError: A weight of an ONNX model lies in another file.
    """
    try:
        elsewhere = has_external_data(model)
    except ValueError:
        return  # no ONNX file, which who opens it says
    if elsewhere:
        why = "keeps weights in other files (external data), which could be any of yours"
        raise ModelError(str(path), why, "Save it as one file: onnx.save(onnx.load(path), path)")


def has_external_data(model: bytes) -> bool:
    """Whether a weight lies in another file.

    Raises:
        ValueError: `model` is no ONNX file.
    """
    for field in _fields(memoryview(model)):
        if field.number == _GRAPH and _reads_elsewhere(field.value, _NODE, 0):
            return True
        if field.number == _FUNCTION and _reads_elsewhere(field.value, _FUNCTION_NODE, 0):
            return True
    return False


def _reads_elsewhere(graph: memoryview, node: int, depth: int) -> bool:
    if depth > _DEEPEST:
        raise ValueError("expected an ONNX file, got graphs within graphs without end")
    for field in _fields(graph):
        if field.number == node:
            attributes = (part.value for part in _fields(field.value) if part.number == _ATTRIBUTE)
            if any(_attribute_reads_elsewhere(attribute, depth) for attribute in attributes):
                return True
        elif node == _NODE and field.number in (_INITIALIZER, _SPARSE):
            parts = [field] if field.number == _INITIALIZER else _fields(field.value)
            if any(_is_external(part.value) for part in parts):
                return True
    return False


def _attribute_reads_elsewhere(attribute: memoryview, depth: int) -> bool:
    for part in _fields(attribute):
        if part.number in _TENSORS and _is_external(part.value):
            return True
        if part.number in _GRAPHS and _reads_elsewhere(part.value, _NODE, depth + 1):
            return True
    return False


def _is_external(tensor: memoryview) -> bool:
    return any(field.number == _EXTERNAL for field in _fields(tensor))
