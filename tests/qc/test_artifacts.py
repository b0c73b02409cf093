import cv2
import numpy as np
import pytest
from drawn_tissue import density_of, from_density, glass, tissue_texture

from histome.qc.artifacts import find_debris, find_folds, find_ink
from histome.qc.colors import color_evidence, find_glass
from histome.qc.foreground import find_tissue

MPP = 8.0


def slide_with_tissue():
    """3.2 x 4 mm of glass with 1.6 x 2.4 mm of tissue."""
    image = glass(400, 500)
    image[100:300, 100:400] = tissue_texture(200, 300, mpp=MPP)
    return image


def evidence_of(image):
    return color_evidence(image, find_glass(image))


def stroke(shape, *, width_um=320, start=(60, 40), end=(430, 350)):
    mask = np.zeros(shape[:2], np.uint8)
    cv2.line(mask, start, end, 1, round(width_um / MPP))
    return mask > 0


@pytest.mark.parametrize("ink", [(20, 150, 110), (25, 60, 170), (30, 30, 32), (195, 20, 35)])
def test_a_pen_stroke_is_found_on_glass_and_on_tissue(ink):
    image = slide_with_tissue()
    mask = stroke(image.shape)
    image[mask] = from_density(density_of(image[mask]) * 0.3 + density_of(np.array(ink, np.uint8)))
    found = find_ink(evidence_of(image), mpp=MPP)
    assert (found & mask).sum() >= 0.95 * mask.sum()
    around = cv2.dilate(mask.astype(np.uint8), np.ones((9, 9))) > 0
    assert (found & ~around).sum() <= 0.02 * mask.sum()


def test_clean_tissue_has_no_ink_debris_or_fold():
    image = slide_with_tissue()
    evidence = evidence_of(image)
    ink = find_ink(evidence, mpp=MPP)
    tissue = find_tissue(evidence, ink, mpp=MPP)
    assert not ink.any()
    assert not find_debris(evidence, ink, mpp=MPP).any()
    assert not find_folds(evidence, tissue, mpp=MPP).any()


def test_bone_red_fields_are_no_pen():
    # Eosin of bone has the color of red ink; a stroke must not be most of what is on the glass.
    image = glass(300, 300)
    image[40:260, 40:260] = (224, 75, 88)
    assert not find_ink(evidence_of(image), mpp=MPP).any()


def test_a_coverslip_edge_is_debris_and_no_pen():
    image = slide_with_tissue()
    edge = stroke(image.shape, width_um=80, start=(10, 0), end=(60, 399))
    image[edge] = (20, 20, 20)
    evidence = evidence_of(image)
    ink = find_ink(evidence, mpp=MPP)
    assert not ink.any()
    assert (find_debris(evidence, ink, mpp=MPP) & edge).sum() >= 0.95 * edge.sum()


def test_a_fold_doubles_the_density_and_a_lymphoid_nodule_does_not_count():
    image = slide_with_tissue()
    fold = stroke(image.shape, width_um=64, start=(150, 130), end=(220, 270))
    image[fold] = from_density(2.2 * density_of(image[fold]))
    nodule = np.zeros(fold.shape, np.uint8)
    cv2.circle(nodule, (320, 200), 18, 1, -1)
    image[nodule > 0] = (75, 55, 125)
    evidence = evidence_of(image)
    tissue = find_tissue(evidence, np.zeros(fold.shape, bool), mpp=MPP)
    found = find_folds(evidence, tissue, mpp=MPP)
    assert (found & fold).sum() >= 0.8 * fold.sum()
    assert not (found & (nodule > 0)).any()
    assert (found & ~(cv2.dilate(fold.astype(np.uint8), np.ones((5, 5))) > 0)).sum() == 0
