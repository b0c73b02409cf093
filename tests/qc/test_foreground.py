import cv2
import numpy as np
from helpers.drawn_tissue import glass, tissue_texture

from histome.qc.colors import color_evidence, find_glass
from histome.qc.foreground import find_tissue, strips

MPP = 8.0


def tissue_of(image):
    return find_tissue(color_evidence(image, find_glass(image)), np.zeros(image.shape[:2], bool), mpp=MPP)


def test_area_of_a_drawn_section():
    image = glass(300, 400)
    disc = np.zeros(image.shape[:2], np.uint8)
    cv2.circle(disc, (200, 150), 100, 1, -1)
    image[disc > 0] = tissue_texture(300, 400, mpp=MPP)[disc > 0]
    found = tissue_of(image)
    assert abs(found.sum() / disc.sum() - 1) < 0.01
    assert (found & (disc > 0)).sum() > 0.99 * disc.sum()


def test_fat_is_tissue_and_a_large_tear_is_not():
    image = glass(300, 400)
    image[50:250, 50:350] = tissue_texture(200, 300, mpp=MPP)
    # Fat: empty cells of 90 um with faint septa of one pixel, in the left part.
    fat = np.zeros((200, 140), bool)
    fat[::11] = fat[:, ::11] = True
    image[50:250, 50:190] = np.where(fat[..., None], (238, 222, 232), 243)
    tear = (slice(120, 180), slice(240, 300))
    image[tear] = 243
    found = tissue_of(image)
    assert found[60:240, 60:180].mean() > 0.99
    assert found[tear].mean() < 0.1


def test_dust_and_shaded_glass_are_no_tissue():
    rng = np.random.default_rng(0)
    image = glass(300, 400)
    image[100:200, 100:200] = tissue_texture(100, 100, mpp=MPP)
    image[:40] = np.clip(225 + rng.normal(0, 5, (40, 400, 3)), 0, 255).astype(np.uint8)
    image[rng.integers(220, 300, 60), rng.integers(0, 400, 60)] = (190, 150, 180)
    found = tissue_of(image)
    assert not found[:40].any()
    assert not found[220:].any()


def test_a_field_all_tissue_is_all_tissue():
    for side in (7, 30, 100):
        assert tissue_of(tissue_texture(side, side, mpp=MPP)).all()


def test_strips_cover_every_row_once():
    rows = [row for first, last in strips(1000) for row in range(first, last)]
    assert rows == list(range(1000))
