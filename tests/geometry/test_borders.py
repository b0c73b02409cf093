"""Lengths of borders: of straight ones, discs, and where two codes meet; the same however they are turned."""

import numpy as np
import pytest

from histome.geometry.borders import border_length_px, perimeter_px


@pytest.mark.parametrize("degrees", [0, 9.2, 15, 18.4, 22.5, 26.6, 30, 37, 45])
def test_a_straight_border_of_any_direction(degrees):
    angle = np.radians(degrees)
    y, x = np.mgrid[:800, :800] - 399.5
    left = x * np.cos(angle) + y * np.sin(angle) < 0.3
    codes = np.where(left, 1, 4).astype(np.uint8)
    assert border_length_px(codes, 1, 4) == pytest.approx(800 / np.cos(angle), rel=0.01)
    assert border_length_px(codes, 4, 1) == border_length_px(codes, 1, 4)
    assert border_length_px(codes, 1, 2) == 0


@pytest.mark.parametrize("radius", [10, 20, 40, 150])
def test_perimeter_of_a_disc_and_of_a_ring(radius):
    y, x = np.mgrid[: 2 * radius + 1, : 2 * radius + 1] - radius
    disc = (x**2 + y**2 <= radius**2).astype(np.uint8)
    assert perimeter_px(disc) == pytest.approx(2 * np.pi * radius, rel=0.02)
    ring = disc * (x**2 + y**2 > (radius / 2) ** 2)
    assert perimeter_px(ring.astype(np.uint8)) == pytest.approx(3 * np.pi * radius, rel=0.03)


def test_thin_strips_keep_both_their_sides():
    strip = np.ones((300, 3), np.uint8)
    assert perimeter_px(strip) == pytest.approx(606, rel=0.02)


def test_quarter_turns_and_mirrors_change_nothing(rng):
    mask = (rng.random((20, 30)) < 0.6).astype(np.uint8)
    for turned in (np.rot90(mask).copy(), mask[::-1].copy(), mask.T.copy()):
        assert perimeter_px(turned) == pytest.approx(perimeter_px(mask))


def test_the_border_of_a_code_is_shared_by_the_others(rng):
    codes = np.kron(rng.integers(0, 4, (6, 7)), np.ones((9, 9), int)).astype(np.uint8)
    padded = np.pad(codes, 5)
    shared = sum(border_length_px(padded, 2, other) for other in (0, 1, 3))
    assert shared == pytest.approx(perimeter_px((codes == 2).astype(np.uint8)))
