"""QuPath's GeoJSON, and any other: labeled polygons or points, in px.

Reading; what writes it for QuPath belongs here too.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from histome.errors import HistomeError
from histome.geometry.shapes import Shapes
from histome.interop.foreign_cells import ForeignCells, cells_of_shapes, check_ids
from histome.interop.foreign_shapes import check_shapes
from histome.interop.json_files import load_json
from histome.interop.labels import LABEL_KEYS, NO_LABEL


def qupath_cells(data: Any, path: Path, mpp: float) -> ForeignCells:
    """Return the cells of GeoJSON data: QuPath's detections, the nucleus where one has a cell round it."""
    ids = [feature.get("id") for feature in features_of(data, path)]
    check_ids(ids, "id", path)
    return cells_of_shapes(shapes_of(data, path), {}, path)._replace(ids=np.array(ids, object))


def shapes_of(data: Any, path: Path) -> Shapes:
    """Return the geometries of GeoJSON data, the nucleus where QuPath gives one; raises as `read_shapes`."""
    features = features_of(data, path)
    given = [feature.get("nucleusGeometry") or feature.get("geometry") for feature in features]
    try:
        geometry = shapely.from_geojson([None if shape is None else json.dumps(shape) for shape in given])
    except (shapely.errors.GEOSException, TypeError) as error:
        raise HistomeError(f"{path}: a geometry is not valid GeoJSON ({error}).") from error
    labels = [label_of(feature.get("properties")) for feature in features]
    return check_shapes(Shapes(np.asarray(geometry, object), np.array(labels, object)), path)


def read_annotations(path: Path) -> list[tuple[str, str, tuple[float, float]]]:
    """Return the name, the classification ("" where there is none) and the center (px) of each annotation.

    Raises HistomeError for a file that is no GeoJSON and for shapes that are none.
    """
    data = load_json(path)
    shapes = shapes_of(data, path)
    named = [feature.get("properties") or {} for feature in features_of(data, path)]
    # LABEL_KEYS hold `name`: here that is what the annotation is called.
    said = ["" if not known.get("classification") else label_of(known) for known in named]
    centers = shapely.get_coordinates(shapely.centroid(shapes.geometry)).tolist()
    return [
        (str(known.get("name", "")), "" if label == NO_LABEL else label, (x, y))
        for known, label, (x, y) in zip(named, said, centers, strict=True)
    ]


def features_of(data: Any, path: Path) -> list[dict[str, Any]]:
    """Return the features of a collection, of QuPath's bare list, or the only one."""
    if isinstance(data, dict):
        data = data.get("features", [data])
    if not isinstance(data, list) or not all(isinstance(item, dict) and "geometry" in item for item in data):
        raise HistomeError(f"{path}: not GeoJSON features.")
    return data


def label_of(properties: Any) -> str:
    """Return the class of a feature: QuPath's classification, or the first property called like one."""
    if not isinstance(properties, dict):
        return NO_LABEL
    for key in ("classification", *LABEL_KEYS):
        value = properties.get(key)
        if isinstance(value, dict):
            value = value.get("name") or ": ".join(map(str, value.get("names", []))) or None
        if value is not None and value != "":
            return str(value)
    return NO_LABEL
