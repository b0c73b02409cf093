import numpy as np
import pytest
from helpers.drawn_tissue import GLASS, glass, tissue_texture

from histome.qc import colors
from histome.qc.colors import ASSUMED_GLASS, color_evidence, find_glass


def evidence_of(*rgb):
    return color_evidence(np.array([[rgb]], np.uint8), find_glass(glass(50, 50)))


def test_glass_is_the_most_frequent_bright_neutral_color():
    image = glass(100, 100)
    image[:60] = tissue_texture(60, 100, mpp=4)
    found = find_glass(image)
    assert found.seen
    assert found.rgb == (GLASS, GLASS, GLASS)


def test_a_field_all_tissue_gets_the_assumed_glass():
    found = find_glass(tissue_texture(100, 100, mpp=1))
    assert found == (ASSUMED_GLASS, False)


def test_a_warm_lamp_is_no_stain():
    image = np.full((80, 80, 3), (240, 236, 226), np.uint8)
    evidence = color_evidence(image, find_glass(image))
    assert not evidence.bits.any()
    assert not evidence.density.any()


@pytest.mark.parametrize(
    ("rgb", "bit"),
    [
        ((205, 140, 185), colors.STAINED),  # eosin
        ((110, 80, 150), colors.STAINED),  # hematoxylin
        ((236, 228, 236), colors.TISSUE),  # pale mucus
        ((20, 150, 110), colors.COLD_INK),  # green ink
        ((20, 50, 170), colors.COLD_INK),  # blue ink
        ((200, 15, 45), colors.RED_INK),
        ((130, 85, 25), colors.BROWN_INK),
        ((25, 25, 25), colors.BLACK),
        ((170, 170, 170), colors.GRAY),
    ],
)
def test_each_substance_sets_its_bit(rgb, bit):
    assert evidence_of(*rgb).has(bit).all()


@pytest.mark.parametrize("rgb", [(205, 140, 185), (110, 80, 150), (60, 40, 110), (215, 95, 150)])
def test_stains_are_no_ink(rgb):
    ink = colors.COLD_INK | colors.RED_INK | colors.BROWN_INK | colors.BLACK | colors.GRAY
    assert not evidence_of(*rgb).has(ink).any()


def test_density_is_the_summed_optical_density():
    value = evidence_of(GLASS / 10, GLASS, GLASS).density[0, 0] * colors.DENSITY_STEP
    assert value == pytest.approx(1.0, abs=0.02)
