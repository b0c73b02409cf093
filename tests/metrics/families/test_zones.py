"""Zones of a disc of tumor with cells on rings."""

import numpy as np
import pytest
from helpers.cells import cell_table
from helpers.scenes import (
    by_name,
    disc_of_tumor,
    family,
    in_nucleated_tissue,
    measure_maps,
    one_tissue,
    patchwork,
    random_cells,
)

from histome.classes import TISSUE_CLASSES
from histome.config import MetricsConfig
from histome.metrics.axes import ALL_ZONES
from histome.tissue.zones import find_zones


@pytest.fixture(scope="module")
def disc():
    return disc_of_tumor()


def ring(radius_um, n, middle_um=1800.0):
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return middle_um + radius_um * np.cos(angle), middle_um + radius_um * np.sin(angle)


def test_areas_of_the_bands(disc):
    found = family("tumor-zones", disc, cell_table([], [], []))
    assert found["ABSOLUTE_AREA_TUMOR_CORE"] == pytest.approx(np.pi * 0.25, rel=0.01)
    assert found["ABSOLUTE_AREA_WHOLE_TUMOR_REGION"] == pytest.approx(np.pi, rel=0.01)
    assert found["ABSOLUTE_AREA_OUTER_INVASIVE_MARGIN"] == pytest.approx(np.pi * 1.25, rel=0.01)
    assert found["RELATIVE_AREA_WHOLE_TUMOR_REGION"] == pytest.approx(np.pi / 3.6**2, rel=0.01)
    four = [found[f"RELATIVE_AREA_{zone}"] for zone in ALL_ZONES[:4]]
    assert sum(four) == pytest.approx(1)


def test_tissues_in_the_bands(disc):
    found = family("tissues-in-zones", disc, cell_table([], [], []))
    assert found["RELATIVE_AREA_CARCINOMA_IN_TUMOR_CORE"] == 1
    assert found["RELATIVE_AREA_STROMA_IN_OUTER_INVASIVE_MARGIN"] == 1
    assert found["ABSOLUTE_AREA_NECROSIS_IN_TUMOR_CORE"] == 0


def test_cells_on_rings(disc):
    rings = [
        (300, 10, "CARCINOMA_CELL"),
        (700, 20, "LYMPHOCYTE"),
        (1300, 30, "LYMPHOCYTE"),
        (1700, 40, "FIBROBLAST"),
    ]
    x, y = np.concatenate([ring(radius, n) for radius, n, _ in rings], axis=1)
    classes = np.repeat([name for _, _, name in rings], [n for _, n, _ in rings])
    found = family("cells-in-zones", disc, cell_table(x, y, classes))
    assert found["CELL_COUNT_CARCINOMA_CELL_IN_TUMOR_CORE"] == 10
    assert found["CELL_COUNT_LYMPHOCYTE_IN_INNER_INVASIVE_MARGIN"] == 20
    assert found["CELL_COUNT_LYMPHOCYTE_IN_OUTER_INVASIVE_MARGIN"] == 30
    assert found["CELL_COUNT_FIBROBLAST_IN_EXTRATUMORAL_TISSUE"] == 40
    assert found["CELL_PERCENTAGE_LYMPHOCYTE_IN_WHOLE_TUMOR_REGION"] == pytest.approx(100 * 20 / 30)
    assert found["CELL_DENSITY_LYMPHOCYTE_IN_INNER_INVASIVE_MARGIN"] == pytest.approx(
        20 / (np.pi * 0.75), rel=0.01
    )
    assert found["CELL_COUNT_MACROPHAGE_IN_TUMOR_CORE"] == 0


def test_without_carcinoma_every_zone_is_null_with_the_reason():
    table = measure_maps(
        None,
        one_tissue(),
        None,
        cell_table([5], [5], "OTHER"),
        MetricsConfig(families=("tumor-zones", "tissues-in-zones", "cells-in-zones", "tumor-neighborhoods")),
    )
    assert set(table["reason"].to_pylist()) == {"there is no tumor of at least 0.05 mm2"}


def test_equals_counting_in_the_zone_map(rng):
    tissue = patchwork(rng, (400, 500), mpp=5.0, patch_px=80)
    cells = random_cells(rng, 2000, side_um=2000)
    zones = find_zones(tissue)
    code = zones.at(cells["x_um"].to_numpy(), cells["y_um"].to_numpy())
    label = np.array([name.upper() for name in cells["class"].to_pylist()])
    found = by_name(
        measure_maps(
            None, tissue, None, cells, MetricsConfig(families=("tissues-in-zones", "cells-in-zones"))
        )
    )
    for k, zone in enumerate(zones.classes, start=1):
        assert found[f"CELL_COUNT_MACROPHAGE_IN_{zone}"] == np.sum(
            (code == k) & (label == "MACROPHAGE") & in_nucleated_tissue(cells, tissue)
        )
        for t, name in enumerate(TISSUE_CLASSES, start=1):
            px = np.sum((zones.array == k) & (tissue.array == t))
            assert found[f"ABSOLUTE_AREA_{name}_IN_{zone}"] == pytest.approx(px * 25 / 1e6)
