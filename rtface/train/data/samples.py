"""What the multi-task network learns from a labelled picture: a sample for each face, with the labels that count."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rtface.datasets.eyes import shows_an_eye
from rtface.datasets.labelled import FaceLabel, LabelledImage, arkit_order
from rtface.train.data.mesh import MeshToPoints
from rtface.train.data.pixel_cache import Picture
from rtface.train.data.sight import sight_of

Float32 = npt.NDArray[np.float32]

INNER = np.arange(17, 68)
POSE_LIMIT = 50.0  # degrees: the pose teachers are good to about this yaw
SYNTHETIC = "synthetic"  # `rtface train synth`: all labels are exact, pose to the profile
EXACT = ("human", SYNTHETIC)  # points that tell how meshes are read, in this order
#: How far points are believed by their source: set or corrected by hand, rendered, or read off a mesh by a map that
#: corrected faces taught (`benchmarks.correct_points`); all others `OTHERS`.
TRUST = {"human": 1.0, "hand": 1.0, SYNTHETIC: 1.0, "hand-map": 0.7}
OTHERS = 0.35
MESH_READ = "teacher-mesh"  # points that are only vertices of a mesh, whose outline is not iBUG's jaw
MESH_FACES = 200  # the map from mesh to points is fitted on more faces than this
#: Own points weigh half when looks at the face lie this far apart, % of the outer eye corners' distance.
HALF_TRUST = 2.0
_GROUP_OF = {"mtfl": "five", "udacity": "video", "celebamask": "parsing", "fasseg2": "parsing", "fasseg3": "parsing"}


@dataclass(slots=True)
class Sample:
    """One face of one picture with the labels that the network learns from."""

    picture: Picture
    group: str
    points5: Float32 | None = None
    box: Float32 | None = None
    landmarks: Float32 | None = None  # (68, 2) px
    landmark_weight: Float32 | None = None  # (68,)
    points5_weight: float = 0.0  # weight of the 5-point loss
    pose: Float32 | None = None  # yaw, pitch, roll degrees in the picture
    pose_weight: Float32 | None = None  # (3,)
    emotion: Float32 | None = None  # (8,) vote shares, or a teacher's probabilities
    emotion_weight: float = 1.0
    is_face: bool = True
    mesh: Float32 | None = None  # (478, 2) px
    expression: Float32 | None = None  # (52,) blend shapes in ARKit's order
    gaze: Float32 | None = None  # (2,) yaw, pitch degrees in the picture, where an eye shows


def teaches(row: LabelledImage) -> bool:
    """Whether the multi-task network can learn anything from a picture; pixels are not looked at."""
    if row.emotion_votes is not None or row.parsing_scheme is not None:
        return True
    if not row.faces:
        return not len(row.ignore_xyxy)
    return any(
        face.landmarks68 is not None or face.mesh478 is not None or face.points5_source == "human" for face in row.faces
    )


def build_samples(pictures: Sequence[Picture]) -> dict[str, list[Sample]]:
    """Samples by group: landmarks, video, parsing, faces (unlabelled), five (five points only), emotion, negative."""
    groups: dict[str, list[Sample]] = {}
    for sample in samples_of(pictures, fit_mesh_map(pictures)):
        groups.setdefault(sample.group, []).append(sample)
    return groups


def fit_mesh_map(pictures: Iterable[Picture]) -> MeshToPoints | None:
    """How a mesh tells 68 points, by faces that have both; None when there are too few.

    Faces labelled by hand tell it; where there are none, as in an open mix, synthetic ones do.
    """
    both: dict[str | None, list[tuple[Float32, Float32]]] = {source: [] for source in EXACT}
    for picture in pictures:
        for face in picture.faces:
            if face.mesh478 is not None and face.landmarks68 is not None and face.landmarks68_source in both:
                both[face.landmarks68_source].append((face.mesh478, face.landmarks68))
    enough = next((pairs for pairs in both.values() if len(pairs) > MESH_FACES), None)
    return None if enough is None else MeshToPoints([m for m, _ in enough], [p for _, p in enough])


def samples_of(pictures: Iterable[Picture], mesh_map: MeshToPoints | None = None) -> Iterator[Sample]:
    """The samples of pictures; `mesh_map` gives points to faces that have a mesh and none of their own."""
    for picture in pictures:
        if picture.labels.emotion_votes is not None:
            yield from _emotion_sample(picture, picture.labels.emotion_votes)
        elif picture.faces:
            made = [sample for face in picture.faces if (sample := _face_sample(picture, face, mesh_map)) is not None]
            yield from made or _mask_sample(picture)
        elif not len(picture.labels.ignore_xyxy):  # else there may be a face
            yield Sample(picture, "negative", is_face=False)


def _emotion_sample(picture: Picture, emotion_votes: npt.NDArray[np.int64]) -> Iterator[Sample]:
    shares = (emotion_votes / max(float(emotion_votes.sum()), 1.0)).astype(np.float32)
    height, width = picture.image.shape[:2]
    box = np.array((0, 0, width, height), np.float32)
    if len(picture.faces) == 1 and picture.faces[0].box_xyxy is not None:
        box = picture.faces[0].box_xyxy
    if int(shares.argmax()) < 8:
        votes = shares[:8].copy()
        # a lone vote of ten is as often a slip as an opinion (FER+ paper, section 2)
        votes[votes <= 0.1 + 1e-6] = 0.0
        if votes.sum() > 0:
            yield Sample(picture, "emotion", box=box, emotion=votes / votes.sum())
    elif shares[9] > 0.6:
        yield Sample(picture, "negative", box=box, is_face=False)


def _mask_sample(picture: Picture) -> Iterator[Sample]:
    """A mask whose face is known only by what its crop can be cut by."""
    known = next((face for face in picture.faces if face.points5 is not None or face.box_xyxy is not None), None)
    if picture.parsing is not None and known is not None:
        yield Sample(picture, "parsing", points5=known.points5, box=known.box_xyxy)


def _face_sample(picture: Picture, face: FaceLabel, mesh_map: MeshToPoints | None) -> Sample | None:
    """None for a bystander with teacher points only, or a mask without a face to cut it by."""
    sample = Sample(picture, _group(picture, face), points5=face.points5, box=face.box_xyxy)
    by_hand = face.points5 is not None and face.points5_source == "human"
    of_mesh = face.landmarks68_source == MESH_READ and face.mesh478 is not None and mesh_map is not None
    if face.landmarks68 is not None and not of_mesh:
        sample.landmarks = face.landmarks68
        trust = TRUST.get(face.landmarks68_source or "", OTHERS)
        trust /= 1.0 + ((face.landmarks68_spread or 0.0) / HALF_TRUST) ** 2
        sample.landmark_weight = np.full(68, trust, np.float32)
    elif face.mesh478 is not None and mesh_map is not None:
        sample.landmarks = mesh_map(face.mesh478)
        sample.landmark_weight = np.full(68, 0.3, np.float32)
        sample.landmark_weight[INNER] = 0.6  # the mesh's outline follows the visible edge, iBUG's the jaw
    elif not by_hand and (sample.group != "parsing" or (face.points5 is None and face.box_xyxy is None)):
        return None
    if by_hand and face.landmarks68_source != "human":
        sample.points5_weight = 1.0  # they say more than a teacher's 68 do
    _label_pose(sample, face)
    sample.mesh = face.mesh478
    if face.blendshapes52 is not None:
        sample.expression = arkit_order(face.blendshapes52)
    if face.mesh478 is not None and shows_an_eye(face, _classes(picture)):
        sample.gaze = sight_of(face)
    return sample


def _classes(picture: Picture) -> npt.NDArray[np.uint8] | None:
    """A mask that tells whether eyes are seen: a made head's. Those of people are 255 away from the face."""
    return picture.parsing if picture.source.startswith(SYNTHETIC) else None


def _group(picture: Picture, face: FaceLabel) -> str:
    """By the row's source when it is one of the corpus' own sets, else by what is labelled."""
    if picture.source in _GROUP_OF:
        return _GROUP_OF[picture.source]
    if picture.split == "unlabelled":
        return "faces"
    if face.landmarks68 is None and picture.parsing is not None and picture.labels.parsing_source == "human":
        return "parsing"
    if face.landmarks68 is None and face.points5_source == "human":
        return "five"
    return "landmarks"


def _label_pose(sample: Sample, face: FaceLabel) -> None:
    if face.pose is not None:
        trust = 1.0 / (1.0 + ((face.pose_spread or 0.0) / 5.0) ** 2)
        sample.pose, sample.pose_weight = face.pose.copy(), np.full(3, trust, np.float32)
        if abs(float(face.pose[0])) > POSE_LIMIT and face.landmarks68_source != SYNTHETIC:
            sample.pose_weight *= 0.3
    if face.yaw_true is not None:
        if sample.pose is None:
            sample.pose, sample.pose_weight = np.zeros(3, np.float32), np.zeros(3, np.float32)
        assert sample.pose_weight is not None
        sample.pose[0], sample.pose_weight[0] = face.yaw_true, 2.0
