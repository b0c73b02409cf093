"""Stain conditions act on the stains as their names say."""

import numpy as np
import pytest

from histome.slide.stain import hematoxylin_eosin_od, stain_matrix
from histome.validation.staining import CONDITIONS, Condition, restain


def _pixel(hematoxylin, eosin):
    density = hematoxylin * stain_matrix()[0] + eosin * stain_matrix()[1]
    return np.round(255 * 10.0**-density).astype(np.uint8)[None, None]


def test_no_change_is_no_change():
    image = np.random.default_rng(0).integers(30, 250, (8, 8, 3), np.uint8)
    np.testing.assert_allclose(restain(image, Condition()).astype(int), image, atol=1)


@pytest.mark.parametrize("name", ["low_intensity", "high_intensity"])
def test_intensity_multiplies_both_stains(name):
    pixel = _pixel(0.4, 0.3)
    before, after = hematoxylin_eosin_od(pixel), hematoxylin_eosin_od(restain(pixel, CONDITIONS[name]))
    np.testing.assert_allclose(after / before, CONDITIONS[name].intensity, rtol=0.03)


def test_similarity_moves_the_stains_colors_together_and_apart():
    def angle(name):
        colors = [-np.log10(restain(_pixel(*p), CONDITIONS[name])[0, 0] / 255) for p in ((0.5, 0), (0, 0.5))]
        a, b = (c / np.linalg.norm(c) for c in colors)
        return np.arccos(a @ b)

    neutral = np.arccos(stain_matrix()[0] @ stain_matrix()[1])
    assert angle("high_similarity") < 0.85 * neutral < neutral < angle("low_similarity")
