"""The rounds of a study: restained pictures laid over their H&E, written for raters, and read by a panel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely

from histome.errors import DataError
from histome.slide import open_slide
from histome.validation.panel import MarkerReading, Panel, call_classes, measure_markers
from histome.validation.panel.calls import PANEL_RATER, panel_sections
from histome.validation.raters.page import Row, Section
from histome.validation.register.warped_slide import LaidOver, lay_over, write_warped
from histome.validation.study.regions import StudySlide

IMAGES = "images"


@dataclass(frozen=True)
class Restained:
    """What was stained after the H&E.

    Attributes
    ----------
    panel : Panel
        What the pictures show.
    files : slide -> name -> Path
        `he` and every picture of the panel.
    mpp : float or None, um/px
        Of restained pictures that state none; None for what their files say.
    """

    panel: Panel
    files: Mapping[str, Mapping[str, Path]]
    mpp: float | None = None


def restained_of(
    panel: Panel, rows: Sequence[Mapping[str, str]], folder: Path, mpp: float | None
) -> Restained:
    """The files that a table names (slide, he and a column for each picture), relative to a folder.

    Raises DataError for a column or a file that is missing.
    """
    wanted, files = ("he", *panel.stains), {}
    for row in rows:
        missing = [name for name in ("slide", *wanted) if not row.get(name)]
        if missing:
            of = row.get("slide") or "a slide"
            raise DataError(f"the table of stains has no {', '.join(missing)} for {of}.")
        files[row["slide"]] = {name: folder / row[name] for name in wanted}
        absent = [path for path in files[row["slide"]].values() if not path.is_file()]
        if absent:
            raise DataError(f"{absent[0]}: no such file, of the table of stains.")
    return Restained(panel, files, mpp)


class Rounds:
    """Lays the pictures of one slide after the other over its H&E, into the folder of a study."""

    def __init__(self, out: Path, restained: Restained) -> None:
        """`out` is the study's folder."""
        self.out, self.restained = out, restained
        self.registered: list[Row] = []
        self.left_out: dict[str, str] = {}
        self.votes: list[Row] = []
        self._readings: list[Mapping[str, MarkerReading]] = []

    def add(self, slide: StudySlide, names: Sequence[str]) -> None:
        """Register, write and read the pictures of a slide; `names` are those of its cells in the study.

        A slide with a picture that does not go onto its H&E is left out, and `left_out` says why.
        """
        files = self.restained.files.get(slide.name)
        if files is None:
            raise DataError(f"{slide.name}: the table of stains has no row of it.")
        found: dict[str, LaidOver] = {}
        for stain in self.restained.panel.stains:
            try:
                found[stain] = self._laid_over(slide, files, stain)
            except DataError as error:
                self.left_out[slide.name] = f"{stain}: {error}"
                return
        shapes = shapely.from_wkb(slide.cells["geometry"].to_pylist())
        outlines_um = shapely.transform(shapes, lambda xy: xy * slide.mpp)
        readings: dict[str, MarkerReading] = {}
        for stain, laid in found.items():
            path = self._write(slide, stain, files, laid)
            with open_slide(path) as picture:
                readings |= measure_markers(picture, outlines_um, self.restained.panel, stain)
        calls = call_classes(readings, self.restained.panel)
        same = {"rater": PANEL_RATER, "condition": "IHC", "slide": slide.name}
        rows = zip(names, calls.label.tolist(), calls.why.tolist(), strict=True)
        self.votes += [
            {"cell_id": name, "label": label, "why_none": why, **same} for name, label, why in rows
        ]
        self._readings.append(readings)

    def _laid_over(self, slide: StudySlide, files: Mapping[str, Path], stain: str) -> LaidOver:
        mpp = self.restained.mpp
        with open_slide(files["he"], mpp=slide.mpp) as he, open_slide(files[stain], mpp=mpp) as ihc:
            return lay_over(he, ihc)

    def _write(self, slide: StudySlide, stain: str, files: Mapping[str, Path], laid: LaidOver) -> Path:
        """Write the picture on the H&E's pixels, and the transform; return the picture's file."""
        folder, keys = self.out / IMAGES / slide.name, self.out / "key" / "transforms" / slide.name
        for each in (folder, keys):
            each.mkdir(parents=True, exist_ok=True)
        path = folder / f"{stain}.ome.tif"
        with open_slide(files["he"], mpp=slide.mpp) as he:
            extent_um = he.extent_um
        with open_slide(files[stain], mpp=self.restained.mpp) as ihc:
            write_warped(path, ihc, laid.found.warp, extent_um, slide.mpp)
        laid.found.warp.save(keys / f"{stain}.npz")
        told = {"slide": slide.name, "stain": stain, "lead": laid.found.lead}
        self.registered.append(told | {f"correlation_{k}": v for k, v in laid.found.correlation.items()})
        return path

    def summary(self) -> list[Section]:
        """The classes and markers of all slides together."""
        panel = self.restained.panel
        readings = {}
        for name in panel.markers:
            columns = zip(*(of_slide[name] for of_slide in self._readings), strict=True)
            readings[name] = MarkerReading(*(np.concatenate(column) for column in columns))
        return panel_sections(call_classes(readings, panel), readings, panel)
