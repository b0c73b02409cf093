from fractions import Fraction

import numpy as np
import pytest
from helpers.phantoms import numbered

from histome.slide.resample import Averager, area_taps, axis_taps, linear_taps, output_edges_px


def average(pixels: np.ndarray, step: float, count: int, start: float = 0.0) -> np.ndarray:
    """Average a (h, w, 3) image along both axes with steps of `step` px."""
    taps = axis_taps(start, step, count, downsample=1.0)
    padded = np.zeros((taps.stop - taps.start, taps.stop - taps.start, 3), np.uint8)
    rows = pixels[taps.start : taps.stop, taps.start : taps.stop]
    padded[: rows.shape[0], : rows.shape[1]] = rows
    averager = Averager(taps, taps)
    averager.add(padded, taps.start)
    return averager.pixels


def test_whole_factor_is_the_block_mean() -> None:
    pixels = numbered(60, 60)
    blocks = pixels.reshape(20, 3, 20, 3, 3).mean(axis=(1, 3))
    assert np.array_equal(average(pixels, 3, 20), np.floor(blocks + 0.5))


@pytest.mark.parametrize("step", [Fraction(5, 2), Fraction(7, 3), Fraction(10, 9), Fraction(4, 1)])
def test_fractional_factor_weighs_the_covered_share(step: Fraction) -> None:
    """Each output pixel is the exact integral over its square, worked out with fractions."""
    pixels = numbered(40, 40, seed=1)
    count = int(40 / step)
    result = average(pixels, float(step), count)
    row, column = count // 2, count - 1

    def shares(index: int) -> dict[int, Fraction]:
        low, high = index * step, (index + 1) * step
        span = range(int(low), -int(-high // 1))
        return {px: (min(high, px + 1) - max(low, px)) / step for px in span}

    expected = [
        sum(a * b * int(pixels[y, x, c]) for y, a in shares(row).items() for x, b in shares(column).items())
        for c in range(3)
    ]
    # Edges are kept to 1/65536 px, so an exact half may fall either way.
    assert np.abs(result[row, column] - np.array(expected, float)).max() <= 0.51


def test_weights_sum_to_one_and_cover_each_source_pixel_once() -> None:
    taps = area_taps(output_edges_px(0.0, 2.37, 100))
    total = np.zeros(taps.stop)
    for first, weights in zip(taps.first, taps.weights, strict=True):
        total[first : first + len(weights)] += weights
    assert np.allclose(taps.weights.sum(axis=1), 1, atol=1e-6)
    assert np.allclose(total[:230] * 2.37, 1, atol=1e-4)


def test_linear_ramp_keeps_its_slope_at_any_factor() -> None:
    ramp = np.repeat(np.arange(200, dtype=np.uint8)[None, :, None], 200, axis=0).repeat(3, axis=2)
    step = 2.6
    result = average(ramp, step, 70)[0, :, 0].astype(float)
    centers = (np.arange(70) + 0.5) * step - 0.5
    assert np.abs(result - centers).max() <= 0.5 + 1e-3


def test_bands_do_not_change_a_byte() -> None:
    pixels = numbered(128, 90, seed=2)
    columns = axis_taps(3.2, 1.7, 50, downsample=1.0)
    rows = axis_taps(0.4, 2.9, 43, downsample=1.0)
    part = pixels[:, columns.start : columns.stop]
    whole, banded = Averager(columns, rows), Averager(columns, rows)
    whole.add(part[rows.start : rows.stop], rows.start)
    for top in range(rows.start, rows.stop, 7):
        banded.add(part[top : min(top + 7, rows.stop)], top)
    assert np.array_equal(whole.pixels, banded.pixels)


def test_edges_of_one_lattice_are_bit_identical_from_any_start() -> None:
    step = 0.5 / 0.2527
    whole = output_edges_px(0.0, step, 5000)
    # A caller may compute its corner as pixels x mpp / mpp: float noise must not matter.
    for first in (1, 777, 4096):
        assert np.array_equal(output_edges_px(first * 0.5 / 0.2527, step, 50), whole[first : first + 51])


def test_copy_is_recognized() -> None:
    assert axis_taps(5.0, 1.0, 7, downsample=1.0).is_copy
    assert axis_taps(8.0, 4.0, 7, downsample=4.0).is_copy
    assert not axis_taps(5.5, 1.0, 7, downsample=1.0).is_copy
    assert not axis_taps(0.0, 2.0, 7, downsample=1.0).is_copy


def test_interpolation_runs_through_pixel_centers() -> None:
    taps = linear_taps(np.arange(9) * 0.5)
    assert taps.interpolated
    # Output 0 lies at 0.25, a quarter px left of pixel 0's center (0.5): three quarters of it.
    assert taps.first[0] == -1
    assert taps.weights[0] == pytest.approx([0.25, 0.75])
    assert taps.weights[1] == pytest.approx([0.75, 0.25])
