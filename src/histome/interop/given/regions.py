"""Regions of interest from a file of annotations: which are measured, which left out, what each is called."""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import numpy as np
import shapely

from histome.config import RoiConfig
from histome.errors import HistomeError, UsageError
from histome.geometry.interest import RegionsOfInterest
from histome.geometry.shapes import Shapes
from histome.interop.formats import read_shapes
from histome.interop.given.annotation import Annotation, AnnotationFile, enclosed
from histome.interop.given.xml_files import read_xml
from histome.interop.json_files import load_json
from histome.interop.labels import NO_LABEL
from histome.interop.qupath import features_of, label_of, shapes_of
from histome.names import numbered
from histome.slide import Slide
from histome.slide.mpp import OVERRIDDEN

# QuPath's own class for what is not to be measured.
_IGNORED = "Ignore*"
# What a file of all of QuPath's objects holds besides annotations and cores.
_NO_REGION = {"root", "detection", "cell", "tile"}
_OFF = "off the slide"
# A pixel of the quality map: smaller regions are in other units.
_SMALLEST_UM2 = 64.0
_AGREEMENT = 1.02  # two statements of one resolution may differ by rounding


class RegionsRead(NamedTuple):
    """Regions of interest on a slide, and in words which of the file's are not measured and why."""

    regions: RegionsOfInterest
    notes: list[str]


def read_regions(path: Path, slide: Slide, config: RoiConfig | None = None) -> RegionsRead:
    """Read the regions of interest of a slide.

    QuPath's GeoJSON (and any other), GeoParquet, Aperio's and ASAP's XML, in px of level 0. Left out is what
    `config.exclude` names, QuPath's class Ignore* and Aperio's negative regions; measured is what
    `config.include` names, by default all others. A line that crosses itself encloses what the even-odd rule
    says. Equal names are numbered.

    Raises
    ------
    UsageError
        A name of `config` that nothing in the file has.
    HistomeError
        A file that cannot be read or holds no regions, that was drawn at another resolution, or of which no
        region lies on the slide.
    """
    config = config or RoiConfig()
    annotations, mpp = _read(path)
    _check_resolution(path, mpp, slide)
    areas = [each for each in annotations if not shapely.is_empty(each.geometry)]
    if not areas:
        raise HistomeError(f"{path}: holds no regions (no polygons, rectangles or ellipses).")
    _check_names(path, areas, config)
    negative = [_is_left_out(each, config) for each in areas]
    left_out = [each for each, out in zip(areas, negative, strict=True) if out]
    wanted = [each for each, out in zip(areas, negative, strict=True) if not out and _is_wanted(each, config)]
    if config.include and not wanted:
        raise UsageError(f"{path}: what is to be measured is what is to be left out")
    drawn_otherwise = len(annotations) - len(areas)
    notes = [f"{drawn_otherwise} points, lines or empty shapes"] if drawn_otherwise else []
    found = _placed(wanted, left_out, slide, notes)
    if wanted and shapely.area(found.measured) < _SMALLEST_UM2:
        raise HistomeError(_nowhere(path, wanted, slide))
    return RegionsRead(found, notes)


def _read(path: Path) -> AnnotationFile:
    if not path.is_file():
        raise HistomeError(f"{path}: there is no such file.")
    if path.suffix.lower() == ".xml":
        return read_xml(path)
    if path.suffix.lower() == ".parquet":
        shapes = read_shapes(path)
        return AnnotationFile(
            [
                Annotation("", "" if label == NO_LABEL else str(label), enclosed(shape))
                for shape, label in zip(shapes.geometry, shapes.label, strict=True)
            ]
        )
    return AnnotationFile(list(_of_geojson(path)))


def _of_geojson(path: Path) -> Iterator[Annotation]:
    data = load_json(path)
    features = [each for each in features_of(data, path) if each.get("geometry") is not None]
    shapes = shapes_of(features, path).geometry
    for feature, shape in zip(features, shapes, strict=True):
        properties = feature.get("properties") or {}
        if properties.get("objectType") in _NO_REGION:
            continue
        name, kind = str(properties.get("name") or ""), label_of(properties)
        yield Annotation(name, "" if kind in (NO_LABEL, name) else kind, enclosed(shape))


def _check_resolution(path: Path, mpp: float | None, slide: Slide) -> None:
    """Refuse a file that says another resolution than the slide's file does."""
    own = slide.mpp.x
    if mpp and slide.mpp.source != OVERRIDDEN and max(mpp / own, own / mpp) > _AGREEMENT:
        raise HistomeError(
            f"{path}: was drawn on {mpp:.4g} um/px, {slide.path.name} has {own:.4g}: is it of this slide?"
        )


def _check_names(path: Path, areas: Sequence[Annotation], config: RoiConfig) -> None:
    """Refuse a name that nothing has: it is misspelled."""
    for pattern in (*config.include, *config.exclude):
        if not any(_is_called(each, pattern) for each in areas):
            names = sorted({name for each in areas for name in (each.name, each.kind) if name})
            told = ", ".join(names[:12]) or "no names"
            raise UsageError(f"{path}: no region is called {pattern!r}; there are {told}")


def _is_called(annotation: Annotation, pattern: str) -> bool:
    names = (annotation.name.casefold(), annotation.kind.casefold())
    return any(name and fnmatchcase(name, pattern.casefold()) for name in names)


def _is_left_out(annotation: Annotation, config: RoiConfig) -> bool:
    own = annotation.negative or annotation.kind == _IGNORED
    return own or any(_is_called(annotation, pattern) for pattern in config.exclude)


def _is_wanted(annotation: Annotation, config: RoiConfig) -> bool:
    return not config.include or any(_is_called(annotation, pattern) for pattern in config.include)


def _placed(
    wanted: Sequence[Annotation], left_out: Sequence[Annotation], slide: Slide, notes: list[str]
) -> RegionsOfInterest:
    """Return the regions in um, what is to be left out cut from each; those that are gone go to the notes."""
    scale = np.array([slide.mpp.x, slide.mpp.y])
    whole = shapely.box(0, 0, *slide.extent_um)
    hole = _in_um(shapely.union_all([each.geometry for each in left_out]), scale)
    kept: list[shapely.Geometry] = []
    titles: list[str] = []
    kinds: list[str] = []
    for each, title in zip(wanted, numbered([each.title for each in wanted]), strict=True):
        drawn = _in_um(each.geometry, scale)
        rest = enclosed(shapely.difference(drawn, hole))
        if shapely.is_empty(rest) or not shapely.intersects(drawn, whole):
            notes.append(f"{title}, which lies {'in what is left out' if shapely.is_empty(rest) else _OFF}")
            continue
        kept, titles, kinds = [*kept, rest], [*titles, title], [*kinds, each.kind]
    # A pixel of a map that the slide's edge cuts has its center beyond the edge.
    beyond = shapely.buffer(whole, 100.0, join_style="mitre")
    measured = shapely.union_all(kept) if wanted else enclosed(shapely.difference(beyond, hole))
    shapes = Shapes(np.array(kept, object), np.array(titles, object))
    return RegionsOfInterest(shapes, tuple(kinds), measured, shapely.intersection(hole, whole))


def _in_um(geometry: shapely.Geometry, scale: np.ndarray) -> shapely.Geometry:
    return shapely.transform(geometry, lambda xy: xy * scale)


def _nowhere(path: Path, wanted: Sequence[Annotation], slide: Slide) -> str:
    x0, y0, x1, y1 = shapely.total_bounds(np.array([each.geometry for each in wanted], object))
    width, height = slide.size_px
    return (
        f"{path}: nothing of its {len(wanted)} regions lies on {slide.path.name}: they reach over x {x0:g} "
        f"to {x1:g}, y {y0:g} to {y1:g}, it has {width} x {height} px; are they in px of its level 0?"
    )
