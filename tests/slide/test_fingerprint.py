"""Which slide is it: cheap where it can be, every byte where it must be."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from histome.errors import SlideError
from histome.slide import fingerprint, open_slide
from histome.slide.fingerprint import SAMPLE_BYTES, identify, of_file


def test_same_content_same_fingerprint_whatever_the_name(tmp_path: Path) -> None:
    for name in ("a.tif", "b.svs"):
        (tmp_path / name).write_bytes(b"slide" * 1000)
    assert of_file(tmp_path / "a.tif") == of_file(tmp_path / "b.svs")
    assert len(of_file(tmp_path / "a.tif")) == 64


def test_small_files_are_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    data = bytearray(10 * SAMPLE_BYTES)
    path.write_bytes(data)
    before = of_file(path)
    data[5 * SAMPLE_BYTES + 77] = 1
    path.write_bytes(data)
    assert of_file(path) != before


def test_size_and_ends_of_large_files_count(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    data = bytearray(40 * SAMPLE_BYTES)
    prints = set()
    for change in (None, 0, len(data) - 1):
        changed = bytearray(data)
        if change is not None:
            changed[change] = 1
        path.write_bytes(changed)
        prints.add(of_file(path))
    path.write_bytes(data + b"\0")
    prints.add(of_file(path))
    assert len(prints) == 4


def test_files_beside_mrxs_count(tmp_path: Path) -> None:
    (tmp_path / "a.mrxs").write_bytes(b"index")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "Data0000.dat").write_bytes(b"one")
    before = of_file(tmp_path / "a.mrxs")
    (tmp_path / "a" / "Data0000.dat").write_bytes(b"two")
    assert of_file(tmp_path / "a.mrxs") != before


def test_a_tile_that_moved_shows_between_the_samples(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pixels = np.random.default_rng(0).integers(0, 256, (2048, 2048, 3), dtype=np.uint8)
    tifffile.imwrite(path, pixels, tile=(256, 256), photometric="rgb")
    with open_slide(path, mpp=0.5) as slide:
        before = slide.fingerprint()
        swapped = fingerprint.of_file(path, slide.reader.layout[::-1])
        assert slide.reader.layout
    assert before != of_file(path)
    assert before != swapped


def slide_of_zeros(path: Path) -> Path:
    path.write_bytes(bytes(64 * SAMPLE_BYTES))
    return path


def edit(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\1")


def known(path: Path, before: Mapping[str, str] | None = None) -> dict[str, str]:
    return identify(path, of_file(path), before or {})._asdict()


def test_an_edit_in_place_between_the_samples_is_another_content(tmp_path: Path) -> None:
    path = slide_of_zeros(tmp_path / "a.svs")
    before = known(path)
    edit(path, 2 * SAMPLE_BYTES)
    after = known(path, before)
    assert after["fingerprint"] == before["fingerprint"]
    assert after["content"] != before["content"]
    assert after["place"] == before["place"]


def test_a_copy_of_another_time_name_and_folder_is_the_same_content(tmp_path: Path) -> None:
    path = slide_of_zeros(tmp_path / "a.svs")
    before = known(path)
    (tmp_path / "other").mkdir()
    copy = slide_of_zeros(tmp_path / "other" / "b.tif")
    os.utime(copy, ns=(1, 1))
    after = known(copy, before)
    assert after["content"] == before["content"]
    assert after["times"] != before["times"]
    assert after["place"] != before["place"]


def test_the_bytes_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = slide_of_zeros(tmp_path / "a.svs")
    before = known(path)
    monkeypatch.setattr(fingerprint, "_content", lambda _: "read again")
    assert known(path, before) == before
    assert known(path, {})["content"] == "read again"
    assert known(path, {**before, "content": None})["content"] == "read again"
    os.utime(path, ns=(1, 1))
    assert known(path, before)["content"] == "read again"


def test_a_name_that_is_no_text_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "a.mrxs").write_bytes(b"index")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / os.fsdecode(b"\xff.dat")).write_bytes(b"one")
    assert len(known(tmp_path / "a.mrxs")["content"]) == 64


def test_a_slide_that_is_gone_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "field.png"
    Image.new("RGB", (64, 64)).save(path)
    slide = open_slide(path, mpp=0.5)
    path.unlink()
    with pytest.raises(SlideError, match=r"field\.png cannot be read: No such file"):
        slide.identity({})
