"""The figures of a live run for people."""

from __future__ import annotations

from typing import Any

from rtface.bench.report import table


def live_text(record: dict[str, Any]) -> str:
    """A few lines: ages, lateness, drops, levels, costs."""
    age, work, late = record["age_ms"], record["work_ms"], record["late"]
    budget = "no budget" if record["budget_ms"] is None else f"budget {record['budget_ms']:g} ms"
    rows = [
        ("age, grab to hand-over", *(f"{age[name]:.1f}" for name in ("p50", "p95", "p99", "max"))),
        ("work of a frame", *(f"{work[name]:.1f}" for name in ("p50", "p95", "p99")), ""),
    ]
    drops, rss, largest = record["drops"], record["rss_mb"], record["largest_face"]
    levels = "; ".join(f"{name} {seconds:g} s" for name, seconds in record["levels_s"].items())
    lines = [
        f"{record['frames']} results in {record['seconds']:g} s, {record['faces_per_frame']:.2f} faces each; {budget}",
        table(("ms", "p50", "p95", "p99", "max"), rows),
        f"late: {late} ({record['late_pct']:.2f} %); dropped: "
        + ", ".join(f"{count} {cause}" for cause, count in drops.items()),
        f"levels: {levels}; {record['moves']} moves ({record['moves_per_min']:.1f} a minute)",
    ]
    skipped = [f"{task} {n} by {cause}" for task, causes in record["skipped"].items() for cause, n in causes.items()]
    if skipped:
        lines.append(f"left out: {', '.join(skipped)}")
    if largest["landmarks_pct"] is not None:
        aged = largest["landmarks_age_p95_ms"]
        with_age = "" if aged is None else f", p95 of their age {aged:.0f} ms"
        lines.append(f"largest face with landmarks: {largest['landmarks_pct']:.1f} %{with_age}")
    start, end, peak = rss["start"], rss["end"], rss["peak"]
    memory = "unknown" if end is None else f"{end:.0f} MB (start {start:.0f}, peak {peak:.0f})"
    lines.append(f"CPU time {record['cpu_ms_per_frame']:.1f} ms a frame; memory {memory}")
    return "\n".join(lines)
