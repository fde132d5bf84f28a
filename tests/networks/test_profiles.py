"""Build profiles: those that ship, and what is wrong with others."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtface.errors import OptionError
from rtface.networks.profiles import default_profile, names, read_profile

GOOD = 'engine = "trt"\nprecision = "fp16"\nfaces = [1, 2, 4]\ndetector_px = [64, 320, 640]\nworkspace_mb = 64\n'


def test_those_that_ship() -> None:
    assert names() == ["cpu", "desktop-fp16", "desktop-int8", "orin-fp16", "orin-int8"]
    for name in names():
        profile = read_profile(name)
        assert profile.name == name and profile.faces[2] == 8
        assert profile.precision == "auto" if name == "cpu" else name.endswith(profile.precision)
    assert {default_profile("int8"), default_profile("fp32")} <= set(names())


def test_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "box.toml"
    path.write_text(GOOD)
    assert read_profile(path).faces == (1, 2, 4)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("fp16", "fp8", "expected one of auto, fp32"),
        ("[1, 2, 4]", "[4, 2, 1]", "three rising"),
        ("[1, 2, 4]", "[1, 2]", "not a build profile"),
        ("320", "321", "multiples of 32, got 321: the nearest are 320 or 352"),
        ("workspace_mb = 64", "", "expected the keys"),
        ("engine =", "engine", "not a build profile"),
    ],
)
def test_what_is_no_profile_is_named(tmp_path: Path, old: str, new: str, why: str) -> None:
    path = tmp_path / "box.toml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(OptionError, match=why):
        read_profile(path)
    with pytest.raises(OptionError, match=r"is no build profile\. Known are cpu, desktop-fp16"):
        read_profile("laptop")
