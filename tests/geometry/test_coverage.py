"""Shares of pixels at a picture's border, against sums over every pixel."""

import numpy as np
import pytest

from histome.geometry.coverage import covered_counts, covered_px, pixel_shares


def test_shares_are_whole_until_the_last_and_nothing_beyond():
    assert pixel_shares(0, 4, 2.25).tolist() == [1, 1, 0.25, 0]
    assert pixel_shares(2, 2, 2.25).tolist() == [0.25, 0]
    assert pixel_shares(0, 3, np.inf).tolist() == [1, 1, 1]
    assert pixel_shares(0, 3, 3 - 1e-9).tolist() == [1, 1, 1]


@pytest.mark.parametrize("extent", [(7.0, 9.0), (6.3, 8.9), (6.3, 9.0), (7.0, 4.5), (0.5, 0.5)])
def test_sums_equal_those_over_every_pixel(rng, extent):
    codes = rng.integers(0, 5, (7, 9)).astype(np.uint8)
    shares = pixel_shares(0, 7, extent[0]), pixel_shares(0, 9, extent[1])
    weights = np.outer(*shares)
    expected = [weights[codes == code].sum() for code in range(5)]
    np.testing.assert_allclose(covered_counts(codes, shares, 5), expected, atol=1e-12)
    np.testing.assert_allclose([covered_px(codes == code, shares) for code in range(5)], expected, atol=1e-12)
    assert covered_counts(codes, shares, 5).sum() == pytest.approx(extent[0] * extent[1])


def test_whole_pixels_are_counted_exactly(rng):
    codes = rng.integers(0, 3, (40, 50)).astype(np.uint8)
    shares = np.ones(40), np.ones(50)
    assert covered_counts(codes, shares, 3).tolist() == np.bincount(codes.ravel(), minlength=3).tolist()
