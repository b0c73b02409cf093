"""XML files of annotations: Aperio ImageScope's (HALO writes the same) and ASAP's.

Aperio draws in px of level 0, one layer an `Annotation` with a `Region` for each shape; the class is the
layer's name, or its attribute where it has none but "Layer 2". ASAP has one `Annotation` a shape, whose
group is the class.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np
import shapely
from numpy.typing import NDArray

from histome.errors import HistomeError
from histome.interop.given.annotation import Annotation, AnnotationFile, box_of, ellipse_of, polygon_of

_MAX_BYTES = 2**30
# Aperio numbers its types, HALO names them; all others (arrows, rulers, pins) enclose nothing.
_POLYGONS, _RECTANGLES, _ELLIPSES = {"0", "polygon"}, {"1", "rectangle"}, {"2", "ellipse"}
_UNNAMED = re.compile(r"Layer \d+")
_ASAP_POLYGONS, _NO_GROUP = {"Polygon", "Spline", "Rectangle"}, {"", "None"}


def read_xml(path: Path) -> AnnotationFile:
    """Read Aperio's or ASAP's annotations; raises HistomeError for any other file."""
    root = _root(path)
    try:
        if root.tag == "ASAP_Annotations":
            return AnnotationFile(list(_asap(root)))
        if root.tag == "Annotations":
            stated = float(root.get("MicronsPerPixel") or 0)
            return AnnotationFile(list(_aperio(root)), stated if stated > 0 else None)
    except (TypeError, ValueError) as error:
        raise HistomeError(f"{path}: a number of an annotation cannot be read ({error}).") from error
    raise HistomeError(f"{path}: <{root.tag}> is neither Aperio's XML (<Annotations>) nor ASAP's.")


def _root(path: Path) -> Element:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise HistomeError(f"{path} is larger than {_MAX_BYTES >> 30} GiB.")
        data = path.read_bytes()
        if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
            raise HistomeError(f"{path}: has a document type; annotation programs write none.")
        return ElementTree.fromstring(data)
    except OSError as error:
        raise HistomeError(f"{path}: cannot be read ({error.strerror}).") from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise HistomeError(f"{path}: not valid XML ({error}).") from error


def _aperio(root: Element) -> Iterator[Annotation]:
    for layer in root.iter("Annotation"):
        kind = _layer_class(layer)
        for region in layer.iter("Region"):
            corners = _corners(
                vertex for tag in ("Vertex", "V") for vertex in region.findall(f"Vertices/{tag}")
            )
            shape = _aperio_shape(region.get("Type", "0").lower(), corners)
            negative = region.get("NegativeROA") == "1"
            yield Annotation(region.get("Text", ""), kind, shape, negative)


def _layer_class(layer: Element) -> str:
    """Return the name of a layer, or of its first attribute where ImageScope named it itself."""
    name = layer.get("Name", "")
    if name and not _UNNAMED.fullmatch(name):
        return name
    attributes = ((it.get("Value") or it.get("Name", "")) for it in layer.findall("Attributes/Attribute"))
    return next((it for it in attributes if it and it != "Description"), name)


def _aperio_shape(type_: str, corners: NDArray[np.float64]) -> shapely.Geometry:
    if type_ in _ELLIPSES and len(corners) >= 2:
        return ellipse_of(corners)
    if type_ in _RECTANGLES and len(corners) == 2:
        return box_of(corners)
    return polygon_of(corners) if type_ in _POLYGONS | _RECTANGLES else shapely.Polygon()


def _asap(root: Element) -> Iterator[Annotation]:
    for shape in root.iter("Annotation"):
        group = shape.get("PartOfGroup", "")
        placed = sorted(shape.iter("Coordinate"), key=lambda at: int(float(at.get("Order", "0"))))
        drawn = polygon_of(_corners(placed)) if shape.get("Type") in _ASAP_POLYGONS else shapely.Polygon()
        yield Annotation(shape.get("Name", ""), "" if group in _NO_GROUP else group, drawn)


def _corners(vertices: Iterator[Element] | list[Element]) -> NDArray[np.float64]:
    places = [(float(at.get("X", "nan")), float(at.get("Y", "nan"))) for at in vertices]
    corners = np.array(places, np.float64).reshape(-1, 2)
    if not np.isfinite(corners).all():
        raise ValueError("a corner has no X or Y")
    return corners
