"""The folder of a reader study: for each rater and condition a GeoJSON of each slide, without any class."""

import csv
import json
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from jinja2 import Environment, PackageLoader, StrictUndefined

import histome
from histome.errors import DataError
from histome.store.disk import remove_folder, write_json
from histome.validation.raters.page import write_page
from histome.validation.raters.votes import SAID_UNSURE
from histome.validation.study.regions import (
    DEFAULT_SIZES,
    SIDE_UM,
    Sizes,
    StudyRegion,
    StudySlide,
    sample_regions,
)
from histome.validation.study.restained import IMAGES, Restained, Rounds

UNSURE_LABEL = SAID_UNSURE[0]
READING_DAYS = 7
LEFT_OUT = "key/left_out.csv"
# Of key/cells.csv and the votes.
_COLUMNS = (
    *("cell_id", "rater", "label", "condition", "slide"),
    *("region", "arm", "sought", "x_px", "y_px", "mpp"),
)
_COLORS = (0xE41A1C, 0x377EB8, 0x4DAF4A, 0x984EA3, 0xFF7F00, 0xA65628, 0xF781BF, 0x17BECF, 0xBCBD22)
# A GeoJSON object.
_Json = dict[str, Any]
_SPACE = uuid.UUID("6f1c2b9e-0f5e-5a3e-9a55-6b0a1d9a7f11")


@dataclass(frozen=True)
class StudyPlan:
    """Who says what, of which classes, when.

    Attributes
    ----------
    raters, conditions, classes : tuple of str
        Conditions in the order in which they are shown.
    start : date
        First day of the first condition; each is read for `READING_DAYS`.
    washout_days : int
        Without a look at the slides, between two conditions.
    sizes : Sizes
        How much of each slide.
    seed : int
        Of regions, nuclei and orders.
    """

    raters: tuple[str, ...]
    conditions: tuple[str, ...]
    classes: tuple[str, ...]
    start: date
    washout_days: int = 10
    sizes: Sizes = DEFAULT_SIZES
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be the name of a file or a choice; DataError."""
        for kind in ("raters", "conditions", "classes"):
            check_names(kind, getattr(self, kind))
        if set(self.classes) & set(SAID_UNSURE):
            raise DataError(f"{', '.join(SAID_UNSURE)} are no classes: `{UNSURE_LABEL}` is always a choice.")

    def days(self) -> dict[str, tuple[str, str]]:
        """Condition -> its first and last day, ISO."""
        step = timedelta(READING_DAYS + self.washout_days)
        first = [self.start + k * step for k in range(len(self.conditions))]
        last = [day + timedelta(READING_DAYS - 1) for day in first]
        return {name: (str(a), str(b)) for name, a, b in zip(self.conditions, first, last, strict=True)}


def check_names(kind: str, names: Sequence[str]) -> None:
    """Refuse names that are none, the same but for case, or no names of files; DataError."""
    if not names or len({name.casefold() for name in names}) < len(names):
        raise DataError(f"{kind}: {', '.join(names) or 'none given'}; give each one once.")
    for name in names:
        if name.startswith(".") or any(sign in '/\\:*?"<>|' or not sign.isprintable() for sign in name):
            raise DataError(f"{kind}: {name!r} cannot be the name of a file.")


def write_study(
    out: Path, plan: StudyPlan, slides: Sequence[StudySlide], restained: Restained | None = None
) -> dict[str, int]:
    """Write the folder of a study; whole or not at all.

    `raters/NAME` is what a rater gets: README.md, schedule.csv, classes.json and, for each condition,
    order.csv and a GeoJSON of each slide. `key` stays with who runs the study: which cell lies where and
    what the model says of it. Of `restained` pictures `images` holds each as it lies on its H&E, and `key`
    the labels that the panel makes of them; a slide with a picture that cannot be laid over its H&E is left
    out, with the reason in `LEFT_OUT`.

    Returns
    -------
    dict
        How many slides, regions of either arm and nuclei.

    Raises
    ------
    DataError
        `out` is there already (raters may have worked in it), two slides of one name, a slide without cells,
        no slide left.
    """
    if out.exists():
        raise DataError(f"{out}: is there already, perhaps with answers in it; name a new folder.")
    check_names("slides", [slide.name for slide in slides])
    taken = {name for slide in slides for name in slide.columns if name in _COLUMNS}
    if taken:
        raise DataError(
            f"the columns {', '.join(sorted(taken))} of the slides have names that the study uses."
        )
    rng = np.random.default_rng(plan.seed)
    regions = [region for slide in slides for region in sample_regions(slide, plan.classes, plan.sizes, rng)]
    # Numbered at random: the arm of a region cannot be told from its number.
    regions = [regions[k] for k in rng.permutation(len(regions))]
    made = out.with_name(f".{out.name}.partial")
    remove_folder(made)
    try:
        made.mkdir(parents=True)
        (made / "key").mkdir()
        if restained is not None:
            left_out = _write_rounds(made, slides, restained)
            slides = [slide for slide in slides if slide.name not in left_out]
            regions = [region for region in regions if region.slide.name not in left_out]
        _write_key(made, plan, regions, bool(restained))
        features = [_features(region) for region in regions]
        for rater in plan.raters:
            _write_rater(made / "raters" / rater, plan, regions, features, rng)
            if restained is not None:
                _write_pictures(made / "raters" / rater, plan, slides, restained)
        os.replace(made, out)
    except BaseException:
        remove_folder(made)
        raise
    arms = [region.arm for region in regions]
    nuclei = sum(len(region.rows) for region in regions)
    return {"slides": len(slides), **{a: arms.count(a) for a in sorted(set(arms))}, "nuclei": nuclei}


def cell_name(slide: StudySlide, row: int) -> str:
    """What a cell is called in the whole study."""
    return f"{slide.name}/{slide.cells['cell_id'][row].as_py()}"


def _write_rounds(out: Path, slides: Sequence[StudySlide], restained: Restained) -> dict[str, str]:
    """Write the restained pictures and what they say; return why slides are left out."""
    rounds = Rounds(out, restained)
    for slide in slides:
        rounds.add(slide, [cell_name(slide, row) for row in range(len(slide.cells))])
    if not rounds.votes:
        reasons = "; ".join(f"{name}, {why}" for name, why in rounds.left_out.items())
        raise DataError(f"no slide is left: {reasons}")
    write_rows(out / "key/registration.csv", rounds.registered)
    write_rows(out / "key/panel.csv", rounds.votes)
    write_page(out / "key/panel", "The panel", rounds.summary())
    if rounds.left_out:
        rows = [{"slide": name, "why": why} for name, why in rounds.left_out.items()]
        write_rows(out / LEFT_OUT, rows)
    return rounds.left_out


def _write_key(out: Path, plan: StudyPlan, regions: Sequence[StudyRegion], with_images: bool) -> None:
    told = asdict(plan) | {"start": str(plan.start), "days": plan.days(), "histome": histome.__version__}
    write_json(out / "study.json", told | {"sizes": plan.sizes._asdict(), "side_um": SIDE_UM})
    cells, answers = [], []
    for number, region in enumerate(regions, start=1):
        slide = region.slide
        known = [name for name in ("confidence", "abstained") if name in slide.cells.column_names]
        for row in region.rows.tolist():
            place = {f"{axis}_px": slide.cells[f"{axis}_um"][row].as_py() / slide.mpp for axis in "xy"}
            of_region = {"slide": slide.name, "region": number, "arm": region.arm, "sought": region.sought}
            name = cell_name(slide, row)
            cells.append({"cell_id": name, **of_region, **slide.columns, **place, "mpp": slide.mpp})
            answer = {"cell_id": name, "label": slide.cells["class"][row].as_py()}
            answers.append(answer | {column: slide.cells[column][row].as_py() for column in known})
    write_rows(out / "key/cells.csv", cells)
    write_rows(out / "key/model.csv", answers)
    text = _text("organizer.md.j2", plan=plan, days=plan.days(), with_images=with_images)
    (out / "README.md").write_text(text, encoding="utf-8")


def _write_rater(
    folder: Path,
    plan: StudyPlan,
    regions: Sequence[StudyRegion],
    features: Sequence[list[_Json]],
    rng: np.random.Generator,
) -> None:
    folder.mkdir(parents=True)
    text = _text("rater.md.j2", plan=plan, days=plan.days(), rater=folder.name, unsure=UNSURE_LABEL)
    (folder / "README.md").write_text(text, encoding="utf-8")
    choices = (*plan.classes, UNSURE_LABEL)
    # QuPath: signed 32 bits, alpha first.
    colors = [(_COLORS[k % len(_COLORS)] | 0xFF000000) - (1 << 32) for k in range(len(plan.classes))] + [
        -8355712
    ]
    named = [{"name": name, "color": color} for name, color in zip(choices, colors, strict=True)]
    write_json(folder / "classes.json", {"pathClasses": named})
    days = plan.days()
    schedule = [{"condition": name, "from": first, "to": last} for name, (first, last) in days.items()]
    write_rows(folder / "schedule.csv", schedule)
    for condition in plan.conditions:
        _write_condition(folder / condition, regions, features, rng)


def _write_pictures(
    folder: Path, plan: StudyPlan, slides: Sequence[StudySlide], restained: Restained
) -> None:
    """Which pictures to open in each condition: the H&E in the first, the restained ones beside it later."""
    rows = []
    for number, condition in enumerate(plan.conditions):
        for slide in slides:
            files = restained.files[slide.name]
            same = {"condition": condition, "slide": slide.name}
            rows.append(same | {"picture": "he", "file": files["he"].name})
            names = restained.panel.stains if number else ()
            rows += [same | {"picture": n, "file": f"{IMAGES}/{slide.name}/{n}.ome.tif"} for n in names]
    write_rows(folder / "pictures.csv", rows)


def _write_condition(
    folder: Path, regions: Sequence[StudyRegion], features: Sequence[list[_Json]], rng: np.random.Generator
) -> None:
    """A GeoJSON of each slide and order.csv; squares and nuclei in an order of their own."""
    folder.mkdir()
    of_slide: dict[str, list[_Json]] = {}
    order = []
    for place, k in enumerate(rng.permutation(len(regions)).tolist(), start=1):
        region = regions[k]
        x, y = (corner / region.slide.mpp for corner in region.corner_um)
        order.append({"region": place, "slide": region.slide.name, "x_px": round(x), "y_px": round(y)})
        square, *nuclei = features[k]
        named = square["properties"] | {"name": f"region {place}"}
        shuffled = [nuclei[n] for n in rng.permutation(len(nuclei))]
        of_slide.setdefault(region.slide.name, []).extend([square | {"properties": named}, *shuffled])
    write_rows(folder / "order.csv", order)
    for slide, mine in of_slide.items():
        whole = {"type": "FeatureCollection", "features": mine}
        (folder / f"{slide}.geojson").write_text(json.dumps(whole), encoding="utf-8")


def _features(region: StudyRegion) -> list[_Json]:
    """The square, locked, and its nuclei; nothing of class, confidence or arm."""
    slide = region.slide
    x, y = (corner / slide.mpp for corner in region.corner_um)
    side = SIDE_UM / slide.mpp
    square = json.loads(shapely.to_geojson(shapely.box(x, y, x + side, y + side)))
    outlines = shapely.to_geojson(shapely.from_wkb(slide.cells["geometry"].take(region.rows).to_pylist()))
    names = [cell_name(slide, row) for row in region.rows.tolist()]
    nuclei = [_feature(name, json.loads(text)) for name, text in zip(names, outlines, strict=True)]
    return [_feature(f"{slide.name} {x:g} {y:g}", square, isLocked=True), *nuclei]


def _feature(name: str, geometry: _Json, **more: bool) -> _Json:
    said = {"objectType": "annotation", "name": name, **more}
    # QuPath keeps ids that are UUIDs, and names.
    return {"type": "Feature", "id": str(uuid.uuid5(_SPACE, name)), "geometry": geometry, "properties": said}


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a CSV file of rows with the same columns."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _text(name: str, **values: Any) -> str:
    place = Environment(
        loader=PackageLoader("histome.validation.study", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    return place.get_template(name).render(**values)
