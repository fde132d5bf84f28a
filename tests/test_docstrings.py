"""Docstrings: every public name says when to use it and shows how, and every example of the package runs."""

from __future__ import annotations

import doctest
import inspect
import re
from importlib import import_module
from pathlib import Path

import cv2
import pytest

import rtface
from rtface.capture.open import demo_clip

PACKAGE = Path(rtface.__file__).parent
WITH_EXAMPLES = sorted(
    str(file.relative_to(PACKAGE.parent).with_suffix("")).replace("/", ".").removesuffix(".__init__")
    for file in PACKAGE.rglob("*.py")
    if re.search(r"^ *>>> ", file.read_text("utf-8"), re.M)
)
PUBLIC = [name for name in rtface.__all__ if callable(getattr(rtface, name))]


@pytest.fixture
def picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the group.jpg that examples read, and nothing else."""
    video = cv2.VideoCapture(str(demo_clip()))
    cv2.imwrite(str(tmp_path / "group.jpg"), video.read()[1])
    video.release()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RTFACE_THREADS", "1")


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_run(module: str, picture: None) -> None:
    if module.startswith("rtface.train"):
        pytest.importorskip("torch", reason="pip install 'rtface[train]'")
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    done = doctest.testmod(import_module(module), optionflags=options)
    assert done.attempted and not done.failed


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_says_when_to_use_it_and_how(name: str) -> None:
    said = inspect.getdoc(getattr(rtface, name)) or ""
    assert "Use this " in said, "when?"
    assert ">>> " in said, "how?"


@pytest.mark.parametrize("name", [name for name in PUBLIC if inspect.isclass(getattr(rtface, name))])
def test_every_public_method_is_described(name: str) -> None:
    kind = getattr(rtface, name)
    mute = [
        method
        for method, value in vars(kind).items()
        if not method.startswith("_")
        and (inspect.isroutine(value) or isinstance(value, (property, classmethod, staticmethod)))
        and not inspect.getdoc(getattr(kind, method))
    ]
    assert not mute


def test_docstrings_do_not_send_the_reader_elsewhere() -> None:
    """ "As `run`", "likewise": a reader in an editor sees nothing of it."""
    sends = re.compile(r"(^|[.:] )(As|as for|As for|Like|See) (``|`)[\w.]+(``|`)\.?$|\blikewise\b|raises as ", re.M)
    found = []
    for name in PUBLIC:
        value = getattr(rtface, name)
        members = vars(value).values() if inspect.isclass(value) else ()
        for one in (value, *members):
            said = inspect.getdoc(one) if callable(one) else None
            found += [f"{name}: {match[0]!r}" for match in sends.finditer(said or "")]
    assert not found
