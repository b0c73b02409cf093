"""What a segmentation with errors would have given: as many cells wrong as were asked for, no others."""

import numpy as np
import pytest

from histome.phenotype.features import PatchCells
from histome.phenotype.perturbed import PERTURBED, drop_cells, merge_cells, mistype_cells


def pairs(n=50):
    """Pairs of cells 2 um apart, 100 um from the next pair: 30 um2 neoplastic, 10 um2 inflammatory."""
    x = np.repeat(np.arange(n) * 100.0, 2) + np.tile([0.0, 2.0], n)
    return PatchCells(x, x * 0, np.tile([30.0, 10.0], n), np.tile([1, 2], n))


@pytest.mark.parametrize("share", [0.0, 0.05, 0.2])
def test_as_many_are_wrong_as_were_asked_for(share):
    cells, rng = pairs(), np.random.default_rng(0)
    wrong = round(share * len(cells.code))
    assert len(drop_cells(cells, share, rng).code) == len(cells.code) - wrong
    typed = mistype_cells(cells, share, rng)
    assert (typed.code != cells.code).sum() == wrong
    assert set(typed.code.tolist()) <= {1, 2, 3, 4, 5}
    assert np.array_equal(typed.area, cells.area)
    if not share:
        for perturb in PERTURBED.values():
            assert all(map(np.array_equal, perturb(cells, share, rng), cells))


def test_two_cells_become_one_of_both_areas():
    merged = merge_cells(pairs(), 0.1, np.random.default_rng(0))
    new = merged.area == 40.0
    assert 5 <= new.sum() <= 10  # both of a pair may be drawn
    assert merged.area.sum() == pairs().area.sum()
    assert (merged.code[new] == 1).all()  # the larger one's
    assert np.allclose(merged.x[new] % 100, 0.5)  # 2 um x 10 / 40


def test_points_are_joined_halfway():
    points = pairs()._replace(area=np.full(100, np.nan))
    merged = merge_cells(points, 0.05, np.random.default_rng(0))
    moved = merged.x % 100 == 1.0
    assert moved.sum() == len(points.code) - len(merged.code) > 0
