"""Nuclei of a file, to be classified and measured on the pixels: outlines, points or a label image."""

import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import shapely
import tifffile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from scipy.ndimage import find_objects

from histome.cells.decode.outlined import even_outlines
from histome.cells.given import GivenNuclei
from histome.errors import HistomeError
from histome.interop.foreign_cells import ForeignCells, check_positions
from histome.interop.formats import JSON_CELLS, read_cells_of
from histome.interop.json_files import load_json
from histome.interop.labels import NO_LABEL
from histome.interop.qupath import features_of, qupath_cells
from histome.slide import Slide

_IMAGES = (".tif", ".tiff", ".png")
_TABLES = (".parquet", ".csv", ".tsv", ".txt")
# QuPath's objects that were found, not drawn; beside them annotations are regions.
_FOUND = ("detection", "cell")
_MAX_LABELS_PX = 2_000_000_000
_CORNERS = 32


def read_nuclei(path: Path, slide: Slide) -> GivenNuclei:
    """Read the nuclei of a slide with the ids and classes that the file gives them.

    Outlines: QuPath's GeoJSON, CellViT's JSON and GeoJSON, HoVer-Net's JSON, GeoParquet. Points: GeoJSON,
    CSV, TSV, Parquet. A label image (TIFF, PNG) has 0 as background and a number for each nucleus, at the
    size of the slide or a whole fraction of it; of a number in several pieces the largest is taken.

    Raises HistomeError for a file that cannot be read or holds no nuclei, and for one nucleus twice.
    """
    if not path.is_file():
        raise HistomeError(f"{path}: there is no such file.")
    mpp = (slide.mpp.x, slide.mpp.y)
    if path.suffix.lower() in _IMAGES:
        labels = _labels(path)
        ids, outlines = _outlines_of(labels, _scale(path, labels.shape, slide), path)
        nameless = np.full(len(ids), None, object)
        return GivenNuclei.of_outlines(path.name, outlines, mpp=mpp, ids=ids, labels=nameless)
    found = read_cells_of(path, mpp[0]) if path.suffix.lower() in _TABLES else _of_json(path, mpp[0])
    if len(found.x) == 0:
        raise HistomeError(f"{path}: holds no nuclei.")
    check_positions(found, path, mpp[0])
    count = np.arange(1, len(found.x) + 1)
    ids = np.array([str(id_) for id_ in (count if found.ids is None else found.ids)], object)
    kinds = np.array([None if label == NO_LABEL else label for label in found.label], object)
    if found.outlines is not None:
        return GivenNuclei.of_outlines(path.name, found.outlines, mpp=mpp, ids=ids, labels=kinds)
    points = np.stack([found.x, found.y], axis=1)
    return GivenNuclei.of_points(path.name, points, mpp=mpp, ids=ids, labels=kinds)


def _of_json(path: Path, mpp: float) -> ForeignCells:
    data = load_json(path)
    for kind in JSON_CELLS:
        if kind.holds(data):
            return kind.cells(data, path, mpp)
    features = features_of(data, path)
    found = [each for each in features if _object_type(each) in _FOUND]
    features = [part for feature in found or features for part in _parts(feature)]
    return qupath_cells(features, path, mpp)


def _object_type(feature: dict[str, Any]) -> str | None:
    """Return what QuPath says a feature is; None where nothing is said."""
    properties = feature.get("properties")
    return properties.get("objectType") if isinstance(properties, dict) else None


def _parts(feature: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a nucleus a feature; CellViT writes one annotation a class that holds all of its nuclei."""
    geometry = feature.get("geometry") or {}
    kind = str(geometry.get("type", "")).removeprefix("Multi")
    if kind == geometry.get("type") or _object_type(feature) in _FOUND:
        return [feature]
    pieces = geometry.get("coordinates") or []
    return [
        {
            **feature,
            "id": f"{feature.get('id', '')}/{number}".lstrip("/"),
            "geometry": {"type": kind, "coordinates": piece},
        }
        for number, piece in enumerate(pieces, start=1)
        if piece
    ]


def _labels(path: Path) -> NDArray[np.integer]:
    """Read a label image; raises HistomeError where it is none."""
    try:
        if path.suffix.lower() == ".png":
            with Image.open(path) as picture:
                labels = np.asarray(picture)
        else:
            with tifffile.TiffFile(path) as tiff:
                page = tiff.pages.first
                if page.imagewidth * page.imagelength > _MAX_LABELS_PX:
                    raise HistomeError(f"{path} claims {page.imagewidth} x {page.imagelength} px.")
                labels = page.asarray()
    # struct.error: a header cut short; RuntimeError: what the decoders of imagecodecs raise.
    except (
        OSError,
        ValueError,
        LookupError,
        RuntimeError,
        struct.error,
        tifffile.TiffFileError,
        UnidentifiedImageError,
        Image.DecompressionBombError,
    ) as error:
        raise HistomeError(f"{path}: not a label image that can be read ({error}).") from error
    if labels.ndim != 2 or labels.dtype.kind not in "ui" or labels.min(initial=0) < 0:
        raise HistomeError(f"{path}: a label image has one channel of whole numbers, 0 and up.")
    return labels


def _scale(path: Path, shape: tuple[int, ...], slide: Slide) -> float:
    """Return the level-0 px of a pixel; raises HistomeError where the image is not of the slide's size."""
    height, width = shape
    full_width, full_height = slide.size_px
    scale = round(full_width / width)
    if scale < 1 or abs(full_width / scale - width) > 1 or abs(full_height / scale - height) > 1:
        raise HistomeError(
            f"{path}: has {width} x {height} px, {slide.path.name} {full_width} x {full_height}: a label "
            "image has the size of the slide or a whole fraction of it."
        )
    return float(scale)


def _outlines_of(
    labels: NDArray[np.integer], scale: float, path: Path
) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """Return numbers and outlines (polygons in level-0 px) of the nuclei of a label image."""
    numbers, codes = np.unique(labels, return_inverse=True)
    codes = codes.reshape(labels.shape).astype(np.int32) + (numbers[0] != 0)
    numbers = numbers[numbers > 0]
    if not len(numbers):
        raise HistomeError(f"{path}: holds no nuclei.")
    outlines = np.empty(len(numbers), object)
    for k, box in enumerate(find_objects(codes)):
        corners = even_outlines(_largest_piece(codes[box] == k + 1), _CORNERS)[0]
        outlines[k] = shapely.Polygon((corners + np.array([box[1].start, box[0].start])) * scale)
    return np.array([str(number) for number in numbers], object), outlines


def _largest_piece(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return 1 where the largest 4-connected piece of a mask is, else 0."""
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    largest = 1 + int(np.argmax(stats[1:count, cv2.CC_STAT_AREA]))
    return (pieces == largest).astype(np.int32)
