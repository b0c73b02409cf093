"""The formats of other programs: what reads cells and what reads tissue, and how a file tells which it is.

A new format is a module of this folder and a line of `FILES` or `JSON_CELLS`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import shapely

from histome.classes import TISSUE_CLASSES
from histome.errors import HistomeError
from histome.geometry.raster import paint_polygons
from histome.geometry.shapes import Shapes
from histome.interop import cellvit, delimited, geoparquet, hovernet, label_image, qupath
from histome.interop.foreign_cells import ForeignCells, cells_table
from histome.interop.json_files import load_json
from histome.interop.label_image import MAX_MAP_PX
from histome.interop.labels import map_labels
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
    ".parquet": FileFormat(cells=geoparquet.read_cells, shapes=geoparquet.read_shapes),
    ".csv": FileFormat(cells=delimited.read_cells),
    **dict.fromkeys((".tif", ".tiff"), FileFormat(tissue=label_image.read_tissue)),
}
# The first that holds is taken; JSON that is none of these is GeoJSON.
JSON_CELLS = (
    JsonCells(cellvit.is_cellvit, cellvit.cells_of),
    JsonCells(hovernet.is_hovernet, hovernet.cells_of),
)
_JSON = FileFormat()


def read_foreign_cells(path: Path | str, mapping: Mapping[str, str], *, mpp: float) -> pa.Table:
    """Read cells, with the shape of their nuclei where the file has outlines.

    Outlines that cross themselves are repaired (the largest part is measured).

    Parameters
    ----------
    path : Path or str
        .parquet (GeoParquet or a table with x and y), .csv, or JSON (.geojson, .json, .gz): QuPath's
        detections, CellViT's cells, HoVer-Net's nuc.
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
        A file that cannot be read, unmapped labels (all listed), positions that are not finite (the first row
        named), a file that says it has another resolution.
    """
    path = Path(path)
    read = FILES.get(path.suffix.lower(), _JSON).cells or _read_json_cells
    return cells_table(read(path, mpp), mapping, path, mpp)


def _read_json_cells(path: Path, mpp: float) -> ForeignCells:
    data = load_json(path)
    known = (kind.cells for kind in JSON_CELLS if kind.holds(data))
    return next(known, qupath.cells_of)(data, path, mpp)


def read_shapes(path: Path | str) -> Shapes:
    """Read labeled geometries from GeoJSON (QuPath's too, .gz too) or GeoParquet.

    Raises HistomeError for a file that cannot be read, without labels, or with a geometry that is empty or
    not finite (the first is named).
    """
    path = Path(path)
    read = FILES.get(path.suffix.lower(), _JSON).shapes
    return read(path) if read else qupath.shapes_of(load_json(path), path)


def read_tissue(
    path: Path | str, mapping: Mapping[str, str], *, mpp: float, map_mpp: float = MAP_MPP
) -> ClassMap:
    """Read tissue as polygons (GeoJSON, GeoParquet, px of `mpp` um) or a label image (TIFF) as a class map.

    Polygons are painted at `map_mpp` by pixel centers, in the order of the file. A label image keeps its own
    pixels; its resolution is what its OME metadata says, else `mpp`; 0 is "not analyzed" unless it is mapped.
    Raises HistomeError for a file that cannot be read, unmapped labels (all listed) and absurd extents.
    """
    path = Path(path)
    read = FILES.get(path.suffix.lower(), _JSON).tissue
    if read:
        return read(path, mapping, mpp)
    shapes = read_shapes(path)
    codes = (map_labels(shapes.label, mapping, TISSUE_CLASSES, path) + 1).astype(np.uint8)
    width, height = np.maximum(shapely.total_bounds(shapes.geometry)[2:], 0) * mpp / map_mpp
    if not np.isfinite(width + height) or width * height > MAX_MAP_PX:
        raise HistomeError(
            f"{path}: the polygons reach to {width * map_mpp:.3g} x {height * map_mpp:.3g} um."
        )
    array = np.zeros((int(np.ceil(height)), int(np.ceil(width))), np.uint8)
    paint_polygons(array, shapes.geometry, codes, unit_px=mpp / map_mpp)
    return ClassMap(array, map_mpp, TISSUE_CLASSES)


def check_same_frame(cells: pa.Table, tissue: ClassMap) -> None:
    """Refuse cells and tissue that were drawn at different resolutions; raises HistomeError.

    Refused: most cells lie off the tissue, and would lie on it were their coordinates 2, 4, 1/2 or 1/4 as
    large; or the cells fill exactly such a part of the tissue's extent.
    """
    x, y = cells["x_um"].to_numpy(), cells["y_um"].to_numpy()
    if len(x) < 20 or not tissue.array.any():
        return
    share = {
        factor: np.count_nonzero(tissue.at(x * factor, y * factor)) / len(x)
        for factor in (0.25, 0.5, 1, 2, 4)
    }
    best = max(share, key=lambda factor: share[factor])
    rows, columns = (np.flatnonzero(tissue.array.any(axis=axis))[-1] for axis in (1, 0))
    reach = np.array([(columns + 1) * tissue.mpp / x.max(), (rows + 1) * tissue.mpp / y.max()])
    filled = [factor for factor in (2, 4) if np.all(np.abs(reach / factor - 1) < 0.03)]
    if (share[1] < 0.5 and share[best] > 0.9) or (filled and share[filled[0]] >= share[1]):
        factor = filled[0] if filled else best
        raise HistomeError(
            f"cells and tissue are not at one resolution: {share[1]:.0%} of the cells lie on tissue, "
            f"{share[factor]:.0%} would if their coordinates were {factor:g} times as large."
        )
