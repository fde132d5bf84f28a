from __future__ import annotations

import csv
import html.parser
import io
import json
import re
from zoneinfo import ZoneInfo

import cv2
import numpy as np
import pytest

from rtface.audience.publish import WindowPublisher
from rtface.errors import InputError
from rtface.outputs.report import data, page, tables
from rtface.outputs.visit_store import VisitStore
from tests.audience.made import visit

UTC = ZoneInfo("UTC")
NINE = 1_789_981_200.0 // 86400 * 86400 + 9 * 3600


@pytest.fixture
def store(tmp_path):
    with VisitStore(tmp_path / "visits.db", write=True) as opened:
        opened.note(privacy="full")
        counts = {0: 12, 1: 3, 3: 20}  # 9, 10 and 12 o'clock
        for hour, count in counts.items():
            opened.add(
                [
                    visit(
                        NINE + 3600 * hour + n,
                        attention_s=2.0 * n,
                        looks=n % 2,
                        emotion="anger" if n == 2 else "neutral",
                        cells={40: 1.0},
                    )
                    for n in range(count)
                ]
            )
        yield opened


class Tags(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        assert not {"src", "href"} & {name for name, _ in attrs}
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_else(store):
    made = page.page(data.read(store, zone=UTC))
    parser = Tags()
    parser.feed(made)
    assert parser.open == []
    assert "script" not in parser.seen
    assert parser.seen.count("svg") == 5
    assert "http" not in made and "url(" not in made
    assert ">35<" in made  # visits
    assert re.search(r"09:00: 12 visits", made)
    assert "nan" not in made.lower().replace("nance", "")


def test_names_of_cameras_cannot_become_markup(store):
    store.add([visit(NINE, camera="<script>alert(1)</script>")])
    assert "<script" not in page.page(data.read(store, zone=UTC))


def test_hours_without_visits_are_there_and_by_days_they_are_one(store):
    made = data.read(store, zone=UTC)
    assert made.series(lambda one: one["visits"]) == [12, 3, 0.0, 20]
    assert data.read(store, span="1d", zone=UTC).series(lambda one: one["visits"]) == [35]
    assert data.read(store, since=NINE + 3600, zone=UTC).total["visits"] == 23


def test_what_tells_of_few_is_suppressed(store):
    made = data.read(store, zone=UTC, k=5)
    assert made.series(lambda one: one["visits"]) == [12]  # noon covers for ten o'clock
    whole = data.read(store, span="1d", zone=UTC, k=5)
    assert whole.series(lambda one: one["visits"]) == [35]
    assert whole.total["emotions"]["anger"] is None
    text = page.page(made)
    assert "nothing of fewer than 5 visits is told" in text


def test_a_database_of_windows_alone_makes_a_report_too(tmp_path):
    publisher = WindowPublisher(zone=UTC)
    for hour, count in {0: 12, 2: 20}.items():
        for n in range(count):
            publisher.add(visit(NINE + 3600 * hour + n))
    with VisitStore(tmp_path / "windows.db", write=True) as store:
        store.note(privacy="aggregate")
        store.add_windows(publisher.close(float("inf")), NINE)
        made = data.read(store, zone=UTC)
        assert made.series(lambda one: one["visits"]) == [12, None, 20]
        assert made.total["visits"] == 32
        assert "not told" in page.page(made)
        assert data.read(store, span="1d", zone=UTC).series(lambda one: one["visits"]) == [32]


def test_nothing_there_is_one_clear_error(store):
    with pytest.raises(InputError, match="no visit of that time"):
        data.read(store, until=NINE - 86400)


def test_tables_have_the_same_figures(store):
    made = data.read(store, zone=UTC)
    (first, *_), text = tables.rows(made), tables.as_csv(made).decode()
    table = list(csv.DictReader(io.StringIO(text)))
    assert [int(row["visits"]) for row in table] == [12, 3, 20]
    assert first["emotion_anger"] == 1
    content = json.loads(tables.as_json(made))
    assert content["total"]["visits"] == 35
    parquet = pytest.importorskip("pyarrow.parquet")
    read = parquet.read_table(io.BytesIO(tables.as_parquet(made))).to_pylist()
    assert [row["visits"] for row in read] == [12, 3, 20]


def test_the_picture_shows_the_bars(store):
    pytest.importorskip("matplotlib")
    from rtface.outputs.report.picture import picture

    image = cv2.imdecode(np.frombuffer(picture(data.read(store, zone=UTC)), np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (1000, 1600, 3)
    blue = np.abs(image.astype(int) - (0xDE, 0x6F, 0x2F)).max(axis=2) < 8
    assert blue.mean() > 0.02


def test_the_command_line(store, tmp_path, cli):
    database, out = store.path, tmp_path / "report.html"
    done = cli("report", database, "--zone", "UTC")
    assert done.code == 0
    assert [line.split()[:3] for line in done.out.splitlines()[1:]] == [
        ["09:00", "-", "12"],
        ["10:00", "-", "3"],
        ["12:00", "-", "20"],
    ]
    assert cli("report", database, "-o", out, "-o", tmp_path / "hours.csv").code == 0
    assert out.read_text().startswith("<!doctype html>")
    assert cli("report", database, "-o", out).code == 1  # exists
    assert cli("report", database, "-o", out, "-y").code == 0
    assert cli("report", tmp_path / "none.db").code == 3
    for wrong in (["--window", "2h"], ["--since", "noon"], ["--zone", "Nowhere/There"], ["-o", tmp_path / "a.pdf"]):
        done = cli("report", database, *wrong)
        assert done.code == 2
        assert len(done.err.splitlines()) == 1
