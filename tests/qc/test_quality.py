import csv

import cv2
import numpy as np
import pytest
from helpers.drawn_tissue import glass, tissue_texture, write_field
from helpers.phantoms import break_tile, small_phantom, tiled_tiff
from PIL import Image

from histome.classes import QC_CLASSES
from histome.config import QcConfig
from histome.errors import NoTissueError
from histome.qc import assess
from histome.qc.colors import DENSITY_STEP, color_evidence, find_glass
from histome.qc.quality import DARKEST_DENSITY, MAP_MPP
from histome.slide import open_slide

VALID = QC_CLASSES.index("VALID_TISSUE") + 1


def shares(quality):
    counts = np.bincount(quality.map.array.ravel(), minlength=len(QC_CLASSES) + 1)[1:]
    return dict(zip(QC_CLASSES, counts / counts.sum(), strict=True))


def section(path):
    """A disc of 1.2 mm in 2.4 x 2 mm of glass at 2 um/px."""
    image = glass(1000, 1200)
    disc = np.zeros(image.shape[:2], np.uint8)
    cv2.circle(disc, (600, 500), 300, 1, -1)
    image[disc > 0] = tissue_texture(1000, 1200, mpp=2.0)[disc > 0]
    return write_field(path, image, 2.0)


def test_a_section_on_glass(tmp_path):
    quality = assess(section(tmp_path / "disc.png"), QcConfig())
    assert quality.map.area_um2("VALID_TISSUE") == pytest.approx(np.pi * 600**2, rel=0.02)
    assert quality.map.mpp == 8.0
    assert quality.background_rgb == (243, 243, 243)
    assert quality.background_seen
    assert set(np.unique(quality.map.array)) == {VALID, QC_CLASSES.index("NO_TISSUE") + 1}
    assert (quality.fragments > 0).sum() == quality.map.mask("VALID_TISSUE").sum()


def test_strips_do_not_show(tmp_path, monkeypatch):
    slide = section(tmp_path / "disc.png")
    whole = assess(slide, QcConfig()).map.array
    monkeypatch.setattr("histome.qc.foreground.STRIP_ROWS", 7)
    assert np.array_equal(assess(slide, QcConfig()).map.array, whole)


@pytest.mark.parametrize(("side_px", "mpp"), [(224, 0.25), (500, 0.55), (1000, 0.25), (256, 1.0)])
def test_a_field_all_tissue_is_valid_throughout(tmp_path, side_px, mpp):
    slide = write_field(tmp_path / "field.png", tissue_texture(side_px, side_px, mpp=mpp), mpp)
    quality = assess(slide, QcConfig())
    assert quality.map.array.shape == slide.shape_at(8.0)
    assert shares(quality)["VALID_TISSUE"] > 0.99
    assert not quality.background_seen


@pytest.mark.parametrize("rgb", [(243, 243, 243), (255, 255, 255), (128, 128, 128), (20, 150, 110)])
def test_no_tissue_is_refused_and_says_what_it_saw(tmp_path, rgb):
    slide = write_field(tmp_path / "empty.png", np.full((600, 600, 3), rgb, np.uint8), 2.0)
    with pytest.raises(NoTissueError, match=r"empty\.png: no valid tissue") as refusal:
        assess(slide, QcConfig())
    assert refusal.value.exit_code == 3
    assert not refusal.value.quality.map.mask("VALID_TISSUE").any()


def test_one_pixel_is_no_tissue(tmp_path):
    with pytest.raises(NoTissueError):
        assess(write_field(tmp_path / "dot.png", glass(1, 1), 0.5), QcConfig())


def test_broken_tiles_are_no_tissue(tmp_path):
    path = tiled_tiff(tmp_path / "broken.tif", tissue_texture(512, 512, mpp=2.0), mpp=2.0, tile=128)
    break_tile(path, 5)
    with open_slide(path) as slide:
        quality = assess(slide, QcConfig())
    broken = quality.map.array[32:64, 32:64]
    assert (broken == QC_CLASSES.index("NO_TISSUE") + 1).all()
    assert (quality.map.array[70:, 70:] == VALID).all()


@pytest.mark.slow
def test_a_phantom_with_artifacts(tmp_path):
    truth = small_phantom(tmp_path / "phantom.tif", size_px=(5000, 4000))
    with open_slide(truth.path) as slide:
        quality = assess(slide, QcConfig())
    expected = truth.qc_map(8.0)
    for name, least in (("VALID_TISSUE", 0.95), ("MARKER", 0.9), ("NO_TISSUE", 0.95)):
        code = QC_CLASSES.index(name) + 1
        assert (quality.map.array[expected == code] == code).mean() > least, name
    for name in ("OUT_OF_FOCUS", "TISSUE_ARTIFACT"):
        code = QC_CLASSES.index(name) + 1
        if (expected == code).any():
            assert (quality.map.array[expected == code] == VALID).mean() < 0.5, name


@pytest.mark.parametrize(("name", "color"), [("pen_red", "red"), ("pen_green", "green")])
def test_real_pens_are_caught(data_dir, name, color):
    folder = data_dir("quality") / "pen"
    with open_slide(folder / f"{name}.png", mpp=5.0) as slide:
        slide.mpp = slide.mpp._replace(x=8.0, y=8.0)
        quality = assess(slide, QcConfig())
    pen = np.asarray(Image.open(folder / f"{name}_mask.png").convert("L")) > 127
    marker = quality.map.mask("MARKER")
    assert marker[pen].mean() >= 0.9, color
    near = cv2.dilate(pen.astype(np.uint8), np.ones((9, 9))) > 0
    assert (near & marker).sum() >= 0.7 * marker.sum(), color


def test_the_real_region_is_valid_inside_its_tissue(data_dir):
    with open_slide(data_dir("slides") / "CMU-1-Small-Region.svs") as slide:
        found = shares(assess(slide, QcConfig()))
    on_glass = 1 - found["NO_TISSUE"]
    assert found["VALID_TISSUE"] > 0.95 * on_glass
    assert 0.35 < on_glass < 0.5


@pytest.mark.parametrize("size_px", [(117, 93), (131, 130)])
def test_the_valid_area_of_a_small_field_is_no_larger_than_the_field(tmp_path, size_px):
    width, height = size_px
    image = tissue_texture(height, width, mpp=1.0)
    quality = assess(write_field(tmp_path / "field.png", image, 1.0), QcConfig())
    assert quality.map.area_um2("VALID_TISSUE") == pytest.approx(width * height)
    assert quality.map.array.size * 64 > width * height


def fluorescence(height, width, channels, *, seed=0):
    """Bright nuclei on a dark ground that is not quite black; `channels` is their color, 0-1."""
    rng = np.random.default_rng(seed)
    light = rng.gamma(2.0, 2.0, (height, width))
    for x, y in rng.integers(0, (width, height), (height * width // 900, 2)):
        cv2.circle(light, (int(x), int(y)), 4, float(rng.uniform(60, 250)), -1)
    return np.clip(cv2.GaussianBlur(light, (0, 0), 1)[..., None] * channels, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "channels",
    [
        (0.0, 0.0, 0.0),
        (0.0, 0.0, 1.0),
        (0.0, 1.0, 0.0),
        (0.05, 0.02, 1.0),
        (1.0, 0.05, 0.1),
        (0.8, 0.05, 0.9),
    ],
)
def test_a_dark_background_is_not_h_and_e(tmp_path, channels):
    slide = write_field(tmp_path / "dapi.png", fluorescence(500, 600, channels), 2.0)
    with pytest.raises(
        NoTissueError, match=r"dapi\.png: not H&E \(NOT_H_AND_E\): its background is dark"
    ) as told:
        assess(slide, QcConfig())
    assert told.value.exit_code == 3
    assert "\n" not in str(told.value)


def test_fluorescence_framed_in_white_is_refused(tmp_path):
    image = glass(700, 800)
    image[100:600, 100:700] = fluorescence(500, 600, (1.0, 0.05, 0.1))
    with pytest.raises(NoTissueError):
        assess(write_field(tmp_path / "framed.png", image, 2.0), QcConfig())


def test_a_black_frame_is_no_dark_background(tmp_path):
    image = np.zeros((1400, 1600, 3), np.uint8)
    image[300:1000, 300:1100] = glass(700, 800)
    image[400:900, 400:1000] = tissue_texture(500, 600, mpp=2.0)
    quality = assess(write_field(tmp_path / "stitched.png", image, 2.0), QcConfig())
    assert quality.map.area_um2("VALID_TISSUE") == pytest.approx(1000 * 1200, rel=0.1)


def test_the_densest_tissue_is_h_and_e(tmp_path):
    dense = np.clip(tissue_texture(500, 500, mpp=2.0).astype(int) // 3, 0, 255).astype(np.uint8)
    assess(write_field(tmp_path / "dense.png", dense, 2.0), QcConfig())


@pytest.mark.slow
def test_no_real_field_is_dark(data_dir):
    """Every fourth field of every data set: H&E is not refused, however dense or darkly scanned."""
    densest = {}
    for table in sorted(data_dir(".").glob("*/images.csv")):
        for row in list(csv.DictReader(table.read_text().splitlines()))[::4]:
            pixels = np.asarray(Image.open(table.parent / row["file"]).convert("RGB"))
            shrink = float(row.get("mpp") or 0.5) / MAP_MPP
            pixels = cv2.resize(pixels, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
            density = color_evidence(pixels, find_glass(pixels)).density
            densest[row["file"]] = float(np.median(density)) * DENSITY_STEP
    assert len(densest) > 400
    assert max(densest.values()) < DARKEST_DENSITY - 0.3, max(densest, key=lambda file: densest[file])


def test_a_real_fluorescence_slide_is_refused(data_dir):
    with open_slide(data_dir("slides") / "hamamatsu_fluorescence.ndpi") as slide:
        assert (slide.reader.format, slide.size_px, len(slide.reader.levels)) == (
            "hamamatsu",
            (3968, 4864),
            7,
        )
        with pytest.raises(NoTissueError, match="NOT_H_AND_E"):
            assess(slide, QcConfig())
