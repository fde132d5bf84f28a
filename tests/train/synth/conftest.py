"""Head assets and a GL driver, where there are any."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rtface.errors import UsageError
from rtface.train.synth.gl import Renderer

ARCHIVE = "makehuman_head_assets.tar.xz"
SIDE = 96


@pytest.fixture(scope="session")
def renderer() -> Iterator[Renderer]:
    """A renderer; skips where there is no moderngl or no EGL driver."""
    try:
        made = Renderer(SIDE)
    except UsageError as error:
        pytest.skip(str(error))
    yield made
    made.close()


@pytest.fixture(scope="session")
def archive() -> Path:
    """The archive of head assets: RTFACE_HEAD_ASSETS, or beside the repository."""
    beside = Path(__file__).parents[4] / "shared" / "data" / "open" / ARCHIVE
    path = Path(os.environ.get("RTFACE_HEAD_ASSETS", beside))
    if not path.is_file():
        pytest.skip("no head assets: RTFACE_HEAD_ASSETS names the archive (docs/synthetic.md)")
    return path
