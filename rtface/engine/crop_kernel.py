"""All crops of a frame sampled by one kernel, straight into the network's input.

The same arithmetic as `rtface.geometry.crop.warp_crops` on OpenCV 5: 2×2 averages rounded at every halving, then
bilinear samples in float32, black beside the part. No byte differs by more than 1, which is how OpenCV rounds.

Only the parts of the frame under the crops go to the GPU, packed: a whole 1080p frame is 6 MB, eight faces of 200 px
are a third of that.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rtface.engine.cuda import Cuda, view
from rtface.engine.gpu_memory import MirroredBlock
from rtface.engine.nvrtc import compile_kernel
from rtface.geometry.crop import Crop, Region, crop_to_frame_matrix, halvings_of, region_under

NAME = "sample_crops"

BLOCK = (32, 8, 1)
"""Threads of a block: a warp writes a row of 32 px."""

RESERVED = 3
"""Side of the part of a frame that memory is reserved for, in crops: an upright face of 380 px."""

MAX_HALVINGS = 4
"""Of the kernel: crops up to 2**5 * 128 px of the frame."""

FIELDS = np.dtype(
    [
        ("matrix", np.float32, 6),
        ("across", np.int32),
        ("down", np.int32),
        ("halvings", np.int32),
        ("pitch", np.int32),
        ("offset", np.int64),
    ]
)
"""What the kernel is told of a crop; 48 bytes."""

SOURCE = r"""
struct Region {
    float matrix[6];            // px of the crop to px of the halved part
    int across, down, halvings; // size of the halved part, and how often it is halved
    int pitch;                  // bytes of a row of the part
    long long offset;           // where the part begins
};

// One channel of a px of the part, averaged LEVEL times; rounded every time, as cv2.resize does.
template <int LEVEL> struct Average {
    __device__ static __forceinline__ int of(const unsigned char *at, int pitch) {
        const int half = 1 << (LEVEL - 1);
        const unsigned char *below = at + half * pitch;
        return (Average<LEVEL - 1>::of(at, pitch) + Average<LEVEL - 1>::of(at + half * 3, pitch)
                + Average<LEVEL - 1>::of(below, pitch) + Average<LEVEL - 1>::of(below + half * 3, pitch) + 2) >> 2;
    }
};
template <> struct Average<0> {
    __device__ static __forceinline__ int of(const unsigned char *at, int pitch) { return *at; }
};

__device__ __forceinline__ float texel(const unsigned char *part, const Region &region, int x, int y, int channel) {
    if (x < 0 || y < 0 || x >= region.across || y >= region.down) return 0.0f;
    const int h = region.halvings;
    const unsigned char *at = part + (long long)(y << h) * region.pitch + (x << h) * 3 + channel;
    switch (h) {
        case 0: return (float)*at;
        case 1: return (float)Average<1>::of(at, region.pitch);
        case 2: return (float)Average<2>::of(at, region.pitch);
        case 3: return (float)Average<3>::of(at, region.pitch);
        default: return (float)Average<4>::of(at, region.pitch);
    }
}

extern "C" __global__ void sample_crops(
    const unsigned char *pixels, const unsigned char *regions, unsigned char *crops, int size
) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= size || y >= size) return;
    const Region region = ((const Region *)regions)[blockIdx.z];
    const unsigned char *part = pixels + region.offset;
    const float sx = region.matrix[0] * (float)x + region.matrix[1] * (float)y + region.matrix[2];
    const float sy = region.matrix[3] * (float)x + region.matrix[4] * (float)y + region.matrix[5];
    // Far outside there is nothing but black, and an int would overflow.
    const float left = floorf(fminf(fmaxf(sx, -2.0f), (float)region.across + 1.0f));
    const float top = floorf(fminf(fmaxf(sy, -2.0f), (float)region.down + 1.0f));
    const bool beside = sx < -1.0f || sy < -1.0f || sx > (float)region.across || sy > (float)region.down;
    const float to_right = sx - left, to_bottom = sy - top;
    unsigned char *out = crops + (((long long)blockIdx.z * size + y) * size + x) * 3;
    for (int channel = 0; channel < 3; channel++) {
        if (beside) { out[channel] = 0; continue; }
        const float a = texel(part, region, (int)left, (int)top, channel);
        const float b = texel(part, region, (int)left + 1, (int)top, channel);
        const float c = texel(part, region, (int)left, (int)top + 1, channel);
        const float d = texel(part, region, (int)left + 1, (int)top + 1, channel);
        const float above = a + to_right * (b - a), below = c + to_right * (d - c);
        out[channel] = (unsigned char)rintf(above + to_bottom * (below - above));
    }
}
"""
"""CUDA C."""


class GpuCrops:
    """Crops of `size` px, on a stream.

    Args:
        cuda: The stream.
        size: Side of a crop, px.
        image: The kernel's machine code; None = compiled here (a fifth of a second).

    Raises:
        EngineError: NVRTC is not installed, or cannot compile for this GPU.
    """

    def __init__(self, cuda: Cuda, size: int, image: bytes | None = None) -> None:
        self._cuda, self.size = cuda, size
        self._kernel = cuda.kernel(image or compile_kernel(SOURCE, NAME, cuda.capability), NAME)
        self._slots = [(MirroredBlock(cuda), MirroredBlock(cuda)) for _ in range(2)]  # pixels and regions

    def reserve(self, count: int, slots: int = 1) -> None:
        """Ask for the memory of so many crops of usual size now, so that no frame waits for it; of so many calls."""
        for pixels, regions in self._slots[:slots]:
            pixels.at_least(count * 3 * (RESERVED * self.size) ** 2)
            regions.at_least(count * FIELDS.itemsize)

    def takes(self, crops: Sequence[Crop]) -> bool:
        """Whether the kernel averages often enough for all of them."""
        return all(halvings_of(crop, self.size) <= MAX_HALVINGS for crop in crops)

    def put(self, image: NDArray[np.uint8], crops: Sequence[Crop], address: int, slot: int = 0) -> None:
        """Put the sampling of `crops` from `image` (H, W, 3) BGR into (N, size, size, 3) at `address` in the stream.

        What was put in the same `slot` (0 or 1) before must be done: its buffers are filled again.
        """
        in_pixels, in_regions = self._slots[slot]
        height, width = image.shape[:2]
        regions = [
            region_under(width, height, crop_to_frame_matrix(crop, self.size), self.size, halvings_of(crop, self.size))
            for crop in crops
        ]
        offsets, total = [0], 0
        for region in regions:
            total += _nbytes(region)
            offsets.append(total)
        in_pixels.at_least(max(1, total))
        in_regions.at_least(len(crops) * FIELDS.itemsize)
        told = view(in_regions.host, (len(crops),), FIELDS)
        for row, (region, offset) in enumerate(zip(regions, offsets, strict=False)):
            if region is None:
                told[row] = (np.zeros(6), 0, 0, 0, 0, 0)
                told[row]["matrix"][2] = -2.0  # beside everything
                continue
            part = region.cut(image)
            view(in_pixels.host, part.shape, np.uint8, offset)[...] = part
            told[row] = (region.matrix.ravel(), region.across, region.down, region.halvings, 3 * part.shape[1], offset)
        for block in (in_pixels, in_regions):
            block.upload()
        side = -(-self.size // BLOCK[0]), -(-self.size // BLOCK[1])
        pointers = [(block.device.device_address, ctypes.c_void_p) for block in (in_pixels, in_regions)]
        given = (*pointers, (address, ctypes.c_void_p), (self.size, ctypes.c_int))
        self._cuda.launch(self._kernel, (*side, len(crops)), BLOCK, *given)

    def close(self) -> None:
        """Give the buffers back; idempotent."""
        for block in sum(self._slots, ()):
            block.close()


def _nbytes(region: Region | None) -> int:
    return 0 if region is None else 3 * (region.across << region.halvings) * (region.down << region.halvings)
