"""The formats of other programs: what reads cells and what reads tissue, and how a file tells which it is.

A new format is a module of this folder and a line of `FILES` or `JSON_CELLS`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from histome.errors import HistomeError
from histome.geometry.shapes import Shapes
from histome.interop import cellvit, delimited, geoparquet, hovernet, label_image, qupath
from histome.interop.foreign_cells import ForeignCells, cells_table
from histome.interop.json_files import load_json
from histome.interop.tissue_polygons import ForeignTissue, paint_tissue
from histome.slide.maps import ClassMap

MAP_MPP = 2.0


class FileFormat(NamedTuple):
    """A format known by the ending of its files, and what reads cells, shapes or tissue from them.

    Attributes
    ----------
    cells : callable(path, mpp) or None
    shapes : callable(path) or None
    tissue : callable(path, mapping, mpp) or None
        For what is no polygon.
    """

    cells: Callable[[Path, float], ForeignCells] | None = None
    shapes: Callable[[Path], Shapes] | None = None
    tissue: Callable[[Path, Mapping[str, str], float], ClassMap] | None = None


class JsonCells(NamedTuple):
    """A format of cells in JSON, known by what its files hold, and what takes the cells from loaded JSON."""

    holds: Callable[[Any], bool]
    cells: Callable[[Any, Path, float], ForeignCells]


# By ending, lower case. Every other file is JSON.
FILES: Mapping[str, FileFormat] = {
    ".parquet": FileFormat(cells=geoparquet.read_geo_cells, shapes=geoparquet.read_geo_shapes),
    **dict.fromkeys((".csv", ".tsv", ".txt"), FileFormat(cells=delimited.read_delimited_cells)),
    **dict.fromkeys((".tif", ".tiff"), FileFormat(tissue=label_image.read_label_tissue)),
}
# The first that holds is taken; JSON that is none of these is GeoJSON.
JSON_CELLS = (
    JsonCells(cellvit.is_cellvit, cellvit.cellvit_cells),
    JsonCells(hovernet.is_hovernet, hovernet.hovernet_cells),
)
_JSON = FileFormat()


def read_foreign_cells(path: Path | str, mapping: Mapping[str, str], *, mpp: float) -> pa.Table:
    """Read cells, with the shape of their nuclei where the file has outlines.

    Outlines that cross themselves are repaired (the largest part is measured).

    Parameters
    ----------
    path : Path or str
        .parquet (GeoParquet or a table with x and y), .csv, .tsv or .txt (QuPath's measurements too), or
        JSON (.geojson, .json, .gz): QuPath's detections, CellViT's cells, HoVer-Net's nuc.
    mapping : mapping of str to str
        Their labels to CELL_CLASSES.
    mpp : float, um
        Per unit of the file's coordinates.

    Returns
    -------
    pa.Table
        Columns cell_id, x, y (px), x_um, y_um, class and what else is known.

    Raises
    ------
    HistomeError
        A file that cannot be read, unmapped labels (all listed), positions that are not finite or a meter
        away, one cell twice, values that a column cannot hold (the first row named), a file that says it has
        another resolution.
    """
    path = Path(path)
    return cells_table(read_cells_of(path, mpp), mapping, path, mpp)


def read_cells_of(path: Path, mpp: float) -> ForeignCells:
    """Read cells as they are in their file; raises HistomeError as `read_foreign_cells`, not for labels."""
    read = _format_of(path).cells or _read_json_cells
    return read(path, mpp)


def _read_json_cells(path: Path, mpp: float) -> ForeignCells:
    data = load_json(path)
    known = (kind.cells for kind in JSON_CELLS if kind.holds(data))
    return next(known, qupath.qupath_cells)(data, path, mpp)


def read_shapes(path: Path | str) -> Shapes:
    """Read labeled geometries from GeoJSON (QuPath's too, .gz too) or GeoParquet.

    Raises HistomeError for a file that cannot be read, without labels, or with a geometry that is empty or
    not finite (the first is named).
    """
    path = Path(path)
    read = _format_of(path).shapes
    return read(path) if read else qupath.shapes_of(load_json(path), path)


def read_tissue(
    path: Path | str, mapping: Mapping[str, str], *, mpp: float, map_mpp: float = MAP_MPP
) -> ForeignTissue:
    """Read tissue as polygons (GeoJSON, GeoParquet, px of `mpp` um) or a label image (TIFF) as a class map.

    Polygons are painted at `map_mpp` by pixel centers, the smallest on top whatever the order of the file. A
    label image keeps its own pixels; its resolution is what its OME metadata says, else `mpp`; 0 is "not
    analyzed" unless it is mapped. Raises HistomeError for a file that cannot be read, unmapped labels (all
    listed), no polygons, and absurd extents.
    """
    path = Path(path)
    read = _format_of(path).tissue
    if read:
        return ForeignTissue(read(path, mapping, mpp))
    return paint_tissue(read_shapes(path), mapping, path, mpp=mpp, map_mpp=map_mpp)


def _format_of(path: Path) -> FileFormat:
    """Return the format of a file's ending; raises HistomeError where there is no file."""
    if not path.is_file():
        raise HistomeError(f"{path}: there is no such file.")
    return FILES.get(path.suffix.lower(), _JSON)
