import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile
from helpers.phantoms import block_mean, gradient, numbered, tiled_tiff

from histome.errors import SlideError
from histome.slide import open_slide

REAL = ["CMU-1-Small-Region.svs", "A9K0_1.svs", "A9K0_2.svs", "A9K0_3.svs", "small.svs", "boxes.tiff"]


@pytest.mark.parametrize("name", REAL)
def test_pixels_are_those_of_openslide(data_dir, name: str) -> None:
    path = data_dir(f"slides/{name}")
    with open_slide(path, mpp=0.5) as slide, openslide.OpenSlide(path) as reference:
        assert type(slide.reader).__name__ == "TiffReader"
        assert slide.size_px == reference.dimensions
        expected = np.asarray(reference.read_region((0, 0), 0, reference.dimensions).convert("RGB"))
        difference = np.abs(slide.read(0, 0, size=slide.size_px).astype(int) - expected)
        assert difference.max() <= 1
        assert [level[:2] for level in slide.reader.levels] == list(reference.level_dimensions)


def test_windows_agree_with_openslide_across_tiles(data_dir) -> None:
    path = data_dir("slides/CMU-1-Small-Region.svs")
    with open_slide(path) as slide, openslide.OpenSlide(path) as reference:
        for x, y in [(0, 0), (231, 233), (1000, 1507), (2001, 2801)]:
            expected = np.asarray(reference.read_region((x, y), 0, (200, 150)).convert("RGB"))
            assert np.array_equal(slide.read(x, y, size=(200, 150)), expected)


@pytest.mark.parametrize(
    ("compression", "tolerance"),
    [(None, 0), ("zlib", 0), ("lzw", 0), ("zstd", 0), ("jpeg2000", 0), ("jpeg", 45), ("webp", 60)],
)
def test_codecs(tmp_path: Path, compression: str | None, tolerance: int) -> None:
    pixels = gradient(130, 100)
    with open_slide(tiled_tiff(tmp_path / "x.tif", pixels, compression=compression)) as slide:
        assert np.abs(slide.read(0, 0, size=(100, 130)).astype(int) - pixels).max() <= tolerance
        assert len(slide.broken) == 0


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [False, True])
def test_both_byte_orders_and_bigtiff(tmp_path: Path, byteorder: str, bigtiff: bool) -> None:
    pixels = numbered(70, 90)
    options = {"tile": (32, 32), "photometric": "rgb", "resolution": (20_000, 20_000), "resolutionunit": 3}
    tifffile.imwrite(tmp_path / "x.tif", pixels, byteorder=byteorder, bigtiff=bigtiff, **options)
    with open_slide(tmp_path / "x.tif") as slide:
        assert np.array_equal(slide.read(0, 0, size=(90, 70)), pixels)


def test_ome_tiff_with_subifd_pyramid(tmp_path: Path) -> None:
    pixels = numbered(300, 260)
    metadata = {"axes": "YXS", "PhysicalSizeX": 500, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.5}
    path = tiled_tiff(
        tmp_path / "x.ome.tif", pixels, mpp=None, factors=(1, 2, 4), subifds=True, metadata=metadata
    )
    with open_slide(path) as slide:
        assert [level[:3] for level in slide.reader.levels] == [
            (260, 300, 1.0),
            (130, 150, 2.0),
            (65, 75, 4.0),
        ]
        assert slide.mpp[:3] == (0.5, 0.5, "OME metadata")
        assert np.array_equal(slide.read(0, 0, size=(65, 75), mpp=2.0), np.floor(block_mean(pixels, 4) + 0.5))


def test_real_ome_tiff(data_dir) -> None:
    with open_slide(data_dir("slides/HE_example_0.5mpp.tif")) as slide:
        assert slide.size_px == (1380, 1484)
        assert slide.mpp.x == pytest.approx(0.50008, abs=1e-5)
        assert slide.mpp.source == "OME metadata"
        assert 150 < slide.thumbnail(300).mean() < 200


def test_planar_samples(tmp_path: Path) -> None:
    pixels = numbered(90, 70)
    options = {"tile": (32, 32), "photometric": "rgb", "planarconfig": "separate", "compression": "zlib"}
    tifffile.imwrite(tmp_path / "x.tif", np.moveaxis(pixels, -1, 0), **options)
    with open_slide(tmp_path / "x.tif", mpp=0.5) as slide:
        assert np.array_equal(slide.read(0, 0, size=(70, 90)), pixels)


@pytest.mark.parametrize("tiled", [True, False])
def test_palette_gray_and_alpha_become_rgb(tmp_path: Path, tiled: bool) -> None:
    layout = {"tile": (32, 32)} if tiled else {}
    index = np.arange(64, dtype=np.uint8).reshape(8, 8)
    palette = np.stack([np.arange(256), np.arange(256)[::-1], np.full(256, 9)]).astype(np.uint16) * 257
    tifffile.imwrite(tmp_path / "palette.tif", index, photometric="palette", colormap=palette, **layout)
    tifffile.imwrite(tmp_path / "gray.tif", index, photometric="minisblack", **layout)
    tifffile.imwrite(tmp_path / "inverted.tif", index, photometric="miniswhite", **layout)
    rgba = np.dstack([np.full((8, 8, 3), 100, np.uint8), index * 4])
    tifffile.imwrite(tmp_path / "rgba.tif", rgba, photometric="rgb", extrasamples=["unassalpha"], **layout)

    def read(name: str) -> tuple[np.ndarray, tuple[str, ...]]:
        with open_slide(tmp_path / name, mpp=0.5) as slide:
            return slide.read(0, 0, size=(8, 8)), slide.notes

    pixels, notes = read("palette.tif")
    assert pixels[1, 2].tolist() == [10, 245, 9]
    assert notes == ("palette colors were converted to RGB",)
    pixels, notes = read("gray.tif")
    assert pixels[1, 2].tolist() == [10, 10, 10]
    assert notes == ("a gray image was repeated in three channels",)
    assert read("inverted.tif")[0][1, 2].tolist() == [245, 245, 245]
    pixels, notes = read("rgba.tif")
    alpha = 40 / 255
    assert pixels[1, 2].tolist() == [round(100 * alpha + 255 * (1 - alpha))] * 3
    assert notes == ("transparency was laid over white",)


@pytest.mark.parametrize(
    ("pixels", "options", "message"),
    [
        (np.zeros((64, 64, 3), np.uint16), {"photometric": "rgb"}, "16 bits per channel"),
        (np.zeros((64, 64), np.uint16), {}, "16 bits per channel"),
        (np.zeros((64, 64, 3), np.float32), {"photometric": "rgb"}, "32 floating point bits"),
        (np.zeros((64, 64, 4), np.uint8), {"photometric": "separated"}, "4 channels of type SEPARATED"),
        (
            np.zeros((64, 64, 5), np.uint8),
            {"photometric": "minisblack", "planarconfig": "contig"},
            "5 channels",
        ),
    ],
)
@pytest.mark.parametrize("tiled", [True, False])
def test_other_than_8_bit_brightfield_is_refused(
    tmp_path: Path, pixels: np.ndarray, options: dict, message: str, tiled: bool
) -> None:
    layout = {"tile": (32, 32)} if tiled else {}
    tifffile.imwrite(tmp_path / "x.tif", pixels, **options, **layout)
    with pytest.raises(SlideError, match=message):
        open_slide(tmp_path / "x.tif", mpp=0.5)


def test_fluorescence_ome_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "x.ome.tif", np.zeros((4, 64, 64), np.uint8), tile=(32, 32), metadata={"axes": "CYX"}
    )
    with pytest.raises(SlideError, match="the axes CYX"):
        open_slide(tmp_path / "x.ome.tif", mpp=0.5)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.64])
def test_truncated_svs_is_refused(data_dir, tmp_path: Path, share: float) -> None:
    """The directory of this file lies at 66 % of it."""
    whole = data_dir("slides/CMU-1-Small-Region.svs").read_bytes()
    (tmp_path / "cut.svs").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(SlideError, match=r"cut\.svs is truncated: .*; copy it again\."):
        open_slide(tmp_path / "cut.svs")


def test_tiles_beyond_the_end_are_counted_at_opening(tmp_path: Path) -> None:
    path = tiled_tiff(tmp_path / "x.tif", numbered(256, 256))
    path.write_bytes(path.read_bytes()[:-30_000])
    with pytest.raises(SlideError, match=r"x\.tif is truncated: \d+ of its 16 pieces lie beyond its end"):
        open_slide(path)


def _patch_tag(path: Path, name: str, value: int, page: int = 0) -> None:
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        tiff.pages[page].tags[name].overwrite(value)


@pytest.mark.parametrize(("tag", "value"), [("ImageWidth", 2**31 - 1), ("ImageLength", 70_000)])
def test_claimed_size_is_checked_against_the_file(tmp_path: Path, tag: str, value: int) -> None:
    path = tiled_tiff(tmp_path / "x.tif", numbered(128, 128))
    _patch_tag(path, tag, value)
    with pytest.raises(SlideError, match="lists 4 tiles where its size needs"):
        open_slide(path)


def test_claimed_tile_size_is_bounded(tmp_path: Path) -> None:
    path = tiled_tiff(tmp_path / "x.tif", numbered(64, 64))
    _patch_tag(path, "TileWidth", 60_000)
    _patch_tag(path, "TileLength", 60_000)
    with pytest.raises(SlideError, match="claims tiles of 60000 x 60000 px"):
        open_slide(path)


def test_jpeg_that_claims_more_than_its_tile_is_not_decoded(tmp_path: Path) -> None:
    path = tiled_tiff(tmp_path / "x.tif", gradient(64, 64), compression="jpeg")
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        start = tiff.pages.first.dataoffsets[0]
    frame = data.index(b"\xff\xc0", start)
    data[frame + 5 : frame + 9] = struct.pack(">HH", 60_000, 60_000)
    path.write_bytes(data)
    tracemalloc.start()
    with pytest.raises(SlideError, match="claims to be larger than a tile"):
        open_slide(path)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def test_deflate_bomb_stays_small(tmp_path: Path) -> None:
    """A tile of 64 x 64 px whose data inflates to 150 MB."""
    path = tmp_path / "x.tif"
    bomb = zlib.compress(bytes(150_000_000), 1)
    tifffile.imwrite(
        path,
        iter([bomb]),
        shape=(64, 64, 3),
        dtype=np.uint8,
        tile=(64, 64),
        photometric="rgb",
        compression="zlib",
    )
    tracemalloc.start()
    try:
        with open_slide(path, mpp=0.5) as slide:
            slide.read(0, 0, size=(64, 64))
    except SlideError:
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


def test_cut_jpeg_tile_is_broken_not_gray(tmp_path: Path) -> None:
    """libjpeg decodes half a tile and fills the rest with gray: that must count as broken."""
    path = tiled_tiff(tmp_path / "x.tif", numbered(128, 128), compression="jpeg")
    with tifffile.TiffFile(path) as tiff:
        offset, length = tiff.pages.first.dataoffsets[2], tiff.pages.first.databytecounts[2]
    with path.open("r+b") as file:
        file.seek(offset + length // 2)
        file.write(bytes(length - length // 2))
    with open_slide(path) as slide:
        region = slide.read(0, 0, size=(128, 128))
        assert slide.broken.reasons == ("its JPEG data ends early",)
    assert (region[64:, :64] == 255).all()


def test_empty_tiles_are_glass_in_general_and_broken_in_aperio(tmp_path: Path) -> None:
    tile = np.full((64, 64, 3), 90, np.uint8)
    description = "Aperio Image Library v1\r\n128x64 (64x64)|AppMag = 20|MPP = 0.5"
    for name, text in (("plain.tif", ""), ("aperio.svs", description)):
        tifffile.imwrite(
            tmp_path / name, iter([tile, None]), shape=(64, 128, 3), dtype=np.uint8, tile=(64, 64),
            photometric="rgb", compression="zlib", description=text, metadata=None,
        )  # fmt: skip
    with open_slide(tmp_path / "plain.tif", mpp=0.5) as slide:
        region = slide.read(0, 0, size=(128, 64))
        assert (region[:, :64] == 90).all()
        assert (region[:, 64:] == 255).all()
        assert len(slide.broken) == 0
    with open_slide(tmp_path / "aperio.svs") as slide:
        assert (slide.read(0, 0, size=(128, 64))[:, 64:] == 255).all()
        assert slide.broken.reasons == ("the scanner left this tile empty",)


def test_label_and_macro_are_no_levels_and_patient_text_stays_inside(data_dir) -> None:
    with open_slide(data_dir("slides/CMU-1-Small-Region.svs")) as slide:
        assert len(slide.reader.levels) == 1
        assert dict(slide.reader.properties) == {
            "aperio.AppMag": "20",
            "aperio.MPP": "0.4990",
            "scanner": "CPAPERIOCS",
            "vendor": "aperio",
        }


@pytest.mark.parametrize("size", [(1000, 777), (4097, 4095), (515, 300)])
def test_halved_levels_are_whole_factors_however_they_were_rounded(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    from histome.slide.tiff.meta import _downsample

    for factor in (2, 4, 16):
        for rounded in (np.floor, np.ceil):
            part = (int(rounded(size[0] / factor)), int(rounded(size[1] / factor)))
            assert _downsample(size, part) == factor


def test_imagej_microns(tmp_path: Path) -> None:
    pixels = numbered(32, 32)
    tifffile.imwrite(tmp_path / "x.tif", pixels, imagej=True, resolution=(4, 4), metadata={"unit": "um"})
    with open_slide(tmp_path / "x.tif") as slide:
        assert slide.mpp[:3] == (0.25, 0.25, "file property")


def test_closed_without_a_warning_when_forgotten(tmp_path: Path) -> None:
    """ResourceWarnings are errors here: the file descriptor goes with the last reference."""
    import gc

    slide = open_slide(tiled_tiff(tmp_path / "x.tif", numbered(64, 64)))
    assert slide.size_px == (64, 64)
    del slide
    gc.collect()


def stack(path: Path, *, pages: int, tiled: bool, more: list[dict[str, object]] | None = None) -> Path:
    """Write equal pages, and `more` of the same size or less that are no pages of a stack."""
    options = {"photometric": "rgb", "metadata": None, "tile": (32, 32) if tiled else None}
    with tifffile.TiffWriter(path) as writer:
        for number in range(pages):
            writer.write(np.full((64, 64, 3), 40 * number, np.uint8), **options)
        for each in more or []:
            writer.write(**{"data": np.zeros((64, 64, 3), np.uint8), **options, **each})
    return path


@pytest.mark.parametrize("tiled", [True, False])
def test_further_pages_of_a_stack_are_told(tmp_path: Path, tiled: bool) -> None:
    for pages in (2, 3):
        with open_slide(stack(tmp_path / "x.tif", pages=pages, tiled=tiled), mpp=0.5) as slide:
            assert slide.reader.pages == pages
            assert [note.split(",")[0] for note in slide.notes] == [f"1 of {pages} pages is read"]
            assert slide.read(0, 0, size=(64, 64)).max() == 0  # the first


@pytest.mark.parametrize("tiled", [True, False])
def test_levels_thumbnails_labels_and_masks_are_no_stack(tmp_path: Path, tiled: bool) -> None:
    smaller = {"data": np.zeros((32, 32, 3), np.uint8)}
    other = {"tile": None if tiled else (32, 32)}
    label, macro = {"subfiletype": 1}, {"subfiletype": 9}
    mask = {"data": np.zeros((64, 64), np.uint8).astype(bool), "subfiletype": 4, "photometric": "mask"}
    gray = {"data": np.zeros((64, 64), np.uint8), "photometric": "minisblack"}
    more = [smaller, smaller, other, label, macro, mask, gray]
    with open_slide(stack(tmp_path / "x.tif", pages=1, tiled=tiled, more=more), mpp=0.5) as slide:
        assert (slide.reader.pages, slide.notes) == (1, ())


@pytest.mark.parametrize("name", [*REAL, "HE_example_0.5mpp.tif", "colon_section.tif"])
def test_real_slides_are_no_stacks(data_dir, name: str) -> None:
    with open_slide(data_dir(f"slides/{name}"), mpp=0.5) as slide:
        assert slide.reader.pages == 1
