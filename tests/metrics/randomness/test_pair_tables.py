"""Pairs by distance against brute force and against the set covariance of a square."""

import tracemalloc

import numpy as np
import pytest
from helpers.scenes import one_tissue, patchwork, random_cells
from scipy.spatial.distance import cdist

from histome.metrics.axes import FAR_RADII_UM
from histome.metrics.maps import make_tissue_maps
from histome.metrics.randomness import discs
from histome.metrics.randomness.pair_tables import pair_tables, point_fields, point_pairs
from histome.metrics.specimen import cells_as_arrays, counted_specimen

RADII = np.array(FAR_RADII_UM, float)


def test_the_tissue_within_reach_of_a_square_is_the_published_integral():
    # The set covariance of a square, (a - |x|)(a - |y|), over a disc of radius r.
    side = 1400.0
    expected = np.pi * RADII**2 * side**2 - 8 / 3 * RADII**3 * side + RADII**4 / 2
    found = point_pairs(make_tissue_maps(one_tissue((700, 700))))[:, 2, 2]
    assert np.allclose(found, expected, rtol=3e-3)
    assert np.allclose(found[1:], expected[1:], rtol=1e-3)


def test_cells_are_paired_as_by_brute_force(rng):
    tissue, cells = patchwork(rng), random_cells(rng, 4000)
    specimen = counted_specimen(make_tissue_maps(tissue), cells_as_arrays(cells, tissue))
    own = specimen.cells
    distance = cdist(np.column_stack([own.x_um, own.y_um]), np.column_stack([own.x_um, own.y_um]))
    np.fill_diagonal(distance, np.inf)
    classes, tissues = np.eye(9)[own.label], np.eye(5)[specimen.nucleated]
    tables = pair_tables(specimen)
    for k, radius in enumerate(RADII):
        near = (distance <= radius).astype(float)
        for found, kinds in ((tables.of_classes[k], classes), (tables.of_tissues[k], tissues)):
            expected = kinds.T @ near @ kinds
            if radius <= 100:
                assert np.array_equal(found, expected)
            else:
                assert np.allclose(found, expected, rtol=0.02)
                assert found.sum() == pytest.approx(expected.sum(), rel=2e-3)


def test_blocks_change_nothing_and_pixels_weigh_as_points_in_them(rng, monkeypatch):
    monkeypatch.setattr(discs, "_POINTS", 4)
    fields = rng.random((2, 35, 26)) * (rng.random((2, 35, 26)) < 0.3)
    whole = discs.sums_in_discs(discs.FieldRows.of(fields), [1.5, 5.3])
    monkeypatch.setattr(discs, "_BLOCK_PX", 20)
    assert np.allclose(discs.sums_in_discs(discs.FieldRows.of(fields), [1.5, 5.3]), whole, rtol=1e-12)
    place = np.argwhere(np.ones((35, 26)))
    step = (np.arange(4) - 1.5) / 4
    points = np.array(np.meshgrid(step, step)).reshape(2, 16).T
    lags = place[:, None] - place[None]
    weight = np.zeros(lags.shape[:2])
    near = np.hypot(*np.moveaxis(lags, 2, 0)) < 8
    gap = lags[near][:, None, None] + points[:, None] - points[None]
    weight[near] = (np.hypot(gap[..., 0], gap[..., 1]) <= 5.3).mean(axis=(1, 2))
    flat = fields.reshape(2, -1)
    assert np.allclose(whole[1], flat @ weight @ flat.T)


def test_fields_are_asked_for_in_parts_and_sums_round_pixels_are_those_of_pairs(rng, monkeypatch):
    monkeypatch.setattr(discs, "_BLOCK_PX", 20)
    fields = rng.random((3, 70, 26)) * (rng.random((3, 70, 26)) < 0.3)
    fields[1] = 0
    asked = []

    def part(lo, hi, across):
        asked.append(fields[0, lo:hi, across].shape)
        return fields[:, lo:hi, across]

    given = discs.FieldRows((3, 70, 26), part)
    total = np.zeros((2, 3, 3))
    for part in discs.within_discs(given, [1.5, 5.3]):
        total += np.einsum("ahw,rbhw->rab", part.own, np.stack(list(part.around)))
    assert max(map(max, asked)) <= 20
    assert np.allclose(total, discs.sums_in_discs(given, [1.5, 5.3]), rtol=1e-12, atol=1e-12)
    assert not total[:, 1].any()


def test_areas_of_all_codes_are_made_a_few_rows_at_a_time():
    maps = make_tissue_maps(one_tissue((3300, 300)))
    _, fields, _ = next(point_fields(maps))
    tracemalloc.start()
    held = fields.part(0, 512, slice(None)).nbytes
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.8 * held  # it was 3.6


def test_nothing_has_no_pairs():
    maps = make_tissue_maps(one_tissue((20, 20), name="NECROSIS"))
    assert not point_pairs(maps).any()
    assert discs.sums_in_discs(discs.FieldRows.of(np.zeros((2, 0, 0))), [3.0]).tolist() == [[[0, 0], [0, 0]]]
