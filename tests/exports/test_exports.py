"""Exports read back: the same numbers in the same places, by other libraries where they are there."""

import csv
import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow.csv as pa_csv
import pytest
import shapely
import tifffile
import zarr
from helpers.cells import cell_table
from helpers.cli import Cli
from helpers.kept_profiles import MPP, keep_profile
from helpers.profiles import table_of

from histome.caveats.enough import EnoughTable
from histome.classes import CELL_CLASSES, TISSUE_CLASSES
from histome.colors import TISSUE_COLORS, rgb
from histome.errors import OutputError, UsageError
from histome.exports import EXPORTS, export_profile
from histome.exports.atlas import readout_columns
from histome.exports.graph import cell_graph
from histome.exports.place import place_of
from histome.exports.workbook import CORE_NUMBERS
from histome.interop import read_foreign_cells, read_slide_readouts, read_tissue
from histome.slide import ClassMap

ATLAS_COLUMNS = Path(__file__).parents[3] / "shared" / "spec" / "atlas_columns_4548.txt"
LIGHT = ("qupath", "atlas", "ome-zarr", "csv", "geoparquet", "graph")
HOSTILE = (
    '<script>alert(1)</script>"&',
    "..",
    "=HYPERLINK(1)",
    "x" * 10_000,
    "\U0001f52c\u202e\x1b[31mred",
    "a\nb\x00c",
)


def test_the_columns_of_the_published_readouts_are_ours_in_their_order():
    if not ATLAS_COLUMNS.exists():
        pytest.skip(f"no list at {ATLAS_COLUMNS}")
    assert readout_columns() == ATLAS_COLUMNS.read_text().split()


def test_the_twelve_files_are_there_and_read_back(kept, tmp_path):
    out = export_profile(kept, "atlas", tmp_path / "atlas")
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    layer = ("csv_class_information.csv", "geojson_polygons.json", "parquet_polygons.parquet")
    assert files == {
        "place.json",
        *(f"{name}/{file}" for name in ("tissue_qc", "tissue_segmentation") for file in layer),
        *(f"{name}/segmentation_map_image.tiff" for name in ("tissue_qc", "tissue_segmentation")),
        *(f"cell_classification/{file}" for file in layer[1:]),
        *(f"readout_generation/{name}_readouts.csv" for name in ("cell", "slide")),
    }
    readouts = out / "readout_generation"
    for name in ("cell", "slide"):
        first, header = (readouts / f"{name}_readouts.csv").read_text().splitlines()[:2]
        assert first == "# For Research Use Only"
    assert header.split(",") == readout_columns()
    values = {row["name"]: row["value"] for row in kept.metrics.to_pylist()}
    (found,) = read_slide_readouts(readouts / "slide_readouts.csv").values()
    assert len(found) == 4544
    assert {row["name"]: row["value"] for row in found.to_pylist()}.items() <= values.items()
    cells = read_foreign_cells(readouts / "cell_readouts.csv", {}, mpp=1.0)
    np.testing.assert_allclose(cells["x"].to_numpy(), kept.cells["x"].to_numpy(), atol=0.006)
    assert cells["class"].to_pylist() == kept.cells["class"].to_pylist()
    tissue = read_tissue(out / "tissue_segmentation" / "segmentation_map_image.tiff", {}, mpp=2.0)
    np.testing.assert_array_equal(tissue[0].array, kept.tissue.map.array)


def test_readouts_that_are_none_are_one_line(tmp_path):
    file = tmp_path / "slide_readouts.csv"
    file.write_text("# For Research Use Only\nSLIDE_NAME,COLOR\na,red\n")
    with pytest.raises(Exception, match="none of its columns is a metric"):
        read_slide_readouts(file)
    file.write_text("SLIDE_NAME,ABSOLUTE_AREA,CELL_N_TOTAL\na,many,3\n")
    with pytest.raises(Exception, match="ABSOLUTE_AREA is 'many', no number"):
        read_slide_readouts(file)
    file.write_text("SLIDE_NAME,ABSOLUTE_AREA,CELL_N_TOTAL\na,N/A,3\nb,1.5,4\n")
    found = read_slide_readouts(file)
    assert found["a"]["value"].to_pylist() == [None, 3.0]
    assert found["a"]["reason"].to_pylist() == ["no value in the readout", None]
    assert found["b"]["value"].to_pylist() == [1.5, 4.0]


def test_ome_zarr_says_axes_units_and_levels(kept, tmp_path):
    """Field by field what OME-NGFF 0.5 asks for; the libraries themselves read it in test_scverse.py."""
    group = zarr.open_group(export_profile(kept, "ome-zarr", tmp_path / "t.ome.zarr"), mode="r")
    ome = group.attrs["ome"]
    (image,) = ome["multiscales"]
    assert ome["version"] == "0.5"
    assert [axis["name"] for axis in image["axes"]] == ["c", "y", "x"]
    assert image["axes"][1:] == [{"name": n, "type": "space", "unit": "micrometer"} for n in "yx"]
    full = group[image["datasets"][0]["path"]]
    np.testing.assert_array_equal(full[:], np.asarray(kept.tissue.probabilities.array[:]))
    assert full.metadata.dimension_names == ("c", "y", "x")
    assert image["datasets"][0]["coordinateTransformations"][0] == {"type": "scale", "scale": [1.0, 2.0, 2.0]}
    assert ome["omero"]["channels"][0]["label"] == "Carcinoma"
    assert group.attrs["histome"]["px_to_um"] == [[0.25, 0, 0], [0, 0.5, 0], [0, 0, 1]]


def test_halved_levels_are_means_that_lie_where_their_pixels_lay():
    from histome.exports.ome_zarr import _levels, _transforms

    array = np.random.default_rng(3).integers(0, 256, (2, 700, 1301), dtype=np.uint8)
    levels = _levels(array)
    assert [level.shape for level in levels] == [(2, 700, 1301), (2, 350, 650), (2, 175, 325)]
    assert levels[1][1, 5, 7] == round(array[1, 10:12, 14:16].astype(int).sum() / 4 + 1e-9)
    scale, shift = _transforms(2.0, 2)
    # The center of the first pixel of 8 um lies at 4 um, that of 2 um at 1 um, which is where 0 is.
    assert (scale["scale"][1], shift["translation"][1]) == (8.0, 3.0)


def test_class_maps_are_not_black_elsewhere(kept):
    """A viewer that knows palettes shows our colors, one that does not finds the codes and their names."""
    path = kept.path / "tissue" / "tissue.ome.tif"
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        assert page.photometric == tifffile.PHOTOMETRIC.PALETTE
        for code, name in enumerate(TISSUE_CLASSES, start=1):
            assert tuple(page.colormap[:, code] // 257) == rgb(TISSUE_COLORS[name])
        assert tuple(page.colormap[:, 0] // 257) == (255, 255, 255)
        assert "1 CARCINOMA, 2 EPITHELIAL_TISSUE" in tiff.ome_metadata
        np.testing.assert_array_equal(page.asarray(), kept.tissue.map.array)
    assert ClassMap.load(path).classes == TISSUE_CLASSES


def test_csv_holds_every_table_with_units(kept, tmp_path):
    out = export_profile(kept, "csv", tmp_path / "csv")
    cells = pa_csv.read_csv(out / "cells.csv")
    np.testing.assert_allclose(cells["x_um"].to_numpy(), kept.cells["x_um"].to_numpy())
    assert cells["class"].to_pylist() == kept.cells["class"].to_pylist()
    about = pa_csv.read_csv(out / "columns.csv").to_pylist()
    assert {
        "table": "cells",
        "column": "area_um2",
        "unit": "um2",
        "description": "area of the outline",
    } in about
    assert json.loads((out / "place.json").read_text())["mpp"] == list(MPP)


def test_graph_of_a_lattice_has_its_neighbors(kept):
    cells = kept.cells
    near = cell_graph(cells, "radius", longest_um=27.0)
    # 12 x 9 nuclei 25 um apart: 11 x 9 + 12 x 8 pairs.
    assert len(near.edges) == 11 * 9 + 12 * 8
    assert (np.abs(near.length_um - 25) < 1).all()
    delaunay = cell_graph(cells)
    assert {tuple(e) for e in near.edges.tolist()} <= {tuple(e) for e in delaunay.edges.tolist()}
    assert delaunay.length_um.max() <= 50


@pytest.mark.parametrize("n", [0, 1, 2, 3])
@pytest.mark.parametrize("kind", ["delaunay", "radius"])
def test_few_cells_have_a_graph_too(n, kind):
    """On one line, 25 um apart: each has the next."""
    cells = cell_table(25.0 * np.arange(n), np.zeros(n), 0, cell_id=np.arange(1, n + 1))
    assert cell_graph(cells, kind, longest_um=30.0).edges.tolist() == [[k, k + 1] for k in range(n - 1)]


def test_graph_files_are_what_other_programs_read(kept, tmp_path):
    networkx = pytest.importorskip("networkx")
    out = export_profile(kept, "graph", tmp_path / "graph")
    read = networkx.read_graphml(out / "cells.graphml", node_type=int)
    own = cell_graph(kept.cells)
    assert {tuple(sorted(edge)) for edge in read.edges} == {tuple(own.cell_id[e]) for e in own.edges.tolist()}
    assert read.nodes[1]["class"] == kept.cells["class"][0].as_py()
    with np.load(out / "cells.npz", allow_pickle=False) as arrays:
        assert arrays["edge_index"].shape == (2, 2 * len(own.edges))
        assert set(map(tuple, arrays["edge_index"].T)) == {
            *map(tuple, own.edges),
            *map(tuple, own.edges[:, ::-1]),
        }
        assert arrays["x"].shape == (108, len(arrays["feature_names"]))
        np.testing.assert_array_equal(arrays["edge_type"], arrays["y"][arrays["edge_index"][1]])


def test_the_thirty_numbers_have_n_interval_and_definition(kept, tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    assert len(set(CORE_NUMBERS)) == 30
    book = openpyxl.load_workbook(export_profile(kept, "xlsx", tmp_path / "core.xlsx"))
    assert book.sheetnames == ["Numbers", "Doubts", "Slide"]
    head, *rows = list(book["Numbers"].values)
    found = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    values = {row["name"]: row for row in kept.metrics.to_pylist()}
    assert set(found) == set(CORE_NUMBERS) & set(values)
    area = found["ABSOLUTE_AREA"]
    assert area["Unit"] == "mm2"
    assert area["Value"] == pytest.approx(values["ABSOLUTE_AREA"]["value"] / 1e6)
    assert area["n"] == values["ABSOLUTE_AREA"]["n"]
    assert "tissue" in area["Definition"]
    assert found["CELL_DENSITY_LYMPHOCYTE_STROMA"]["Unit"] == "cells/mm2"


def test_the_workbook_withholds_what_the_report_withholds(kept, tmp_path, monkeypatch):
    openpyxl = pytest.importorskip("openpyxl")
    few = {
        "IMMUNE_INFLAMED_SHARE": (5 / 6, 6),
        "CELL_DENSITY_LYMPHOCYTE_CARCINOMA": (0.0, 0),
        "ABSOLUTE_AREA_CARCINOMA": (180_000.0, 9),
        "CELL_N_TOTAL": (3.0, 3),
    }
    monkeypatch.setitem(kept.__dict__, "metrics", table_of(few))
    book = openpyxl.load_workbook(export_profile(kept, "xlsx", tmp_path / "core.xlsx"))
    head, *rows = list(book["Numbers"].values)
    found = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    report = EnoughTable(kept.metrics)
    assert found["IMMUNE_INFLAMED_SHARE"]["No value because"] == "needs 10 tiles, has 6"
    for name in ("IMMUNE_INFLAMED_SHARE", "CELL_DENSITY_LYMPHOCYTE_CARCINOMA", "CELL_N_TOTAL"):
        row = found[name]
        assert (row["No value because"] or "") == report.formatted(name).reason
        assert (row["Value"] is None) == (report.formatted(name).raw is None)
        assert row["Value as in metrics.parquet"] == few[name][0]
    assert found["CELL_N_TOTAL"]["Value"] == 3


@pytest.mark.parametrize(("to", "name"), [("xlsx", "x.csv"), ("qupath", "cells.xlsx"), ("anndata", "cells")])
def test_a_file_of_another_ending_is_refused(kept, tmp_path, to, name):
    with pytest.raises(UsageError, match=rf"{name}: name a file that ends in \."):
        export_profile(kept, to, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("unit", ["px", "um"])
def test_geopandas_joins_cells_with_tissue(kept, unit):
    geopandas = pytest.importorskip("geopandas")
    cells, tissue = (kept.to_geopandas(name, unit=unit) for name in ("cells", "tissue"))
    cells["geometry"] = cells.geometry.centroid
    joined = geopandas.sjoin(cells, tissue, predicate="within", lsuffix="cell", rsuffix="region")
    assert len(joined) == len(cells)
    assert (joined["class_region"] == joined["tissue"]).mean() > 0.99
    assert cells.attrs["histome"]["unit"] == unit


def test_geoparquet_is_read_by_geopandas_with_a_box(kept, tmp_path):
    geopandas = pytest.importorskip("geopandas")
    out = export_profile(kept, "geoparquet", tmp_path / "geoparquet")
    cells = geopandas.read_parquet(out / "cells.parquet", bbox=(0, 0, 640, 480))
    assert 40 < len(cells) < 70
    assert (cells.geometry.bounds["minx"] <= 640).all()


def test_frames_of_pandas_and_polars_hold_the_tables(kept):
    pytest.importorskip("pandas")
    pytest.importorskip("polars")
    assert kept.to_pandas()["class"].tolist() == kept.cells["class"].to_pylist()
    assert kept.to_polars("metrics")["name"].to_list() == kept.metrics["name"].to_pylist()
    with pytest.raises(UsageError, match="no table 'cell'; choose from cells, tissue, quality, metrics"):
        kept.to_pandas("cell")


def test_a_plot_shows_maps_and_cells(kept):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    axes = kept.plot(("quality", "zones", "tissue", "cells"))
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert {"Carcinoma", "Stroma", "Vessel", "Marker"} <= set(labels)
    assert any(label.startswith("Lymphocyte (") for label in labels)
    assert axes.get_xlim() == pytest.approx((0, 0.32))
    assert axes.get_ylim() == pytest.approx((0.24, 0))
    matplotlib.pyplot.close(axes.figure)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_do_no_harm(kept, tmp_path, name, monkeypatch):
    """A run.json may say anything of its slide: no file leaves the folder, no sheet runs it."""
    slide = kept.run["slide"] | {"id": name, "file": name}
    monkeypatch.setitem(kept.__dict__, "run", kept.run | {"slide": slide})
    before = set(tmp_path.parent.iterdir())
    names = {to: f"{to}.out" for to in LIGHT} | {"qupath": "qupath.geojson", "xlsx": "core.xlsx"}
    for to, file in names.items():
        out = export_profile(kept, to, tmp_path / file)
        assert out.parent == tmp_path
    assert set(tmp_path.parent.iterdir()) == before
    assert {path.name for path in tmp_path.iterdir()} == set(names.values())
    assert json.loads((tmp_path / "qupath.geojson").read_bytes())["histome"]["slide"] == name
    readouts = tmp_path / "atlas.out" / "readout_generation" / "slide_readouts.csv"
    with readouts.open(newline="") as file:
        row = next(csv.DictReader(line for line in file if not line.startswith("#")))
    assert not row["SLIDE_NAME"].startswith(("=", "+", "-", "@"))
    assert "\x1b" not in readouts.read_text()
    openpyxl = pytest.importorskip("openpyxl")
    cells = [
        cell
        for row in openpyxl.load_workbook(BytesIO((tmp_path / "core.xlsx").read_bytes()))["Slide"]
        for cell in row
    ]
    assert all(cell.data_type in ("s", "n") for cell in cells)


def test_the_command_writes_and_says_where(kept, capsys, tmp_path):
    code, out, _ = Cli(capsys)("export", kept.path, "--to", "csv")
    assert (code, out.strip()) == (0, str(kept.path / "exports" / "csv"))
    assert (kept.path / "exports" / "csv" / "cells.csv").is_file()
    assert Cli(capsys)("export", kept.path, "--to", "csv")[0] == 0  # its own is replaced
    Cli(capsys).fails("export", kept.path, "--to", "cvs", code=2, word="choose from qupath, atlas")
    (tmp_path / "there").mkdir()
    Cli(capsys).fails("export", kept.path, "--to", "csv", "-o", tmp_path / "there", code=1, word="a folder")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_an_export_that_fails_leaves_nothing(kept, tmp_path, monkeypatch):
    def half(profile, path):
        path.write_text("half")
        raise OutputError("no more")

    monkeypatch.setattr("histome.exports.workbook.write_workbook", half)
    with pytest.raises(OutputError):
        export_profile(kept, "xlsx", tmp_path / "core.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_files_is_not_written_over_a_file(kept, tmp_path):
    (tmp_path / "he.png").write_bytes(b"mine")
    for out in (tmp_path / "he.png", tmp_path / "he.png" / "csv"):
        with pytest.raises(OutputError, match=r"he\.png is a file; name a folder$"):
            export_profile(kept.path, "csv", out)
    assert (tmp_path / "he.png").read_bytes() == b"mine"
    assert [path.name for path in tmp_path.iterdir()] == ["he.png"]


def test_damaged_cells_are_not_exported(tmp_path):
    profile = keep_profile(tmp_path / "drawn")
    with (profile.path / "cells" / "cells.parquet").open("ab") as file:
        file.write(b"more")
    with pytest.raises(OutputError, match="not what was written"):
        export_profile(profile, "qupath", tmp_path / "x.geojson")


def test_a_missing_library_is_one_line_that_says_what_to_install(kept, monkeypatch, tmp_path):
    import sys

    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(UsageError, match=r"pip install 'histome\[exports\]'"):
        export_profile(kept, "xlsx", tmp_path / "core.xlsx")


def test_every_format_has_a_writer():
    assert all(callable(each.write) for each in EXPORTS.values())


def test_the_place_is_that_of_run_json(kept):
    place = place_of(kept)
    x, y = (np.array(place.px_to_um) @ [100, 100, 1])[:2]
    assert (x, y) == (25.0, 50.0)
    outlines = shapely.from_wkb(kept.cells["geometry"].to_numpy())
    in_um = shapely.centroid(shapely.transform(outlines, lambda xy: xy * [x / 100, y / 100]))
    np.testing.assert_allclose(shapely.get_x(in_um), kept.cells["x_um"].to_numpy(), atol=0.1)


def test_classes_are_the_same_everywhere(kept):
    assert set(kept.cells["class"].to_pylist()) == set(CELL_CLASSES)
