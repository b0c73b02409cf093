"""Reading geometry: what is where, at any resolution, whichever region it is read in."""

from pathlib import Path

import numpy as np
import pytest
from helpers.phantoms import block_mean, break_tile, gradient, numbered, tiled_tiff
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from histome.slide import Box, Slide, open_slide
from histome.slide.reader import Level

WHITE = 255


@pytest.fixture(scope="module")
def noise_slide(tmp_path_factory: pytest.TempPathFactory) -> Slide:
    """A slide of 203 x 301 px noise at 0.25 um/px with levels 1 and 4."""
    path = tmp_path_factory.mktemp("slides") / "noise.tif"
    return open_slide(tiled_tiff(path, numbered(301, 203), mpp=0.25, factors=(1, 4), tile=32))


def test_level_0_is_the_file(noise_slide: Slide) -> None:
    assert noise_slide.id == "noise"
    assert noise_slide.size_px == (203, 301)
    assert noise_slide.extent_um == pytest.approx((50.75, 75.25))
    assert noise_slide.mpp.x == pytest.approx(0.25)
    assert np.array_equal(noise_slide.read(0, 0, size=(203, 301)), numbered(301, 203))


def test_pixel_of_the_slide_is_where_it_is_said_to_be(tmp_path: Path) -> None:
    with open_slide(tiled_tiff(tmp_path / "ramp.tif", gradient(200, 200))) as slide:
        region = slide.read(37, 141, size=(5, 4))
    assert region.shape == (4, 5, 3)
    assert region[0, 0].tolist() == [37, 141, 77]
    assert region[3, 4].tolist() == [41, 144, 77]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(x=st.integers(-40, 220), y=st.integers(-40, 320), width=st.integers(1, 90), height=st.integers(1, 90))
def test_any_region_is_a_cut_of_the_whole(
    noise_slide: Slide, x: int, y: int, width: int, height: int
) -> None:
    whole = np.full((301 + 200, 203 + 200, 3), WHITE, np.uint8)
    whole[100:401, 100:303] = numbered(301, 203)
    part = noise_slide.read(x, y, size=(width, height))
    cut = whole[100 + y : 100 + y + height, 100 + x : 100 + x + width]
    assert np.array_equal(part[: cut.shape[0], : cut.shape[1]], cut)


def test_half_resolution_is_the_block_mean_with_white_beyond_the_edge(noise_slide: Slide) -> None:
    height, width = noise_slide.shape_at(0.5)
    assert (height, width) == (151, 102)
    read = noise_slide.read(0, 0, size=(width, height), mpp=0.5)
    assert np.array_equal(read, np.floor(block_mean(numbered(301, 203), 2) + 0.5))


def test_a_level_is_used_where_it_is_as_fine_as_asked(tmp_path: Path) -> None:
    """Level 1 holds other pixels than level 0: which one was read shows."""
    path = tiled_tiff(tmp_path / "x.tif", np.full((256, 256, 3), 100, np.uint8), mpp=0.25, factors=(1, 4))
    slide = open_slide(path)
    reads: list[int] = []
    inner = slide.reader.read

    def spy(level: int, *box: int) -> np.ndarray:
        reads.append(level)
        return inner(level, *box)

    slide.reader.read = spy  # type: ignore[method-assign]
    for mpp in (0.25, 0.5, 0.98, 0.995, 1.0, 1.3, 8.0):
        slide.read(0, 0, size=(4, 4), mpp=mpp)
    # 0.995 is within 1 % of level 1 (1.0 um/px); 0.98 is not.
    assert reads == [0, 0, 0, 1, 1, 1, 1]
    slide.close()


@pytest.mark.parametrize("mpp", [0.25, 0.5, 0.37, 1.1, 2.5, 0.2])
def test_shifted_tiles_agree_to_the_byte(noise_slide: Slide, mpp: float) -> None:
    height, width = noise_slide.shape_at(mpp)
    whole = noise_slide.read(0, 0, size=(width, height), mpp=mpp)
    step = mpp / noise_slide.mpp.x
    for row, column, size in [(0, 0, 7), (3, 5, 11), (height // 2, width // 3, 13)]:
        part = noise_slide.read(column * step, row * step, size=(size, size), mpp=mpp)
        cut = whole[row : row + size, column : column + size]
        assert np.array_equal(part[: cut.shape[0], : cut.shape[1]], cut)


@pytest.mark.parametrize("mpp", [0.5, 0.61, 1.0, 3.3])
def test_linear_gradient_averages_exactly(tmp_path: Path, mpp: float) -> None:
    """The area average of a ramp is its value at the middle of the pixel."""
    ramp = np.repeat(np.arange(240, dtype=np.uint8)[None, :, None], 64, axis=0).repeat(3, axis=2)
    with open_slide(tiled_tiff(tmp_path / "ramp.tif", ramp, mpp=0.25)) as slide:
        step = mpp / 0.25
        count = int(240 / step)
        row = slide.read(0, 0, size=(count, 1), mpp=mpp)[0, :, 1].astype(float)
    middle = (np.arange(count) + 0.5) * step - 0.5
    assert np.abs(row - middle).max() <= 0.501


def test_mean_is_kept_at_any_resolution(noise_slide: Slide) -> None:
    """48 um square: the mean over it cannot depend on the size of the pixels."""
    means = [
        noise_slide.read(0, 0, size=(round(48 / m), round(48 / m)), mpp=m).mean() for m in (0.25, 0.5, 0.75)
    ]
    assert max(means) - min(means) < 0.3


def test_oblong_pixels_are_read_square(tmp_path: Path) -> None:
    """A checkered slide of 0.5 x 1.0 um pixels: at 1 um/px two columns make one pixel, one row makes one."""
    pixels = numbered(64, 128)
    options = {"resolution": (20_000, 10_000), "resolutionunit": "CENTIMETER"}
    with open_slide(tiled_tiff(tmp_path / "x.tif", pixels, mpp=None, **options)) as slide:
        assert (slide.mpp.x, slide.mpp.y) == (0.5, 1.0)
        assert slide.shape_at(1.0) == (64, 64)
        read = slide.read(0, 0, size=(64, 64), mpp=1.0)
    assert np.array_equal(read, np.floor(pixels.reshape(64, 64, 2, 3).mean(axis=2) + 0.5))


def test_finer_than_the_slide_is_interpolated(noise_slide: Slide) -> None:
    fine = noise_slide.read(10, 10, size=(8, 8), mpp=0.125).astype(float)
    pixels = numbered(301, 203)[8:18, 8:18].astype(float)
    # Output (0, 0) lies a quarter px up and left of the center of source px (10, 10).
    near = pixels[1:3, 1:3]
    expected = 0.0625 * near[0, 0] + 0.1875 * (near[0, 1] + near[1, 0]) + 0.5625 * near[1, 1]
    assert np.abs(fine[0, 0] - expected).max() <= 0.5 + 1e-3


def test_large_reads_decode_each_tile_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from histome.slide.source import SourceFile
    from histome.slide.tiff.page import Pieces

    path = tiled_tiff(tmp_path / "x.tif", numbered(500, 400), mpp=0.25, tile=64)
    with open_slide(path) as slide:
        decoded: list[int] = []
        inner = Pieces.decode

        def spy(page: Pieces, file: SourceFile, tile: int, *, needs_end: bool) -> np.ndarray | None:
            decoded.append(tile)
            return inner(page, file, tile, needs_end=needs_end)

        monkeypatch.setattr(Pieces, "decode", spy)
        # Bands of one tile row, as on a slide far wider than this one.
        monkeypatch.setattr("histome.slide.reader.BAND_BYTES", 1)
        slide.read(0, 0, size=(125, 157), mpp=0.8)
    assert sorted(decoded) == list(range(7 * 8))


def test_thumbnail_has_square_pixels_and_the_asked_size(noise_slide: Slide) -> None:
    thumbnail = noise_slide.thumbnail(100)
    assert thumbnail.shape == (100, 68, 3)
    # A slide smaller than asked is not blown up.
    assert noise_slide.thumbnail(5000).shape == (301, 203, 3)


def test_shape_at_rounds_up_but_not_on_noise() -> None:
    level = Level(512, 511, 1.0)

    class Bare:
        levels = (level,)

    from histome.slide.mpp import Mpp

    slide = Slide(Path("x.tif"), Bare(), Mpp(0.1, 0.1, "test"))  # pyright: ignore[reportArgumentType]
    assert slide.shape_at(0.1) == (511, 512)
    assert slide.shape_at(0.3) == (171, 171)


def test_broken_tile_is_white_and_counted_once(tmp_path: Path) -> None:
    path = tiled_tiff(tmp_path / "x.tif", gradient(200, 200), factors=(1, 2), tile=64, compression="jpeg")
    break_tile(path, 5)
    with open_slide(path) as slide:
        assert len(slide.broken) == 0
        for _ in range(2):
            region = slide.read(0, 0, size=(200, 200))
        assert len(slide.broken) == 1
        assert slide.broken.boxes == (Box(64, 64, 128, 128),)
        assert slide.broken.reasons[0]
    assert (region[64:128, 64:128] == WHITE).all()
    assert (region[:64].mean(), region[128:].mean()) == pytest.approx(
        (gradient(200, 200)[:64].mean(), gradient(200, 200)[128:].mean()), abs=3
    )


def test_broken_tile_of_a_coarse_level_has_its_level_0_box(tmp_path: Path) -> None:
    path = tiled_tiff(tmp_path / "x.tif", gradient(300, 300), factors=(1, 2), tile=64)
    break_tile(path, 3, page=1)
    with open_slide(path, mpp=0.5) as slide:
        slide.read(0, 0, size=(150, 150), mpp=1.0)
        assert slide.broken.boxes == (Box(0, 128, 128, 256),)
        # Level 0 is whole.
        slide.read(0, 0, size=(300, 300))
        assert len(slide.broken) == 1


@pytest.mark.parametrize(
    ("x", "size", "mpp"),
    [
        (0, (0, 5), None),
        (0, (5, -1), None),
        (0, (100_000, 100_000), None),
        (float("nan"), (5, 5), None),
        (0, (5, 5), -1.0),
        (0, (5, 5), 0.0),
    ],
)
def test_impossible_requests_are_refused(
    noise_slide: Slide, x: float, size: tuple[int, int], mpp: float
) -> None:
    with pytest.raises(ValueError, match="cannot read"):
        noise_slide.read(x, 0, size=size, mpp=mpp)


def test_reading_after_close_is_an_error(tmp_path: Path) -> None:
    slide = open_slide(tiled_tiff(tmp_path / "x.tif", numbered(70, 70)))
    slide.close()
    slide.close()
    with pytest.raises(ValueError, match="closed"):
        slide.read(0, 0, size=(5, 5))


def test_threads_read_the_same(noise_slide: Slide) -> None:
    from concurrent.futures import ThreadPoolExecutor

    corners = [(x, y) for x in range(0, 160, 20) for y in range(0, 260, 20)]

    def read(corner: tuple[int, int]) -> np.ndarray:
        return noise_slide.read(*corner, size=(30, 30), mpp=0.5)

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(read, corners))
    assert all(np.array_equal(a, read(corner)) for a, corner in zip(together, corners, strict=True))
