"""Counts by hand and against pandas."""

import numpy as np
import pytest
from helpers.cells import cell_table
from helpers.scenes import (
    CODE,
    by_name,
    in_nucleated_tissue,
    measure_maps,
    one_tissue,
    patchwork,
    random_cells,
)

from histome.classes import NUCLEATED_TISSUES, TISSUE_CLASSES
from histome.config import MetricsConfig
from histome.slide.maps import ClassMap

COUNTS = MetricsConfig(families=("all-cells", "cells-per-class", "cells-by-tissue"))


def test_three_cells_by_hand():
    cells = cell_table(
        [1, 3, 5],
        [1, 1, 1],
        ["LYMPHOCYTE", "LYMPHOCYTE", "OTHER"],
        area_um2=[10.0, 20.0, 60.0],
        roundness=[1.0, 0.5, 0.6],
    )
    found = by_name(measure_maps(None, one_tissue((10, 10)), None, cells, COUNTS))
    assert found["CELL_N_TOTAL"] == 3
    assert found["NUCLEUS_AVG_AREA"] == 30
    assert found["NUCLEUS_AVG_AREA_LYMPHOCYTE"] == 15
    assert found["NUCLEUS_AVG_ECCENTRICITY_LYMPHOCYTE"] == pytest.approx(0.25)
    assert found["CELL_PERCENTAGE_LYMPHOCYTE"] == pytest.approx(200 / 3)
    assert found["CELL_DENSITY_OTHER_STROMA"] == 1 / 400
    assert found["CELL_COUNT_OTHER_CARCINOMA"] == 0
    assert found["CELL_DENSITY_OTHER_CARCINOMA"] is None
    assert found["CELL_COUNT_PLASMA_CELL"] == 0


def test_equals_pandas(rng):
    tissue = patchwork(rng)
    cells = random_cells(rng, 4000, area_um2=rng.uniform(10, 90, 4000))
    found = by_name(measure_maps(None, tissue, None, cells, COUNTS))
    frame = cells.to_pandas()
    frame["tissue"] = [(None, *TISSUE_CLASSES)[code] for code in tissue.at(frame.x_um, frame.y_um)]
    for (label, name), group in frame.groupby(["class", "tissue"], observed=True):
        if name in NUCLEATED_TISSUES:
            total = (frame.tissue == name).sum()
            assert found[f"CELL_COUNT_{label.upper()}_{name}"] == len(group)
            assert found[f"CELL_PERCENTAGE_{label.upper()}_{name}"] == pytest.approx(100 * len(group) / total)
    counted = frame[in_nucleated_tissue(cells, tissue)]
    for label, mean in counted.groupby("class", observed=True).area_um2.mean().items():
        assert found[f"NUCLEUS_AVG_AREA_{label.upper()}"] == pytest.approx(mean)


def test_cells_in_necrosis_and_outside_tissue_are_numbered_and_not_counted():
    array = np.zeros((10, 10), np.uint8)
    array[:5] = CODE["NECROSIS"]
    array[:5, 5:] = CODE["VESSEL"]
    cells = cell_table([5, 5, 500, -3, 15], [5, 15, 500, -3, 5], ["FIBROBLAST"] * 3 + ["OTHER"] * 2)
    config = MetricsConfig(families=(*COUNTS.families, "not-counted"))
    found = by_name(measure_maps(None, ClassMap(array, 2.0, TISSUE_CLASSES), None, cells, config))
    assert found["CELL_N_TOTAL"] == found["CELL_COUNT_OTHER"] == found["CELL_COUNT_OTHER_VESSEL"] == 1
    assert found["CELL_COUNT_FIBROBLAST"] == 0
    assert found["CELL_N_NOT_COUNTED"] == 4
    assert found["CELL_N_NOT_COUNTED_FIBROBLAST"] == 3
    assert found["CELL_N_NOT_COUNTED_OTHER"] == 1
    assert found["CELL_FRACTION_NOT_COUNTED"] == 4 / 5


def test_no_metric_but_their_own_feels_the_cells_that_are_not_counted(rng):
    """Everything is as if they were not there, for abstained cells too."""
    tissue = patchwork(rng, patch_px=100)
    cells = random_cells(rng, 1500, area_um2=rng.uniform(10, 90, 1500), abstained=rng.random(1500) < 0.3)
    counted = in_nucleated_tissue(cells, tissue)
    assert 100 < counted.sum() < 1400
    whole = measure_maps(None, tissue, None, cells)
    expected = measure_maps(None, tissue, None, cells.filter(counted))
    own = np.array(["NOT_COUNTED" in name for name in whole["name"].to_pylist()])
    assert whole.filter(~own).equals(expected.filter(~own))
    assert by_name(whole)["CELL_N_NOT_COUNTED"] == by_name(whole, "value_confident")["CELL_N_NOT_COUNTED"]
    assert by_name(whole)["CELL_N_NOT_COUNTED"] == 1500 - counted.sum()
