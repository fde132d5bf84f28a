"""Several sessions of one network: the same answers by every way, cut graphs, and errors."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from rtface import models
from rtface.engine import CpuEngine, Engine, OrtEngine, Preparable
from rtface.engine.autotune import PROBE_EVERY, PROBED, TIE_RATIO, AutoTuner
from rtface.engine.ort_cpu import LANES, SHAPES, SHARED_TIE_RATIO, SPLIT, TOGETHER, WIDE
from rtface.engine.split import Channel, SplitSession
from rtface.errors import EngineError
from rtface.models.onnx_bytes import output_names, split_head, split_tail, with_weights, without_outputs
from rtface.system.machine import resident_mb
from rtface.testing import FakeEngine

OUTPUTS = FakeEngine.outputs

QUICK = tuple(name for name in OUTPUTS if name != "parsing")


def crops(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, 128, 128, 3), np.uint8)


@pytest.fixture(scope="module")
def model() -> bytes:
    return models.load(models.find("engine", 0))


@pytest.fixture(scope="module")
def engine(model: bytes) -> Iterator[CpuEngine]:
    engine = CpuEngine(model, "engine", 2, expensive_outputs=("parsing",))
    engine.prepare(OUTPUTS, QUICK)
    yield engine
    engine.close()


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("names", [OUTPUTS, QUICK])
def test_every_way_gives_the_same(engine: CpuEngine, model: bytes, count: int, names: tuple[str, ...]) -> None:
    batch = crops(count)
    expected = OrtEngine(model, "plain", 1).run(batch, names)
    for _ in range(11):  # all ways are tried
        got = engine.run(batch, names)
        assert list(got) == list(names)
        for name in names:
            assert got[name].shape == expected[name].shape and got[name].dtype == expected[name].dtype
            if name == "parsing":
                assert (got[name] == expected[name]).mean() > 0.999
            else:
                assert got[name] == pytest.approx(expected[name], abs=2e-2)


def test_a_prepared_stream_takes_no_more_memory(model: bytes) -> None:
    engine = CpuEngine(model, "engine", 2, expensive_outputs=("parsing",))
    engine.prepare(OUTPUTS, QUICK)
    before = resident_mb()
    if before is None:
        pytest.skip("this system does not say how much memory a process has")
    kept = [engine.run(crops(count), names) for count in (8, 3, 1, 8, 5) for names in (OUTPUTS, QUICK)]
    after = resident_mb()
    answers_mb = sum(array.nbytes for answer in kept for array in answer.values()) / 1e6  # INT8's maps are scores
    assert after is not None and after - before - answers_mb < 4.0  # a call with all 8 takes 25 MB and more
    assert all(array.base is None for answer in kept for array in answer.values())  # nothing holds the engine's own
    engine.close()


def test_no_session_runs_more_rows_than_were_prepared(model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    plain = OrtEngine.run

    def run(self: OrtEngine, batch: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        rows.append(len(batch))
        return plain(self, batch, names)

    monkeypatch.setattr(OrtEngine, "run", run)
    engine = CpuEngine(model, "engine", 2, names=("pose",))
    engine.prepare(OUTPUTS)
    assert rows == [TOGETHER] * 3  # wide, and two lanes
    rows.clear()
    assert len(engine.run(crops(7), ("pose",))["pose"]) == 7
    assert sum(rows) == 7 and max(rows) == TOGETHER
    engine.close()


def test_it_is_an_engine(engine: CpuEngine) -> None:
    plain: Engine = engine
    assert isinstance(plain, Preparable)
    assert engine.outputs == OUTPUTS
    assert engine.describe()["threads"] == 2 and engine.describe()["engine"] == "onnxruntime"


def test_sessions_open_when_they_are_needed(model: bytes) -> None:
    engine = CpuEngine(model, "engine", 2, expensive_outputs=("parsing",), names=("pose",))
    assert set(engine._sessions) == {(WIDE, False, 0)}
    engine.run(crops(3), ("pose",))
    assert set(engine._sessions) == {(WIDE, False, 0)}
    engine.run(crops(1), ("parsing",))
    assert set(engine._sessions) == {(WIDE, False, 0), (WIDE, True, 0)}
    engine.prepare(QUICK)
    assert {(LANES, False, 0), (LANES, False, 1)} < set(engine._sessions)
    alone = CpuEngine(model, "engine", 2, rows=1)
    alone.prepare(OUTPUTS)
    assert set(alone._sessions) == {(WIDE, True, 0), (LANES, True, 0)}
    assert len(alone.run(crops(5), ("pose",))["pose"]) == 5  # a still may have more
    single = CpuEngine(model, "engine", 1)
    single.prepare(OUTPUTS)
    assert set(single._sessions) == {(WIDE, True, 0)}


def test_one_face_over_goes_in_halves(engine: CpuEngine, model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    batch, ways = crops(5), list[str]()
    expected = OrtEngine(model, "plain", 1).run(batch, OUTPUTS)
    got = engine._dispatch(SPLIT, True, batch, OUTPUTS)
    assert list(got) == list(OUTPUTS)
    for name in OUTPUTS:
        assert got[name] == pytest.approx(expected[name], abs=2e-2)
    go = engine._dispatch
    monkeypatch.setattr(engine, "_dispatch", lambda way, *rest: ways.append(way) or go(way, *rest))
    for count, names in ((3, OUTPUTS), (4, OUTPUTS), (1, OUTPUTS), (3, QUICK)):
        ways.clear()
        engine._tuners.clear()  # so that every way is tried
        for _ in range(9):
            engine.run(crops(count), names)
        assert (SPLIT in ways) == (count == 3 and names is OUTPUTS)


def test_a_first_half_that_fails_leaves_nobody_waiting(engine: CpuEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineError, match="float32 batch"):
        engine._dispatch(SPLIT, True, np.zeros((3, 64, 64, 3), np.float32), OUTPUTS)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(engine._split, "first", interrupted)
        with pytest.raises(KeyboardInterrupt):
            engine._dispatch(SPLIT, True, crops(3), OUTPUTS)
    assert set(engine._dispatch(SPLIT, True, crops(3), OUTPUTS)) == set(OUTPUTS)  # and it works on


@pytest.mark.parametrize(("rows", "threads", "over"), [(2, 2, False), (3, 2, True), (None, 2, True), (8, 1, False)])
def test_halves_are_opened_where_one_face_can_be_over(model: bytes, rows: int | None, threads: int, over: bool) -> None:
    engine = CpuEngine(model, "engine", threads, expensive_outputs=("parsing",), rows=rows)
    engine.prepare(OUTPUTS)
    assert (engine._split is not None) == over
    engine.close()


def test_a_network_that_cannot_be_halved_runs_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(nodes: list[onnx.NodeProto], shape: list[int | str], dear: str = "b") -> CpuEngine:
        value = helper.make_tensor_value_info
        outputs = [value(name, TensorProto.FLOAT, None) for name in ("a", dear)]
        graph = helper.make_graph(nodes, "g", [value("x", TensorProto.FLOAT, shape)], outputs)
        opset = [helper.make_opsetid("", 17)]
        engine = CpuEngine(
            helper.make_model(graph, opset_imports=opset).SerializeToString(), "e", 2, expensive_outputs=(dear,)
        )
        monkeypatch.setattr(OrtEngine, "warm", lambda self, count=1: {})  # it feeds bytes, and this takes floats
        engine.prepare(("a", dear))
        return engine

    shared = helper.make_node("Shape", ["x"], ["s"])
    by_shape = [helper.make_node("Reshape", ["x", "s"], ["a"]), helper.make_node("Expand", ["x", "s"], ["b"])]
    of_another = [helper.make_node("Neg", ["x"], ["a"]), helper.make_node("Abs", ["a"], ["b"])]
    open_size = [helper.make_node(op, ["n"], [name]) for op, name in (("Neg", "a"), ("Abs", "b"))]
    for nodes, shape in (
        ([shared, *by_shape], ["n", 2]),
        (of_another, ["n", 2]),
        ([helper.make_node("Exp", ["x"], ["n"]), *open_size], ["n", "w"]),
    ):
        engine = made(nodes, shape)
        assert engine._split is None
        assert set(engine.run(np.ones((3, 2), np.float32), ("a", "b"))) == {"a", "b"}
        engine.close()


def test_races_do_not_pile_up(engine: CpuEngine) -> None:
    for side in range(2 * SHAPES):
        engine._tuner(True, (1, side), (WIDE, LANES))
    assert len(engine._tuners) <= SHAPES


def test_errors_come_from_every_lane(engine: CpuEngine) -> None:
    with pytest.raises(EngineError, match="float32 batch"):
        engine.run(np.zeros((3, 64, 64, 3), np.float32), OUTPUTS)
    with pytest.raises(EngineError, match=r"junk: onnxruntime .* cannot load it"):
        CpuEngine(b"not a network", "junk")


def test_a_closed_engine_says_so(model: bytes) -> None:
    engine = CpuEngine(model, "engine", 2, expensive_outputs=("parsing",))
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.run(crops(1), ("pose",))
    with pytest.raises(EngineError, match="closed"):
        engine.prepare(QUICK)


class Ways:
    """Costs by way, and what the race makes of them."""

    def __init__(self, **costs: float) -> None:
        self.costs, self.race = costs, AutoTuner(list(costs))

    def run(self, count: int) -> list[str]:
        chosen = []
        for _ in range(count):
            chosen.append(self.race.choose())
            self.race.record(chosen[-1], self.costs[chosen[-1]])
        return chosen


def test_the_quickest_way_wins_and_changes() -> None:
    ways = Ways(wide=1.6, lanes=2.2)
    chosen = ways.run(200)
    assert set(chosen[:6]) == {"wide", "lanes"}
    assert chosen[6:].count("lanes") <= (1 + PROBED) * (200 / PROBE_EVERY + 1)
    ways.costs["wide"] = 8.0  # somebody took a core
    assert ways.run(20)[4:].count("wide") == 0
    ways.costs["wide"] = 1.6
    assert ways.run(2 * PROBE_EVERY)[-1] == "wide"


def test_a_way_that_is_tried_again_is_not_judged_by_its_first_run() -> None:
    race, last = AutoTuner(("wide", "lanes")), ""
    for run in range(2 * PROBE_EVERY + 20):
        way = race.choose()
        lanes = 5.0 if run < 10 or way != last else 1.0  # slow at first; quick later, but for what is not in the caches
        race.record(way, lanes if way == "lanes" else 2.0, 2.0)
        last = way
    assert race.choose() == "lanes"


def test_a_way_that_is_tried_again_is_judged_by_its_quicker_run() -> None:
    race, in_a_row = AutoTuner(("wide", "lanes")), 0
    for run in range(2 * PROBE_EVERY + 20):
        way = race.choose()
        in_a_row = in_a_row + 1 if way == "lanes" else 0
        lanes = 5.0 if run < 10 or in_a_row < 3 else 1.0  # something else had the core on the second run, too
        race.record(way, lanes if way == "lanes" else 2.0, 2.0)
    assert race.choose() == "lanes"


def test_of_ways_as_quick_the_one_with_the_least_cpu_time_wins() -> None:
    def winner(wide: tuple[float, float], lanes: tuple[float, float]) -> str:
        race = AutoTuner(("wide", "lanes"))
        for _ in range(6):
            way = race.choose()
            race.record(way, *(wide if way == "wide" else lanes))
        return race.choose()

    assert winner((2.0, 4.0), (2.1, 2.1)) == "lanes"
    assert winner((2.0, 4.0), (2.7, 2.7)) == "wide"
    assert winner((2.1, 2.1), (2.0, 4.0)) == "wide"


def test_what_several_streams_share_saves_cpu_time_before_milliseconds() -> None:
    """A face on two threads: 3.3 ms and 6.4 ms of CPU time; on one 5.0 and 5.0."""
    for tie_ratio, best in ((TIE_RATIO, "wide"), (SHARED_TIE_RATIO, "lanes")):
        race = AutoTuner(("wide", "lanes"), tie_ratio)
        for _ in range(6):
            way = race.choose()
            race.record(way, *((3.3, 6.4) if way == "wide" else (5.0, 5.0)))
        assert race.choose() == best


def test_two_threads_that_streams_share_never_work_on_one_face_together(model: bytes) -> None:
    shared = CpuEngine(model, "engine", 2, expensive_outputs=("parsing",), shared=True)
    shared.prepare(OUTPUTS, QUICK)
    assert shared.describe()["threads"] == 2
    assert {key[0] for key in shared._sessions} == {LANES}
    for count in (1, 2, 3):
        expected, got = OrtEngine(model, "plain", 1).run(crops(count), OUTPUTS), shared.run(crops(count), OUTPUTS)
        for name in QUICK:
            assert got[name] == pytest.approx(expected[name], abs=2e-2)
        assert (got["parsing"] == expected["parsing"]).mean() > 0.999
    shared.close()


def tiny(nodes: list[onnx.NodeProto], outputs: list[str]) -> bytes:
    def info(name: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1])

    weights = [helper.make_tensor(name, TensorProto.FLOAT, [1], [2.0]) for name in ("w", "v")]
    graph = helper.make_graph(nodes, "g", [info("x")], [info(name) for name in outputs], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()


def test_what_only_a_cut_output_needs_goes_with_it() -> None:
    nodes = [
        helper.make_node("Mul", ["x", "w"], ["shared"]),
        helper.make_node("Add", ["shared", "v"], ["a"]),
        helper.make_node("Neg", ["shared"], ["b"]),
    ]
    model = tiny(nodes, ["a", "b"])
    assert output_names(model) == ("a", "b")
    cut = onnx.load_from_string(without_outputs(model, ["a"]))
    onnx.checker.check_model(cut)
    assert [node.op_type for node in cut.graph.node] == ["Mul", "Neg"]
    assert [weight.name for weight in cut.graph.initializer] == ["w"]
    assert [output.name for output in cut.graph.output] == ["b"]
    assert onnx.load_from_string(without_outputs(model, [])) == onnx.load_from_string(model)
    with pytest.raises(ValueError, match="that stays"):
        without_outputs(model, ["a", "b"])
    with pytest.raises(ValueError, match="ONNX file"):
        output_names(b"\xff\xff not a network")


def test_a_network_is_lent_the_weights_that_it_reads_and_lacks() -> None:
    whole = tiny([helper.make_node("Mul", ["x", "w"], ["a"]), helper.make_node("Add", ["a", "v"], ["b"])], ["a", "b"])
    poor = onnx.load_from_string(whole)
    del poor.graph.initializer[0]  # w; it keeps its own v
    poor.graph.initializer[0].float_data[:] = [7.0] * len(poor.graph.initializer[0].float_data)
    made = onnx.load_from_string(with_weights(poor.SerializeToString(), whole))
    assert {t.name for t in made.graph.initializer} == {"w", "v"}
    assert len(made.graph.initializer) == 2 and made.graph.node == poor.graph.node
    assert with_weights(whole, whole) == whole
    with pytest.raises(ValueError, match="ONNX file"):
        with_weights(whole, b"\xff\xff not a network")


def test_a_graph_with_a_branch_keeps_its_nodes() -> None:
    then = helper.make_graph(
        [helper.make_node("Neg", ["hidden"], ["t"])],
        "t",
        [],
        [helper.make_tensor_value_info("t", TensorProto.FLOAT, [1])],
    )
    nodes = [
        helper.make_node("Mul", ["x", "w"], ["hidden"]),
        helper.make_node("Cast", ["x"], ["flag"], to=TensorProto.BOOL),
        helper.make_node("If", ["flag"], ["a"], then_branch=then, else_branch=then),
        helper.make_node("Add", ["x", "v"], ["b"]),
    ]
    cut = onnx.load_from_string(without_outputs(tiny(nodes, ["a", "b"]), ["b"]))
    assert len(cut.graph.node) == 4 and [output.name for output in cut.graph.output] == ["a"]


def test_a_network_in_halves_is_the_network() -> None:
    nodes = [
        helper.make_node("Mul", ["x", "w"], ["shared"]),
        helper.make_node("Transpose", ["shared"], ["cheap"]),
        helper.make_node("Add", ["shared", "v"], ["a"]),
        helper.make_node("Add", ["cheap", "w"], ["middle"]),
        helper.make_node("Neg", ["middle"], ["b"]),
    ]
    model = tiny(nodes, ["a", "b"])
    first, passed = split_head(model, ["b"])
    assert passed == ("shared",) and output_names(first) == ("a", "shared")
    assert [node.op_type for node in onnx.load_from_string(first).graph.node] == ["Mul", "Add"]
    second = onnx.load_from_string(split_tail(model, ["b"], {"shared": ("tensor(float)", ["n"])}))
    onnx.checker.check_model(second)
    assert [node.op_type for node in second.graph.node] == ["Transpose", "Add", "Neg"]  # what is cheap is done again
    assert [weight.name for weight in second.graph.initializer] == ["w"]
    x = np.array([3.0], np.float32)
    answer = OrtEngine(first, "first", 1).feed({"x": x}, ["a"], passing=passed)
    assert (answer["a"], answer["shared"]) == (8.0, 6.0)
    assert OrtEngine(second.SerializeToString(), "second", 1).feed({"shared": answer["shared"]}, ["b"])["b"] == -8.0
    with pytest.raises(ValueError, match="got tensor"):
        split_tail(model, ["b"], {"shared": ("tensor(string)", ["n"])})
    for outputs in (["a"], ["a", "b"]):
        with pytest.raises(ValueError, match="for"):
            split_head(tiny(nodes[:3], ["a"]) if len(outputs) == 1 else model, outputs)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("iterations", [0, 1, 2])
def test_every_shipped_engine_comes_in_halves(iterations: int, precision: str) -> None:
    model = models.load(models.find("engine", iterations, precision))
    halves, handoff, batch = SplitSession(model, "engine", ("parsing",)), Channel(), crops(1)
    expected = OrtEngine(model, "plain", 1).run(batch, OUTPUTS)
    got = {**halves.first(batch, OUTPUTS, handoff), **halves.second(OUTPUTS, handoff)}
    assert set(got) == set(OUTPUTS)
    for name in QUICK:
        assert got[name] == pytest.approx(expected[name], abs=2e-2)
    assert (got["parsing"] == expected["parsing"]).mean() > 0.999


def test_the_shipped_engine_without_parsing_is_smaller(model: bytes) -> None:
    cut = without_outputs(model, ["parsing"])
    assert output_names(cut) == QUICK
    assert len(onnx.load_from_string(cut).graph.node) < 0.9 * len(onnx.load_from_string(model).graph.node)
