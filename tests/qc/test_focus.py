import cv2
import numpy as np
import pytest
from helpers.drawn_tissue import tissue_texture, write_field

from histome.config import QcConfig
from histome.qc.focus import find_out_of_focus, measure_focus
from histome.slide import open_slide


def disc_blur(image, radius_px):
    side = 2 * int(np.ceil(radius_px)) + 1
    y, x = np.mgrid[:side, :side] - side // 2
    kernel = (x**2 + y**2 <= radius_px**2).astype(np.float32)
    return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)


def focus_of(slide):
    height, width = slide.shape_at(8.0)
    return measure_focus(slide, np.ones((height, width), bool), mpp=8.0)


def test_a_blurred_half_is_found_and_the_sharp_half_is_not(tmp_path):
    image = tissue_texture(1200, 1200, mpp=0.5)
    image[:, 600:] = disc_blur(image, 6)[:, 600:]
    slide = write_field(tmp_path / "half.png", image, 0.5)
    tissue = np.ones(slide.shape_at(8.0), bool)
    soft = find_out_of_focus(focus_of(slide), tissue, mpp=8.0, below=QcConfig().out_of_focus_below)
    assert soft[:, 48:].mean() > 0.95
    assert soft[:, :28].mean() < 0.05


def test_focus_falls_with_the_blur(tmp_path):
    image = tissue_texture(800, 800, mpp=0.5)
    scores = []
    for radius in (0, 2, 4, 6):
        field = disc_blur(image, radius) if radius else image
        scores.append(np.nanmedian(focus_of(write_field(tmp_path / f"{radius}.png", field, 0.5))))
    assert np.all(np.diff(scores) < -0.2)


def test_no_structure_and_no_resolution_say_nothing(tmp_path):
    flat = np.full((300, 300, 3), (225, 190, 215), np.uint8)
    assert np.isnan(focus_of(write_field(tmp_path / "flat.png", flat, 0.5))).all()
    coarse = write_field(tmp_path / "coarse.png", tissue_texture(300, 300, mpp=2), 2.0)
    assert np.isnan(focus_of(coarse)).all()


def test_windows_leave_no_seam(tmp_path, monkeypatch):
    slide = write_field(tmp_path / "field.png", tissue_texture(700, 900, mpp=1), 1.0)
    whole = focus_of(slide)
    monkeypatch.setattr("histome.qc.focus._CORE_PX", 256)
    np.testing.assert_allclose(focus_of(slide), whole, rtol=1e-5)


def test_only_the_tissue_of_a_window_is_read_and_workers_change_nothing(tmp_path, monkeypatch):
    slide = write_field(tmp_path / "field.png", tissue_texture(700, 900, mpp=1), 1.0)
    tissue, read, sizes = np.zeros(slide.shape_at(8.0), bool), slide.read, []
    tissue[30:50, 41:60] = True
    monkeypatch.setattr(
        slide, "read", lambda *at, size, mpp: sizes.append(size) or read(*at, size=size, mpp=mpp)
    )
    found = measure_focus(slide, tissue, mpp=8.0)
    # Blocks of 32 px from 320 to 480 and 224 to 416, with 16 px round them.
    assert sizes == [(5 * 32 + 32, 6 * 32 + 32)]
    assert np.isfinite(found).sum() == 30
    monkeypatch.setattr("histome.qc.focus._CORE_PX", 64)
    np.testing.assert_allclose(measure_focus(slide, tissue, mpp=8.0, workers=3), found, rtol=1e-5)


@pytest.mark.parametrize("name", ["consep", "tnbc"])
@pytest.mark.slow
def test_real_fields_are_sharp_until_blurred(data_dir, tmp_path, name):
    for path in sorted((data_dir(name) / "images").glob("*.jpg"))[:4]:
        with open_slide(path, mpp=0.25) as slide:
            assert np.nanmedian(focus_of(slide)) > QcConfig().out_of_focus_below
            pixels = slide.read(0, 0, size=slide.size_px)
        soft = write_field(tmp_path / f"{path.stem}.png", disc_blur(pixels, 12), 0.25)
        assert np.nanmedian(focus_of(soft)) < QcConfig().out_of_focus_below
