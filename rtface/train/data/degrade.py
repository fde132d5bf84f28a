"""Pairs of a small, spoilt face and the large, clean one: what super-resolution learns from.

The large one is cut by the runtime's own geometry from a face that is at least that large; the small one is made of it
as a far-away face comes to be: blurred (kernel 3 to 7), shrunk, noisy, compressed as JPEG (Super-FAN, section 5), and
then sampled once more, as the runtime cuts its crop from the frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from rtface.datasets.labelled import FaceLabel
from rtface.errors import InputError
from rtface.geometry.crop import Crop, crop_from_box, crop_from_landmarks, crop_from_points5, warp_crops
from rtface.train.data.pixel_cache import Picture

UInt8 = npt.NDArray[np.uint8]
SMALLEST = 0.9  # a face may be enlarged this little to be a clean large one


def face_crop(face: FaceLabel) -> Crop | None:
    """The runtime's crop of a labelled face by the best label there is; None where there is none."""
    if face.landmarks68 is not None:
        return crop_from_landmarks(face.landmarks68)
    if face.points5 is not None:
        return crop_from_points5(face.points5)
    return None if face.box_xyxy is None else crop_from_box(face.box_xyxy)


def degrade(large: UInt8, size: int, rng: np.random.Generator, clean: float = 0.0) -> UInt8:
    """A spoilt copy (size, size, 3) of a clean face (S, S, 3), S >= 2 size; with a chance of `clean` only shrunk."""
    image = large
    spoilt = not (clean and rng.random() < clean)
    if spoilt and rng.random() < 0.6:
        kernel = int(rng.choice((3, 5, 7)))
        image = cv2.GaussianBlur(image, (kernel, kernel), 0)  # type: ignore[assignment]
    seen = round(size * rng.uniform(0.75, 1.3 if spoilt else 1.0))  # px of the camera that the face's crop covers
    image = cv2.resize(image, (seen, seen), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    if spoilt and rng.random() < 0.4:
        noise = rng.normal(0.0, rng.uniform(1.0, 8.0), (seen, seen, 1)).astype(np.float32)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if spoilt and rng.random() < 0.5:
        quality = int(rng.integers(30, 96))
        image = through_jpeg(image, quality)
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


def through_jpeg(image: npt.NDArray[np.uint8], quality: int) -> npt.NDArray[np.uint8]:
    """The picture as a JPEG of that quality keeps it."""
    data = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, quality))[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


class Pairs:
    """Draws batches of pairs from the faces of pictures that are large enough.

    Args:
        pictures: Of the corpus.
        sizes: Small sides in px, each batch one of them; the large side is four times that.
        batch: Pairs in a batch of the smallest size; fewer of a larger one, for about equal work.
        seed: Of the draws: a batch depends on this and on its number only, so a run that goes on with the number it
            stopped at sees what it would have seen.
        scale: Large side over small side.
        clean: Share of the small faces that are shrunk and nothing else.

    Raises:
        InputError: No face is large enough for one of the sizes.
    """

    def __init__(
        self,
        pictures: Sequence[Picture],
        sizes: Sequence[int],
        batch: int,
        seed: int,
        scale: int = 4,
        clean: float = 0.0,
    ) -> None:
        self.sizes, self.batch, self.scale, self.clean = tuple(sizes), batch, scale, clean
        self.seed = seed
        known = [(p, crop) for p in pictures for f in p.faces if (crop := face_crop(f)) is not None and crop.finite]
        self.faces = {s: [(p, c) for p, c in known if c.side >= SMALLEST * scale * s] for s in self.sizes}
        for size, faces in self.faces.items():
            if not faces:
                why = f"no face's crop is at least {round(SMALLEST * scale * size)} px wide"
                raise InputError("nothing to train on", why, "Check --data, or choose smaller --sizes")

    def __call__(self, number: int) -> tuple[UInt8, UInt8]:
        """Batch `number`: small (N, s, s, 3) and large (N, 4 s, 4 s, 3), BGR."""
        rng = np.random.default_rng((self.seed, number))
        size = self.sizes[int(rng.integers(len(self.sizes)))]
        faces, count = self.faces[size], max(2, round(self.batch * (self.sizes[0] / size) ** 2))
        large = np.empty((count, self.scale * size, self.scale * size, 3), np.uint8)
        for row, index in enumerate(rng.integers(len(faces), size=count)):
            picture, crop = faces[index]
            large[row] = _varied(picture, crop, large.shape[1], rng)
        return np.stack([degrade(one, size, rng, self.clean) for one in large]), large


def _varied(picture: Picture, crop: Crop, size: int, rng: np.random.Generator) -> UInt8:
    """A clean large crop, jittered as detector and tracker err, mirrored, in other light."""
    shift = 0.05 * crop.side
    jittered = replace(
        crop,
        x=crop.x + rng.normal(0, shift),
        y=crop.y + rng.normal(0, shift),
        side=crop.side * float(np.exp(np.clip(rng.normal(0, 0.08), -0.2, 0.25))),
        roll=crop.roll + rng.normal(0, 6),
    )
    image = cut(picture, jittered, size)
    if rng.random() < 0.5:
        image = image[:, ::-1]
    gain, bias = float(np.exp(rng.normal(0, 0.15))), rng.normal(0, 12)
    table = np.clip((np.arange(256) - 117) * gain + 117 + bias, 0, 255).astype(np.uint8)
    if rng.random() < 0.1:
        image = np.repeat(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_BGR2GRAY)[..., None], 3, 2)
    varied: UInt8 = table[image]
    return varied


def cut(picture: Picture, crop: Crop, size: int) -> UInt8:
    """A crop of a picture at (size, size, 3), as the runtime cuts it."""
    cropped: UInt8 = warp_crops(picture.image, [crop], np.empty((1, size, size, 3), np.uint8))[0]
    return cropped
