"""The shipped graphs against numpy: what normalisation and decode in the graph say, computed a second way."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from rtface import models


def opened(name: str, wanted: list[str]) -> tuple[Any, list[str]]:
    """The shipped network with inner tensors as further outputs: those of nodes whose name holds one of `wanted`."""
    graph = onnx.load_from_string(models.load(name))
    inner = [next(n.output[0] for n in graph.graph.node if part in n.name) for part in wanted]
    graph.graph.output.extend(onnx.helper.make_empty_tensor_value_info(tensor) for tensor in inner)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return session, inner


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    from skimage import data

    portrait = data.astronaut()[40:190, 150:300, ::-1]
    rows = np.linspace(0, 149, 128).astype(int)
    face = portrait[np.ix_(rows, rows)]
    return np.stack([face, np.random.default_rng(0).integers(0, 256, face.shape, dtype=np.uint8)])


def test_engine_normalisation_points_and_labels(crops: np.ndarray) -> None:
    session, inner = opened("engine-iter0", ["normalise", "landmarks/head/Conv", "parsing/Conv"])
    planes, maps, logits, points, labels = session.run([*inner, "landmarks", "parsing"], {"crops": crops})
    assert planes == pytest.approx((crops.transpose(0, 3, 1, 2).astype(np.float32) - 117) / 60, abs=1e-5)

    heat, dx, dy = (part.reshape(2, 68, 256) for part in np.split(maps, 3, axis=1))
    weight, (y, x) = softmax(heat, 2), np.divmod(np.arange(256), 16)
    # a cell covers 8 px of the crop, pixel centres at integers
    expected = np.stack([(weight * (x + dx)).sum(2) * 8 + 3.5, (weight * (y + dy)).sum(2) * 8 + 3.5], axis=2)
    assert points == pytest.approx(expected, abs=1e-3)

    # (N, 4 * 4 * 19, 32, 32) sub-pixel maps to (N, 19, 128, 128)
    full = logits.reshape(2, 4, 4, 19, 32, 32).transpose(0, 3, 4, 1, 5, 2).reshape(2, 19, 128, 128)
    assert (full.argmax(axis=1) == labels).mean() > 0.999  # logits closer than the graph's rounding may fall either way
    assert len(np.unique(labels[0])) > 5


def test_detector_decode(crops: np.ndarray) -> None:
    session, inner = opened("detector", ["head/Conv", "head_1/Conv", "head_2/Conv"])
    image = np.zeros((1, 160, 192, 3), np.uint8)
    image[0, 16:144, 32:160] = crops[0]
    *levels, found = session.run([*inner, "detections"], {"image": image})
    rows = []
    for stride, raw in zip((8, 16, 32), levels, strict=True):
        cells = raw[0].reshape(18, -1).T.astype(np.float64)
        y, x = np.divmod(np.arange(len(cells)), 192 // stride)
        centre = np.stack([x, y], axis=1) * stride + (stride - 1) / 2
        middle, half = centre + cells[:, 1:3] * stride, np.exp(np.minimum(cells[:, 3:5], 4)) * stride
        five = np.tile(centre, 5) + cells[:, 5:15] * 2 * stride
        score = 1 / (1 + np.exp(-cells[:, :1]))
        rows.append(np.concatenate([middle - half, middle + half, score, five, cells[:, 15:] * 45], axis=1))
    assert found[0] == pytest.approx(np.concatenate(rows), abs=2e-3)
    best = found[0, found[0, :, 4].argmax()]
    assert best[4] > 0.5 and 32 < best[0] < best[2] < 160
