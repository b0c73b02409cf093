"""Finer pictures lie where they belong, show what the slide shows, and fit into the bytes they were given."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from helpers import profiles
from helpers.page import CONFIG
from PIL import Image

from histome.report import render_report
from histome.report.deep import deep_tiles
from histome.slide import Slide, open_slide

SIDE_PX = 1600
PLENTY = 20_000_000


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Slide:
    """Two gray ramps and a black square."""
    ramp = np.linspace(60, 240, SIDE_PX).astype(np.uint8)
    pixels = np.stack([np.broadcast_to(ramp, (SIDE_PX,) * 2)] * 3, axis=-1).copy()
    pixels[..., 1] = ramp[:, None]
    pixels[400:440, 800:840] = 0
    path = tmp_path_factory.mktemp("deep") / "ramp.png"
    Image.fromarray(pixels).save(path)
    return open_slide(path, mpp=0.5)


def decode(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB"))


def test_tiles_cover_the_overview_once_and_show_its_pixels(slide: Slide) -> None:
    overview = slide.thumbnail(400)
    tiles = deep_tiles(slide, overview, PLENTY)
    assert sum(tile.width * tile.height for tile in tiles) == pytest.approx(400 * 400)
    assert sum(decode(tile.picture).shape[1] for tile in tiles if tile.y == 0) == SIDE_PX  # the slide's own
    for tile in tiles:
        middle = overview[int(tile.y + tile.height / 2), int(tile.x + tile.width / 2)].astype(int)
        fine = decode(tile.picture)
        assert np.abs(fine[fine.shape[0] // 2, fine.shape[1] // 2] - middle).max() <= 6
    home = next(t for t in tiles if t.x <= 205 < t.x + t.width and t.y <= 105 < t.y + t.height)
    scale = decode(home.picture).shape[1] / home.width
    assert decode(home.picture)[int((105 - home.y) * scale), int((205 - home.x) * scale)].max() < 30


def test_fewer_bytes_give_coarser_tiles_or_none(slide: Slide) -> None:
    overview = slide.thumbnail(400)
    sizes = []
    for bytes_left in (PLENTY, 40_000, 12_000):
        tiles = deep_tiles(slide, overview, bytes_left)
        assert sum(len(tile.picture) for tile in tiles) <= bytes_left
        sizes.append(sum(decode(tile.picture).shape[1] for tile in tiles if tile.y == 0))
    assert sizes[0] == SIDE_PX > sizes[1] > 400
    assert sizes == sorted(sizes, reverse=True)
    assert deep_tiles(slide, overview, 500) == deep_tiles(slide, overview, -1) == []


def test_a_slide_without_finer_pixels_has_none(slide: Slide) -> None:
    assert deep_tiles(slide, slide.thumbnail(SIDE_PX), PLENTY) == []


def test_a_page_of_noise_stays_under_8_mb(tmp_path: Path) -> None:
    """Nothing compresses less than noise: pictures are made worse, and no finer ones added than fit."""
    pixels = np.random.default_rng(0).integers(0, 256, (2400, 2400, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    with open_slide(tmp_path / "noise.png", mpp=0.25) as slide:
        text = render_report(profiles.make_profile(), slide, CONFIG.model_copy(update={"thumbnail_px": 1400}))
    assert 'id="deep"' in text
    assert 2_000_000 < len(text.encode()) <= 8_000_000
