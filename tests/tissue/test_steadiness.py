"""The same pixels at three places, and the line where windows meet, on drawn fields and fields of stripes."""

import numpy as np
import pytest
from helpers.tissue_models import MeanColor

from histome.tissue.steadiness import measure_steadiness


def field(side=96):
    return np.random.default_rng(0).integers(0, 255, (side, side, 3)).astype(np.uint8)


class AtPhase(MeanColor):
    """Every fourth column of the window's own grid is another class: what a stride of 8 px may do."""

    def __call__(self, image):
        planes = super().__call__(image)["probabilities"].copy()
        planes[:, 3, :, ::4] = 1.0
        return {"probabilities": planes}


class AtBorder(MeanColor):
    """Zeros beyond the window are seen 40 px deep, more than the halo."""

    def __call__(self, image):
        planes = super().__call__(image)["probabilities"].copy()
        planes[:, :, 20:-20, 20:-20] = 0.0
        planes[:, 3, 20:-20, 20:-20] = 1.0
        return {"probabilities": planes}


def test_a_map_of_colors_lies_anywhere():
    steady = measure_steadiness(MeanColor(window_px=128, halo_px=16), field())
    assert steady.agreement == 1.0
    assert steady.at_seam == steady.same_place
    assert steady.agrees
    assert steady.seamless


def test_a_map_that_follows_the_window_grid_is_found():
    steady = measure_steadiness(AtPhase(window_px=128, halo_px=16), field())
    assert not steady.agrees
    # A quarter of the columns are class 3 at one place, another quarter at another.
    assert steady.agreement == pytest.approx(0.5 + 0.5 / 7, abs=0.08)


def test_a_cut_where_windows_meet_is_found():
    # Inside each window all is one class, 40 px of its border are not: the halo of 16 px keeps 24 of them.
    steady = measure_steadiness(AtBorder(window_px=128, halo_px=16), field(64))
    assert not steady.agrees
    assert measure_steadiness(AtBorder(window_px=256, halo_px=96), field(64)).agreement == 1.0


class OddWindows(MeanColor):
    """Class 0 and class 1 by turns, window by window."""

    def __call__(self, image):
        planes = np.zeros_like(super().__call__(image)["probabilities"])
        planes[:, self.windows % 2] = 1.0
        return {"probabilities": planes}


def test_a_straight_line_between_windows_is_found():
    steady = measure_steadiness(OddWindows(window_px=128, halo_px=0), field(96))
    # The two windows of a row differ, the two of a column do not.
    assert steady.at_seam == 0.5
    assert steady.same_place == 0.0
    assert not steady.seamless
