"""The roofline's count of work: the same multiply-adds in every precision, weights of their own size."""

from __future__ import annotations

import pytest

pytest.importorskip("onnx")

from benchmarks.gpu import WARM_UP, overlapped, peak, shown, work_of
from rtface.models import find
from rtface.precision.convert import convert
from tests.engine.test_tensorrt import crops, opened, shapes


def test_every_precision_does_the_same_work_on_smaller_weights() -> None:
    model = find("engine", 0, "fp32")
    found = {precision: work_of(convert(model, precision)) for precision in ("fp32", "fp16", "int8")}
    adds, size = found["fp32"]
    assert 150e6 < adds < 250e6  # 184 M by torch's counter, with the layers that are no convolutions
    for precision, smaller in (("fp16", 2), ("int8", 4)):
        assert found[precision][0] == pytest.approx(adds)
        assert found[precision][1] == pytest.approx(size / smaller, rel=0.2)


def test_a_peak_names_its_precision() -> None:
    assert peak("fp16=165") == ("fp16", 165.0)
    with pytest.raises(ValueError, match="float"):
        peak("fp16")


def test_calls_overlap_two_at_a_time() -> None:
    engine, _, cuda = opened(warm=shapes(2))
    engine.prepare()
    waiting, submit = list[int](), engine.submit
    engine.submit = lambda *given: (waiting.append(len(cuda.queue)), submit(*given))[1]  # type: ignore[method-assign]
    assert overlapped(engine, crops(2), 5) > 0
    assert len(waiting) == 5 + WARM_UP and all(waiting[1:]), "the one before is in the stream yet"
    engine.close()


def test_figures_stand_beside_what_was_estimated() -> None:
    figures = {"p50_ms": 0.7, "p99_ms": 0.9, "network_ms": 0.5, "roofline_share": 0.2}
    run = {"runs on": {"engine": "tensorrt"}, "1 faces": {**figures, "graph_ms": 0.6}, "detector": figures}
    lines = shown("NVIDIA Jetson Orin Nano", {"fp16": run, "fp32": run}).splitlines()
    assert len(lines) == 2 + 4 and lines[2].split()[:3] == ["fp16", "1", "faces"]
    assert lines[2].split()[-1] == "0.62" and lines[4].split()[-1] == "0.2"
