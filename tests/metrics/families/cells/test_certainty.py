"""Confidence and abstention by hand and against numpy."""

import numpy as np
import pytest
from helpers.cells import cell_table
from helpers.scenes import by_name, family, measure_maps, one_tissue, random_cells

from histome.config import MetricsConfig

CERTAINTY = MetricsConfig(families=("certainty",))


@pytest.fixture
def cells():
    return cell_table(
        [1, 2, 3, 4],
        [1] * 4,
        ["OTHER", "OTHER", "OTHER", "LYMPHOCYTE"],
        confidence=[0.9, 0.8, 0.4, 0.5],
        abstained=[False, False, True, False],
    )


def test_by_hand(cells):
    found = family("certainty", one_tissue(), cells)
    assert found["CONFIDENCE_MEAN_OTHER"] == pytest.approx(0.7)
    assert found["CONFIDENCE_MEAN_ALL"] == pytest.approx(0.65)
    assert found["CONFIDENCE_MEDIAN_ALL"] == pytest.approx(0.65)
    assert found["ABSTAINED_COUNT_OTHER"] == 1
    assert found["ABSTAINED_FRACTION_OTHER"] == pytest.approx(1 / 3)
    assert found["ABSTAINED_FRACTION_ALL"] == 0.25
    assert found["ABSTAINED_COUNT_MACROPHAGE"] == 0
    assert found["ABSTAINED_FRACTION_MACROPHAGE"] is None


def test_confident_mode_leaves_the_abstained_out_but_counts_them(cells):
    found = by_name(measure_maps(None, one_tissue(), None, cells, CERTAINTY), "value_confident")
    assert found["CONFIDENCE_MEAN_OTHER"] == pytest.approx(0.85)
    assert found["ABSTAINED_COUNT_OTHER"] == 1


def test_equals_numpy(rng):
    confidence = rng.beta(5, 2, 500)
    found = family("certainty", one_tissue(), random_cells(rng, 500, confidence=confidence))
    assert found["CONFIDENCE_P10_ALL"] == pytest.approx(np.percentile(confidence, 10))
    assert found["CONFIDENCE_SD_ALL"] == pytest.approx(confidence.std(ddof=1))


def test_cells_that_say_nothing():
    table = measure_maps(None, one_tissue(), None, cell_table([1], [1], "OTHER"), CERTAINTY)
    reasons = by_name(table, "reason")
    assert reasons["CONFIDENCE_MEAN_OTHER"] == "there are no other cells with a confidence"
    assert reasons["ABSTAINED_COUNT_ALL"] == "the cells say nothing about abstention"
