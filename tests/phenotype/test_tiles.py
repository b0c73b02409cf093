"""Tiles of a slide: each is its own patch, and what is written is what was computed."""

import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from helpers.cells import cell_table
from pyarrow import csv, parquet

from histome.classes import CELL_CLASSES
from histome.errors import OutputError, UsageError
from histome.phenotype.axes import phenotypes
from histome.phenotype.features import measure_cells
from histome.phenotype.patch import PANNUKE_OF, UNSEEN, pannuke_cells
from histome.phenotype.tiles import left_out_of, tile_phenotypes, tiles_line, write_profile_tiles
from histome.phenotype.tokens import interpret


@pytest.fixture(scope="module")
def crowd() -> pa.Table:
    rng = np.random.default_rng(3)
    n = 4000
    place = rng.uniform(0, 1800, n), rng.uniform(0, 1100, n)
    return cell_table(*place, rng.integers(0, 9, n), area_um2=rng.uniform(20, 90, n).astype(np.float32))


def test_cells_that_are_not_counted_are_in_no_tile(crowd: pa.Table) -> None:
    counted = pa.array(np.random.default_rng(4).random(len(crowd)) < 0.6)
    marked = crowd.append_column("counted", counted)
    assert tile_phenotypes(marked, 500.0).equals(tile_phenotypes(crowd.filter(counted), 500.0))


@pytest.mark.parametrize("size_um", [250.0, 333.3, 5000.0])
def test_a_tile_is_the_patch_of_its_cells_alone(crowd: pa.Table, size_um: float) -> None:
    x, y = (crowd[name].to_numpy() for name in ("x_um", "y_um"))
    rows = tile_phenotypes(crowd, size_um).to_pylist()
    assert len(rows) == math.ceil(1800 / size_um) * math.ceil(1100 / size_um)
    for row in rows:
        column, line = round(row["x_um"] / size_um), round(row["y_um"] / size_um)
        inside = (x // size_um == column) & (y // size_um == line)
        alone, _ = pannuke_cells(crowd.filter(pa.array(inside)))
        raw = measure_cells(alone, unit="um", unseen=UNSEEN)
        undefined = raw.pop("undefined")
        assert {name: row[name] for name in raw} == raw
        said = interpret(raw, unit="um", fewest_cells=20)
        assert {axis: row[axis] for axis in phenotypes().axes} == said.labels
        assert row["generated_tokens"] == said.tokens
        assert set(json.loads(row["undefined"])) == set(undefined) | set(said.undefined)


def test_every_cell_but_the_others_is_in_one_tile(crowd: pa.Table) -> None:
    counted = sum(tile_phenotypes(crowd, 250.0)["total_cell_count"].to_pylist())
    assert counted == sum(name != "other" for name in crowd["class"].to_pylist())


def test_rows_go_by_y_then_x_whatever_the_order_of_the_cells(crowd: pa.Table) -> None:
    found = tile_phenotypes(crowd, 250.0)
    places = list(zip(found["y_um"].to_pylist(), found["x_um"].to_pylist(), strict=True))
    assert places == sorted(places)
    assert tile_phenotypes(crowd.take(np.random.default_rng(0).permutation(len(crowd))), 250.0) == found


def test_a_cell_on_a_border_belongs_to_the_tile_that_begins_there() -> None:
    found = tile_phenotypes(cell_table([0, 99.999, 100, 250], [0, 0, 0, 100], [0] * 4), 100.0)
    places = [(row["x_um"], row["y_um"], row["total_cell_count"]) for row in found.to_pylist()]
    assert places == [(0.0, 0.0, 2), (100.0, 0.0, 1), (200.0, 100.0, 1)]


def test_cells_beyond_the_border_do_not_count() -> None:
    """The only tumor cell is 1 um away, in the next tile."""
    found = tile_phenotypes(cell_table([99.5, 100.5], [5, 5], [CELL_CLASSES.index("lymphocyte"), 0]), 100.0)
    assert found["min_dist_Inflammatory_to_Neoplastic"].to_pylist() == [None, None]
    assert found["count_engaged_immune"].to_pylist() == [0, 0]


def test_few_cells_have_values_but_no_label() -> None:
    lines = [np.arange(n) * 2.0 + start for n, start in ((19, 0.0), (20, 100.0))]
    x = np.concatenate(lines)
    few, enough = tile_phenotypes(cell_table(x, x * 0, np.zeros(39, int)), 100.0).to_pylist()
    assert few["ratio_Neoplastic"] == enough["ratio_Neoplastic"] == 1.0
    assert (few["composition"], enough["composition"]) == (None, "High Tumour Purity")
    assert json.loads(few["undefined"])["composition"] == "there are fewer than 20 cells"


def test_a_tile_of_few_carcinoma_cells_has_no_label_of_them() -> None:
    """19 carcinoma cells among 40 lymphocytes, 20 in the next tile."""
    lymphocyte = CELL_CLASSES.index("lymphocyte")
    x = [start + k for start, n in ((0.0, 59), (100.0, 60)) for k in range(n)]
    codes = [0] * 19 + [lymphocyte] * 40 + [0] * 20 + [lymphocyte] * 40
    few, enough = tile_phenotypes(
        cell_table(x, np.zeros(119), codes, area_um2=[50.0] * 119), 100.0
    ).to_pylist()
    assert few["mean_area_Neoplastic"] == enough["mean_area_Neoplastic"] == 50.0
    assert (few["morphology"], enough["morphology"]) == (None, "Large/Pleomorphic")
    assert few["interaction"] is few["composition"] is None
    assert None not in (enough["interaction"], enough["composition"])
    assert few["immune"] == enough["immune"] == "Immune Hot"
    assert json.loads(few["undefined"])["morphology"] == "there are fewer than 20 neoplastic cells"


def test_the_nine_classes_are_five_kinds_and_other_is_none() -> None:
    codes = np.repeat(np.arange(9), 2)
    found, left_out = pannuke_cells(cell_table(np.arange(18), np.zeros(18), codes))
    kinds = np.bincount(found.code, minlength=6)[1:].tolist()
    assert (kinds, len(left_out.code)) == ([2, 8, 4, 0, 2], 2)
    assert left_out.x.tolist() == [2 * CELL_CLASSES.index("other") + k for k in (0, 1)]
    assert set(CELL_CLASSES) - set(PANNUKE_OF) == {"other"}
    assert UNSEEN == ("Dead",)


def test_one_line_tells_what_has_no_label_and_what_was_left_out() -> None:
    """20 carcinoma cells in one tile, 19 in the next; of class other two beside them, one in a tile alone."""
    other = CELL_CLASSES.index("other")
    x = [*np.arange(20) * 2.0, *(100 + np.arange(19) * 2.0), 50.0, 51.0, 350.0]
    found = tile_phenotypes(cell_table(x, np.zeros(42), [0] * 39 + [other] * 3), 100.0)
    assert left_out_of(found) == 3
    told = "2 tiles of 100um; 1 with fewer than 20 cells and so without labels"
    assert tiles_line(found, "100um") == f"{told}; 3 nuclei of the class other left out"
    whole = tile_phenotypes(cell_table(np.arange(20), np.zeros(20), 0), 100.0)
    assert tiles_line(whole, "100um") == "1 tile of 100um"


def test_without_cells_there_are_no_tiles_but_a_schema() -> None:
    found = tile_phenotypes(cell_table([], [], np.zeros(0, int)), 250.0)
    assert len(found) == 0
    assert found.schema == tile_phenotypes(cell_table([1], [1], 0, area_um2=[40.0]), 250.0).schema


def test_points_without_outlines_have_no_areas() -> None:
    found = tile_phenotypes(cell_table([1], [1], 0), 250.0).to_pylist()[0]
    assert found["mean_area_Neoplastic"] is None
    assert json.loads(found["undefined"])["mean_area_Neoplastic"] == "the nuclei have no area"


@pytest.fixture
def finished(tmp_path: Path, crowd: pa.Table, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A profile's folder of which only the cells are asked for."""

    class Finished:
        cells = crowd

    monkeypatch.setattr("histome.phenotype.tiles.load_profile", lambda folder: Finished())
    return tmp_path


def test_both_files_hold_the_table_and_equal_runs_give_equal_bytes(finished: Path) -> None:
    written = write_profile_tiles("any", finished / "new" / "tiles.parquet", tiles="500um")
    read = parquet.read_table(finished / "new" / "tiles.parquet")
    assert read == written
    assert left_out_of(read) == left_out_of(written) > 0
    write_profile_tiles("any", finished / "tiles.csv", tiles="500um")
    read = csv.read_csv(finished / "tiles.csv")
    assert read.column_names == written.column_names
    assert read["mean_spatial_entropy"].to_pylist() == written["mean_spatial_entropy"].to_pylist()
    first = written["generated_tokens"].to_pylist()[0]
    assert read["generated_tokens"].to_pylist()[0] == "; ".join(first)
    for name in ("tiles.csv", "new/tiles.parquet"):
        before = (finished / name).read_bytes()
        write_profile_tiles("any", finished / name, tiles="500 um")
        assert (finished / name).read_bytes() == before
    assert {path.name for path in finished.rglob("*")} == {"new", "tiles.parquet", "tiles.csv"}


@pytest.mark.parametrize(
    ("out", "tiles", "words"),
    [
        ("t.csv", "500", "give their side in um"),
        ("t.csv", "0um", "tiles of 0 um: give 50 to"),
        ("t.csv", "2mm", "give their side in um"),
        ("t.xlsx", "500um", "ends in .parquet or .csv"),
    ],
)
def test_a_wrong_size_or_ending_is_refused(finished: Path, out: str, tiles: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        write_profile_tiles("any", finished / out, tiles=tiles)


def test_a_folder_that_is_no_profile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no profile here"):
        write_profile_tiles(tmp_path, tmp_path / "t.csv", tiles="500um")
