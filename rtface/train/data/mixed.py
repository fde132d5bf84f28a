"""Samples of a mix: each source's own, with the labels that it is there for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from rtface.errors import InputError
from rtface.train.data.pixel_cache import Picture, read_pictures
from rtface.train.data.samples import Sample, build_samples, fit_mesh_map, samples_of
from rtface.train.data.scene_sources import SourcePicture, source_picture
from rtface.train.sources import TASKS, Source


@dataclass(frozen=True)
class Mixed:
    """What is drawn from.

    Attributes:
        samples: Source → its samples.
        shares: Source → its share of a batch, in proportion.
        tasks: Source → what it is learned from for; a source that is not there is for all tasks.
    """

    samples: dict[str, list[Sample]]
    shares: Mapping[str, float]
    tasks: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def by_group(self, task: str) -> dict[str, list[Sample]]:
        """The same samples by the group that `build_samples` put them in (landmarks, emotion …), of the sources that
        may be learned from for a task."""
        groups: dict[str, list[Sample]] = {}
        for name, samples in self.samples.items():
            for sample in samples if task in self.tasks.get(name, TASKS) else ():
                groups.setdefault(sample.group, []).append(sample)
        return groups

    def of_group(self, group: str) -> Mixed:
        """Only the samples of a group. Raises InputError where there are none."""
        kept = {name: [s for s in samples if s.group == group] for name, samples in self.samples.items()}
        kept = {name: samples for name, samples in kept.items() if samples}
        if not kept:
            names = ", ".join(self.samples)
            raise InputError(f"sources {names}", f"hold no samples of {group}", f"Add a source with labels of {group}")
        return Mixed(kept, self.shares, self.tasks)

    def table(self) -> str:
        """A line a source for people: its share in %, its samples, and how many carry each label."""
        total = sum(self.shares[name] for name in self.samples)
        rows = []
        for name, samples in self.samples.items():
            labels = Counter(task for sample in samples for task in active_tasks(sample))
            said = ", ".join(f"{task} {count}" for task, count in labels.items())
            rows.append(f"{name}: {100 * self.shares[name] / total:.0f} % of a batch, {len(samples)} samples: {said}")
        return "\n".join(rows)


def mixed_samples(sources: Sequence[Source], cache: Path, skip_bad: bool = False) -> Mixed:
    """Samples to train on, of each source with the labels that it is there for.

    Raises:
        SourceError: A file is damaged.
        InputError: A source has nothing of what it is to be learned from.
    """
    pictures = {source.name: _rows(source, cache, skip_bad) for source in sources}
    # fitted on all together: points of the unlabelled come from the labelled
    mesh_map = fit_mesh_map(picture for some in pictures.values() for picture in some)
    samples: dict[str, list[Sample]] = {}
    for source in sources:
        limited = (select_tasks(sample, source.tasks) for sample in samples_of(pictures[source.name], mesh_map))
        samples[source.name] = [sample for sample in limited if sample is not None]
        if not samples[source.name]:
            tasks, rows = ", ".join(source.tasks), ", ".join(source.splits)
            why = f"no row of {', '.join(map(str, source.files))} ({rows}) has a label for {tasks}"
            raise InputError(f"source {source.name!r}", why, "Change its tasks, only or splits, or leave it out")
    shares = {source.name: source.share for source in sources}
    return Mixed(samples, shares, {source.name: source.tasks for source in sources})


def grouped_samples(
    sources: Sequence[Source], cache: Path, splits: Sequence[str] | None = None, skip_bad: bool = False
) -> dict[str, list[Sample]]:
    """Samples of all sources together by group, with all their labels; each file is read once.

    `splits` None takes the sources' own rows, else rows of these splits.

    Raises:
        SourceError: A file is damaged.
    """
    files = dict.fromkeys(file for source in sources for file in source.files)
    if splits is not None:
        return build_samples(read_pictures(files, cache, splits, skip_bad))
    return build_samples([picture for source in sources for picture in _rows(source, cache, skip_bad)])


def mixed_scenes(sources: Sequence[Source], cache: Path) -> tuple[dict[str, list[SourcePicture]], dict[str, float]]:
    """Pictures for the detector by source, and the sources' shares.

    Crops with an emotion are left out: their box is the crop's.

    Raises:
        InputError: A file is damaged, or a source has no picture with a box or five points.
    """
    groups: dict[str, list[SourcePicture]] = {}
    for source in sources:
        made = [
            _scene_picture(picture, source) for picture in _rows(source, cache) if picture.labels.emotion_votes is None
        ]
        groups[source.name] = [picture for picture in made if picture.faces or picture.trusted]
        if not groups[source.name]:
            why = f"no row of {', '.join(map(str, source.files))} has a box or five points"
            raise InputError(f"source {source.name!r}", why, "Change its only or splits, or leave it out")
    return groups, {source.name: source.share for source in sources}


def _scene_picture(picture: Picture, source: Source) -> SourcePicture:
    made = source_picture(picture)
    made.trusted = made.trusted if source.boxed is None else source.boxed
    for face in made.faces:
        if "points5" not in source.tasks:
            face.points[:] = np.nan
        if "pose" not in source.tasks:
            face.pose[:] = np.nan
    return made


def _rows(source: Source, cache: Path, skip_bad: bool = False) -> list[Picture]:
    return [row for row in read_pictures(source.files, cache, source.splits, skip_bad) if source.takes(row.labels)]


def select_tasks(sample: Sample, factors: Mapping[str, float]) -> Sample | None:
    """The sample with labels of these tasks only, weighted; None where nothing is left to learn. Not-faces stay.

    Points that are not learned from stay as what the crop is cut by.
    """
    sample.points5_weight *= factors.get("points5", 0.0)
    if sample.landmark_weight is not None:
        sample.landmark_weight = sample.landmark_weight * factors.get("landmarks", 0.0)
    if sample.pose_weight is not None:
        sample.pose_weight = sample.pose_weight * factors.get("pose", 0.0)
    if "emotion" in factors:
        sample.emotion_weight *= factors["emotion"]
    else:
        sample.emotion = None
    if "parsing" not in factors and sample.picture.parsing is not None:
        sample.picture = replace(sample.picture, parsing=None)
    return sample if active_tasks(sample) else None


def active_tasks(sample: Sample) -> list[str]:
    """What there is to learn from a sample; "no face" of one that shows none."""
    there = {
        "landmarks": sample.landmark_weight is not None and bool((sample.landmark_weight > 0).any()),
        "points5": sample.points5_weight > 0,
        "parsing": sample.picture.parsing is not None,
        "emotion": sample.emotion is not None and sample.emotion_weight > 0,
        "pose": sample.pose_weight is not None and bool((sample.pose_weight > 0).any()),
        "no face": not sample.is_face,
    }
    return [label for label, is_there in there.items() if is_there]
