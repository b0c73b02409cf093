"""Diversity by hand."""

import numpy as np
import pytest
from helpers.cells import LABEL, cell_table
from helpers.scenes import disc_of_tumor, family, one_tissue


def test_equal_shares():
    found = family("diversity", one_tissue(), cell_table(np.arange(9), np.ones(9), list(LABEL)))
    assert found["SHANNON"] == pytest.approx(np.log(9))
    assert found["SIMPSON"] == pytest.approx(8 / 9)
    assert found["RICHNESS"] == 9
    assert found["SHANNON_IN_STROMA"] == found["SHANNON"]
    assert found["RICHNESS_IN_CARCINOMA"] == 0
    assert found["SHANNON_IN_CARCINOMA"] is None
    assert found["RICHNESS_IN_TUMOR_CORE"] is None


def test_unequal_shares_in_a_zone():
    cells = cell_table([1800] * 4, [1800, 1810, 1820, 1830], ["OTHER", "OTHER", "OTHER", "LYMPHOCYTE"])
    found = family("diversity", disc_of_tumor(), cells)
    assert found["SHANNON_IN_TUMOR_CORE"] == pytest.approx(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))
    assert found["SIMPSON_IN_WHOLE_TUMOR_REGION"] == pytest.approx(1 - 0.75**2 - 0.25**2)
    assert found["RICHNESS_IN_OUTER_INVASIVE_MARGIN"] == 0


def test_one_class_has_no_diversity():
    found = family("diversity", one_tissue(), cell_table([1, 2], [1, 2], "OTHER"))
    assert (found["SHANNON"], found["SIMPSON"], found["RICHNESS"]) == (0, 0, 1)
