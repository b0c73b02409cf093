"""Stain vectors are recovered from mixtures of known stains."""

import numpy as np
import pytest
from helpers.drawn_tissue import glass

from histome.classes import QC_CLASSES
from histome.qc.stain import Stain, measure_colors, measure_stain, stain_vectors, unlike_h_and_e
from histome.slide.maps import ClassMap
from histome.slide.plain import array_slide
from histome.slide.stain import stain_matrix


def mixture(rng, shape):
    amounts = rng.gamma(2, 0.4, (*shape, 2)) * (rng.random((*shape, 2)) > 0.2)
    density = amounts @ stain_matrix()[:2]
    return np.clip(255 * 10**-density, 0, 255).round().astype(np.uint8)


def test_stain_vectors_are_recovered_from_a_mixture(rng):
    found = stain_vectors(mixture(rng, (20_000,)))
    angles = np.degrees(np.arccos(np.sum(found * stain_matrix()[:2], axis=1)))
    assert (angles < 4).all()


def test_little_stain_has_no_vectors():
    assert np.isnan(stain_vectors(np.full((2000, 3), 245, np.uint8))).all()
    assert np.isnan(stain_vectors(np.empty((0, 3), np.uint8))).all()


def test_only_valid_tissue_is_measured(rng):
    rgb = glass(160, 160)
    rgb[:, :80] = mixture(rng, (160, 80))
    codes = np.full((10, 10), QC_CLASSES.index("NO_TISSUE") + 1, np.uint8)
    slide, quality = array_slide(rgb, mpp=0.5), ClassMap(codes, 8.0, QC_CLASSES)
    assert np.isnan(measure_stain(slide, quality).hematoxylin_od_mean)
    codes[:, :5] = quality.code("VALID_TISSUE")
    found = measure_stain(slide, quality)
    assert isinstance(found, Stain)
    # A mean of two gammas of mean 0.8, each absent in a fifth of the pixels.
    assert abs(found.hematoxylin_od_mean - 0.64) < 0.05
    assert abs(found.eosin_od_mean - 0.64) < 0.05


def painted(rng, *stains):
    """Pixels of nuclei in a ground, each of one stain, as many as real tissue has and as noisy."""
    nuclei = rng.random(20_000) < 0.25
    amounts = rng.gamma(8, 0.1, (20_000, 2))
    amounts[:, 0] *= np.where(nuclei, 1.0, 0.1)
    vectors = np.array([vector / np.linalg.norm(vector) for vector in stains])
    return np.clip(255 * 10 ** -(amounts @ vectors), 1, 255).round().astype(np.uint8)


HEMATOXYLIN, EOSIN, DAB = (
    np.array([0.65, 0.70, 0.29]),
    np.array([0.07, 0.99, 0.11]),
    np.array([0.27, 0.57, 0.78]),
)


@pytest.mark.parametrize(
    ("stains", "channels", "looks"),
    [
        ((HEMATOXYLIN, EOSIN), (0, 1, 2), None),
        ((HEMATOXYLIN, 0.4 * EOSIN), (0, 1, 2), None),
        ((HEMATOXYLIN, DAB), (0, 1, 2), "brown"),
        ((DAB, 0.3 * HEMATOXYLIN), (0, 1, 2), "brown"),
        ((HEMATOXYLIN, EOSIN), (2, 1, 0), "brown"),
        ((HEMATOXYLIN, EOSIN), (1, 0, 2), "another color"),
        ((HEMATOXYLIN, 0.01 * HEMATOXYLIN), (0, 1, 2), "one color"),
        ((np.ones(3), np.ones(3)), (0, 1, 2), "one color"),
    ],
)
def test_what_is_not_hematoxylin_and_eosin_is_told(rng, stains, channels, looks):
    assert unlike_h_and_e(measure_colors(painted(rng, *stains)[:, channels])) == looks


def test_a_flat_picture_has_one_color():
    assert unlike_h_and_e(measure_colors(np.full((5000, 3), (228, 180, 205), np.uint8))) == "one color"


def test_of_glass_and_of_little_tissue_nothing_is_told(rng):
    assert unlike_h_and_e(measure_colors(np.full((5000, 3), 250, np.uint8))) is None
    rgb = painted(rng, HEMATOXYLIN, DAB)[: 40 * 400].reshape(40, 400, 3)
    codes = np.full((2, 25), QC_CLASSES.index("VALID_TISSUE") + 1, np.uint8)
    slide = array_slide(rgb, mpp=0.5)
    assert unlike_h_and_e(measure_stain(slide, ClassMap(codes, 8.0, QC_CLASSES)).colors) is None


def test_colors_are_those_of_valid_tissue_only(rng):
    rgb = np.repeat(np.repeat(painted(rng, HEMATOXYLIN, EOSIN).reshape(100, 200, 3), 4, 0), 4, 1)
    rgb[:, 400:] = rgb[:, 400:, ::-1]
    slide = array_slide(rgb, mpp=0.5)
    codes = np.full((25, 50), QC_CLASSES.index("VALID_TISSUE") + 1, np.uint8)
    codes[:, 24:] = QC_CLASSES.index("MARKER") + 1
    found = measure_stain(slide, ClassMap(codes, 8.0, QC_CLASSES)).colors
    assert unlike_h_and_e(found) is None
    assert found.red_with_green < -0.5
