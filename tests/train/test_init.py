"""A run that begins with an exported file answers as the file did, and can learn on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from rtface import models
from rtface.errors import ModelError
from rtface.train.export import export_detector, export_engine
from rtface.train.init import continue_from, warm_start
from rtface.train.nets.blocks import fold_all
from rtface.train.nets.ifan import EngineNet
from rtface.train.nets.ifan_paper import PaperNet
from rtface.train.nets.mos import DetectorNet
from rtface.train.nets.norms import task_norms

CROPS = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3), dtype=np.uint8))


def trained_net(seed: int) -> EngineNet:
    """A network whose batch norms are not at their start."""
    torch.manual_seed(seed)
    net = EngineNet()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.2)
            torch.nn.init.normal_(module.running_mean, std=0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return net.eval()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[EngineNet, Path]:
    folder, net = tmp_path_factory.mktemp("warm"), trained_net(0)
    torch.save({"ema": net.state_dict()}, folder / "last.pt")
    export_engine(folder / "last.pt", folder / "engine.onnx", 1)
    return net, folder / "engine.onnx"


def test_a_warm_start_answers_as_the_file_and_learns_on(exported: tuple[EngineNet, Path]) -> None:
    old, path = exported
    net = EngineNet()
    warm_start(net, path, "net.", lambda: net(CROPS, 1))
    with torch.no_grad():
        fold_all(old)
        then, now = old(CROPS, 1), net.eval()(CROPS, 1)
    for before, after in zip(then, now, strict=True):
        for name in ("points", "emotion_logits", "pose", "parsing_logits"):
            # float16 in the file, batch statistics of these very crops
            torch.testing.assert_close(getattr(after, name), getattr(before, name), atol=0.1, rtol=0.03)
    net.train()
    sum(out.points.sum() for out in net(CROPS, 1)).backward()  # type: ignore[union-attr]
    assert net.encoder.s2.conv.weight.grad is not None and net.encoder.s2.conv.weight.grad.any()


def test_todays_file_begins_a_network_with_more_parts(exported: tuple[EngineNet, Path]) -> None:
    _, path = exported
    plain, more = EngineNet(), EngineNet(residual=True, association=True)
    for net in (plain, more):
        warm_start(net, path, "net.", lambda net=net: net(CROPS, 1))  # type: ignore[misc]
        net.eval()
    with torch.no_grad():
        torch.testing.assert_close(more(CROPS)[0].points, plain(CROPS)[0].points)
        torch.testing.assert_close(more(CROPS)[0].emotion_logits, plain(CROPS)[0].emotion_logits)


def test_a_shipped_file_begins_a_run_with_the_weights_that_it_borrows() -> None:
    lender, more = models.entry("engine-iter0"), models.entry("engine-iter1")
    assert more.weights == lender.name
    net = EngineNet()
    warm_start(net, more.path, "net.", lambda: net(CROPS, 1))
    name = "net.encoder.s2.conv.weight_half"
    held = {t.name: numpy_helper.to_array(t) for t in onnx.load(lender.path).graph.initializer}
    assert name not in {t.name for t in onnx.load(more.path).graph.initializer}
    folded = net.encoder.s2.conv.weight.detach().numpy()
    np.testing.assert_allclose(folded, held[name].astype(np.float32), atol=1e-6)


def test_what_is_no_export_of_this_network(exported: tuple[EngineNet, Path], tmp_path: Path) -> None:
    def start(path: Path) -> None:
        warm_start(EngineNet(), path, "net.", lambda: None)

    with pytest.raises(ModelError, match="no such file"):
        start(tmp_path / "missing.onnx")
    (tmp_path / "text.onnx").write_text("no graph")
    with pytest.raises(ModelError, match="no readable ONNX"):
        start(tmp_path / "text.onnx")
    model = onnx.load(exported[1])
    for tensor in model.graph.initializer:
        if tensor.name.startswith("net.encoder.s2.conv.weight"):
            tensor.CopyFrom(numpy_helper.from_array(np.zeros((8, 3, 3, 3), np.float16), tensor.name))
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(ModelError, match=r"expected encoder\.s2\.conv\.weight of shape \(16, 3, 3, 3\), got \(8,"):
        start(tmp_path / "other.onnx")


def test_a_detector_begins_with_its_export_and_learns_on(tmp_path: Path) -> None:
    """Joined convolutions are parted, and the composed head is factored, exactly."""
    torch.manual_seed(1)
    old = DetectorNet()
    torch.nn.init.normal_(old.head.alpha, 0.3, 0.2)
    for factor in old.head.heads:
        torch.nn.init.normal_(factor, std=0.2)
    old(CROPS)  # batch norms leave their start
    torch.save({"ema": {f"net.{name}": value for name, value in old.eval().state_dict().items()}}, tmp_path / "last.pt")
    export_detector(tmp_path / "last.pt", tmp_path / "detector.onnx")
    net = DetectorNet()
    warm_start(net, tmp_path / "detector.onnx", "net.", lambda: net(CROPS))
    with torch.no_grad():
        torch.testing.assert_close(net.head._composed(), old.head._composed(), atol=2e-3, rtol=2e-3)
        torch.testing.assert_close(net.eval()(CROPS), old(CROPS), atol=0.03, rtol=0.03)
    net.train()(CROPS).sum().backward()
    assert net.head.alpha.grad is not None and net.context[0].near.conv.weight.grad is not None


class TestCheckpoint:
    def test_a_run_goes_on_from_another_runs_averaged_weights(self, tmp_path: Path) -> None:
        old = trained_net(3)
        torch.save({"ema": old.state_dict(), "net": trained_net(4).state_dict()}, tmp_path / "last.pt")
        net = EngineNet()
        continue_from(net, tmp_path / "last.pt")
        with torch.no_grad():
            for before, after in zip(old(CROPS, 1), net.eval()(CROPS, 1), strict=True):
                torch.testing.assert_close(after.points, before.points)
                torch.testing.assert_close(after.parsing_logits, before.parsing_logits)

    def test_parts_that_the_run_had_not_begin_as_they_are(self, tmp_path: Path) -> None:
        old = trained_net(3)
        torch.save({"ema": old.state_dict()}, tmp_path / "last.pt")
        net = EngineNet(residual=True, association=True)
        task_norms(net.encoder, 3)
        made = net.state_dict()[_first(net, "association.")].clone()
        continue_from(net, tmp_path / "last.pt")
        assert torch.equal(net.state_dict()[_first(net, "association.")], made)
        with torch.no_grad():
            torch.testing.assert_close(net.eval()(CROPS)[0].points, old(CROPS)[0].points)

    def test_what_only_training_reads_may_be_left_behind(self, tmp_path: Path) -> None:
        old = trained_net(3)
        more = EngineNet(association=True)
        task_norms(more.encoder, 3)
        more.load_state_dict(old.state_dict(), strict=False)
        torch.save({"ema": more.state_dict()}, tmp_path / "last.pt")
        net = EngineNet()
        continue_from(net, tmp_path / "last.pt")
        with torch.no_grad():
            torch.testing.assert_close(net.eval()(CROPS)[0].points, old(CROPS)[0].points)

    def test_what_is_no_checkpoint_of_this_network(self, tmp_path: Path) -> None:
        path = tmp_path / "last.pt"
        with pytest.raises(ModelError, match=r"no such checkpoint\. Name an exported \.onnx file, or the last\.pt"):
            continue_from(EngineNet(), path)
        path.write_text("no checkpoint")
        with pytest.raises(ModelError, match=r"is no readable checkpoint.* with --init"):
            continue_from(EngineNet(), path)
        torch.save({"ema": PaperNet().state_dict()}, path)
        with pytest.raises(ModelError, match=r"is of another network: expected .* got none\. Name a run with the same"):
            continue_from(EngineNet(), path)
        torch.save({"ema": EngineNet(residual=True).state_dict()}, path)
        with pytest.raises(ModelError, match=r"expected residual\.\S+ of shape none, got \("):
            continue_from(EngineNet(), path)
        state = EngineNet().state_dict()
        torch.save({"ema": state | {"encoder.s2.conv.weight": torch.zeros(8, 3, 3, 3)}}, path)
        with pytest.raises(ModelError, match=r"expected encoder\.s2\.conv\.weight of shape \(16, 3, 3, 3\), got \(8,"):
            continue_from(EngineNet(), path)


def _first(net: EngineNet, prefix: str) -> str:
    return next(name for name in net.state_dict() if name.startswith(prefix))
