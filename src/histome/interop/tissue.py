"""Tissue and polygons that came from elsewhere: GeoJSON, GeoParquet, label images."""

import gzip
import json
import struct
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
import tifffile
from numpy.typing import NDArray

from histome.classes import CELL_CLASSES, TISSUE_CLASSES
from histome.errors import HistomeError, UsageError
from histome.geometry.raster import paint_polygons
from histome.geometry.shapes import Shapes
from histome.slide.maps import ClassMap

MAP_MPP = 2.0
# 2 um/px: 126 x 126 mm. Larger claims are damage or an attack.
_MAX_MAP_PX = 4_000_000_000
_MAX_JSON_BYTES = 8 * 2**30
_LABEL_KEYS = ("class", "class_name", "label", "type", "cell_type", "classification", "name")
TIFF_ENDINGS = (".tif", ".tiff")


@dataclass(frozen=True)
class Labels:
    """Which of our classes each foreign label is; our own names stand for themselves."""

    cells: Mapping[str, str] = field(default_factory=dict)
    tissue: Mapping[str, str] = field(default_factory=dict)


def read_labels(path: Path | str) -> Labels:
    """Read a map.toml: tables [cells] and [tissue] of `their label = "our class"`.

    Raises UsageError when it cannot be read, has another table, or names a class that is not ours.
    """
    path = Path(path)
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot read the class map ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid TOML ({error})") from error
    ours = {"cells": CELL_CLASSES, "tissue": TISSUE_CLASSES}
    for name, table in tables.items():
        if name not in ours or not isinstance(table, dict):
            raise UsageError(f"{path}: [{name}] is not one of the tables [cells] and [tissue]")
        wrong = sorted({str(value) for value in table.values() if value not in ours[name]})
        if wrong:
            raise UsageError(
                f"{path}: [{name}] has unknown classes {', '.join(wrong)}; ours are {', '.join(ours[name])}"
            )
    return Labels(**tables)


def map_labels(
    found: Sequence[Any] | NDArray[Any], mapping: Mapping[str, str], ours: tuple[str, ...], path: Path
) -> NDArray[np.int64]:
    """Return the index in `ours` of each foreign label (n,); HistomeError lists all unmapped ones."""
    names, inverse = np.unique(np.asarray(found).astype(str), return_inverse=True)
    known = {name: name for name in ours} | dict(mapping)
    unmapped = [name for name in names.tolist() if name not in known]
    if unmapped:
        table = "cells" if ours is CELL_CLASSES else "tissue"
        raise HistomeError(
            f"{path}: no class for {', '.join(unmapped)}; add them to [{table}] of the class map."
        )
    index = np.array([ours.index(known[name]) for name in names.tolist()], np.int64)
    return index[inverse] if len(index) else np.empty(0, np.int64)


def read_tissue(
    path: Path | str, mapping: Mapping[str, str], *, mpp: float, map_mpp: float = MAP_MPP
) -> ClassMap:
    """Read tissue as polygons (GeoJSON, GeoParquet, px of `mpp` um) or a label image (TIFF) as a class map.

    Polygons are painted at `map_mpp` by pixel centers, in the order of the file. A label image keeps its own
    pixels; its resolution is what its OME metadata says, else `mpp`; 0 is "not analyzed" unless it is mapped.
    Raises HistomeError for a file that cannot be read, unmapped labels (all listed) and absurd extents.
    """
    path = Path(path)
    if path.suffix.lower() in TIFF_ENDINGS:
        return _read_label_image(path, mapping, mpp)
    shapes = read_shapes(path)
    codes = (map_labels(shapes.label, mapping, TISSUE_CLASSES, path) + 1).astype(np.uint8)
    width, height = np.maximum(shapely.total_bounds(shapes.geometry)[2:], 0) * mpp / map_mpp
    if not np.isfinite(width + height) or width * height > _MAX_MAP_PX:
        raise HistomeError(
            f"{path}: the polygons reach to {width * map_mpp:.3g} x {height * map_mpp:.3g} um."
        )
    array = np.zeros((int(np.ceil(height)), int(np.ceil(width))), np.uint8)
    paint_polygons(array, shapes.geometry, codes, unit_px=mpp / map_mpp)
    return ClassMap(array, map_mpp, TISSUE_CLASSES)


def read_shapes(path: Path | str) -> Shapes:
    """Read labeled geometries from GeoJSON (QuPath's too, .gz too) or GeoParquet.

    Raises HistomeError for a file that cannot be read, without labels, or with a geometry that is empty or
    not finite (the first is named).
    """
    path = Path(path)
    if path.suffix.lower() != ".parquet":
        return shapes_of_features(load_json(path), path)
    table = read_parquet(path)
    if "geometry" not in table.column_names:
        raise HistomeError(f"{path}: no column is called geometry.")
    return _checked(Shapes(_parse_wkb(table["geometry"], path), label_column(table, path)), path)


def shapes_of_features(data: Any, path: Path) -> Shapes:
    """Return the geometries of GeoJSON data, the nucleus where QuPath gives one; raises as `read_shapes`."""
    features = _features(data, path)
    texts = [json.dumps(feature.get("nucleusGeometry") or feature.get("geometry")) for feature in features]
    try:
        geometry = shapely.from_geojson(texts)
    except (shapely.errors.GEOSException, TypeError) as error:
        raise HistomeError(f"{path}: a geometry is not valid GeoJSON ({error}).") from error
    labels = [_label_of(feature.get("properties")) for feature in features]
    return _checked(Shapes(np.asarray(geometry, object), np.array(labels, object)), path)


def _checked(shapes: Shapes, path: Path) -> Shapes:
    """Return the shapes, unless one is empty or not finite."""
    bounds = shapely.bounds(shapes.geometry)
    bad = np.flatnonzero(~np.isfinite(bounds).all(axis=1)) if len(bounds) else []
    if len(bad):
        raise HistomeError(
            f"{path}: the geometry of row {bad[0] + 1} is empty or not finite ({len(bad)} such rows)."
        )
    return shapes


def load_json(path: Path) -> Any:
    """Load a JSON file, gzipped or not; raises HistomeError when it cannot be read, is huge, or too deep."""
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise HistomeError(f"{path} is larger than {_MAX_JSON_BYTES >> 30} GiB: convert it to Parquet.")
        with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as file:
            data = file.read(_MAX_JSON_BYTES + 1)
        if len(data) > _MAX_JSON_BYTES:
            raise HistomeError(f"{path} unpacks to more than {_MAX_JSON_BYTES >> 30} GiB.")
        return json.loads(data)
    except (OSError, EOFError) as error:
        raise HistomeError(f"{path}: cannot be read ({error}).") from error
    except (ValueError, RecursionError) as error:
        raise HistomeError(f"{path}: not valid JSON ({error}).") from error


def read_parquet(path: Path) -> pa.Table:
    """Read a Parquet file; raises HistomeError when it cannot be read."""
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise HistomeError(f"{path}: not a Parquet file that can be read ({error}).") from error


def label_column(table: pa.Table, path: Path) -> NDArray[np.object_]:
    """Return the labels of a table as strings; raises HistomeError when no column is called like one."""
    lower = {name.lower(): name for name in table.column_names}
    for key in _LABEL_KEYS:
        if key in lower:
            column = table[lower[key]].combine_chunks().cast(pa.string()).fill_null("(none)")
            return column.to_numpy(zero_copy_only=False)
    raise HistomeError(f"{path}: no column is called {', '.join(_LABEL_KEYS)}.")


def _parse_wkb(column: pa.ChunkedArray, path: Path) -> NDArray[np.object_]:
    """Return WKB as shapely geometries; raises HistomeError when it is none."""
    try:
        return shapely.from_wkb(column.to_numpy())
    except (shapely.errors.GEOSException, TypeError) as error:
        raise HistomeError(f"{path}: its geometry column is not WKB ({error}).") from error


def _features(data: Any, path: Path) -> list[dict[str, Any]]:
    """Return the features of a collection, of QuPath's bare list, or the only one."""
    if isinstance(data, dict):
        data = data.get("features", [data])
    if not isinstance(data, list) or not all(isinstance(item, dict) and "geometry" in item for item in data):
        raise HistomeError(f"{path}: not GeoJSON features.")
    return data


def _label_of(properties: Any) -> str:
    """Return the class of a feature: QuPath's classification, or the first property called like one."""
    if not isinstance(properties, dict):
        return "(none)"
    for key in ("classification", *_LABEL_KEYS):
        value = properties.get(key)
        if isinstance(value, dict):
            value = value.get("name") or ": ".join(map(str, value.get("names", []))) or None
        if value is not None:
            return str(value)
    return "(none)"


def _read_label_image(path: Path, mapping: Mapping[str, str], mpp: float) -> ClassMap:
    """Read a label image; our own class maps bring their names and resolution."""
    try:
        with tifffile.TiffFile(path) as tiff:
            own = "histome.classes" in (tiff.ome_metadata or "")
            page = tiff.pages.first
            if page.imagewidth * page.imagelength > _MAX_MAP_PX:
                raise HistomeError(f"{path} claims {page.imagewidth} x {page.imagelength} px.")
            labels = None if own else page.asarray()
            stated = _stated_mpp(tiff.ome_metadata)
    # struct.error: a header cut short; RuntimeError: what the decoders of imagecodecs raise.
    except (OSError, ValueError, LookupError, RuntimeError, struct.error, tifffile.TiffFileError) as error:
        raise HistomeError(f"{path}: not a TIFF that can be read ({error}).") from error
    if labels is None:
        loaded = ClassMap.load(path)
        table = _lookup(range(1, len(loaded.classes) + 1), loaded.classes, mapping, path)
        return ClassMap(table[loaded.array], loaded.mpp, TISSUE_CLASSES)
    if labels.ndim != 2 or labels.dtype.kind not in "ui" or labels.max(initial=0) > 65_535:
        raise HistomeError(f"{path}: a label image has one channel of whole numbers, 0 to 65,535.")
    present = np.flatnonzero(np.bincount(labels.ravel()))
    kept = [int(value) for value in present if value or "0" in mapping]
    return ClassMap(_lookup(kept, map(str, kept), mapping, path)[labels], stated or mpp, TISSUE_CLASSES)


def _lookup(
    values: Iterable[int], names: Iterable[str], mapping: Mapping[str, str], path: Path
) -> NDArray[np.uint8]:
    """Return the table from a pixel's value to our code."""
    table = np.zeros(65_536, np.uint8)
    table[list(values)] = map_labels(list(names), mapping, TISSUE_CLASSES, path) + 1
    return table


def _stated_mpp(ome: str | None) -> float | None:
    """Return the pixel size that OME metadata states, um; None when it states none."""
    if not ome:
        return None
    image = tifffile.xml2dict(ome)["OME"]["Image"]
    pixels = (image[0] if isinstance(image, list) else image)["Pixels"]
    unit = {"µm": 1.0, "nm": 1e-3, "mm": 1e3}.get(pixels.get("PhysicalSizeXUnit", "µm"))
    size = pixels.get("PhysicalSizeX")
    return float(size) * unit if size and unit else None
