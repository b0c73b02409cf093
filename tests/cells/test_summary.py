"""What run.json tells of the cells is what the table holds."""

import numpy as np
import pyarrow as pa
import pytest
from helpers.cells import cell_table

from histome.cells import summarize_cells
from histome.classes import CELL_CLASSES


def table(n: int) -> pa.Table:
    """Half carcinoma, at the end a quarter epithelial cells; every fourth in carcinoma; one value lacks."""
    k = np.arange(n)
    codes = np.where(k < n // 2, CELL_CLASSES.index("carcinoma_cell"), CELL_CLASSES.index("lymphocyte"))
    codes = np.where(k < 3 * n // 4, codes, CELL_CLASSES.index("epithelial_cell"))
    od = np.where(k == 0, np.nan, 0.5)
    return cell_table(
        k * 10.0,
        k * 0.0,
        codes,
        confidence=(0.5 + 0.5 * (k % 2)).astype(np.float32),
        abstained=k % 5 == 0,
        reported=pa.array(["lymphocyte" if i % 8 else "immune, undecided" for i in k], pa.string()),
        strangeness=np.where(k < 4, np.nan, np.where(k % 4 == 0, 2.0, 0.5)),
        tissue=pa.array(["CARCINOMA" if i % 4 == 0 else "STROMA" for i in k], pa.string()),
        area_um2=(k + 1.0).astype(np.float32),
        hematoxylin_od_mean=od,
        hematoxylin_od_sd=od / 2,
        eosin_od_mean=od / 5,
    )


def test_numbers_are_those_of_the_table() -> None:
    found = summarize_cells(table(40))
    assert (found["count"], found["carcinoma_cells"], found["in_carcinoma"]) == (40, 20, 5)
    assert (found["cells_in_carcinoma"], found["epithelial_in_carcinoma"]) == (10, 2)
    assert found["confidence_mean"] == pytest.approx(0.75)
    assert found["abstained_percent"] == pytest.approx(20.0)
    assert found["median_nucleus_um2"] == 20.5
    assert (found["unfamiliar_percent"], found["strangeness_median"]) == (25.0, 0.5)
    assert found["undecided"]["immune, undecided"] == 5
    assert found["stain"]["hematoxylin_od_mean"] == pytest.approx(0.5)


def test_without_cells_there_is_nothing_to_average() -> None:
    found = summarize_cells(table(0))
    assert (found["count"], found["carcinoma_cells"], found["in_carcinoma"]) == (0, 0, 0)
    assert found["confidence_mean"] is found["abstained_percent"] is found["median_nucleus_um2"] is None
    assert found["unfamiliar_percent"] is None
    assert set(found["stain"].values()) == {None}
