"""The report as one page that needs nothing else: no script, no font, no picture from anywhere."""

from __future__ import annotations

from html import escape

from rtface.audience.windows import BUCKET_NAMES
from rtface.outputs.report.data import Record, Report, seconds
from rtface.outputs.report.svg import HALF, Series, bars, heat_map, lines

STYLE = """
:root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--ink:#1a2230;--soft:#5b6576;--grid:#dfe3ea;--one:#2f6fde;
--two:#f08c2e;--three:#1f9d76;--hide:#c3c9d4}
@media(prefers-color-scheme:dark){:root{--page:#10141b;--card:#1a202b;--ink:#e8ecf3;--soft:#9aa5b6;--grid:#2d3644;
--one:#6ea4ff;--two:#ffb066;--three:#56cfa5;--hide:#48526280}}
*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1180px;margin:auto;padding:24px 16px 48px}h1{font-size:1.5rem;margin:0}h2{font-size:1rem;margin:0 0 8px}
header p,.note{color:var(--soft);margin:.2rem 0 1.2rem}.tiles{display:grid;gap:12px;margin-bottom:16px;
grid-template-columns:repeat(auto-fill,minmax(150px,1fr))}.card,.tile{background:var(--card);border-radius:12px;
padding:14px 16px;box-shadow:0 1px 3px #0002}.tile b{display:block;font-size:1.7rem;line-height:1.2}
.tile span{color:var(--soft);font-size:.85rem}.cards{display:grid;gap:16px;grid-template-columns:repeat(2,1fr)}
.wide{grid-column:1/-1}@media(max-width:760px){.cards{grid-template-columns:1fr}
.wide .tick{font-size:17px}}svg{width:100%;height:auto;display:block}
.grid{stroke:var(--grid)}.tick{fill:var(--soft);font-size:12px}.one{fill:var(--one)}.two{fill:var(--two)}
.three{fill:var(--three)}.hidden{fill:var(--hide)}.line{fill:none;stroke-width:2}.line.one{stroke:var(--one)}
.line.two{stroke:var(--two)}.ground{fill:var(--grid)}.heat{fill:var(--two)}.key{display:flex;gap:14px;font-size:.85rem;
color:var(--soft);margin-bottom:4px}.key i{width:10px;height:10px;border-radius:3px;display:inline-block;
margin-right:5px}.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:5px 10px;text-align:right;border-bottom:1px solid var(--grid);white-space:nowrap}
th:first-child,td:first-child{text-align:left}th{color:var(--soft);font-weight:600}
"""
COLOURS = {"one": "var(--one)", "two": "var(--two)", "three": "var(--three)"}


def page(report: Report) -> str:
    """The page as HTML."""
    labels = [label(report, start) for start in report.starts]
    total = report.total
    visits = Series("visits", report.series(lambda one: one["visits"]), "one")
    watchers = Series("watchers", report.series(lambda one: one["watchers"]), "two")
    cards = [
        _card("Visits and watchers", [visits, watchers], bars(labels, [visits, watchers], title="Visits"), wide=True),
        _times(report, labels),
        _parts("How long watchers looked", total["attention_buckets"], "watchers", " s", "three"),
        _parts("Strongest emotion of a visit", _by_size(total["emotions"]), "visits", "", "one"),
        _heat(total),
    ]
    body = "".join(
        [_head(report), _tiles(report), f'<div class="cards">{"".join(cards)}</div>', _table(report), _foot()]
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Audience: {escape(report.name)}</title><style>{STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>"
    )


def label(report: Report, start: float) -> str:
    """A window's start on the clock of the report."""
    time = report.local_time(start)
    if report.span == "1d":
        return f"{time:%a} {time.day} {time:%b}"
    several = report.starts[-1] - report.starts[0] > 86400
    return f"{time:%d.} {time:%H:%M}" if several else f"{time:%H:%M}"


def _head(report: Report) -> str:
    first, last = report.local_time(seconds(report.total["start"])), report.local_time(seconds(report.total["end"]))
    when = (
        f"{first:%A %d %B %Y %H:%M} to {last:%H:%M}"
        if first.date() == last.date()
        else (f"{first:%d %B %Y %H:%M} to {last:%d %B %Y %H:%M}")
    )
    cameras = ", ".join(name for name in report.cameras if name)
    hidden = f" · nothing of fewer than {report.k} visits is told" if report.k else ""
    return (
        f"<header><h1>Audience</h1><p>{escape(when)} ({escape(str(report.zone or last.tzname()))})"
        f"{' · ' + escape(cameras) if cameras else ''}{hidden}</p></header>"
    )


def _tiles(report: Report) -> str:
    total = report.total
    busiest = total["busiest_minute"]
    minute = f"{report.local_time(seconds(busiest['start'])):%H:%M}" if busiest else None
    ratio = total["attraction_ratio"]
    tiles = [
        ("visits", _count(total["visits"])),
        ("watchers: looked at least once", _count(total["watchers"])),
        ("attraction ratio of watchers", None if ratio is None else f"{100 * ratio:.0f} %"),
        ("attention, mean of watchers", _seconds(total["attention_s"])),
        ("dwell, mean of visits", _seconds(total["dwell_s"])),
        ("smiles", _count(total["smiles"])),
        (f"busiest minute ({busiest['visits']} came)" if busiest else "busiest minute", minute),
    ]
    return (
        '<div class="tiles">'
        + "".join(
            f'<div class="tile"><b>{"–" if value is None else escape(value)}</b><span>{escape(name)}</span></div>'
            for name, value in tiles
        )
        + "</div>"
    )


def _count(number: int | None) -> str | None:
    return None if number is None else f"{number:,}".replace(",", " ")  # a thin space


def _seconds(spread: Record | None) -> str | None:
    mean = spread["mean"] if spread else None
    return None if mean is None else f"{mean:.1f} s"


def _card(title: str, series: list[Series], chart: str, *, wide: bool = False) -> str:
    key = "".join(f'<span><i style="background:{COLOURS[one.colour]}"></i>{escape(one.name)}</span>' for one in series)
    kind = "card wide" if wide else "card"
    return f'<section class="{kind}"><h2>{escape(title)}</h2><div class="key">{key}</div>{chart}</section>'


def _times(report: Report, labels: list[str]) -> str:
    def medians(name: str) -> list[float | None]:
        found = {record["start"]: record[name] for record in report.windows if record[name]}
        by_start = {seconds(start): spread["median"] for start, spread in found.items()}
        return [by_start.get(start) for start in report.starts]

    if len(report.cameras) > 1:  # a median of medians says nothing
        return ""
    series = [Series("dwell", medians("dwell_s"), "one"), Series("attention", medians("attention_s"), "two")]
    return _card("Dwell and attention (median)", series, lines(labels, series, title="Dwell", unit=" s"), wide=True)


def _parts(title: str, counts: Record, name: str, unit: str, colour: str) -> str:
    if not counts:
        return ""
    series = [Series(name, list(counts.values()), colour)]
    return _card(title, series, bars([f"{key}{unit}" for key in counts], series, title=title, width=HALF))


def _by_size(counts: Record) -> Record:
    return dict(sorted(counts.items(), key=lambda one: -(one[1] or -1)))


def _heat(total: Record) -> str:
    heat = total["heat"]
    if not heat.get("cells"):
        return ""
    chart = heat_map(heat["cells"], heat["columns"], heat["rows"], title="Where faces were", unit="s")
    return (
        '<section class="card wide"><h2>Where faces were in the camera\'s picture</h2>'
        f'<div style="max-width:640px;margin:auto">{chart}</div></section>'
    )


def _table(report: Report) -> str:
    head = ["", "visits", "watchers", "attraction", "dwell mean", "attention mean", "median", "p90", "smiles"]
    head += [f"{name} s" for name in BUCKET_NAMES]
    rows = "".join(_row(report, record) for record in report.windows)
    cells = "".join(f'<th scope="col">{name}</th>' for name in head)
    return (
        f'<section class="card" style="margin-top:16px"><h2>Figures</h2><div class="scroll"><table><thead><tr>{cells}'
        f"</tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


def _row(report: Report, record: Record) -> str:
    dwell, attention = record["dwell_s"] or {}, record["attention_s"] or {}
    ratio = record["attraction_ratio"]
    values = [
        record["visits"],
        record["watchers"],
        None if ratio is None else f"{100 * ratio:.0f} %",
        *(None if value is None else f"{value:.1f} s" for value in (dwell.get("mean"), attention.get("mean"))),
        *(None if attention.get(name) is None else f"{attention[name]:.1f} s" for name in ("median", "p90")),
        record["smiles"],
        *record["attention_buckets"].values(),
    ]
    name = " ".join(filter(None, (label(report, seconds(record["start"])), record["camera"])))
    cells = "".join(f"<td>{'–' if value is None else escape(str(value))}</td>" for value in values)
    return f"<tr><td>{escape(name)}</td>{cells}</tr>"


def _foot() -> str:
    return (
        '<p class="note">A visit is a face that was there for a moment (0.3 s), not a passer-by; a watcher looked at '
        "the screen for as long, by the turn of the head (or the gaze). Dwell is the time in view, attention the time "
        "of looking, the attraction ratio attention to dwell of the watchers. A visit counts in the window in which it "
        "began. Nobody was identified; no pictures were kept.</p>"
    )
