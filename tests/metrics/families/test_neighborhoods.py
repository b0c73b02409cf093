"""Neighborhoods: three cells by hand, brute force over all names, and growth with the radius."""

import numpy as np
import pytest
from helpers.cells import LABEL, cell_table
from helpers.scenes import (
    CODE,
    by_name,
    in_nucleated_tissue,
    measure_maps,
    one_tissue,
    patchwork,
    random_cells,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from histome.classes import CELL_CLASSES, NUCLEATED_TISSUES, TISSUE_CLASSES
from histome.config import MetricsConfig
from histome.slide.maps import ClassMap

AROUND = MetricsConfig(families=("neighborhood-centers", "neighborhood-pairs"))
CELLS = [name.upper() for name in CELL_CLASSES]


def test_a_line_of_cells_by_hand():
    # lymphocyte -- 15 -- carcinoma -- 15 -- lymphocyte -- 30 -- carcinoma, all in stroma
    cells = cell_table([0, 15, 30, 60], [5] * 4, ["LYMPHOCYTE", "CARCINOMA_CELL"] * 2)
    found = by_name(measure_maps(None, one_tissue(), None, cells, AROUND))

    def get(name, radius):
        return found[f"{name}_AROUND_LYMPHOCYTE_IN_STROMA_{radius}"]

    assert get("NUMBER_OF_CELLS_WITH_CARCINOMA_CELL_NEIGHBORS", 20) == 2
    assert get("NUMBER_OF_CARCINOMA_CELLS", 20) == 1  # shared by both, counts once
    assert get("NUMBER_OF_CARCINOMA_CELLS", 40) == 2
    assert get("NUMBER_OF_LYMPHOCYTES", 20) == 0
    assert get("NUMBER_OF_LYMPHOCYTES", 40) == 2
    assert get("TOTAL_NUMBER_OF_NEIGHBORS", 20) == 1
    assert get("TOTAL_NUMBER_OF_NEIGHBORS", 40) == 4
    assert get("RATIO_OF_LYMPHOCYTES", 40) == 0.5
    assert get("AVG_MIN_DISTANCE_OF_CARCINOMA_CELLS", 40) == 15
    assert get("AVG_MIN_DISTANCE_OF_LYMPHOCYTES", 40) == 30
    assert get("AVG_MIN_DISTANCE_OF_LYMPHOCYTES", 20) is None
    lens = 2 * 20**2 * np.arccos(30 / 40) - 15 * np.sqrt(40**2 - 30**2)
    assert get("AREA", 20) == pytest.approx(2 * np.pi * 400 - lens)
    assert get("DENSITY_OF_CARCINOMA_CELLS", 20) == pytest.approx(1 / get("AREA", 20))
    assert found["AREA_AROUND_LYMPHOCYTE_IN_CARCINOMA_20"] == 0


def test_only_the_center_must_lie_in_the_tissue():
    array = np.full((50, 100), CODE["STROMA"], np.uint8)
    array[:, :50] = CODE["CARCINOMA"]
    cells = cell_table([95, 105], [50, 50], ["CARCINOMA_CELL", "MACROPHAGE"])
    found = by_name(measure_maps(None, ClassMap(array, 2.0, TISSUE_CLASSES), None, cells, AROUND))
    assert found["NUMBER_OF_MACROPHAGES_AROUND_CARCINOMA_CELL_IN_CARCINOMA_20"] == 1
    assert found["NUMBER_OF_MACROPHAGES_AROUND_CARCINOMA_CELL_IN_STROMA_20"] == 0
    assert found["NUMBER_OF_CARCINOMA_CELLS_AROUND_MACROPHAGE_IN_STROMA_20"] == 1


def brute_force(cells, tissue, radius):
    """The counting names of one radius by the full distance matrix."""
    x, y = cells["x_um"].to_numpy(), cells["y_um"].to_numpy()
    label = np.array([LABEL[name.upper()] for name in cells["class"].to_pylist()])
    place = np.array([(None, *TISSUE_CLASSES)[code] for code in tissue.at(x, y)])
    distance = cdist(np.column_stack([x, y]), np.column_stack([x, y]))
    np.fill_diagonal(distance, np.inf)
    found = {}
    for center, c_name in enumerate(CELLS):
        for t_name in NUCLEATED_TISSUES:
            from_centers = distance[(label == center) & (place == t_name)]
            tail = f"_AROUND_{c_name}_IN_{t_name}_{radius}"
            near = (from_centers <= radius).any(axis=0)
            found[f"TOTAL_NUMBER_OF_NEIGHBORS{tail}"] = near.sum()
            for neighbor, n_name in enumerate(CELLS):
                closest = from_centers[:, label == neighbor].min(axis=1, initial=np.inf)
                hit = closest <= radius
                found[f"NUMBER_OF_{n_name}S{tail}"] = near[label == neighbor].sum()
                found[f"NUMBER_OF_CELLS_WITH_{n_name}_NEIGHBORS{tail}"] = hit.sum()
                found[f"AVG_MIN_DISTANCE_OF_{n_name}S{tail}"] = closest[hit].mean() if hit.any() else None
    return found


@pytest.mark.parametrize("radius", [20, 40])
def test_equals_brute_force(rng, radius):
    tissue = patchwork(rng)
    cells = random_cells(rng, 900)
    found = by_name(measure_maps(None, tissue, None, cells, AROUND))
    counted = cells.filter(in_nucleated_tissue(cells, tissue))
    for name, value in brute_force(counted, tissue, radius).items():
        assert found[name] == (pytest.approx(value) if value is not None else None), name


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.floats(0, 150), st.floats(0, 150), st.sampled_from(["LYMPHOCYTE", "OTHER", "MACROPHAGE"])
        ),
        max_size=50,
    )
)
def test_numbers_grow_with_the_radius(cells):
    x, y, classes = zip(*cells, strict=True) if cells else ([], [], [])
    found = by_name(measure_maps(None, one_tissue((75, 75)), None, cell_table(x, y, list(classes)), AROUND))
    grown = [
        name for name in found if name.endswith("_20") and name.startswith(("NUMBER_", "TOTAL_", "AREA_"))
    ]
    assert len(grown) == 45 * 2 + 405 * 2
    for name in grown:
        assert found[name] <= found[name[:-2] + "40"] * (1 + 1e-12), name


@pytest.mark.parametrize("turn", [np.rot90, np.fliplr], ids=["rotated", "mirrored"])
def test_turns_change_nothing(rng, turn):
    tissue = patchwork(rng)
    cells = random_cells(rng, 1200)
    x, y = cells["x_um"].to_numpy(), cells["y_um"].to_numpy()
    x, y = (y, 1000 - x) if turn is np.rot90 else (1000 - x, y)
    turned = cell_table(x, y, [name.upper() for name in cells["class"].to_pylist()])
    before = by_name(measure_maps(None, tissue, None, cells, AROUND))
    turned_map = ClassMap(np.ascontiguousarray(turn(tissue.array)), 2.0, TISSUE_CLASSES)
    after = by_name(measure_maps(None, turned_map, None, turned, AROUND))
    for name, value in before.items():
        assert after[name] == (pytest.approx(value, rel=1e-9) if value is not None else None), name
