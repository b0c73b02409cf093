"""Distances from what was learned, on cells whose features are known by hand."""

import numpy as np
import pytest

from histome.cells.familiarity import (
    FEWEST_CELLS,
    CellSigns,
    free_energy,
    strangeness,
    summarize_signs,
    surroundings,
)
from histome.models.card import Familiarity


def signs(n, **values):
    columns = {name: np.full(n, 0.5) for name in CellSigns._fields}
    return CellSigns(**columns | {name: np.broadcast_to(value, n).copy() for name, value in values.items()})


def around(x_um, y_um, of_cells):
    """The eight numbers around each cell, its signs given in two parts."""
    cut = len(x_um) // 3
    parts = (CellSigns(*(column[part] for column in of_cells)) for part in (slice(cut), slice(cut, None)))
    found, block = surroundings(x_um, y_um, parts)
    return found[block]


def test_the_energy_of_two_equal_logits_is_theirs_and_t_ln_2():
    logits = np.array([[3.0, 3.0], [1000.0, -1000.0]])
    np.testing.assert_allclose(free_energy(logits, 2.0), [3 + 2 * np.log(2), 1000])
    assert free_energy(np.empty((0, 9)), 1.0).shape == (0,)


def test_a_field_is_its_means_and_the_spread_of_the_areas():
    area = np.tile([1.0, 3.0], 10)
    found = summarize_signs(signs(20, log_area=area, score=0.9))
    np.testing.assert_allclose(found, [0.5, 0.5, 0.5, 2.0, 0.5, 0.5, 0.9, 1.0])


def test_too_few_cells_say_nothing_and_one_without_a_stain_is_no_cell():
    assert np.isnan(summarize_signs(signs(FEWEST_CELLS - 1))).all()
    eosin = np.full(FEWEST_CELLS, 0.5)
    assert np.isfinite(summarize_signs(signs(FEWEST_CELLS))).all()
    eosin[3] = np.nan
    assert np.isnan(summarize_signs(signs(FEWEST_CELLS, eosin_od_mean=eosin))).all()


def test_surroundings_are_the_blocks_around_a_cell():
    # Two crowds 1 mm apart, one cell between them, and a straggler 100 um beside the first crowd.
    x = np.concatenate([np.full(20, 50.0), np.full(20, 1050.0), [550.0, 150.0]])
    score = np.concatenate([np.full(20, 0.2), np.full(20, 0.8), [0.5, 0.5]])
    found = around(x, np.full(42, 70.0), signs(42, score=score))
    last = found[:, CellSigns._fields.index("score")]
    np.testing.assert_allclose(last[:20], (20 * 0.2 + 0.5) / 21)
    np.testing.assert_allclose(last[20:40], 0.8)
    assert np.isnan(last[40])
    assert last[41] == last[0]


def test_a_place_does_not_move_its_neighbors_apart():
    rng = np.random.default_rng(0)
    x, y, score = rng.uniform(0, 900, (3, 400))
    here = around(x, y, signs(400, score=score))
    there = around(x + 30_000.0, y + 200.0, signs(400, score=score))
    np.testing.assert_array_equal(here, there)


def test_the_distance_is_one_at_the_limit():
    known = Familiarity(mean=(0.0, 1.0), whitening=((0.5, 0.0), (0.0, 2.0)))
    found = strangeness(np.array([[0.0, 1.0], [2.0, 1.5], [np.nan, np.nan]]), known)
    np.testing.assert_allclose(found, [0.0, 1.0, np.nan])


def test_a_card_whose_whitening_is_not_square_is_refused():
    with pytest.raises(ValueError, match="as many rows and columns"):
        Familiarity(mean=(0.0, 1.0), whitening=((0.5, 0.0),))
