"""The table: declared names are written names, two modes, bad input, and what must not change a value."""

from collections import Counter

import numpy as np
import pyarrow as pa
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

from histome.classes import TISSUE_CLASSES
from histome.config import MetricsConfig
from histome.errors import HistomeError
from histome.metrics.catalogue import FAMILIES, list_metrics
from histome.metrics.maps import make_tissue_maps
from histome.metrics.measuring import METRIC_SCHEMA, count_metrics, measure_specimen
from histome.metrics.specimen import FiledRows, Specimen, cells_as_arrays, counted_specimen
from histome.slide.maps import ClassMap
from histome.tissue import Tissue


@pytest.fixture
def tissue(rng):
    return patchwork(rng)


def test_declared_names_are_written_names(rng, tissue):
    config = MetricsConfig()
    table = measure_maps(None, tissue, None, random_cells(rng, 500))
    assert table.schema == METRIC_SCHEMA
    assert table["name"].to_pylist() == [metric.name for metric in list_metrics(config.families)]
    assert table["unit"].to_pylist() == [metric.unit for metric in list_metrics(config.families)]


@pytest.mark.parametrize("n", [0, 1, 700])
def test_null_exactly_where_there_is_a_reason_and_values_in_range(rng, tissue, n):
    table = measure_maps(None, tissue, None, random_cells(rng, n))
    for suffix in ("", "_confident"):
        null = [value is None for value in table[f"value{suffix}"].to_pylist()]
        assert null == [reason is not None for reason in table[f"reason{suffix}"].to_pylist()]
    found = by_name(table)
    for metric in list_metrics(MetricsConfig().families):
        low, high = metric.template.range
        value = found[metric.name]
        assert value is None or low is None or value >= low - 1e-12, metric.name
        assert value is None or high is None or value <= high + 1e-12, metric.name


def test_confident_values_are_those_without_the_abstained(rng, tissue):
    abstained = rng.random(900) < 0.3
    cells = random_cells(rng, 900, abstained=abstained)
    both = measure_maps(None, tissue, None, cells)
    only = measure_maps(None, tissue, None, cells, MetricsConfig(confident_only=True))
    left = measure_maps(None, tissue, None, cells.filter(pa.array(~abstained)))
    whole, sure, alone, expected = (
        by_name(both),
        by_name(both, "value_confident"),
        by_name(only),
        by_name(left),
    )
    counted = in_nucleated_tissue(cells, tissue)
    assert whole["CELL_N_TOTAL"] == counted.sum()
    assert sure["CELL_N_TOTAL"] == (counted & ~abstained).sum()
    for name, value in expected.items():
        if "ABSTAINED" not in name and "NOT_COUNTED" not in name:  # these say what was left out
            assert sure[name] == value, name
            assert alone[name] == value, name


def test_counts_are_honest(rng, tissue):
    table = measure_maps(None, tissue, None, random_cells(rng, 50))
    counts = count_metrics(table)
    assert counts.declared == len(table)
    assert counts.finite == len(table) - table["value"].null_count
    assert 0 < counts.non_redundant < counts.declared


def whole_scene(rng, n=3000):
    """A patchwork with a tumor large enough for zones, and cells with all their columns, off every edge."""
    array = patchwork(rng, (500, 500), mpp=4.0, patch_px=100).array
    array[100:350, 150:380] = CODE["CARCINOMA"]
    x, y = (np.floor(rng.uniform(0, 2000 * 64, (2, n))) + 0.5) / 64
    columns = {name: rng.gamma(5, 2, n) for name in ("area_um2", "perimeter_um", "hematoxylin_od_mean")}
    columns |= {"confidence": rng.random(n), "abstained": rng.random(n) < 0.2}
    return array, cell_table(x, y, rng.integers(0, 9, n), **columns)


def moved(cells, x, y):
    return cells.set_column(0, "x_um", pa.array(x)).set_column(1, "y_um", pa.array(y))


@pytest.mark.parametrize("turn", ["rotated", "mirrored", "moved"])
def test_turning_or_moving_the_slide_changes_nothing(rng, turn):
    array, cells = whole_scene(rng)
    x, y = cells["x_um"].to_numpy(), cells["y_um"].to_numpy()
    if turn == "rotated":
        turned, place = np.rot90(array), (y, 2000 - x)
    elif turn == "mirrored":
        turned, place = np.fliplr(array), (2000 - x, y)
    else:
        turned, place = np.pad(array, ((40, 3), (17, 0))), (x + 17 * 4, y + 40 * 4)
    before, after = (
        measure_maps(None, ClassMap(np.ascontiguousarray(codes), 4.0, TISSUE_CLASSES), None, table)
        for codes, table in ((array, cells), (turned, moved(cells, *place)))
    )
    assert before["reason"].equals(after["reason"])
    assert count_metrics(before).finite > 6500
    other = by_name(after)
    for name, value in by_name(before).items():
        assert other[name] == (pytest.approx(value, rel=1e-7, abs=1e-9) if value is not None else None), name


def test_every_family_has_values_on_a_whole_scene(rng):
    array, cells = whole_scene(rng)
    found = by_name(measure_maps(None, ClassMap(array, 4.0, TISSUE_CLASSES), None, cells))
    for family in FAMILIES:
        if family not in ("qc-areas", "tissue-regions", "glands", "scan"):  # they need a slide
            assert any(found[metric.name] is not None for metric in list_metrics([family])), family


@pytest.mark.parametrize("bad", [np.nan, np.inf, None])
def test_coordinates_that_are_not_finite_are_refused_by_row(bad):
    cells = pa.table({"x_um": [1.0, 2.0, 3.0], "y_um": [1.0, bad, 3.0], "class": ["other"] * 3})
    with pytest.raises(HistomeError, match="y_um of row 2 is not a finite number"):
        measure_maps(None, one_tissue(), None, cells)


def test_unknown_classes_and_missing_columns_are_named():
    with pytest.raises(HistomeError, match="unknown class 'B cell', 'T cell'"):
        measure_maps(
            None,
            one_tissue(),
            None,
            pa.table({"x_um": [1.0, 2.0], "y_um": [1.0, 2.0], "class": ["B cell", "T cell"]}),
        )
    with pytest.raises(HistomeError, match="no column y_um, class"):
        measure_maps(None, one_tissue(), None, pa.table({"x_um": [1.0]}))


def test_dictionary_encoded_classes_are_read():
    cells = cell_table([1.0, 2.0], [1.0, 2.0], "MACROPHAGE")
    cells = cells.set_column(2, "class", cells["class"].dictionary_encode())
    assert by_name(measure_maps(None, one_tissue(), None, cells))["CELL_COUNT_MACROPHAGE"] == 2


def test_the_order_of_rows_and_the_workers_change_nothing(rng):
    array, cells = whole_scene(rng)
    tissue = ClassMap(array, 4.0, TISSUE_CLASSES)
    table = measure_maps(None, tissue, None, cells, workers=1)
    assert measure_maps(None, tissue, None, cells.take(rng.permutation(len(cells))), workers=3).equals(table)


@pytest.mark.parametrize("kind", ["one place", "one class", "outside"])
def test_odd_cells_are_measured(rng, kind):
    cells = random_cells(rng, 300)
    if kind == "one place":
        cells = moved(cells, np.full(300, 100.0), np.full(300, 100.0))
    elif kind == "one class":
        cells = cells.set_column(2, "class", pa.array(["plasma_cell"] * 300))
    else:
        cells = moved(cells, np.linspace(-5e4, 5e4, 300), np.full(300, 1e5))
    found = by_name(measure_maps(None, one_tissue(), None, cells))
    assert found["CELL_N_TOTAL"] == (0 if kind == "outside" else 300)
    assert found["CELL_N_NOT_COUNTED"] == 300 - found["CELL_N_TOTAL"]
    in_stroma = {"one class": 300, "outside": 0}.get(kind, found["CELL_COUNT_PLASMA_CELL"])
    assert found["CELL_COUNT_PLASMA_CELL_STROMA"] == in_stroma


def test_a_crowd_at_one_position_is_refused():
    cells = cell_table(np.append(np.zeros(1001), 5.0), np.append(np.zeros(1001), 5.0), "OTHER")
    with pytest.raises(HistomeError, match="1,001 cells lie at x 0, y 0 um"):
        measure_maps(None, one_tissue(), None, cells)


def test_n_counts_what_the_declaration_says(rng):
    """Of a scene with every tissue, a tumor and all classes, against numbers counted here."""
    array, cells = whole_scene(rng)
    tissue = ClassMap(array, 4.0, TISSUE_CLASSES)
    n = by_name(measure_maps(None, tissue, Tissue.of(tissue).regions, cells), "n")
    inside = in_nucleated_tissue(cells, tissue)
    label = np.array(cells["class"].to_pylist())[inside]
    codes = tissue.at(cells["x_um"].to_numpy(), cells["y_um"].to_numpy())[inside]
    lymphocytes, in_stroma = label == "lymphocyte", codes == CODE["STROMA"]
    pixels = {name: int((array == code).sum()) for name, code in CODE.items()}
    counted = {
        "cells": len(label),
        "cells of all classes": len(label),
        "lymphocytes": lymphocytes.sum(),
        "lymphocytes in stroma": (lymphocytes & in_stroma).sum(),
        "cells of all classes in stroma": in_stroma.sum(),
        "cells in the stroma": in_stroma.sum(),
        "all cells that were found, counted or not": len(cells),
        "the cells that are not counted": (~inside).sum(),
        "pixels of analyzed tissue": sum(pixels.values()),
        "pixels of stroma in the tissue map": pixels["STROMA"],
        "lymphocytes with the feature measured": lymphocytes.sum(),
    }
    seen = set()
    for metric in list_metrics():
        if metric.counts in counted and not metric.name.startswith("NUCLEUS_"):
            assert n[metric.name] == counted[metric.counts], metric.name
            seen.add(metric.counts)
    assert seen == set(counted) - {"lymphocytes with the feature measured"}
    assert n["NUCLEUS_SD_AREA_LYMPHOCYTE"] == counted["lymphocytes with the feature measured"]


def test_n_of_pairs_and_contacts():
    """Two lymphocytes and a fibroblast within 20 um of one another, on stroma."""
    cells = cell_table([500.0, 510.0, 505.0], [500.0, 500.0, 508.0], [5, 5, 3])
    n = by_name(measure_maps(None, one_tissue(), None, cells), "n")
    assert n["ENRICHMENT_Z_LYMPHOCYTE_AROUND_LYMPHOCYTE"] == 2  # one pair, twice
    assert n["ENRICHMENT_Z_FIBROBLAST_AROUND_LYMPHOCYTE"] == 2  # two pairs
    assert n["CONTACT_FRACTION_FIBROBLAST_LYMPHOCYTE"] == 3
    assert n["CONTACT_FRACTION_MACROPHAGE_OTHER"] == 3  # all contacts, whatever the classes
    assert n["CROSS_L_LYMPHOCYTE_FIBROBLAST_20"] == 1
    assert n["CROSS_G_LYMPHOCYTE_FROM_FIBROBLAST_20"] == 1


def bytes_of(held):
    """Of arrays, alone or in tuples; those in files count nothing."""
    arrays = (array for each in held for array in (each if isinstance(each, tuple) else (each,)))
    return sum(getattr(array, "nbytes", 0) for array in arrays)


def test_arrays_of_cells_are_made_once_and_let_go(rng, monkeypatch):
    """Families that read the same stand beside each other: else it is made twice, or held to the end."""
    made, most, plain = Counter(), [], Specimen.for_now

    def watched(self, derive, *args):
        new = (derive, *args) not in self._for_now
        found = plain(self, derive, *args)
        made[id(self), derive, args] += new
        arrays = [each for each in self._for_now.values() if not hasattr(each, "with_neighbor")]
        most.append(bytes_of(arrays) / max(len(self.cells), 1))
        return found

    monkeypatch.setattr(Specimen, "for_now", watched)
    tissue, n = patchwork(rng), 700
    cells = cells_as_arrays(random_cells(rng, n, abstained=rng.random(n) < 0.3), tissue)
    specimen = counted_specimen(make_tissue_maps(tissue), cells)
    measure_specimen(specimen, MetricsConfig())
    assert len({derive for _, derive, _ in made}) >= 8
    assert len({owner for owner, *_ in made}) == 2  # all cells, and the confident ones
    assert [name for name, times in made.items() if times > 1] == []
    assert not specimen._for_now
    # Groups in reach, 16 bytes; places, 6; distances of Clark-Evans, 16. The nearest of classes wait on disk.
    assert 16 < max(most) < 48
    kept = [each for each in specimen._derived.values() if len(getattr(each, "shape", ())) == 1]
    assert bytes_of(kept) == 0
    assert any(isinstance(each, FiledRows) for each in specimen._derived.values())


def test_rows_in_a_file_are_read_one_by_one(rng):
    given = [rng.random(n) for n in (5, 0, 3)]
    filed = FiledRows(iter(given))
    assert [row.tolist() for row in filed] == [row.tolist() for row in given]
    assert filed[2].tolist() == given[2].tolist()
    with pytest.raises(IndexError):
        filed[3]
