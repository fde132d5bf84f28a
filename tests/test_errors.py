"""The tree of errors."""

from __future__ import annotations

import pickle

import pytest

from rtface import errors


def test_an_error_is_one_line_of_what_why_and_mend() -> None:
    error = errors.SourceError("clip.mp4", "is\n  empty.", "Copy it again")
    assert str(error) == "clip.mp4: is empty. Copy it again"
    assert isinstance(error, errors.RtfaceError)


@pytest.mark.parametrize("what", ["rtsp://me:hidden@cam/x", "rtsp:/me:hidden@cam/x", "got ['mqtt://me:hidden@h']"])
def test_no_error_shows_a_password(what: str) -> None:
    error = errors.UsageError(what, f"got {what!r}", f"mkdir -p {what}")
    for text in (str(error), repr(error), error.what, error.why, error.mend, str(error.args)):
        assert "hidden" not in text
    assert str(errors.UsageError("a", "b", "Add tokenfile=FILE")) == "a: b. Add tokenfile=FILE"


def test_exit_codes_are_those_of_the_design() -> None:
    codes = {
        errors.OutputError: 1,
        errors.UsageError: 2,
        errors.OptionError: 2,
        errors.InputError: 2,
        errors.SourceError: 3,
        errors.ModelError: 4,
        errors.EngineError: 4,
        errors.BudgetMissed: 5,
    }
    assert {kind: kind("a", "b", "c").exit_code for kind in codes} == codes


def test_an_error_survives_the_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(errors.ModelError("a", "b", "c")))
    assert (str(error), error.mend) == ("a: b. c", "c")


def test_a_missing_package_is_named_with_the_line_that_installs_it() -> None:
    with pytest.raises(errors.UsageError, match=r"pip install 'rtface\[train\]'"):
        errors.require("a_package_that_is_not_there.sub", "train")
    assert errors.require("json", "train").loads("1") == 1
