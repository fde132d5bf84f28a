"""The kernel that samples crops: byte by byte what it says in NumPy, and within one step of OpenCV's.

`pytest -m gpu tests/gpu/test_crop_kernel.py` on a GPU; elsewhere on the simulated driver (tests/engine/test_cuda.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import pytest

from rtface.engine import crop_kernel
from rtface.engine.crop_kernel import FIELDS, MAX_HALVINGS, GpuCrops
from rtface.engine.cuda import DriverCuda, open_cuda, view
from rtface.errors import RtfaceError
from rtface.geometry.crop import (
    IN_FOUR_CHANNELS,
    Crop,
    Region,
    crop_to_frame_matrix,
    halvings_of,
    region_under,
    warp_crops,
)
from tests.engine.simulated import kernel

pytestmark = pytest.mark.gpu

SIMULATED = os.environ.get("RTFACE_SIMULATED_DRIVER")


@pytest.fixture(scope="module")
def cuda() -> Iterator[DriverCuda]:
    try:
        opened = open_cuda()
    except RtfaceError as error:
        pytest.skip(str(error))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> bytes | None:
    """The kernel for the simulated driver; None = NVRTC compiles it for the GPU."""
    return kernel(crop_kernel.SOURCE, crop_kernel.NAME, tmp_path_factory.mktemp("k")) if SIMULATED else None


def sampled(
    cuda: DriverCuda, image: bytes | None, frame: np.ndarray, crops: Sequence[Crop], size: int = 128
) -> np.ndarray:
    """What the kernel makes of a frame."""
    with cuda.active():
        sampler = GpuCrops(cuda, size, image)
        assert sampler.takes(crops)
        shape = (len(crops), size, size, 3)
        there, here = (make(int(np.prod(shape))) for make in (cuda.device, cuda.pinned))
        sampler.put(frame, crops, there.device_address)
        cuda.copy(here, there, here.nbytes)
        cuda.wait()
        out = view(here, shape, np.uint8).copy()
        sampler.close()
        there.close()
        here.close()
    return out


def reference(frame: np.ndarray, crop: Crop, size: int = 128) -> np.ndarray:
    """The kernel's sums in NumPy."""
    halvings = halvings_of(crop, size)
    region = region_under(frame.shape[1], frame.shape[0], crop_to_frame_matrix(crop, size), size, halvings)
    if region is None:
        return np.zeros((size, size, 3), np.uint8)
    part = halved(region.cut(frame).astype(np.int32), region)
    m = region.matrix.astype(np.float32)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    sx, sy = (row[0] * x + row[1] * y + row[2] for row in m)
    left, top = (np.floor(np.clip(s, -2, side + 1)) for s, side in ((sx, region.across), (sy, region.down)))
    right, down = ((s - whole)[..., None] for s, whole in ((sx, left), (sy, top)))
    framed = np.zeros((region.down + 6, region.across + 6, 3), np.float32)
    framed[2:-4, 2:-4] = part
    at = tuple((whole + 2).astype(int) for whole in (top, left))
    a, b, c, d = (framed[at[0] + low, at[1] + over] for low in (0, 1) for over in (0, 1))
    above, below = a + right * (b - a), c + right * (d - c)
    out = np.rint(above + down * (below - above)).astype(np.uint8)
    out[(sx < -1) | (sy < -1) | (sx > region.across) | (sy > region.down)] = 0
    return out


def halved(part: np.ndarray, region: Region) -> np.ndarray:
    for _ in range(region.halvings):
        part = (part[::2, ::2] + part[1::2, ::2] + part[::2, 1::2] + part[1::2, 1::2] + 2) >> 2
    return part


def frame_of(kind: str, width: int, height: int) -> np.ndarray:
    noise = np.random.default_rng(7).integers(0, 256, (height, width, 3), np.uint8)
    return noise if kind == "noise" else np.ascontiguousarray(cv2.GaussianBlur(noise, (0, 0), 4) // 2 * 2)


def crops_of(count: int, width: int, height: int, sides: tuple[float, float]) -> list[Crop]:
    rng = np.random.default_rng(count)
    return [
        Crop(*rng.uniform((0, 0), (width, height)), side, roll)
        for side, roll in zip(rng.uniform(*sides, count), rng.uniform(-180, 180, count), strict=True)
    ]


@pytest.mark.parametrize("kind", ["noise", "picture"])
@pytest.mark.parametrize(
    ("sides", "size"), [((20, 120), 128), ((120, 255), 128), ((256, 511), 128), ((512, 1100), 128), ((100, 500), 96)]
)
def test_every_byte_is_as_in_numpy_and_within_one_step_of_opencv(
    cuda: DriverCuda, image: bytes | None, kind: str, sides: tuple[float, float], size: int
) -> None:
    frame, crops = frame_of(kind, 640, 480), crops_of(6, 640, 480, sides)
    got = sampled(cuda, image, frame, crops, size)
    assert np.array_equal(got, np.stack([reference(frame, crop, size) for crop in crops]))
    opencv = warp_crops(frame, crops, np.empty((len(crops), size, size, 3), np.uint8)).astype(int)
    assert got.any() and np.abs(got - opencv).max() <= (1 if IN_FOUR_CHANNELS else 8), "OpenCV 4 rounds places to 1/32"


def test_what_lies_beside_the_frame_is_black(cuda: DriverCuda, image: bytes | None) -> None:
    crops = [Crop(-500, 50, 100), Crop(50, 50, 60), Crop(0, 0, 90, 30), Crop(99, 99, 3), Crop(1e7, -1e7, 50)]
    frame = np.full((100, 100, 3), 200, np.uint8)
    got = sampled(cuda, image, frame, crops)
    assert not got[0].any() and not got[4].any() and (got[1] == 200).all()
    assert np.abs(got - warp_crops(frame, crops).astype(int)).max() <= (1 if IN_FOUR_CHANNELS else 8)
    assert not got[2][0, 0].any() and (got[2][-1, -1] == 200).all()


def test_a_frame_that_is_a_view_and_more_crops_than_before(cuda: DriverCuda, image: bytes | None) -> None:
    wide = frame_of("noise", 640, 960)
    frame = wide[::2, 100:500]
    with cuda.active():
        sampler = GpuCrops(cuda, 128, image)
        for count in (1, 8, 3):
            crops = crops_of(count, 400, 480, (100, 300))
            there, here = (make(count * 128 * 128 * 3) for make in (cuda.device, cuda.pinned))
            sampler.put(frame, crops, there.device_address)
            cuda.copy(here, there, here.nbytes)
            cuda.wait()
            got = view(here, (count, 128, 128, 3), np.uint8)
            assert np.array_equal(got, np.stack([reference(frame, crop) for crop in crops]))
            there.close()
            here.close()
        sampler.close()


def test_the_kernel_is_told_48_bytes_of_a_crop_and_says_what_it_cannot(cuda: DriverCuda, image: bytes | None) -> None:
    assert FIELDS.itemsize == 48 and FIELDS.fields is not None and FIELDS.fields["offset"][1] == 40
    with cuda.active():
        sampler = GpuCrops(cuda, 128, image)
        assert sampler.takes([Crop(0, 0, 128 * 2 ** (MAX_HALVINGS + 1) - 1)])
        assert not sampler.takes([Crop(0, 0, 100), Crop(0, 0, 128 * 2 ** (MAX_HALVINGS + 1))])
