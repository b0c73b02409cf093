import cv2
import numpy as np
import pytest
from helpers.drawn_tissue import density_of, from_density, glass, section_at_8um, stroke_at_8um

from histome.qc.artifacts import find_debris, find_ink
from histome.qc.colors import color_evidence, find_glass

MPP = 8.0


def evidence_of(image):
    return color_evidence(image, find_glass(image))


@pytest.mark.parametrize("ink", [(20, 150, 110), (25, 60, 170), (30, 30, 32), (195, 20, 35)])
def test_a_pen_stroke_is_found_on_glass_and_on_tissue(ink):
    image = section_at_8um()
    mask = stroke_at_8um(image.shape, width_um=320)
    image[mask] = from_density(density_of(image[mask]) * 0.3 + density_of(np.array(ink, np.uint8)))
    found = find_ink(evidence_of(image), mpp=MPP)
    assert (found & mask).sum() >= 0.95 * mask.sum()
    around = cv2.dilate(mask.astype(np.uint8), np.ones((9, 9))) > 0
    assert (found & ~around).sum() <= 0.02 * mask.sum()


def test_clean_tissue_has_no_ink_and_no_debris():
    image = section_at_8um()
    evidence = evidence_of(image)
    ink = find_ink(evidence, mpp=MPP)
    assert not ink.any()
    assert not find_debris(evidence, ink, mpp=MPP).any()


def test_bone_red_fields_are_no_pen():
    # Eosin of bone has the color of red ink; a stroke must not be most of what is on the glass.
    image = glass(300, 300)
    image[40:260, 40:260] = (224, 75, 88)
    assert not find_ink(evidence_of(image), mpp=MPP).any()


def test_a_coverslip_edge_is_debris_and_no_pen():
    image = section_at_8um()
    edge = stroke_at_8um(image.shape, width_um=80, start=(10, 0), end=(60, 399))
    image[edge] = (20, 20, 20)
    evidence = evidence_of(image)
    ink = find_ink(evidence, mpp=MPP)
    assert not ink.any()
    assert (find_debris(evidence, ink, mpp=MPP) & edge).sum() >= 0.95 * edge.sum()
