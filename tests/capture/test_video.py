"""Video files of every kind: times, rates, colours, orientation, and what is counted as lost."""

from __future__ import annotations

import gc
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.codec.context import Flags
from av.codec.hwaccel import hwdevices_available

from rtface.capture.open import open_source
from rtface.capture.settings import CaptureSettings
from rtface.capture.source import Source
from rtface.errors import SourceError
from rtface.types import Frame
from tests.media import blank, cut, encode, picture, sliding, turn


def read(path: Path) -> tuple[list[Frame], Source]:
    """All frames, and the closed source."""
    frames = []
    with open_source(path) as source:
        while (frame := source.read()) is not None:
            frames.append(frame)
    return frames, source


def times(frames: list[Frame]) -> list[float]:
    return [round(frame.media_time or 0.0, 3) for frame in frames]


IRREGULAR = [0.0, 0.04, 0.05, 0.2, 0.21, 0.9, 1.0, 1.5]


@pytest.mark.parametrize(("ending", "codec"), [(".mp4", "libx264"), (".mkv", "libx264"), (".webm", "libvpx")])
def test_a_variable_rate_keeps_its_times(tmp_path: Path, ending: str, codec: str) -> None:
    frames, source = read(encode(tmp_path / f"a{ending}", sliding(8), codec, times=IRREGULAR))
    assert times(frames) == pytest.approx(IRREGULAR, abs=0.0011)
    assert source.corrupt == 0
    assert source.fps is not None and 4.0 < source.fps < 8.0


@pytest.mark.parametrize("fps", [24000 / 1001, 240.0, 10.0])
def test_the_rate_is_the_files_own(tmp_path: Path, fps: float) -> None:
    frames, source = read(encode(tmp_path / "a.mp4", sliding(40), fps=fps))
    assert source.fps == pytest.approx(fps, rel=1e-4)
    assert times(frames) == pytest.approx([index / fps for index in range(40)], abs=0.001)


def test_a_browsers_recording_has_no_length_and_no_rate(tmp_path: Path) -> None:
    stamps = [round(index / 30 + 0.004 * (index % 3), 3) for index in range(40)]
    path = encode(tmp_path / "a.webm", sliding(40), "libvpx", times=stamps, container={"live": "1"})
    frames, source = read(path)
    assert source.fps == pytest.approx(30.0, abs=0.5) and source.frame_count is None
    assert times(frames) == pytest.approx(stamps, abs=0.0011) and source.corrupt == 0


def test_a_pause_is_no_damage(tmp_path: Path) -> None:
    stamps = [index / 30 + (600 if index >= 20 else 0) for index in range(40)]
    frames, source = read(encode(tmp_path / "a.mkv", sliding(40), times=stamps, fps=30))
    assert (len(frames), source.corrupt) == (40, 0)
    assert frames[-1].media_time == pytest.approx(stamps[-1], abs=0.001)


def test_two_recordings_in_one_go_on_in_time(tmp_path: Path) -> None:
    one = encode(tmp_path / "a.ts", sliding(30), options={"g": "10"}).read_bytes()
    (tmp_path / "both.ts").write_bytes(one + one)
    frames, source = read(tmp_path / "both.ts")
    assert (len(frames), source.corrupt) == (60, 0)
    assert times(frames) == pytest.approx([index / 25 for index in range(60)], abs=0.02)


def test_an_edit_list_leaves_out_what_it_cuts(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", sliding(50), options={"g": "10", "bf": "0"})
    trimmed = tmp_path / "trimmed.mp4"
    with av.open(str(path)) as source, av.open(str(trimmed), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None and packet.dts >= 20 * 512:
                packet.stream, packet.pts, packet.dts = stream, packet.pts - 25 * 512, packet.dts - 25 * 512
                output.mux(packet)
    frames, closed = read(trimmed)
    assert (len(frames), closed.corrupt) == (25, 0)
    assert times(frames) == pytest.approx([index / 25 for index in range(25)], abs=0.001)


@pytest.mark.parametrize(
    ("matrix", "code"),
    [
        ((0, 1, -1, 0), cv2.ROTATE_90_CLOCKWISE),
        ((-1, 0, 0, -1), cv2.ROTATE_180),
        ((0, -1, 1, 0), cv2.ROTATE_90_COUNTERCLOCKWISE),
        ((-1, 0, 0, 1), None),
    ],
)
def test_a_turned_or_mirrored_video_is_upright(tmp_path: Path, matrix: tuple[int, ...], code: int | None) -> None:
    path = encode(tmp_path / "a.mp4", sliding(5))
    plain = read(path)[0][3].image
    frames, source = read(turn(path, *matrix))
    wanted = cv2.flip(plain, 1) if code is None else cv2.rotate(plain, code)
    assert np.array_equal(frames[3].image, wanted)
    assert source.size_wh == (wanted.shape[1], wanted.shape[0])


@pytest.mark.parametrize(("codec", "ending"), [("libx264", ".mp4"), ("mpeg2video", ".mpg")])
def test_interlaced_fields_become_whole_pictures(tmp_path: Path, codec: str, ending: str) -> None:
    def field(number: int) -> np.ndarray:
        """A bright bar that moves by eight px a field."""
        image = np.full((120, 160, 3), 60, np.uint8)
        image[:, 8 * number : 8 * number + 24] = 220
        return image

    woven = []
    for index in range(8):
        both = field(2 * index)
        both[1::2] = field(2 * index + 1)[1::2]
        woven.append(both)
    flags = Flags.interlaced_dct | Flags.interlaced_me
    frames, source = read(encode(tmp_path / f"a{ending}", woven, codec, flags=flags, bit_rate=4_000_000))
    assert (len(frames), source.corrupt) == (8, 0)
    assert times(frames) == pytest.approx([index / 25 for index in range(8)], abs=0.001)
    combed = np.abs(np.diff(woven[4][10:110].astype(int), axis=0)).mean()
    shown = np.abs(np.diff(frames[4].image[10:110].astype(int), axis=0)).mean()
    assert shown < combed / 4
    assert min(np.abs(frames[4].image.astype(int) - field(one)).mean() for one in (8, 9)) < 6  # the one or the other


def planes(bgr: np.ndarray, kr: float, kb: float, *, full: bool, bits: int = 8) -> np.ndarray:
    """4:4:4 planes by the definition of H.273."""
    b, g, r = (bgr[..., channel] / 255.0 for channel in range(3))
    luma = kr * r + (1 - kr - kb) * g + kb * b
    colours = ((b - luma) / (2 * (1 - kb)), (r - luma) / (2 * (1 - kr)))
    top, scale = (1 << bits) - 1, 1 << (bits - 8)
    y = luma * top if full else (16 + 219 * luma) * scale
    uv = [(top * colour + 128 * scale) if full else (128 + 224 * colour) * scale for colour in colours]
    return np.clip(np.round(np.stack([y, *uv])), 0, top).astype(np.uint8 if bits == 8 else np.uint16)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    ("tag", "kr", "kb", "width"),
    [
        *((6, 0.299, 0.114, 160), (1, 0.2126, 0.0722, 160), (9, 0.2627, 0.0593, 160)),
        *((2, 0.299, 0.114, 160), (2, 0.2126, 0.0722, 1280)),  # untagged: by its size
    ],
)
def test_colours_are_right_in_every_space_and_range(
    tmp_path: Path, tag: int, kr: float, kb: float, width: int, full: bool
) -> None:
    image = np.full((width * 3 // 4, width, 3), (40, 90, 200), np.uint8)
    raw = planes(image, kr, kb, full=full)
    height = raw.shape[1]
    path = encode(
        tmp_path / "a.mkv",
        [raw] * 2,
        "ffv1",
        pix_fmt="yuv444p",
        size_wh=(width, height),
        colorspace=tag,
        color_range=2 if full else 1,
    )
    frames, _ = read(path)
    assert np.abs(frames[0].image.astype(int) - image).max() <= 3


def test_ten_bits_become_eight(tmp_path: Path) -> None:
    image = picture()
    raw = planes(image, 0.299, 0.114, full=False, bits=10)
    path = encode(
        tmp_path / "a.mkv", [raw] * 2, "ffv1", pix_fmt="yuv444p10le", size_wh=(160, 120), colorspace=6, color_range=1
    )
    assert np.abs(read(path)[0][0].image.astype(int) - image).mean() < 2


@pytest.mark.parametrize(("transfer", "white"), [(16, 0.5806), (18, 0.75)])
def test_hdr_is_shown_as_sdr_shows_it(tmp_path: Path, transfer: int, white: float) -> None:
    # ITU-R BT.2408 table 1: the codes of reference white; middle grey at 18 % of it must be SDR's middle grey.
    pictures = [np.full((120, 160, 3), round(255 * code), np.uint8) for code in (0.0, white, 1.0)]
    raw = [planes(one, 0.2627, 0.0593, full=False, bits=10) for one in pictures]
    path = encode(
        tmp_path / "a.mkv",
        raw,
        "ffv1",
        pix_fmt="yuv444p10le",
        size_wh=(160, 120),
        colorspace=9,
        color_range=1,
        color_trc=transfer,
        color_primaries=9,
    )
    dark, reference, bright = (frame.image.mean() for frame in read(path)[0])
    assert dark < 4 and 215 < reference < 250 and bright > 250


def test_the_size_and_the_pixel_format_may_change(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    kinds = [(160, 120, "yuvj420p"), (160, 120, "yuvj422p"), (320, 200, "yuvj422p"), (64, 48, "yuvj444p")]
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = kinds[0]
        for index, (width, height, pix_fmt) in enumerate(kind for kind in kinds for _ in range(3)):
            encoder = av.CodecContext.create("mjpeg", "w")
            encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = width, height, pix_fmt, Fraction(1, 25)
            frame = av.VideoFrame.from_ndarray(picture(width, height), format="bgr24").reformat(format=pix_fmt)
            for packet in encoder.encode(frame):
                packet.stream, packet.pts, packet.dts = stream, index * 40, index * 40
                packet.time_base = stream.time_base or packet.time_base
                output.mux(packet)
    frames, source = read(path)
    assert [frame.image.shape[:2] for frame in frames] == [(h, w) for w, h, _ in kinds for _ in range(3)]
    assert source.corrupt == 0
    assert all(np.abs(f.image.astype(int) - picture(f.image.shape[1], f.image.shape[0])).mean() < 12 for f in frames)


CONTAINERS = [
    ("a.mp4", "libx264", {"movflags": "faststart"}),
    ("a.mp4", "libx264", {"movflags": "frag_keyframe+empty_moov"}),
    ("a.mkv", "libx264", {}),
    ("a.webm", "libvpx", {"live": "1"}),
    ("a.ts", "libx264", {}),
    ("a.flv", "libx264", {}),
    ("a.avi", "mpeg4", {}),
]


@pytest.mark.parametrize(("name", "codec", "muxer"), CONTAINERS)
def test_what_ends_before_its_time_says_so(tmp_path: Path, name: str, codec: str, muxer: dict[str, str]) -> None:
    path = encode(tmp_path / name, sliding(60), codec, container=muxer, options={"g": "15"})
    assert [(len(frames), source.corrupt) for frames, source in [read(path)]] == [(60, 0)]
    whole = path.read_bytes()
    shares = np.random.default_rng(len(name) + len(whole)).uniform(0.3, 0.9, 4)
    for share in shares:
        path.write_bytes(whole)
        with pytest.raises(SourceError, match="is cut short"):
            read(cut(path, share))


@pytest.mark.parametrize(("name", "codec", "muxer"), CONTAINERS)
def test_damage_in_the_middle_is_counted(tmp_path: Path, name: str, codec: str, muxer: dict[str, str]) -> None:
    path = encode(tmp_path / name, sliding(60), codec, container=muxer, options={"g": "1000", "bf": "0"})
    rng = np.random.default_rng(3)
    data = bytearray(path.read_bytes())
    at = len(data) * 6 // 10
    data[at : at + 3000] = rng.bytes(3000)
    path.write_bytes(data)
    with open_source(path) as source:
        count = 0
        told = ""
        try:
            while source.read() is not None:
                count += 1
        except SourceError as error:
            told = str(error)
    assert source.corrupt > 0 or "cut short" in told
    assert 15 < count < 60 and count + source.corrupt <= 62


def test_bytes_behind_the_end_are_no_loss(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", sliding(20))
    path.write_bytes(path.read_bytes() + b"\xff\xff\xff\xf0VNDR" + b"camera" * 20)
    assert len(read(path)[0]) == 20


def test_a_wrong_length_in_an_avis_header_is_no_loss(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.avi", sliding(20), "mpeg4")
    data = bytearray(path.read_bytes())
    for wrong in (0, 0x7FFFFFFF):
        data[4:8] = wrong.to_bytes(4, "little")
        path.write_bytes(data)
        frames, source = read(path)
        assert (len(frames), source.corrupt) == (20, 0)


def test_frames_that_the_recorder_left_out_are_no_damage(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.avi", sliding(20), "mpeg4", options={"g": "1"})
    data = bytearray(path.read_bytes())
    at, chunks = data.find(b"movi") + 4, []
    while data[at : at + 4] == b"00dc":
        chunks.append(at)
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + length + length % 2
    index = data.find(b"idx1")
    for number in (7, 8):  # empty chunks, the bytes of the old ones as filling behind them
        length = int.from_bytes(data[chunks[number] + 4 : chunks[number] + 8], "little")
        data[chunks[number] + 4 : chunks[number] + 8] = bytes(4)
        data[chunks[number] + 8 : chunks[number] + 16] = b"JUNK" + (length - 8 + length % 2).to_bytes(4, "little")
        data[index + 8 + 16 * number + 12 : index + 8 + 16 * number + 16] = bytes(4)
    path.write_bytes(data)
    frames, source = read(path)
    assert (len(frames), source.corrupt) == (18, 0)
    assert times(frames)[6:8] == [0.24, 0.36]


def test_a_cover_picture_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        stream.disposition = av.stream.Disposition.attached_pic.value
        output.mux(stream.encode(av.VideoFrame.from_ndarray(picture(64, 48), format="bgr24")))
        output.mux(stream.encode(None))
    with pytest.raises(SourceError, match="holds no video"):
        open_source(path)


def test_names_with_colons_and_patterns_mean_themselves(tmp_path: Path) -> None:
    made = encode(tmp_path / "a.mp4", sliding(3))
    for name in ("http:x.mp4", "img%03d.png.mp4", "a?b#c.mp4"):
        path = tmp_path / name
        path.write_bytes(made.read_bytes())
        assert len(read(path)[0]) == 3


def test_a_damaged_index_is_cut_or_damaged_but_never_a_crash(tmp_path: Path) -> None:
    made = encode(tmp_path / "a.mp4", sliding(10)).read_bytes()
    path = tmp_path / "b.mp4"
    for start in (0.3, 0.6, 0.9, 0.97):
        path.write_bytes(made)
        try:
            read(blank(path, start, 200))
        except SourceError as error:
            assert str(error).startswith(str(path))


def test_frames_are_let_go_of_without_the_cycle_collector(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.avi", sliding(20), "mjpeg", pix_fmt="yuvj420p")
    gc.collect()
    gc.disable()
    try:
        read(path)
        held = [thing for thing in gc.get_objects() if isinstance(thing, av.VideoFrame) and thing.width > 16]
    finally:
        gc.enable()
    assert not held


def test_a_device_that_is_not_here_is_said_and_auto_does_without(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", sliding(8))
    plain = read(path)[0]
    with open_source(path, settings=CaptureSettings(hwaccel="auto")) as source:
        frames = [source.read() for _ in range(8)]
    assert all(
        frame is not None and np.abs(frame.image.astype(int) - other.image).mean() < 2.0
        for frame, other in zip(frames, plain, strict=True)
    )
    absent = next(name for name in ("videotoolbox", "d3d11va") if name not in hwdevices_available())
    with pytest.raises(SourceError, match=f"cannot be decoded by {absent}"):
        open_source(path, settings=CaptureSettings(hwaccel=absent))


@pytest.mark.gpu
def test_cuda_decodes_what_the_cpu_does(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", sliding(30, 640, 480))
    plain = read(path)[0]
    try:
        source = open_source(path, settings=CaptureSettings(hwaccel="cuda"))
    except SourceError as error:
        pytest.skip(f"no NVIDIA decoder here: {error}")
    with source:
        for other in plain:
            frame = source.read()
            assert frame is not None and frame.media_time == other.media_time
            assert np.abs(frame.image.astype(int) - other.image).mean() < 2.0


def test_a_run_that_ends_early_counts_no_frame_that_the_decoder_still_holds(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", sliding(30), "libx264", options={"bf": "3"})
    with open_source(path) as source:
        for _ in range(10):
            source.read()
            assert source.corrupt == 0
