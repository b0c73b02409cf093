"""The restained slide on the pixels of the H&E, as a file."""

import numpy as np
import pytest
import tifffile

from histome import open_slide
from histome.slide.plain import array_slide
from histome.validation.register import Warp
from histome.validation.register import warped_slide as module
from histome.validation.register.warped_slide import warped_block, write_warped

MPP = 0.5


def turned(side_um):
    """Fixed um -> moving um: a quarter turn, and shifts of some um that vary over the picture."""
    rows, columns = np.mgrid[:11, :11] / 10.0
    shifts = 6 * np.stack([np.sin(3 * rows), np.cos(3 * columns)], axis=-1)
    matrix = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, side_um]])
    return Warp(matrix, shifts.astype(np.float32), side_um / 10, MPP, MPP)


def dots(side_px, places_px):
    """White with dark discs of 6 px radius."""
    y, x = np.mgrid[:side_px, :side_px] + 0.5
    pixels = np.full((side_px, side_px, 3), 255, np.uint8)
    for a, b in places_px:
        pixels[np.hypot(x - a, y - b) < 6] = (120, 60, 30)
    return pixels


def test_a_restained_slide_lies_on_the_h_and_e(tmp_path):
    side = 2100
    warp = turned(side * MPP)
    on_he = np.random.default_rng(0).uniform(60, side - 60, (12, 2))
    on_ihc = warp.forward(on_he * MPP) / MPP
    path = tmp_path / "warped.ome.tif"
    with array_slide(dots(side, on_ihc), MPP) as moving:
        write_warped(path, moving, warp, (side * MPP, side * MPP), MPP)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_ome
        assert len(tiff.series[0].levels) == 3
    with open_slide(path) as slide:
        assert slide.mpp.x == pytest.approx(MPP)
        assert slide.size_px == (side, side)
        assert len(slide.reader.levels) == 3
        whole, small = slide.read(0, 0, size=(side, side)), slide.read(0, 0, size=(525, 525), mpp=4 * MPP)
    for x, y in on_he:
        dark = np.argwhere(whole[int(y) - 20 : int(y) + 20, int(x) - 20 : int(x) + 20, 1] < 150)
        assert np.abs(dark.mean(0) + 0.5 - 20 - (y % 1, x % 1)).max() < 1.0
    assert np.abs(small.astype(float).mean() - whole.mean()) < 1


def test_memory_does_not_grow_with_the_slide(tmp_path, monkeypatch):
    """Never more than a block of the moving slide is read at a time, however large both are."""
    from histome.slide import Slide

    read, asked = Slide.read, []

    def told(self, *at, size, mpp=None):
        asked.append(size)
        return read(self, *at, size=size, mpp=mpp)

    monkeypatch.setattr(Slide, "read", told)
    side = 3000
    with array_slide(dots(side, [(100, 100)]), MPP) as moving:
        write_warped(tmp_path / "w.ome.tif", moving, turned(side * MPP), (side * MPP, side * MPP), MPP)
    assert len(asked) == 9
    assert max(max(size) for size in asked) < 1024 + 50


def test_a_block_beyond_the_restained_slide_is_glass():
    with array_slide(dots(200, [(100, 100)]), MPP) as moving:
        warp = Warp(np.eye(2, 3), np.zeros((2, 2, 2), np.float32), 100.0, MPP, MPP)
        assert warped_block(moving, warp, (5 * module.BLOCK_PX, 0), MPP) is None
        block = warped_block(moving, warp, (0, 0), MPP)
    assert block.shape == (module.BLOCK_PX, module.BLOCK_PX, 3)
    np.testing.assert_array_equal(block[:199, :199], dots(200, [(100, 100)])[:199, :199])
    assert (block[202:] == 255).all()
