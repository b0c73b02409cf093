"""Stain vectors are recovered from mixtures of known stains."""

import numpy as np
from helpers.drawn_tissue import glass

from histome.classes import QC_CLASSES
from histome.qc.stain import Stain, measure_stain, stain_vectors
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
