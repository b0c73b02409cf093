"""What a search finds lies on disk, and the table is the same with it there."""

import numpy as np
import pyarrow as pa
import pytest
from helpers.drawn_nuclei import DrawnNetwork, Ellipse, draw, ground

from histome.cells import SCHEMA, find_cells, write_cells
from histome.cells.filed import NucleiFile
from histome.cells.find import find_nuclei
from histome.cells.stored import stored_outlines
from histome.cells.table import cell_rows
from histome.cells.windows import find_in_window, join, start_search
from histome.config import CellsConfig

MPP = np.array([0.5, 0.5])


@pytest.fixture(scope="module")
def search():
    places = [(x, y) for x in range(12, 230, 20) for y in range(12, 190, 20)]
    slide = draw((480, 400), [Ellipse(float(x), float(y), 5.0, 4.0, code=5) for x, y in places])
    return start_search(slide, ground(slide).map, DrawnNetwork())


def rows_of(search):
    zones = ground(search.slide).zones
    return cell_rows(find_nuclei(search), search.let_go(), zones, CellsConfig())


def test_nuclei_come_back_in_any_order(search):
    file, taken = NucleiFile(MPP), []
    for tile in search.grid:
        nuclei = find_in_window(search, tile)
        taken.append(nuclei)
        held = file.take(nuclei)
        assert held.label.tolist() == nuclei.probability.argmax(axis=1).tolist()
        np.testing.assert_array_equal((held.x_um, held.y_um), nuclei.shape[:, :2].T)
    outline_px = np.concatenate([nuclei.outline_px for nuclei in taken])
    rows = np.random.default_rng(1).permutation(len(outline_px))[:50]
    wkb, bounds = stored_outlines(outline_px[rows], MPP)
    assert file.geometry(rows).to_pylist() == wkb.to_pylist()
    np.testing.assert_array_equal(file.bounds(rows), bounds)
    whole = join(taken)
    for filed, column in zip(file.nuclei(rows)[1:], whole.select(rows)[1:], strict=True):
        assert filed.dtype == column.dtype
        np.testing.assert_array_equal(filed, column)
    near, all_of_it = file.near_seams(), whole.select(whole.at_seam)
    for name in ("outline_px", "score", "window", "owner", "at_seam"):
        np.testing.assert_array_equal(getattr(near, name), getattr(all_of_it, name))
    assert near.shape.size == near.stain.size == near.probability.size == 0 < len(near.score)


def test_of_a_nucleus_hardly_anything_is_held(search):
    """Its outline is 256 bytes, its other columns are 150."""
    located = find_nuclei(search).located
    assert sum(column.nbytes for column in located) / len(located.label) < 40


def test_a_network_that_was_let_go_runs_no_more(search):
    with pytest.raises(RuntimeError, match="was let go"):
        find_in_window(search.let_go(), search.grid[0])


def test_the_table_is_written_group_by_group_as_a_whole(search, tmp_path, monkeypatch):
    monkeypatch.setattr("histome.geotable.ROW_GROUP", 16)
    monkeypatch.setattr("histome.cells.filed.ROW_GROUP", 16)
    found = rows_of(search)
    groups = list(found.parts())
    assert [len(group) for group in groups[:-1]] == [16] * (len(found) // 16)
    whole = find_cells(search.slide, ground(search.slide), search.network)
    assert found.table().equals(whole)
    assert whole.schema.equals(SCHEMA)
    assert found.select(["class", "x"]).equals(whole.select(["class", "x"]))
    assert found.column_names == whole.column_names
    write_cells(found, tmp_path / "groups.parquet")
    write_cells(whole, tmp_path / "whole.parquet")
    assert (tmp_path / "groups.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_no_cells_make_a_table_without_rows(tmp_path):
    slide = draw((480, 400), [])
    found = rows_of(start_search(slide, ground(slide).map, DrawnNetwork()))
    write_cells(found, tmp_path / "cells.parquet")
    assert found.table().num_rows == 0
    assert isinstance(found.table()["geometry"], pa.ChunkedArray)
