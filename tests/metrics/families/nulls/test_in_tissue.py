"""Enrichment and contacts within tissues: two compartments, permutations, a checkerboard by hand."""

import numpy as np
import pytest
from helpers.cells import cell_table
from helpers.scenes import by_name, family, lattice, measure_maps, one_tissue, two_compartments, two_halves
from scipy.spatial.distance import cdist

from histome.config import MetricsConfig
from histome.metrics.axes import AXES, CELL_NAMES, PAIR_OF
from histome.metrics.families.patterns.contacts import contact_pairs
from histome.metrics.maps import make_tissue_maps
from histome.metrics.specimen import cells_as_arrays, counted_specimen

CASES = (
    ("enrichment-in-tissue", "ENRICHMENT_IN_TISSUE_LOG2{}_{}_40"),
    ("contacts-in-tissue", "CONTACT_IN_TISSUE_LOG2{}_{}"),
)


@pytest.mark.parametrize(("name", "pattern"), CASES)
def test_compartments_alone_are_no_enrichment(rng, name, pattern):
    tissue, cells = two_compartments(rng)
    pooled = family("enrichment", tissue, cells)
    assert pooled["ENRICHMENT_Z_LYMPHOCYTE_AROUND_FIBROBLAST"] > 20
    assert pooled["ENRICHMENT_Z_LYMPHOCYTE_AROUND_CARCINOMA_CELL"] < -20
    found = family(name, tissue, cells)
    z = [
        found[pattern.format("", pair)] / found[pattern.format("_NULL_SD", pair)]
        for pair in AXES["touching"]
        if found[pattern.format("", pair)] is not None
    ]
    assert len(z) == 10
    assert np.abs(z).max() < 3.5
    assert abs(found[pattern.format("", "FIBROBLAST_LYMPHOCYTE")]) < 0.06


def adjacency_of(specimen, name):
    cells = specimen.cells
    if name == "enrichment-in-tissue":
        points = np.column_stack([cells.x_um, cells.y_um])
        return (cdist(points, points) <= 40).astype(int) - np.eye(len(points), dtype=int)
    adjacency = np.zeros((len(cells), len(cells)), int)
    adjacency[tuple(contact_pairs(specimen).T)] = 1
    return adjacency + adjacency.T


@pytest.mark.parametrize(("name", "pattern"), CASES)
def test_equals_2000_permutations_within_the_tissues(rng, name, pattern):
    tissue, cells = two_compartments(rng, 400, 400.0)
    specimen = counted_specimen(make_tissue_maps(tissue), cells_as_arrays(cells, tissue))
    adjacency, label = adjacency_of(specimen, name).astype(np.float32), specimen.cells.label
    halves = [np.flatnonzero(specimen.nucleated == k) for k in np.unique(specimen.nucleated)]
    assert len(halves) == 2
    drawn = np.zeros((2000, 9, 9))
    for k in range(2000):
        mixed = label.copy()
        for half in halves:
            mixed[half] = rng.permutation(label[half])
        one_hot = np.eye(9, dtype=np.float32)[mixed]
        drawn[k] = one_hot.T @ adjacency @ one_hot
    one_hot = np.eye(9)[label]
    seen, found, compared = one_hot.T @ adjacency @ one_hot, family(name, tissue, cells), 0
    for pair, (a, b) in PAIR_OF.items():
        fold, spread = found[pattern.format("", pair)], found[pattern.format("_NULL_SD", pair)]
        place = (slice(None), CELL_NAMES.index(a), CELL_NAMES.index(b))
        mean, sd = drawn[place].mean(), drawn[place].std()
        if fold is not None:
            compared += 1
            # The SD of 2,000 draws has a standard error of 1.6 %, their mean one of SD / 45.
            assert fold == pytest.approx(np.log2(seen[place[1:]] / mean), abs=4 * spread / 2000**0.5)
            assert spread == pytest.approx(sd / mean / np.log(2), rel=0.08)
    assert compared >= 6


def test_one_tissue_is_the_pooled_fold_change(rng):
    x, y = lattice(20, 30.0, 10.0)
    board = (np.add(*np.indices((20, 20))) % 2).ravel()
    cells = cell_table(x, y, np.where(board, "LYMPHOCYTE", "MACROPHAGE"))
    expected = np.log2(400 * 399 / (2 * 200 * 200))
    found = family("enrichment-in-tissue", one_tissue(), cells)
    assert found["ENRICHMENT_IN_TISSUE_LOG2_LYMPHOCYTE_MACROPHAGE_40"] == pytest.approx(expected)
    found = family("contacts-in-tissue", one_tissue(), cells)
    assert found["CONTACT_IN_TISSUE_LOG2_LYMPHOCYTE_MACROPHAGE"] == pytest.approx(expected)


def test_attraction_inside_one_tissue_is_seen(rng):
    tissue, cells = two_compartments(rng)
    # Every lymphocyte of the stroma moves beside a macrophage of the stroma.
    x, y = cells["x_um"].to_numpy().copy(), cells["y_um"].to_numpy().copy()
    names = np.array(cells["class"].to_pylist())
    right = x > 1510
    near = rng.choice(
        np.flatnonzero(right & (names == "macrophage")), np.sum(right & (names == "lymphocyte"))
    )
    moved = np.flatnonzero(right & (names == "lymphocyte"))
    x[moved], y[moved] = x[near] + rng.normal(0, 8, len(near)), y[near] + rng.normal(0, 8, len(near))
    found = family("enrichment-in-tissue", tissue, cell_table(x, y, names))
    assert found["ENRICHMENT_IN_TISSUE_LOG2_LYMPHOCYTE_MACROPHAGE_40"] > 0.8


def test_nulls_say_why(rng):
    x, y = lattice(20, 30.0, 10.0)
    kinds = np.where(x < 500, "CARCINOMA_CELL", "FIBROBLAST")
    config = MetricsConfig(families=("enrichment-in-tissue", "contacts-in-tissue"))
    table = measure_maps(None, two_halves(), None, cell_table(x, y, kinds), config)
    reasons, n = by_name(table, "reason"), by_name(table, "n")
    fixed = "relabeling within the tissues cannot change the number of pairs"
    assert reasons["ENRICHMENT_IN_TISSUE_LOG2_CARCINOMA_CELL_FIBROBLAST_40"] == fixed
    # 20 rows of two columns, 30 um apart, that meet.
    assert n["CONTACT_IN_TISSUE_LOG2_CARCINOMA_CELL_FIBROBLAST"] == 20
    few = "fewer than 5 such pairs are expected"
    assert reasons["CONTACT_IN_TISSUE_LOG2_LYMPHOCYTE_MACROPHAGE"] == few
