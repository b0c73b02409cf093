import cv2
import numpy as np
import pytest
from helpers.drawn_tissue import density_of, from_density, section_at_8um, stroke_at_8um

from histome.qc.colors import color_evidence, find_glass
from histome.qc.folds import find_folds
from histome.qc.foreground import find_tissue

MPP = 8.0


def folds_of(image):
    evidence = color_evidence(image, find_glass(image))
    tissue = find_tissue(evidence, np.zeros(image.shape[:2], bool), mpp=MPP)
    return find_folds(evidence, tissue, mpp=MPP)


def folded(**options):
    image = section_at_8um()
    fold = stroke_at_8um(image.shape, **options)
    image[fold] = from_density(2.2 * density_of(image[fold]))
    return image, fold


@pytest.mark.parametrize("width_um", [40, 64, 96])
def test_a_band_of_double_density_is_a_fold(width_um):
    image, fold = folded(width_um=width_um, start=(150, 130), end=(220, 270))
    found = folds_of(image)
    assert (found & fold).sum() >= 0.8 * fold.sum()
    near = cv2.dilate(fold.astype(np.uint8), np.ones((5, 5))) > 0
    assert not (found & ~near).any()


def test_flat_tissue_and_a_lymphoid_nodule_are_no_folds():
    image = section_at_8um()
    assert not folds_of(image).any()
    nodule = np.zeros(image.shape[:2], np.uint8)
    cv2.circle(nodule, (250, 200), 18, 1, -1)
    image[nodule > 0] = (75, 55, 125)
    assert not folds_of(image).any()


def test_dark_epithelium_at_the_edge_is_no_fold():
    # As dense and as long as a fold and of the same hue, but with glass on one side.
    image, _ = folded(width_um=80, start=(120, 104), end=(380, 104))
    assert not folds_of(image).any()


def test_strips_leave_no_seam(monkeypatch):
    image, _ = folded(width_um=64, start=(150, 130), end=(220, 270))
    whole = folds_of(image)
    monkeypatch.setattr("histome.qc.foreground.STRIP_ROWS", 13)
    assert np.array_equal(folds_of(image), whole)
