"""The curve across the border and the table of neighbors have the proportions of their numbers."""

import re

import pytest
from helpers import profiles

from histome.caveats.enough import EnoughTable
from histome.metrics.axes import BORDER_BANDS_UM, CELL_NAMES
from histome.report.patterns import infiltration, neighbors


def border(per_mm2: dict[str, tuple[float, int]]) -> EnoughTable:
    """Densities of lymphocytes by band, "IN_0_20" -> (value, n); every other band has none of them."""
    rows = {
        f"CELL_DENSITY_{cell}_AT_BORDER_{side}_{low}_{high}": (0.0, 0)
        for cell in CELL_NAMES
        for side in ("IN", "OUT")
        for low, high in BORDER_BANDS_UM
    }
    named = {f"CELL_DENSITY_LYMPHOCYTE_AT_BORDER_{band}": row for band, row in per_mm2.items()}
    return EnoughTable(profiles.table_of(rows | named))


def test_the_curve_is_high_where_the_cells_are_and_broken_where_too_few_are() -> None:
    found = infiltration(border({"OUT_0_20": (800.0, 80), "OUT_20_50": (400.0, 90), "IN_0_20": (900.0, 4)}))
    (curve,) = found["curves"]
    assert curve["label"] == "Lymphocyte"
    assert curve["path"] == "M50.0 0.0L60.0 0.0L60.0 50.0L65.81 50.0"
    assert found["highest"].raw == 800
    reasons = [number.reason for number in curve["numbers"]]
    assert reasons[4] == "only 4 cells in 0.0044 mm²"
    assert reasons[5:7] == ["", ""]


def test_the_axis_goes_from_inside_to_outside() -> None:
    found = infiltration(border({"OUT_0_20": (800.0, 80)}))
    assert found["edges"] == [
        (0.0, 500), (18.38, 200), (27.64, 100), (50.0, 0), (72.36, 100), (81.62, 200), (100.0, 500)
    ]  # fmt: skip
    assert found["heads"][0] == found["heads"][-1] == "200 to 500"


def test_without_a_border_there_is_a_reason_and_no_curve() -> None:
    found = infiltration(EnoughTable(profiles.make_metrics()))
    assert found["curves"] == []
    assert found["reason"] == "not measured in this profile"


def test_neighbors_are_a_symmetric_table_shaded_by_size() -> None:
    rows: dict[str, tuple[float | None, int]] = {
        "ENRICHMENT_IN_TISSUE_LOG2_CARCINOMA_CELL_LYMPHOCYTE_40": (-1.0, 900),
        "ENRICHMENT_IN_TISSUE_LOG2_LYMPHOCYTE_LYMPHOCYTE_40": (3.0, 500),
    }
    found = neighbors(EnoughTable(profiles.table_of(rows)))
    carcinoma, lymphocyte = CELL_NAMES.index("CARCINOMA_CELL"), CELL_NAMES.index("LYMPHOCYTE")
    cells = [row["cells"] for row in found["rows"]]
    assert [len(row) for row in cells] == [9] * 9
    for a, b in ((carcinoma, lymphocyte), (lymphocyte, carcinoma)):
        assert (cells[a][b]["shown"].raw, cells[a][b]["shade"], cells[a][b]["side"]) == (-1.0, 0.5, "less")
    assert (cells[lymphocyte][lymphocyte]["shade"], cells[lymphocyte][lymphocyte]["side"]) == (1.0, "more")
    assert found["any"]
    assert not neighbors(EnoughTable(profiles.make_metrics()))["any"]


def test_paths_stay_in_their_box() -> None:
    found = infiltration(border({"IN_200_500": (3.0, 900), "OUT_200_500": (7.0, 900)}))
    numbers = [float(number) for number in re.findall(r"[\d.]+", found["curves"][0]["path"])]
    assert min(numbers) >= 0
    assert max(numbers) <= 100
    assert numbers[1] == pytest.approx(100 - 100 * 3 / 7, abs=0.01)


def test_neighbors_have_two_decimals_which_fit_the_narrow_cells() -> None:
    rows: dict[str, tuple[float | None, int]] = {
        "ENRICHMENT_IN_TISSUE_LOG2_CARCINOMA_CELL_LYMPHOCYTE_40": (-0.01204, 900),
        "ENRICHMENT_IN_TISSUE_LOG2_LYMPHOCYTE_LYMPHOCYTE_40": (-0.00204, 500),
    }
    found = neighbors(EnoughTable(profiles.table_of(rows)))
    carcinoma, lymphocyte = CELL_NAMES.index("CARCINOMA_CELL"), CELL_NAMES.index("LYMPHOCYTE")
    cells = found["rows"][lymphocyte]["cells"]
    assert cells[carcinoma]["shown"].text == "\N{MINUS SIGN}0.01"
    assert cells[lymphocyte]["shown"].text == "0.00"
    assert cells[lymphocyte]["shown"].raw == -0.00204
