from __future__ import annotations

import itertools
import random

import pytest

from rtface.audience.privacy import Publisher, anonymous, suppress
from rtface.audience.windows import window_of
from rtface.labels import EMOTIONS
from tests.audience.made import visit


def test_small_parts_cannot_be_worked_out_from_the_sum():
    for counts in itertools.product((0, 1, 4, 5, 9), repeat=4):
        shown = suppress(counts)
        assert all(count is None or count >= 5 for count in shown)
        hidden = sum(counts) - sum(count for count in shown if count is not None)
        assert hidden == 0 or hidden >= 5 or sum(counts) < 5


@pytest.mark.parametrize("seed", range(50))
def test_nothing_under_k_follows_from_what_was_published_hour_by_hour(seed):
    rng = random.Random(seed)
    publisher = Publisher(5)
    hours = [rng.choice((0, 0, 1, 2, 4, 5, 6, 30)) for _ in range(24)]
    published = [count for count in hours if publisher.part_allowed(count)]
    assert all(count >= 5 for count in published)
    if publisher.whole_allowed(sum(hours)):
        rest = sum(hours) - sum(published)
        assert rest == 0 or rest >= 5


def test_a_large_hour_is_held_back_to_cover_for_a_small_one():
    publisher = Publisher(5)
    assert [publisher.part_allowed(count) for count in (20, 3, 9, 2, 40)] == [True, False, False, False, True]
    assert publisher.whole_allowed(74)


def test_a_day_whose_last_hour_is_small_is_held_back_itself():
    publisher = Publisher(5)
    assert [publisher.part_allowed(count) for count in (20, 9, 3)] == [True, True, False]
    assert not publisher.whole_allowed(32)


def test_every_cell_of_a_record_is_of_k_visits_or_hidden():
    visits = [
        visit(60.0 * row, looks=int(row < 8), smiles=int(row < 2), cells={row % 3: 1.0, 7: 1.0}) for row in range(10)
    ]
    visits += [visit(600.0, emotion="anger", looks=0)]
    record = anonymous(window_of(visits, "", "1h", 0.0, 3600.0))
    assert record["visits"] == 11
    assert record["watchers"] is None  # three did not look
    assert record["attention_s"] is None and record["attraction_ratio"] is None
    assert record["smiles"] is None and record["smilers"] is None
    assert record["emotions"] == dict.fromkeys(EMOTIONS)
    assert record["busiest_minute"] is None
    assert record["heat"]["cells"] == [[7, 1.0, 10]]


def test_a_large_group_is_told_whole():
    visits = [visit(0.0, looks=1, attention_s=7.0, smiles=row % 2) for row in range(20)]
    record = anonymous(window_of(visits, "", "1h", 0.0, 3600.0))
    assert (record["watchers"], record["smilers"], record["smiles"]) == (20, 10, 10)
    assert record["attention_buckets"] == {"0-5": None, "5-15": 20, "15-30": None, "30-60": None, "60+": None}
    assert record["busiest_minute"]["visits"] == 20
