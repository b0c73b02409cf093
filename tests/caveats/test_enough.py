"""What rests on too little is n/a, with the number; what is known of much tissue is shown."""

import pytest
from helpers import profiles

from histome.caveats.enough import EnoughTable

MM2 = 1e6  # um2


def shown(name: str, value: float, n: int, **areas: float):
    """One metric of a table with areas, um2."""
    rows = {name: (value, n)} | {f"ABSOLUTE_AREA_{tissue}": (area, 9999) for tissue, area in areas.items()}
    table = profiles.table_of(rows)
    return EnoughTable(table).formatted(name)


@pytest.mark.parametrize(
    ("n", "mm2", "reason"),
    [
        (4, 0.0203, "only 4 cells in 0.020 mm²"),
        (1, 0.0203, "only 1 cell in 0.020 mm²"),
        (0, 0.003, "no cells in 0.0030 mm²: too little to tell"),
        (20, 0.0203, ""),
        (4, 0.5, ""),
        (0, 2.0, ""),
    ],
)
def test_a_density_needs_cells_or_tissue(n: int, mm2: float, reason: str) -> None:
    number = shown("CELL_DENSITY_LYMPHOCYTE_STROMA", n / (mm2 * MM2), n, STROMA=mm2 * MM2)
    assert number.reason == reason
    assert (number.raw is None) == bool(reason)
    assert (number.text == "n/a") == bool(reason)


def test_cells_of_the_class_other_are_not_those_in_other_tissue() -> None:
    number = shown("CELL_DENSITY_OTHER", 3 / MM2, 3, OTHER=2 * MM2)
    assert number.reason == "only 3 cells"


def test_a_band_at_the_border_knows_its_area_from_its_densest_class() -> None:
    names = {"lymphocyte": 0, "fibroblast": 40}
    rows = {f"CELL_DENSITY_{name.upper()}_AT_BORDER_IN_0_20": (n / 0.02, n) for name, n in names.items()}
    table = EnoughTable(profiles.table_of(rows))
    assert table.formatted("CELL_DENSITY_LYMPHOCYTE_AT_BORDER_IN_0_20").reason.startswith("no cells in 0.020")
    assert table.formatted("CELL_DENSITY_FIBROBLAST_AT_BORDER_IN_0_20").raw == pytest.approx(2000)


@pytest.mark.parametrize(
    ("name", "n", "reason"),
    [
        ("CELL_PERCENTAGE_LYMPHOCYTE", 11, "needs 20 cells, has 11"),
        ("TUMOR_PURITY", 20, ""),
        ("IMMUNE_DESERT_SHARE", 2, "needs 10 tiles, has 2"),
        ("IMMUNE_CELL_FRACTION", 12, "needs 20 cells, has 12"),
        ("NUCLEUS_AVG_AREA_LYMPHOCYTE", 1, "needs 5 nuclei, has 1"),
        ("CONFIDENCE_MEAN_MACROPHAGE", 1, "needs 5 cells, has 1"),
        ("CELL_N_TOTAL", 3, ""),
    ],
)
def test_shares_and_means_need_a_sample(name: str, n: int, reason: str) -> None:
    assert shown(name, 0.5, n).reason == reason


def test_a_null_keeps_its_own_reason() -> None:
    metrics = EnoughTable(profiles.make_metrics({"CELL_DENSITY_LYMPHOCYTE_STROMA": None}))
    assert metrics.formatted("CELL_DENSITY_LYMPHOCYTE_STROMA").reason == "there is no <cells-by-tissue>"
