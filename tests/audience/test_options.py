from __future__ import annotations

import pytest

from rtface.audience.rules import AudienceOptions
from rtface.errors import OptionError
from rtface.options import Options


def test_rules_come_from_text_tables_and_objects(tmp_path):
    wanted = AudienceOptions(grace_s=5.0, camera_offset_cm=(0.0, 25.0))
    assert Options(audience_rules="grace_s=5,camera_offset_cm=0/25").audience_rules == wanted
    assert Options(audience_rules=wanted).audience_rules == wanted
    config = tmp_path / "kiosk.toml"
    config.write_text("[rtface]\naudience = true\n[rtface.audience_rules]\ngrace_s = 5\ncamera_offset_cm = [0, 25]\n")
    loaded = Options.load(config, env={})
    assert loaded.audience and loaded.audience_rules == wanted


@pytest.mark.parametrize("wrong", ["grace=3", "grace_s=long", "grace_s", "leave_deg=5", 7, {"near_px": -1}])
def test_wrong_rules_are_one_clear_error(wrong):
    with pytest.raises(OptionError, match="audience_rules"):
        Options(audience_rules=wrong)
