"""Arrays and picture files as uint8 BGR."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from rtface.errors import InputError, SourceError
from rtface.system.images import as_bgr, read_image
from tests.media import cut, picture

BGR = picture(40, 30)


def test_bgr_is_passed_through_without_a_copy() -> None:
    assert as_bgr(BGR) is BGR
    region = BGR[5:20, 10:30]
    assert as_bgr(region) is region


def test_grey_bgra_and_one_channel_become_bgr() -> None:
    grey = BGR[:, :, 1]
    for image in (grey, grey[:, :, None]):
        assert np.array_equal(as_bgr(image), np.dstack([grey] * 3))
    assert np.array_equal(as_bgr(np.dstack([BGR, grey])), BGR)


@pytest.mark.parametrize("view", [BGR[::-1], BGR[:, ::-1], BGR[:, :, ::-1], BGR.transpose(1, 0, 2)])
def test_views_that_opencv_cannot_address_are_copied(view: np.ndarray) -> None:
    image = as_bgr(view)
    assert image.flags.c_contiguous
    assert np.array_equal(image, view)
    cv2.resize(image, (8, 8))


def test_a_single_pixel_is_a_picture() -> None:
    assert as_bgr(np.zeros((1, 1), np.uint8)).shape == (1, 1, 3)


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (np.zeros((4, 4, 3), np.float32), '(image * 255).clip(0, 255).astype("uint8")'),
        (np.full((4, 4, 3), 200.0), '(image).clip(0, 255).astype("uint8")'),
        (np.full((4, 4, 3), np.nan, np.float32), "NaN"),
        (np.zeros((4, 4, 3), np.uint16), "image // 257"),
        (np.zeros((4, 4, 3), bool), 'image.astype("uint8")'),
        (np.zeros((3, 40, 40), np.uint8), "transpose(1, 2, 0)"),
        (np.zeros((2, 4, 4, 3), np.uint8), "got shape (2, 4, 4, 3)"),
        (np.zeros((4, 4, 2), np.uint8), "got shape (4, 4, 2)"),
        (np.zeros((0, 4, 3), np.uint8), "empty"),
        (np.zeros((1, 40000, 3), np.uint8), "at most 32766 px"),
        (None, "a NoneType"),
        ([[1, 2], [3, 4]], "a list"),
    ],
)
def test_what_is_no_picture_is_refused_with_the_mend(image: object, says: str) -> None:
    with pytest.raises(InputError) as caught:
        as_bgr(image)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp"])
def test_a_picture_file_is_read_and_a_cut_one_told_apart(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"picture{suffix}"
    cv2.imwrite(str(path), BGR)
    image = read_image(path)
    assert image.shape == BGR.shape
    assert np.abs(image.astype(int) - BGR).mean() < 12
    with pytest.raises(SourceError, match="is cut short"):
        read_image(cut(path, 0.6))


def test_grey_and_16_bit_files_become_8_bit_bgr(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    cv2.imwrite(str(path), BGR[:, :, 0].astype(np.uint16) * 257)
    image = read_image(str(path))
    assert image.dtype == np.uint8
    assert np.array_equal(image[:, :, 2], BGR[:, :, 0])


def test_a_damaged_picture_is_no_crash(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    cv2.imwrite(str(path), BGR)
    data = path.read_bytes()
    path.write_bytes(data[:20] + bytes(len(data) - 32) + data[-12:])
    with pytest.raises(SourceError, match="is damaged"):
        read_image(path)


def test_missing_empty_text_and_folder_are_told_apart(tmp_path: Path) -> None:
    empty, text = tmp_path / "empty.jpg", tmp_path / "text.jpg"
    empty.touch()
    text.write_text("no picture")
    for path, why in [
        (tmp_path / "none.jpg", "does not exist"),
        (empty, "is empty"),
        (text, "is not a picture"),
        (tmp_path, "is a folder"),
    ]:
        with pytest.raises(SourceError, match=why):
            read_image(path)


@pytest.mark.parametrize("progressive", [0, 1])
def test_a_jpeg_without_its_end_mark_is_whole_until_a_pixel_is_missing(tmp_path: Path, progressive: int) -> None:
    path = tmp_path / "picture.jpg"
    cv2.imwrite(str(path), BGR, [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive])
    wanted, data = read_image(path), path.read_bytes()
    path.write_bytes(data[:-2])
    assert np.array_equal(read_image(path), wanted)
    for missing in (4, 8, 40, 200):
        path.write_bytes(data[:-missing])
        with pytest.raises(SourceError, match="is cut short"):
            read_image(path)


@pytest.mark.parametrize(("suffix", "at"), [(".bmp", 2), (".webp", 4)])
def test_a_wrong_length_in_the_header_is_no_loss(tmp_path: Path, suffix: str, at: int) -> None:
    path = tmp_path / f"picture{suffix}"
    cv2.imwrite(str(path), BGR)
    data = bytearray(path.read_bytes())
    data[at : at + 4] = (1 << 30).to_bytes(4, "little")
    path.write_bytes(data)
    assert read_image(path).shape == BGR.shape
