"""The outlines of a search lie on disk, and the table is the same with them there."""

import numpy as np
import pyarrow as pa
import pytest
from helpers.drawn_nuclei import DrawnNetwork, Ellipse, draw, ground

from histome.cells import SCHEMA, find_cells, write_cells
from histome.cells.filed import OutlineFile
from histome.cells.find import find_nuclei, search_cells
from histome.cells.stored import stored_outlines
from histome.cells.windows import find_in_window, start_search
from histome.errors import OutputError

MPP = np.array([0.5, 0.5])


@pytest.fixture(scope="module")
def search():
    places = [(x, y) for x in range(12, 230, 20) for y in range(12, 190, 20)]
    slide = draw((480, 400), [Ellipse(float(x), float(y), 5.0, 4.0, code=5) for x, y in places])
    return start_search(slide, ground(slide).map, DrawnNetwork())


def test_outlines_come_back_in_any_order(search):
    file, taken = OutlineFile(MPP), []
    for tile in search.grid:
        nuclei = find_in_window(search, tile)
        taken.append(nuclei)
        assert file.take(nuclei).outline_px.shape == (len(nuclei.score), 0, 2)
    outline_px = np.concatenate([nuclei.outline_px for nuclei in taken])
    rows = np.random.default_rng(1).permutation(len(outline_px))[:50]
    wkb, bounds = stored_outlines(outline_px[rows], MPP)
    assert file.geometry(rows).to_pylist() == wkb.to_pylist()
    np.testing.assert_array_equal(file.bounds(rows), bounds)
    at_seam = np.concatenate([nuclei.at_seam for nuclei in taken])
    np.testing.assert_array_equal(file.near_seams(), outline_px[at_seam])


def test_no_nucleus_is_held_with_its_outline(search):
    """32 corners of 8 bytes: two thirds of what a nucleus took."""
    nuclei = find_nuclei(search).nuclei
    assert sum(column.nbytes for column in nuclei) / len(nuclei.score) < 160


def test_the_table_is_written_group_by_group_as_a_whole(search, tmp_path, monkeypatch):
    monkeypatch.setattr("histome.cells.table.ROW_GROUP", 16)
    monkeypatch.setattr("histome.geotable.ROW_GROUP", 16)
    found = search_cells(search.slide, ground(search.slide), search.network)
    groups = list(found.parts())
    assert [len(group) for group in groups[:-1]] == [16] * (len(found.rows) // 16)
    whole = find_cells(search.slide, ground(search.slide), search.network)
    assert found.table().equals(whole)
    assert whole.schema.equals(SCHEMA)
    write_cells(found, tmp_path / "groups.parquet")
    write_cells(whole, tmp_path / "whole.parquet")
    assert (tmp_path / "groups.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_no_cells_make_a_table_without_rows(tmp_path):
    slide = draw((480, 400), [])
    found = search_cells(slide, ground(slide), DrawnNetwork())
    write_cells(found, tmp_path / "cells.parquet")
    assert found.table().num_rows == 0
    assert isinstance(found.table()["geometry"], pa.ChunkedArray)


def test_a_full_disk_is_one_line(search, monkeypatch):
    class Full:
        def close(self):
            pass

        def write(self, _):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("histome.cells.filed.TemporaryFile", lambda **_: Full())
    with pytest.raises(OutputError, match=r"\(No space left on device\); make room there, or"):
        OutlineFile(MPP).take(find_in_window(search, search.grid[0]))


def test_no_folder_for_temporary_files_is_one_line(monkeypatch):
    def refuse(**_):
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr("histome.cells.filed.TemporaryFile", refuse)
    with pytest.raises(OutputError, match="TMPDIR"):
        OutlineFile(MPP)
