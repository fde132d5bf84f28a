"""ONNX files taken apart and put together: outputs cut out with every node that only they need, or with these as a
second network that goes on from the first; weights lent.

ONNX Runtime computes all outputs of a graph whichever a call asks for: the engine took 2.2 ms with and without parsing
in the call, and 1.1 ms after this (one face, INT8, one thread). Works on the file's bytes (protobuf's wire format; the
field numbers are those of onnx.proto3), as the package `onnx` is no dependency of the runtime.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

_GRAPH = 7  # of ModelProto
_NODE, _INITIALIZER, _INPUT, _OUTPUT, _VALUE = 1, 5, 11, 12, 13  # of GraphProto
_NODE_INPUT, _NODE_OUTPUT, _NODE_TYPE = 1, 2, 4
_TENSOR_NAME, _VALUE_NAME, _VALUE_TYPE = 8, 1, 2
_TENSOR_TYPE, _ELEMENT_TYPE, _SHAPE, _DIM, _DIM_VALUE, _DIM_NAME = 1, 1, 2, 1, 1, 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

ELEMENTS = {"tensor(float)": 1, "tensor(uint8)": 2, "tensor(int8)": 3, "tensor(float16)": 10}
"""ONNX Runtime's words for what tensors hold → onnx.proto3's numbers."""

AGAIN = frozenset(("Cast", "DequantizeLinear", "Reshape", "Transpose"))
"""Operators that cost next to nothing: both halves have their own, so that what passes between them is small."""


WITH_GRAPHS = frozenset(("If", "Loop", "Scan", "SequenceMap"))
"""Operators that hold graphs of their own."""


class SplitHead(NamedTuple):
    """A network without some outputs, and the tensors that it answers with for the `split_tail`, which has these."""

    model: bytes
    passed: tuple[str, ...]


class _Field(NamedTuple):
    number: int
    whole: memoryview  # with its tag and length
    value: memoryview  # what a message, a string or bytes hold; empty for numbers


def output_names(model: bytes) -> tuple[str, ...]:
    """Names of the graph's outputs in their order.

    Raises:
        ValueError: `model` is no ONNX file.
    """
    return tuple(_text(field.value, _VALUE_NAME) for field in _fields(_graph(model)) if field.number == _OUTPUT)


def without_outputs(model: bytes, names: Collection[str]) -> bytes:
    """The model without these outputs. A graph with inner graphs (If, Loop) loses outputs, but no nodes.

    Raises:
        ValueError: `model` is no ONNX file, or has no other outputs than these.
    """
    graph = _Graph(model)
    left = [name for name in output_names(model) if name not in names]
    if not left:
        raise ValueError("expected an output that stays, got none")
    return graph.part(graph.needed(left), left, inputs=True)


def split_head(model: bytes, names: Collection[str]) -> SplitHead:
    """The model without these outputs and the nodes that only they need, but with what the second half goes on from.

    Raises:
        ValueError: `model` is no ONNX file, or cannot be cut there: nothing stays, or it has inner graphs.
    """
    graph = _Graph(model)
    left = [name for name in output_names(model) if name not in names]
    _, passed = graph.branch(names, left)
    if graph.inner or not passed or not left or set(passed) & set(left):
        raise ValueError(f"expected a network with a part for {', '.join(names)} alone, got one without")
    infos = [_message(_OUTPUT, _message(_VALUE_NAME, name.encode())) for name in passed]
    return SplitHead(graph.part(graph.needed((*left, *passed)), left, infos, inputs=True), passed)


def split_tail(
    model: bytes, names: Collection[str], types: Mapping[str, tuple[str, Sequence[int | str | None]]]
) -> bytes:
    """What computes these outputs from what the first half passes on.

    `types` has the passed tensors' element types (keys of `ELEMENTS`) and shapes, open sides by name or None.

    Raises:
        ValueError: `model` is no ONNX file, or a type is none of these.
    """
    graph = _Graph(model)
    nodes, _ = graph.branch(names, [name for name in output_names(model) if name not in names])
    infos = [_message(_INPUT, _value(name, *types[name])) for name in types]
    return graph.part(nodes, names, infos)


class _Node(NamedTuple):
    field: _Field
    reads: list[str]
    makes: list[str]
    kind: str


class _Graph:
    """A model's graph: its parts as they stand in the file, and what its nodes read and make."""

    def __init__(self, model: bytes) -> None:
        self._model, self._fields = model, list(_fields(_graph(model)))
        self._nodes = [_node(field) for field in self._fields if field.number == _NODE]
        self._makers = {name: node for node in self._nodes for name in node.makes}
        self._weights = {_text(field.value, _TENSOR_NAME) for field in self._fields if field.number == _INITIALIZER}
        self.inner = any(node.kind in WITH_GRAPHS for node in self._nodes)

    def needed(self, names: Collection[str]) -> list[_Node]:
        """Nodes that compute these tensors. One with an inner graph may read any tensor of the graph around it."""
        if self.inner:
            return self._nodes
        asked, kept = set(names), list[_Node]()
        for node in reversed(self._nodes):  # they stand in the order in which they run
            if not asked.isdisjoint(node.makes):
                kept.append(node)
                asked.update(node.reads)
        return kept

    def branch(self, names: Collection[str], others: Collection[str]) -> tuple[list[_Node], tuple[str, ...]]:
        """Nodes that only `names` need, with copies of cheap ones before them; and the tensors that they go on from."""
        shared = {id(node) for node in self.needed(others)}
        nodes = {id(node): node for node in self.needed(names) if id(node) not in shared}
        asked = [name for node in self._nodes if id(node) in nodes for name in node.reads]
        passed = dict[str, None]()
        while asked:
            name = asked.pop(0)
            maker = self._makers.get(name)
            if not name or name in self._weights or (maker is not None and id(maker) in nodes):
                continue
            if maker is not None and maker.kind in AGAIN:
                nodes[id(maker)] = maker
                asked += maker.reads
            else:
                passed[name] = None
        return list(nodes.values()), tuple(passed)

    def part(
        self, nodes: Sequence[_Node], outputs: Collection[str], infos: Sequence[bytes] = (), *, inputs: bool = False
    ) -> bytes:
        """A model of these nodes, the weights that they read, and these outputs; `infos` are more inputs or outputs."""
        own = {id(node.field) for node in nodes}
        read = self._weights if self.inner else {name for node in nodes for name in node.reads}

        def stays(field: _Field) -> bool:
            if field.number == _NODE:
                return id(field) in own
            if field.number == _INITIALIZER:
                return _text(field.value, _TENSOR_NAME) in read
            if field.number == _OUTPUT:
                return _text(field.value, _VALUE_NAME) in outputs
            return field.number != _VALUE and (inputs or field.number != _INPUT)

        return _with_graph(self._model, b"".join((*(field.whole for field in self._fields if stays(field)), *infos)))


def _node(field: _Field) -> _Node:
    reads, makes, kind = list[str](), list[str](), ""
    for part in _fields(field.value):
        if part.number == _NODE_INPUT:
            reads.append(_str(part.value))
        elif part.number == _NODE_OUTPUT:
            makes.append(_str(part.value))
        elif part.number == _NODE_TYPE:
            kind = _str(part.value)
    return _Node(field, reads, makes, kind)


def _value(name: str, kind: str, shape: Sequence[int | str | None]) -> bytes:
    """A ValueInfoProto. Raises ValueError for a type that is not in `ELEMENTS`."""
    if kind not in ELEMENTS:
        raise ValueError(f"expected one of {', '.join(ELEMENTS)} between the halves, got {kind}")
    sides = [
        _number(_DIM_VALUE, side) if isinstance(side, int) else _message(_DIM_NAME, (side or "").encode())
        for side in shape
    ]
    dims = b"".join(_message(_DIM, side) for side in sides)
    tensor = _number(_ELEMENT_TYPE, ELEMENTS[kind]) + _message(_SHAPE, dims)
    return _message(_VALUE_NAME, name.encode()) + _message(_VALUE_TYPE, _message(_TENSOR_TYPE, tensor))


def _message(number: int, body: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(body)) + body


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3 | _VARINT) + _varint(value)


def with_weights(model: bytes, lender: bytes) -> bytes:
    """The model with every initialiser of the `lender` that it reads and does not hold.

    Raises:
        ValueError: One of them is no ONNX file.
    """
    held = {_text(field.value, _TENSOR_NAME) for field in _fields(_graph(model)) if field.number == _INITIALIZER}
    lent = [field for field in _fields(_graph(lender)) if field.number == _INITIALIZER]
    read: set[str] = set()
    for field in _fields(_graph(model)):
        if field.number == _NODE:
            read.update(_node(field).reads)
    names = [_text(field.value, _TENSOR_NAME) for field in lent]
    more = [field.whole for name, field in zip(names, lent, strict=True) if name in read - held]
    return _with_graph(model, b"".join((_graph(model), *more)))


def _with_graph(model: bytes, body: bytes) -> bytes:
    return b"".join(
        _message(_GRAPH, body) if field.number == _GRAPH else bytes(field.whole) for field in _fields(memoryview(model))
    )


def _graph(model: bytes) -> memoryview:
    for field in _fields(memoryview(model)):
        if field.number == _GRAPH:
            return field.value
    raise ValueError("expected an ONNX file, got one without a graph")


def _text(message: memoryview, number: int) -> str:
    return next((_str(field.value) for field in _fields(message) if field.number == number), "")


def _str(value: memoryview) -> str:
    return bytes(value).decode("utf-8", "replace")


def _fields(message: memoryview) -> Iterator[_Field]:
    at = 0
    while at < len(message):
        start = at
        tag, at = _read_varint(message, at)
        kind, value = tag & 7, message[:0]
        if kind == _VARINT:
            _, at = _read_varint(message, at)
        elif kind == _BYTES:
            length, at = _read_varint(message, at)
            value, at = message[at : at + length], at + length
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"expected an ONNX file, got a field of kind {kind}")
        if at > len(message):
            raise ValueError("expected an ONNX file, got one that is cut short")
        yield _Field(tag >> 3, message[start:at], value)


def _read_varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("expected an ONNX file, got a broken number")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
