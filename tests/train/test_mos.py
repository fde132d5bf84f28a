"""The detector's network: cells, decoding, and the exported form that decodes by rows."""

from __future__ import annotations

import pytest
import torch

from rtface.train.nets.mos import OUTPUTS, DetectorExport, DetectorNet, cells, decode


def test_cells_cover_the_picture_at_three_strides() -> None:
    centres, strides = cells(64, 96)
    assert centres.shape == (8 * 12 + 4 * 6 + 2 * 3, 2) and strides.shape == (len(centres), 1)
    assert strides.flatten().unique().tolist() == [8, 16, 32]
    assert centres[0].tolist() == [3.5, 3.5]  # the middle of pixels 0..7
    assert centres[1].tolist() == [11.5, 3.5] and centres[12].tolist() == [3.5, 11.5]
    assert centres[-1].tolist() == [79.5, 47.5]
    for stride in (8, 16, 32):
        level = centres[strides[:, 0] == stride]
        assert level.mean(0).tolist() == [47.5, 31.5]  # the picture's middle, at every stride


def test_decode_puts_a_planted_face_where_it_is() -> None:
    centres, strides = cells(64, 64)
    cell = 64 + 4 * 1 + 2  # stride 16: row 1, column 2, centred at 39.5, 23.5
    raw = torch.zeros(1, len(centres), OUTPUTS)
    raw[0, cell, 0] = 3.0
    raw[0, cell, 1:3] = torch.tensor((0.25, -0.5))  # strides from the centre
    raw[0, cell, 3:5] = torch.log(torch.tensor((0.5, 0.75)))  # half sides in strides
    raw[0, cell, 5:15] = torch.linspace(-0.5, 0.4, 10)  # two strides a unit
    raw[0, cell, 15:18] = torch.tensor((0.2, -0.1, 1.0))
    out = decode(raw, centres, strides)[0, cell]
    assert out[:4].tolist() == pytest.approx([43.5 - 8, 15.5 - 12, 43.5 + 8, 15.5 + 12])
    assert out[4] == 3.0  # still a logit
    expected = [c + 32 * r for r, c in zip(torch.linspace(-0.5, 0.4, 10).tolist(), [39.5, 23.5] * 5, strict=True)]
    assert out[5:15].tolist() == pytest.approx(expected, abs=1e-4)
    assert out[15:].tolist() == pytest.approx([9, -4.5, 45])


def test_a_wild_size_does_not_overflow() -> None:
    centres, strides = cells(32, 32)
    raw = torch.full((1, len(centres), OUTPUTS), 1e3)
    assert torch.isfinite(decode(raw, centres, strides)).all()


@torch.no_grad()
def test_the_exported_form_is_decode_with_probabilities() -> None:
    torch.manual_seed(0)
    net = DetectorNet().eval()
    image = torch.randint(0, 256, (1, 64, 96, 3), dtype=torch.uint8)
    raw = net(image)
    assert raw.shape == (1, 8 * 12 + 4 * 6 + 2 * 3, OUTPUTS)
    expected = decode(raw, *cells(64, 96))
    expected[..., 4] = expected[..., 4].sigmoid()
    torch.testing.assert_close(DetectorExport(net)(image), expected, atol=1e-3, rtol=1e-4)
    assert raw[..., 0].sigmoid().mean() == pytest.approx(0.01, abs=0.01)  # the prior


def test_cross_stitch_can_be_left_out_without_other_weights() -> None:
    with_, without = DetectorNet().state_dict(), DetectorNet(cross_stitch=False).state_dict()
    assert {k: v.shape for k, v in with_.items()} == {k: v.shape for k, v in without.items()}
