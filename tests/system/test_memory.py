"""What was freed goes back to the system."""

from __future__ import annotations

import platform

import pytest

from rtface.system.machine import resident_mb
from rtface.system.memory import give_back


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator keeps what is freed")
def test_what_is_freed_between_what_is_used_goes_back() -> None:
    blocks = [bytearray(b"." * 64_000) for _ in range(2000)]  # too small for pages of their own
    used = blocks[::50]
    del blocks
    before = resident_mb()
    give_back()
    after = resident_mb()
    assert len(used) == 40 and before is not None and after is not None
    assert after < before - 60.0
