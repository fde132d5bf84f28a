from __future__ import annotations

from dataclasses import replace

import pytest

from rtface.audience.attention import Spells
from rtface.audience.events import Audience
from rtface.audience.rules import AudienceOptions
from rtface.audience.visits import GRID_WH, Visit
from rtface.bench.people import Person, results
from rtface.errors import OptionError
from rtface.types import Event, HeadPose

START = 1000.0
PEOPLE = (
    Person(1, here=[(2.0, 12.0)], looks=[(3.0, 7.0), (9.0, 11.0)], smiles=[(4.0, 5.5)]),
    Person(2, here=[(5.0, 9.0)], x=60),  # passes by
    Person(3, here=[(20.0, 24.0), (26.0, 30.0)], looks=[(21.0, 23.0), (27.0, 29.0)]),  # comes back within the grace
    Person(4, here=[(22.0, 40.0)], looks=[(23.0, 39.0)], x=260, side=110, smiles=[(25.0, 27.0), (31.0, 33.0)]),
)
RATES = [(30.0, 0.0), (15.0, 0.0), (30.0, 0.3), (15.0, 0.3), (10.0, 0.2)]


def watched(people, seconds=50.0, options=None, **more) -> tuple[dict[int, Visit], list[Event]]:
    visits: dict[int, Visit] = {}
    audience = Audience(options, on_visit=lambda visit: visits.__setitem__(visit.track_id, visit))
    events = list(audience.events(results(people, seconds, **more)))
    return visits, [replace(event, at=event.at - START) for event in events]


def of(events, kind, track_id=None):
    return [event.at for event in events if event.kind == kind and track_id in (None, event.track_id)]


@pytest.mark.parametrize(("fps", "dropped"), RATES)
@pytest.mark.parametrize("seed", range(4))
def test_visits_are_exact_and_times_are_within_300_ms(fps, dropped, seed):
    visits, _ = watched(PEOPLE, fps=fps, dropped=dropped, seed=seed)
    assert sorted(visits) == [1, 2, 3, 4]
    for person in PEOPLE:
        visit = visits[person.track_id]
        assert visit.dwell_s == pytest.approx(person.dwell_s, abs=0.3)
        assert visit.attention_s == pytest.approx(person.attention_s, abs=0.3)
        assert visit.looks == len(person.looks)
        assert visit.smiles == len(person.smiles)
        assert visit.is_watcher == bool(person.looks)


@pytest.mark.parametrize(("fps", "dropped"), RATES)
@pytest.mark.parametrize("seed", range(4))
def test_events_are_dated_to_what_they_tell_of(fps, dropped, seed):
    _, events = watched(PEOPLE, fps=fps, dropped=dropped, seed=seed)
    for person in PEOPLE:
        one = person.track_id
        assert of(events, "arrived", one) == pytest.approx([person.here[0][0]], abs=0.2)
        assert of(events, "left", one) == pytest.approx([person.here[-1][1]], abs=0.2)
        assert of(events, "look_start", one) == pytest.approx([start for start, _ in person.looks], abs=0.2)
        assert of(events, "look_end", one) == pytest.approx([end for _, end in person.looks], abs=0.2)
        assert of(events, "smile", one) == pytest.approx([start for start, _ in person.smiles], abs=0.2)
    assert of(events, "someone") == pytest.approx([2.0, 20.0], abs=0.2)
    assert of(events, "nobody") == pytest.approx([12.0, 40.0], abs=0.2)


def test_events_come_at_most_their_debounce_and_200_ms_late():
    audience = Audience()
    for result in results(PEOPLE, 50.0, fps=15):
        at = audience.time_of(result)
        for event in audience.observe(result):
            wait = {"left": 3.0, "nobody": 3.0, "look_end": 0.5}.get(event.kind, 0.3)
            assert at - event.at <= wait + 0.2, event


def test_a_glance_is_no_attention_and_a_blink_ends_no_look():
    glancing = Person(1, here=[(1, 9)], looks=[(2.0, 2.15), (4.0, 5.0), (5.3, 6.3)])
    visits, events = watched([glancing], 15)
    assert visits[1].looks == 1
    assert visits[1].attention_s == pytest.approx(2.0, abs=0.1)  # the time aside is none
    assert of(events, "look_start") == pytest.approx([4.0], abs=0.1)
    assert of(events, "look_end") == pytest.approx([6.3], abs=0.1)


def test_predicted_and_blurred_faces_pay_no_attention():
    looks = [(1.0, 9.0)]
    for kind in ("hidden", "blurred"):
        visits, _ = watched([Person(1, here=[(1, 10)], looks=looks, **{kind: [(4.0, 6.5)]})], 15)
        assert visits[1].attention_s == pytest.approx(5.5, abs=0.1)
        assert visits[1].looks == 2
    assert visits[1].dwell_s == pytest.approx(9.0, abs=0.1)  # blurred, but there


def test_a_value_that_was_carried_over_is_no_measurement():
    audience = Audience(on_visit=(visits := []).append)
    for result in results([Person(1, here=[(1, 10)], looks=[(1, 9)])], 15):
        faces = tuple(replace(face, age_ms={"pose": 33.0 * (result.frame.index % 3 > 0)}) for face in result.faces)
        old = [replace(face, pose=HeadPose(70.0, 0.0, 0.0)) if face.age_ms["pose"] else face for face in faces]
        audience.observe(replace(result, faces=tuple(old)))
    audience.finish()
    assert visits[0].attention_s == pytest.approx(8.0, abs=0.3)


def test_time_without_frames_is_not_counted():
    visits, _ = watched([Person(1, here=[(1, 12)], looks=[(1, 11)])], 20, outages=[(4.0, 6.5)])
    assert visits[1].dwell_s == pytest.approx(11 - 2.5, abs=0.2)
    assert visits[1].attention_s == pytest.approx(10 - 2.5, abs=0.2)


def test_a_face_after_its_grace_is_another_visit():
    ended = []
    audience = Audience(on_visit=ended.append)
    for result in results([Person(7, here=[(1, 4), (8, 12)])], 20):
        audience.observe(result)
    assert [visit.track_id for visit in ended] == [7, 7]
    assert [visit.dwell_s for visit in ended] == pytest.approx([3, 4], abs=0.1)
    assert not audience.present()


def test_a_flicker_is_no_visit():
    visits, events = watched([Person(1, here=[(2.0, 2.1), (4.0, 4.1), (6.0, 6.1)])], 12)
    assert not visits
    assert not events


def test_visits_end_while_no_frame_comes():
    audience = Audience()
    for result in results([Person(1, here=[(1, 5)], looks=[(1, 5)])], 5):
        audience.observe(result)
    assert [event.kind for event in audience.tick(START + 5.8)] == ["look_end"]
    assert not audience.tick(START + 7.5)
    assert [event.kind for event in audience.tick(START + 8.2)] == ["left", "nobody"]


def test_a_file_that_begins_again_ends_its_visits():
    audience = Audience()
    kinds = []
    for _ in range(2):
        for result in results([Person(1, here=[(0, 5)])], 4):
            kinds += [event.kind for event in audience.observe(result)]
    assert kinds == ["arrived", "someone", "left", "nobody", "arrived", "someone"]


def test_small_faces_are_no_visit_and_larger_ones_are_near():
    far, near = Person(1, here=[(1, 5)], side=30), Person(2, here=[(1, 5)], side=100, x=250)
    visits, events = watched([far, near], 10, AudienceOptions(near_px=80))
    assert [visits[1].near, visits[2].near] == [False, True]
    assert sorted(event.what for event in events if event.kind == "arrived") == ["far", "near"]
    visits, _ = watched([far, near], 10, AudienceOptions(min_face_px=40))
    assert sorted(visits) == [2]


def test_a_camera_beside_the_screen_is_allowed_for():
    # They look 48 degrees to the image's right: the screen is there, left of a camera to their right.
    aside = Person(1, here=[(1, 6)], looks=[])
    visits, _ = watched([aside], 10, AudienceOptions(camera_offset_deg=(45.0, -8.0)))
    assert visits[1].attention_s == pytest.approx(5.0, abs=0.2)
    # Eyes 24 px apart in 320 px of 60 degrees, turned by 48: some 49 cm away. atan(55 / 49) = 48 degrees.
    visits, _ = watched([aside], 10, AudienceOptions(camera_offset_cm=(55.0, 8.0)))
    assert visits[1].attention_s == pytest.approx(5.0, abs=0.2)


def test_the_strongest_emotion_and_the_heat_map():
    visits, _ = watched(PEOPLE)
    assert visits[1].emotion == "happiness"
    assert visits[2].emotion == "neutral"
    (cell,) = visits[2].cells
    assert divmod(cell, GRID_WH[0]) == (9, 6)  # (60, 90) of 320 x 180 px
    assert visits[2].cells[cell] == pytest.approx(4.0, abs=0.1)


@pytest.mark.parametrize("wrong", [{"enter_deg": 40.0}, {"grace_s": -1.0}, {"fov_deg": 180.0}, {"near_px": "big"}])
def test_wrong_rules_are_one_clear_error(wrong):
    with pytest.raises(OptionError, match=next(iter(wrong)) if "enter_deg" not in wrong else "leave_deg"):
        AudienceOptions(**wrong)


def test_a_state_that_holds_from_second_zero_begins_a_spell():
    spells = Spells(start_s=0.3, end_s=0.5, max_gap_s=1.0)
    changes = [change for step in range(10) for change in spells.measure(step * 0.1, True)]
    assert [(change.began, change.at) for change in changes] == [(True, 0.0)]
