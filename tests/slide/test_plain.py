from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers.phantoms import numbered
from PIL import Image

from histome.errors import MppError, SlideError
from histome.slide import Slide, open_slide


def saved(folder: Path, image: Image.Image, name: str = "x.png", **options: object) -> Slide:
    image.save(folder / name, **options)
    return open_slide(folder / name, mpp=0.5)


def test_png_is_read_exactly(tmp_path: Path) -> None:
    pixels = numbered(50, 70)
    slide = saved(tmp_path, Image.fromarray(pixels))
    assert (slide.size_px, slide.reader.format, slide.notes) == ((70, 50), "png", ())
    assert np.array_equal(slide.read(0, 0, size=(70, 50)), pixels)
    region = slide.read(-3, 40, size=(10, 20))
    assert np.array_equal(region[:10, 3:], pixels[40:, :7])
    assert (region[10:] == 255).all()
    assert (region[:, :3] == 255).all()


def test_jpeg(tmp_path: Path) -> None:
    pixels = np.full((40, 40, 3), (200, 120, 160), np.uint8)
    slide = saved(tmp_path, Image.fromarray(pixels), "x.jpg", quality=95)
    assert slide.reader.format == "jpeg"
    assert np.abs(slide.read(0, 0, size=(40, 40)).astype(int) - pixels).max() <= 2


def test_striped_tiff(tmp_path: Path) -> None:
    pixels = numbered(300, 200)
    tifffile.imwrite(tmp_path / "x.tif", pixels, rowsperstrip=64, compression="lzw")
    with open_slide(tmp_path / "x.tif", mpp=0.5) as slide:
        assert type(slide.reader).__name__ == "PlainReader"
        assert np.array_equal(slide.read(0, 0, size=(200, 300)), pixels)


def test_an_empty_strip_is_damage_and_not_black(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, numbered(300, 200), rowsperstrip=64, compression="lzw")
    with tifffile.TiffFile(path, mode="r+") as tiff:
        lengths = tiff.pages.first.tags["StripByteCounts"]
        lengths.overwrite([*lengths.value[:2], 0, *lengths.value[3:]])
    with open_slide(path, mpp=0.5) as slide, pytest.raises(SlideError, match=r"x\.tif .*strip 3 is empty"):
        slide.read(0, 0, size=(200, 300))


def test_palette_gray_bilevel_and_alpha_become_rgb(tmp_path: Path) -> None:
    rgb = Image.fromarray(np.full((8, 8, 3), (10, 200, 30), np.uint8))
    slide = saved(tmp_path, rgb.convert("P", palette=Image.Palette.ADAPTIVE))
    assert slide.read(0, 0, size=(1, 1)).tolist() == [[[10, 200, 30]]]
    assert slide.notes == ("palette colors were converted to RGB",)
    slide = saved(tmp_path, Image.fromarray(np.full((8, 8), 90, np.uint8)))
    assert slide.read(0, 0, size=(1, 1)).tolist() == [[[90, 90, 90]]]
    assert slide.notes == ("a gray image was repeated in three channels",)
    slide = saved(tmp_path, Image.fromarray(np.array([[True, False]])))
    assert slide.read(0, 0, size=(2, 1)).tolist() == [[[255] * 3, [0] * 3]]
    rgba = np.full((8, 8, 4), (100, 50, 0, 51), np.uint8)
    slide = saved(tmp_path, Image.fromarray(rgba))
    # 51 / 255 = 0.2 of the color, 0.8 of white.
    assert slide.read(0, 0, size=(1, 1)).tolist() == [[[224, 214, 204]]]
    assert slide.notes == ("transparency was laid over white",)
    palette = rgb.convert("P")
    slide = saved(tmp_path, palette, transparency=palette.getpixel((0, 0)))
    assert slide.read(0, 0, size=(1, 1)).tolist() == [[[255, 255, 255]]]


def test_one_pixel(tmp_path: Path) -> None:
    slide = saved(tmp_path, Image.fromarray(np.full((1, 1, 3), 7, np.uint8)))
    assert slide.read(0, 0, size=(1, 1)).tolist() == [[[7, 7, 7]]]
    assert slide.thumbnail().shape == (1, 1, 3)
    assert slide.read(0, 0, size=(1, 1), mpp=1.0).tolist() == [[[193, 193, 193]]]


def test_16_bit_rgb_png_is_refused(tmp_path: Path) -> None:
    import imagecodecs

    (tmp_path / "x.png").write_bytes(imagecodecs.png_encode(np.zeros((9, 9, 3), np.uint16)))
    with pytest.raises(SlideError, match=r"x\.png has 16 bits per channel; .*convert it to 8-bit RGB"):
        open_slide(tmp_path / "x.png", mpp=0.5)


def test_16_bit_gray_png_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SlideError, match="16 bits per channel"):
        saved(tmp_path, Image.fromarray(np.zeros((9, 9), np.uint16)))


def test_cmyk_jpeg_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SlideError, match=r"x\.jpg has the color mode CMYK"):
        saved(tmp_path, Image.new("CMYK", (9, 9)), "x.jpg")


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.tif"])
def test_cut_short_is_refused(tmp_path: Path, name: str) -> None:
    Image.fromarray(numbered(80, 80)).save(tmp_path / name)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(SlideError, match=rf"{name} (cannot be decoded|is truncated)"):
        open_slide(tmp_path / name, mpp=0.5)


def test_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    """Headers that claim 50,000 x 50,000 px."""
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png")
    data = bytearray((tmp_path / "x.png").read_bytes())
    import struct
    import zlib

    data[16:24] = struct.pack(">II", 50_000, 50_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    (tmp_path / "x.png").write_bytes(data)
    with pytest.raises(SlideError, match="claims 50000 x 50000 px in one piece"):
        open_slide(tmp_path / "x.png", mpp=0.5)
    tifffile.imwrite(tmp_path / "x.tif", np.zeros((8, 8, 3), np.uint8), photometric="rgb", metadata=None)
    with tifffile.TiffFile(tmp_path / "x.tif", mode="r+b") as tiff:
        tiff.pages.first.tags["ImageWidth"].overwrite(50_000)
        tiff.pages.first.tags["ImageLength"].overwrite(50_000)
    with pytest.raises(SlideError, match="claims 50000 x 50000 px in one piece"):
        open_slide(tmp_path / "x.tif", mpp=0.5)


def test_density_counts_only_where_it_can_be_a_microscope(tmp_path: Path) -> None:
    image = Image.fromarray(numbered(9, 9))
    image.save(tmp_path / "screen.png", dpi=(96, 96))
    with pytest.raises(MppError, match="does not say"):
        open_slide(tmp_path / "screen.png")
    image.save(tmp_path / "scan.png", dpi=(50_800, 50_800))
    assert open_slide(tmp_path / "scan.png").mpp.x == pytest.approx(0.5, abs=1e-6)
