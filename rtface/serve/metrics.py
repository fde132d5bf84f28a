"""Figures for Prometheus. No track ids as labels: their number has no bound."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import fields

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics import disable_created_metrics

from rtface.types import FrameResult, Timing
from rtface.version import __version__

AGE_BUCKETS_S = (0.005, 0.01, 0.02, 0.033, 0.05, 0.1, 0.2, 0.5)
STAGE_BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
STAGES = tuple(one.name.removesuffix("_ms") for one in fields(Timing) if one.name not in ("total_ms", "age_ms"))


class Metrics:
    """One registry of its own, so that two servers in a process do not meet."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()

        def counter(name: str, about: str, *labels: str) -> Counter:
            return Counter(name, about, ("camera", *labels), registry=self.registry)

        def gauge(name: str, about: str) -> Gauge:
            return Gauge(name, about, ("camera",), registry=self.registry)

        self.frames = counter("rtface_frames", "Frames that were analysed")
        self.dropped = counter("rtface_frames_dropped", "Frames that nobody analysed")
        self.late = counter("rtface_results_late", "Results after their deadline")
        self.faces = gauge("rtface_faces", "Faces in the newest result")
        self.level = gauge("rtface_quality_level", "Quality level, 0 is full")
        self.up = gauge("rtface_source_up", "Whether the source gives frames")
        self.visits = counter("rtface_visits", "Visits that are over")
        self.attention = counter("rtface_attention_seconds", "Seconds that visitors looked")
        self.events = counter("rtface_events", "Events by kind", "kind")
        self.age = Histogram(
            "rtface_result_age_seconds",
            "From grab to hand-over",
            ("camera",),
            buckets=AGE_BUCKETS_S,
            registry=self.registry,
        )
        self.stage = Histogram(
            "rtface_stage_seconds",
            "Time in a stage",
            ("camera", "stage"),
            buckets=STAGE_BUCKETS_S,
            registry=self.registry,
        )
        self.viewers = Gauge("rtface_viewers", "Open pages and streams", registry=self.registry)
        info = Gauge("rtface_info", "The version", ("version",), registry=self.registry)
        info.labels(__version__).set(1)

    def add(self, camera: str, result: FrameResult, *, aggregate: bool) -> None:
        """Count a result; nothing of single faces in aggregate mode."""
        self.frames.labels(camera).inc()
        self.dropped.labels(camera).inc(result.dropped)
        self.late.labels(camera).inc(result.late)
        self.level.labels(camera).set(result.level)
        self.up.labels(camera).set(1)
        self.age.labels(camera).observe(result.timing.age_ms / 1e3)
        if not aggregate:
            self.faces.labels(camera).set(len(result.faces))
        for stage in STAGES:
            seconds = getattr(result.timing, f"{stage}_ms") / 1e3
            if seconds:
                self.stage.labels(camera, stage).observe(seconds)

    def forget(self, camera: str) -> None:
        """A camera is no more: what it does now goes; what was counted stays."""
        for gauge in (self.faces, self.level, self.up):
            with suppress(KeyError):
                gauge.remove(camera)

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return bytes(generate_latest(self.registry))
