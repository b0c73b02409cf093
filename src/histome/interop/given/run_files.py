"""The files that settings name beside a slide: found for it, hashed for the stages' keys, read once."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import shapely

from histome.cells.given import GivenNuclei
from histome.config import Config
from histome.errors import UsageError
from histome.geometry.interest import RegionsOfInterest
from histome.geotable import described, geo_schema, geo_table
from histome.interop.given.annotation import enclosed
from histome.interop.given.nuclei import read_nuclei
from histome.interop.given.regions import read_regions
from histome.slide import Slide
from histome.store.graph import code_hash

_READERS = ("interop", "cells/given.py", "cells/decode/hover.py")
OUTLINE_SCHEMA = geo_schema(
    [
        described("part", pa.string(), "", "name of the region; null for what is left out", null=True),
        described("class", pa.string(), "", "its class in the file; null where it has none", null=True),
        described("measured", pa.bool_(), "", "whether it is measured; false for what is left out"),
        described("area_um2", pa.float64(), "um2", "area on the slide, without what is left out"),
    ],
    edge=pa.float64(),
    shape="outline on the slide, polygons",
)


@dataclass(frozen=True, eq=False)
class RunFiles:
    """What a run reads besides its slide.

    Attributes
    ----------
    regions : RegionsOfInterest or None
        Where the slide is measured; None for everywhere.
    nuclei : callable() or None
        Reads the nuclei that are given, once; None where they are to be found.
    roi_about, nuclei_about : dict
        What run.json tells of the two files; empty where there is none.
    """

    regions: RegionsOfInterest | None
    nuclei: Callable[[], GivenNuclei] | None
    roi_about: dict[str, Any]
    nuclei_about: dict[str, Any]

    @classmethod
    def of(cls, config: Config, slide: Slide) -> Self:
        """Return the files that settings name for a slide; raises as `read_regions` does."""
        regions, nuclei, roi_about, nuclei_about = None, None, {}, {}
        if config.roi.file is not None:
            path = _file_for(slide, Path(config.roi.file), "roi")
            regions, notes = read_regions(path, slide, config.roi)
            roi_about = _named(path) | {"regions": _told(regions, slide), "not_measured": notes}
        if config.cells.nuclei is not None:
            path = _file_for(slide, Path(config.cells.nuclei), "nuclei")
            nuclei, nuclei_about = cache(partial(read_nuclei, path, slide)), _named(path)
        return cls(regions, nuclei, roi_about, nuclei_about)

    @property
    def keys(self) -> dict[str, dict[str, Any]]:
        """What they add to the inputs of stages: which bytes, read by which code."""
        readers = code_hash(_READERS)
        files = {"qc": ("roi", self.roi_about), "cells": ("nuclei", self.nuclei_about)}
        return {
            stage: {name: {"sha256": about["sha256"], "readers": readers}}
            for stage, (name, about) in files.items()
            if about
        }

    def outlines(self, slide: Slide) -> pa.Table:
        """Return the regions as a table of `OUTLINE_SCHEMA`, what is left out last."""
        assert self.regions is not None
        whole = shapely.box(0, 0, *slide.extent_um)
        found = self.regions
        rows = list(zip(found.shapes.label, found.kinds, found.shapes.geometry, strict=True))
        if not shapely.is_empty(found.left_out):
            rows.append((None, "", found.left_out))
        shapes = np.array([enclosed(shapely.intersection(shape, whole)) for _, _, shape in rows], object)
        drawn = shapely.transform(shapes, lambda xy: xy / (slide.mpp.x, slide.mpp.y))
        columns = {
            "part": [name for name, _, _ in rows],
            "class": [kind or None for _, kind, _ in rows],
            "measured": [name is not None for name, _, _ in rows],
            "area_um2": shapely.area(shapes),
            "geometry": shapely.to_wkb(shapely.orient_polygons(drawn)),
        }
        bounds, kinds = shapely.bounds(drawn), ("Polygon", "MultiPolygon")
        return geo_table(columns, bounds, OUTLINE_SCHEMA, slide=slide.id, kinds=kinds)


def _file_for(slide: Slide, given: Path, option: str) -> Path:
    """Return the file of a slide: the one that is named, or in a folder the one of the slide's name."""
    if not given.is_dir():
        return given
    names = (slide.path.name, slide.path.stem, slide.id)
    found = [path for path in sorted(given.iterdir()) if path.is_file() and _stem(path) in names]
    if len(found) == 1:
        return found[0]
    told = "there is no file" if not found else f"there are {len(found)} files"
    raise UsageError(f"{given}: {told} called {slide.path.stem}.*; --{option} takes a file, or one a slide")


def _stem(path: Path) -> str:
    """Return a file's name without its ending, .geojson.gz being one."""
    return Path(path.name.removesuffix(".gz")).stem


def _named(path: Path) -> dict[str, Any]:
    """Return what run.json says of a file: its name, not where it lies, and its bytes' hash."""
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file")
    with path.open("rb") as file:
        return {"file": path.name, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _told(regions: RegionsOfInterest, slide: Slide) -> list[dict[str, Any]]:
    """Return each region's name, class and mm2 on the slide."""
    whole = shapely.box(0, 0, *slide.extent_um)
    area_mm2 = shapely.area(shapely.intersection(regions.shapes.geometry, whole)) / 1e6
    named = zip(regions.shapes.label, regions.kinds, area_mm2.tolist(), strict=True)
    return [{"name": name, "class": kind, "mm2": mm2} for name, kind, mm2 in named]
