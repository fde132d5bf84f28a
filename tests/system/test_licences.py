"""What a wheel brings along, told by its files' names; what packages say of themselves."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from rtface.system.licences import TEXTS, libraries, packages


@pytest.mark.parametrize(
    ("file", "name", "terms"),
    [
        ("av.libs/libx264-d6533a8d.so.165", "x264", "GPL-2.0-or-later"),
        ("av/.dylibs/libx265.215.dylib", "x265", "GPL-2.0-or-later"),
        ("av.libs/avcodec-61-2b8f.dll", "avcodec", "LGPL-2.1-or-later"),
        ("cv2/opencv_videoio_ffmpeg490_64.dll", "opencv_videoio_ffmpeg", "LGPL-2.1-or-later"),
        ("opencv_python.libs/libQt5Core-9088e21b.so.5.15.19", "Qt5Core", "LGPL-3.0-only"),
        ("av.libs/libgmp-8c6c054f.so.10.5.0", "gmp", "LGPL-3.0-or-later OR GPL-2.0-or-later"),
    ],
)
def test_copyleft_libraries_are_known_on_every_system(file: str, name: str, terms: str) -> None:
    assert libraries([PurePosixPath(file)]) == ((name, terms),)


@pytest.mark.parametrize("file", ["av.libs/libdav1d-f4.so.7", "av/codec/x264.py", "cv2/cv2.abi3.so", "libgmpx.so", "a"])
def test_others_are_not_taken_for_them(file: str) -> None:
    assert libraries([PurePosixPath(file)]) == ()


def test_ffmpeg_built_with_x264_is_under_the_gpl() -> None:
    together = [PurePosixPath("av.libs/libx264-d6.so.165"), PurePosixPath("av.libs/libswscale-88.so.9")]
    assert dict(libraries(together)) == {"swscale": "GPL-2.0-or-later", "x264": "GPL-2.0-or-later"}


def test_texts_of_bundled_parts_go_along_too() -> None:
    assert all(map(TEXTS.match, ("LICENSE", "COPYING.LESSER", "LICENSES_bundled.txt", "dragon4_LICENSE.txt", "NOTICE")))
    assert not any(map(TEXTS.match, ("sublicensed.py", "README.md", "unnoticed")))


def installed(site: Path, name: str, metadata: str, files: dict[str, str] | None = None) -> None:
    """A package in a site folder."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n{metadata}")
    record = [f"{info.name}/METADATA,,"]
    for file, text in (files or {}).items():
        path = site / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        record.append(f"{file},,")
    (info / "RECORD").write_text("\n".join(record))


def test_what_is_needed_and_installed_is_told_with_its_extra_and_what_nothing_asks_for_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs = (
        "Base_One>=1",
        "silent",
        "gone",
        'more; extra == "big"',
        "base.one; extra == 'big'",
        "top[big]; extra == 'x'",
    )
    installed(tmp_path, "top", "".join(f"Requires-Dist: {one}\n" for one in needs))
    texts = ("base_one-1.0.dist-info/licenses/LICENSE.txt", "base_one/licence_plates.py", "base_one/NOTICE")
    stated = "License-Expression: MIT\nRequires-Dist: inner\nRequires-Dist: odd; extra == 'x'\n"
    installed(tmp_path, "base_one", stated, dict.fromkeys(texts, "MIT"))
    installed(tmp_path, "inner", "License: line one\n  line two\nRequires-Dist: top\n")
    installed(tmp_path, "odd", "")
    installed(tmp_path, "silent", "")
    more = "Classifier: License :: OSI Approved :: MIT License\nClassifier: Topic :: Games\n"
    installed(tmp_path, "more", more, {"more.libs/libx264-1.so.9": ""})
    installed(tmp_path, "stranger", "")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = {one.name: one for one in packages("top")}
    assert {name: (one.licence, one.extra) for name, one in found.items()} == {
        "base_one": ("MIT", ""),
        "inner": ("line one", ""),
        "more": ("MIT License", "big"),
        "silent": ("not stated", ""),
    }
    assert found["more"].libraries == (("x264", "GPL-2.0-or-later"),)
    assert sorted(path.name for path in found["base_one"].texts) == ["LICENSE.txt", "NOTICE"]
