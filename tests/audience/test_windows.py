from __future__ import annotations

import json
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from rtface.audience.windows import bounds, local, windows
from rtface.errors import OptionError
from tests.audience.made import visit

BERLIN, KOLKATA, LORD_HOWE = (ZoneInfo(name) for name in ("Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe"))


def at(text: str, zone: ZoneInfo, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()


def times(when: float, span: str, zone: ZoneInfo) -> list[str]:
    return [local(bound, zone).isoformat() for bound in bounds(when, span, zone)]


@pytest.mark.parametrize(
    ("when", "zone", "span", "start", "end"),
    [
        ("2026-11-30T10:07:31", BERLIN, "15min", "2026-11-30T10:00:00+01:00", "2026-11-30T10:15:00+01:00"),
        ("2026-11-30T10:45:00", KOLKATA, "1h", "2026-11-30T10:00:00+05:30", "2026-11-30T11:00:00+05:30"),
        ("2026-11-30T00:00:00", BERLIN, "1d", "2026-11-30T00:00:00+01:00", "2026-12-01T00:00:00+01:00"),
        ("2026-03-29T15:00:00", BERLIN, "1d", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"),
        ("2026-03-29T03:10:00", BERLIN, "1h", "2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00"),
        ("2026-03-29T01:59:59", BERLIN, "1h", "2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00"),
        ("2026-10-25T12:00:00", BERLIN, "1d", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00"),
        ("2026-04-05T01:10:00", LORD_HOWE, "1h", "2026-04-05T01:00:00+11:00", "2026-04-05T01:30:00+10:30"),
    ],
)
def test_windows_are_aligned_to_the_clock_on_the_wall(when, zone, span, start, end):
    assert times(at(when, zone), span, zone) == [start, end]


def test_the_hour_that_comes_twice_is_two_windows():
    first, second = (at("2026-10-25T02:30:00", BERLIN, fold) for fold in (0, 1))
    assert bounds(first, "1h", BERLIN)[1] == bounds(second, "1h", BERLIN)[0]
    assert second - first == 3600
    again = at("2026-04-05T01:45:00", LORD_HOWE, 1)
    assert times(again, "1h", LORD_HOWE) == ["2026-04-05T01:30:00+10:30", "2026-04-05T02:00:00+10:30"]


@pytest.mark.parametrize("zone", [BERLIN, LORD_HOWE, ZoneInfo("America/Havana"), ZoneInfo("Asia/Kathmandu")])
@pytest.mark.parametrize("span", ["15min", "1h", "1d"])
def test_every_moment_of_a_year_is_in_one_window(zone, span):
    start = at("2026-01-01T00:00:00", zone)
    end = at("2027-01-01T00:00:00", zone)
    step = 86400 * 3 if span == "1d" else 7919 * 3
    while start < end:
        lower, upper = bounds(start, span, zone)
        assert lower <= start < upper
        assert bounds(lower, span, zone) == (lower, upper) == bounds(upper - 1, span, zone)
        assert bounds(upper, span, zone)[0] == upper
        start = upper if span == "1d" else start + step


def test_figures_of_a_window_are_those_of_its_visits():
    begin = at("2026-11-30T10:00:00", BERLIN)
    seconds = [0.0, 2.0, 5.0, 14.0, 29.0, 61.0]
    visits = [
        visit(
            begin + 60 * row, dwell_s=100.0, attention_s=s, looks=int(s > 0), smiles=row % 2, cells={5: 2.0, row: 1.0}
        )
        for row, s in enumerate(seconds)
    ]
    visits.append(visit(begin + 61, emotion="happiness", looks=0, attention_s=0.0, dwell_s=1.0))
    visits.append(visit(begin + 3600, camera="door"))
    first, door = sorted(windows(visits, "1h", BERLIN), key=lambda window: window.start)
    assert (first.visits, first.watchers, first.looks, first.smiles, first.smilers) == (7, 5, 5, 3, 3)
    assert first.buckets == (1, 2, 1, 0, 1)
    assert first.attraction == pytest.approx(111 / 500)
    assert (first.attention.mean_s, first.attention.median_s) == (pytest.approx(22.2), 14.0)
    assert first.attention.p90_s == pytest.approx(48.2)
    assert first.dwell.total_s == 601.0
    assert first.busiest == (begin + 60, 2)
    assert first.heat[5] == (pytest.approx(11.0), 6)
    assert first.emotions == {"neutral": 6, "happiness": 1}
    assert (door.camera, door.visits) == ("door", 1)
    assert json.loads(json.dumps(first.to_dict(), allow_nan=False))["start"] == "2026-11-30T09:00:00Z"


def test_nobody_came():
    assert windows([], "1h", BERLIN) == []


def test_an_unknown_span_is_one_clear_error():
    with pytest.raises(OptionError, match="15min, 1h, 1d"):
        bounds(0.0, "2h")
