"""A fault of the disk is an error of the run; damage that was there at opening is a broken tile."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.phantoms import numbered, tiled_tiff
from PIL import Image

from histome.errors import SlideError
from histome.slide import open_slide
from histome.slide.source import SourceFile, faults_told

PIXELS = numbered(256, 256)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("histome.slide.source.PAUSES_S", (0.0, 0.0))


def failing(times: int, number: int = errno.EIO) -> Callable[[int, int, int], bytes]:
    """Return an os.pread that fails so many times."""
    whole, left = os.pread, [times]

    def pread(file: int, length: int, offset: int) -> bytes:
        left[0] -= 1
        if left[0] >= 0:
            raise OSError(number, os.strerror(number))
        return whole(file, length, offset)

    return pread


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
def test_a_disk_that_fails_is_no_broken_tile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    with open_slide(tiled_tiff(tmp_path / "x.tif", PIXELS)) as slide:
        monkeypatch.setattr(os, "pread", failing(1000, number))
        with pytest.raises(
            SlideError, match=r"x\.tif could not be read from its disk \(.*\); see to"
        ) as caught:
            slide.read(0, 0, size=(256, 256))
        assert os.strerror(number) in str(caught.value)
        assert (caught.value.exit_code, len(slide.broken)) == (1, 0)


def test_a_disk_that_fails_once_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_slide(tiled_tiff(tmp_path / "x.tif", PIXELS)) as slide:
        monkeypatch.setattr(os, "pread", failing(2))
        assert np.array_equal(slide.read(0, 0, size=(256, 256)), PIXELS)
        assert len(slide.broken) == 0


def test_a_file_cut_short_while_it_is_open_is_no_broken_tile(tmp_path: Path) -> None:
    path = tiled_tiff(tmp_path / "x.tif", PIXELS)
    with open_slide(path) as slide:
        os.truncate(path, path.stat().st_size // 2)
        with pytest.raises(SlideError, match="it has become shorter since it was opened"):
            slide.read(0, 0, size=(256, 256))
        assert len(slide.broken) == 0


def test_what_was_never_there_is_damage(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"0123456789")
    file = SourceFile(tmp_path / "x")
    assert file.read_at(4, 6) == b"456789"
    for offset in (5, 11, 2**60, -1):
        with pytest.raises(RuntimeError, match="beyond the end"):
            file.read_at(offset, 6)
    file.close()


def test_damage_within_the_file_stays_a_broken_tile(tmp_path: Path) -> None:
    import tifffile

    path = tiled_tiff(tmp_path / "x.tif", PIXELS)
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages.first.dataoffsets[5]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(bytes(200))
    with open_slide(path) as slide:
        slide.read(0, 0, size=(256, 256))
        assert len(slide.broken) == 1


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.tif"])
def test_a_plain_image_whose_disk_fails_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    Image.fromarray(PIXELS).save(tmp_path / name)
    slide = open_slide(tmp_path / name, mpp=0.5)

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    monkeypatch.setattr(os, "pread", fail)
    with pytest.raises(SlideError, match=f"{name} could not be read from its disk"):
        slide.read(0, 0, size=(9, 9))


def test_errors_of_decoders_pass(tmp_path: Path) -> None:
    for error in (OSError("image file is truncated"), OSError(errno.EINVAL, "Invalid argument")):
        with pytest.raises(OSError, match=r"truncated|Invalid") as caught, faults_told(tmp_path):
            raise error
        assert caught.value is error


def test_a_slide_that_was_written_to_is_told(tmp_path: Path) -> None:
    path = tiled_tiff(tmp_path / "x.tif", PIXELS)
    with open_slide(path) as slide:
        before = slide.fingerprint()
        slide.check_unchanged(before)
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
        with pytest.raises(SlideError, match=r"x\.tif has changed since it was opened"):
            slide.check_unchanged(before)
    with open_slide(path) as slide:
        path.unlink()
        with pytest.raises(SlideError, match="has changed"):
            slide.check_unchanged(before)


def test_content_counts_where_size_and_time_stay(tmp_path: Path) -> None:
    path = tiled_tiff(tmp_path / "x.tif", PIXELS)
    with open_slide(path) as slide:
        before, time = slide.fingerprint(), path.stat().st_mtime_ns
        with path.open("r+b") as file:
            file.seek(1000)
            file.write(b"other")
        os.utime(path, ns=(time, time))
        with pytest.raises(SlideError, match="has changed"):
            slide.check_unchanged(before)
