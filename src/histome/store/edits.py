"""What people corrected: a file of edits beside a profile, a line each, and what they make of its parts.

Nothing in it is ever changed or removed: an edit that was undone stays, followed by the line that says so.
"""

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter, ValidationError
from scipy.spatial import KDTree

from histome.cells.table import NEIGHBOR_RADII_UM, carcinoma_distance, class_codes
from histome.classes import CELL_CLASSES
from histome.config import Settings, TissueConfig
from histome.errors import UsageError
from histome.geometry.grid import neighbor_counts
from histome.geometry.raster import paint_polygons
from histome.geotable import FiledTable
from histome.slide import ClassMap
from histome.store.disk import read_json, writing
from histome.store.files import EDITS_FILE
from histome.tissue import Tissue
from histome.tissue.zones import ZONE_CLASSES, zone_rule

# An edited cell is the one that is found this near to where the edit saw it.
_SAME_CELL_UM = 2.0

CellClass = Annotated[str, Field(pattern=f"^({'|'.join(CELL_CLASSES)})$")]
Text = Annotated[str, Field(max_length=2000)]


class _Said(Settings):
    """What every edit says.

    Attributes
    ----------
    id : str
        Its own.
    time : str
        UTC, ISO 8601.
    author, reason : str
        As the person gave them.
    slide : str
        The sha256 of the slide's content.
    """

    id: Text
    time: Text
    author: Text
    reason: Text = ""
    slide: Text


class Relabel(_Said):
    """Cells of another class than the model says; each is known by where it lies, whatever finds it later.

    Attributes
    ----------
    to : str
        A name of CELL_CLASSES.
    cell_id, x, y, was : tuple
        Of each cell: its id in the table of that time, its centroid in level-0 px, and its class then.
    """

    action: Literal["relabel"] = "relabel"
    to: CellClass
    cell_id: tuple[int, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]
    was: tuple[str, ...]


class Exclude(_Said):
    """A region that is not to be measured.

    Attributes
    ----------
    geometry : dict
        GeoJSON polygon or multipolygon, level-0 px.
    """

    action: Literal["exclude"] = "exclude"
    geometry: dict[str, Any]


class Undo(_Said):
    """An earlier edit no longer holds; `of` is its id."""

    action: Literal["undo"] = "undo"
    of: Text


Edit = Relabel | Exclude | Undo
_LINE: TypeAdapter[Edit] = TypeAdapter(Annotated[Edit, Field(discriminator="action")])


class Corrected(NamedTuple):
    """Cells and tissue with edits applied, and what run.json tells of it."""

    cells: pa.Table
    tissue: Tissue
    about: dict[str, int]


def edits_path(profile: Path) -> Path:
    """Return where the edits of a profile lie: beside its folder."""
    return profile.with_name(f"{profile.name}.{EDITS_FILE}")


def read_edits(path: Path, *, slide: str | None = None) -> tuple[Edit, ...]:
    """Return the edits of a file, in order; raises UsageError, one line, where one is not as it was written.

    `slide` is the sha256 of the content of the slide that they must be of.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: edits cannot be read ({error})") from error
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            found.append(_LINE.validate_json(line, strict=True))
        except ValidationError as error:
            raise UsageError(f"{path}: line {number} is no edit ({error.errors()[0]['msg']})") from error
        if slide is not None and found[-1].slide != slide:
            raise UsageError(f"{path}: line {number} is an edit of another slide")
    return tuple(found)


def in_force(edits: Sequence[Edit]) -> tuple[Relabel | Exclude, ...]:
    """Return the edits that were not undone; one that was undone holds again where its undoing was."""
    undone: set[str] = set()
    for edit in reversed(edits):
        if isinstance(edit, Undo) and edit.id not in undone:
            undone.add(edit.of)
    return tuple(edit for edit in edits if not isinstance(edit, Undo) and edit.id not in undone)


def new_edit(kind: type[Edit], *, author: str, reason: str, slide: str, **what: Any) -> Edit:
    """Return an edit with an id of its own and the time; raises UsageError where it says something wrong."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    said = {"id": secrets.token_hex(6), "time": now, "author": author, "reason": reason, "slide": slide}
    try:
        return kind.model_validate({**said, **what})
    except ValidationError as error:
        raise UsageError(f"the edit cannot be kept: {error.errors()[0]['msg']}") from error


def append_edit(path: Path, edit: Edit) -> None:
    """Add a line to a file of edits; it is on the disk when this returns."""
    line = json.dumps(edit.model_dump(mode="json"), ensure_ascii=True, allow_nan=False) + "\n"
    with writing(path), path.open("a", encoding="utf-8") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def apply_file(
    cells: FiledTable, tissue: Tissue, file: Path, profile: Path, *, workers: int = 1
) -> Corrected:
    """Return cells and tissue of a profile's folder with a file of edits, see `apply_edits`."""
    run = read_json(profile / "run.json")
    edits = read_edits(file, slide=run["slide"]["content"])
    return apply_edits(cells.in_memory(), tissue, edits, run, workers=workers)


def apply_edits(
    cells: pa.Table,
    tissue: Tissue,
    edits: Sequence[Edit],
    run: Mapping[str, Any],
    *,
    workers: int = 1,
    surroundings: bool = True,
) -> Corrected:
    """Return a profile's cells and tissue as people corrected them.

    Excluded regions are not analyzed: they are 0 in the tissue map, regions and zones are found anew, and the
    cells there are not counted. A relabeled cell has the class given, confidence 1, and did not abstain; its
    probabilities stay what the model said. Counts of neighbors and distances are taken anew.

    Parameters
    ----------
    run : mapping
        run.json: um per px of the slide, and how zones are drawn.
    surroundings : bool
        Without, the columns that tell of a cell's surroundings stay as they were; no metric reads them.
    """
    mpp = np.array([run["slide"]["mpp"][axis] for axis in "xy"], float)
    holds = in_force(edits)
    shapes = [_shape(edit.geometry, mpp) for edit in holds if isinstance(edit, Exclude)]
    if shapes:
        hole = (
            run.get("config", {}).get("tissue", {}).get("largest_hole_mm2", TissueConfig().largest_hole_mm2)
        )
        rule = zone_rule(TissueConfig().updated(largest_hole_mm2=hole))
        tissue = Tissue.of(_without(tissue.map, shapes), tissue.probabilities, rule=rule, workers=workers)
    relabels = [edit for edit in holds if isinstance(edit, Relabel)]
    codes, given, lost = given_classes(cells, relabels, mpp)
    columns = _classes(cells, codes, given)
    if surroundings and (shapes or given.any()):
        columns |= _surroundings(cells, codes, tissue, workers)
    for name, values in columns.items():
        place = cells.schema.get_field_index(name)
        if place >= 0:
            field = cells.schema.field(place)
            column = values if isinstance(values, pa.Array) else pa.array(values, from_pandas=True)
            cells = cells.set_column(place, field, column.cast(field.type))
    about = {"relabeled": int(given.sum()), "excluded_regions": len(shapes), "not_found": lost}
    return Corrected(cells, tissue, about)


def _shape(geometry: Mapping[str, Any], mpp: NDArray[np.float64]) -> shapely.Geometry:
    """Return a region in um."""
    return shapely.transform(shapely.from_geojson(json.dumps(geometry)), lambda xy: xy * mpp)


def _without(tissue: ClassMap, shapes: Sequence[shapely.Geometry]) -> ClassMap:
    """Return a map with nothing analyzed in some regions, by the rule that a region is measured by."""
    array = tissue.array.copy()
    nothing = np.zeros(len(shapes), np.uint8)
    paint_polygons(
        array, np.array(shapes, object), nothing, unit_px=1 / tissue.mpp, origin_px=tissue.origin_px
    )
    return replace(tissue, array=array)


def given_classes(
    cells: pa.Table, relabels: Sequence[Relabel], mpp: Sequence[float] | NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_], int]:
    """Return the class of each cell, whether a person gave it, and how many edited cells were not found.

    `mpp` is the slide's, um per px in x and y; classes are places in CELL_CLASSES.
    """
    codes, given, lost = class_codes(cells), np.zeros(len(cells), np.bool_), 0
    tree = KDTree(np.column_stack([cells["x_um"], cells["y_um"]])) if relabels and len(cells) else None
    for edit in relabels:
        places = np.column_stack([edit.x, edit.y]) * np.asarray(mpp)
        rows = np.full(len(places), len(cells))
        if tree is not None and len(places):
            rows = np.asarray(tree.query(places, distance_upper_bound=_SAME_CELL_UM)[1])
        there = rows[rows < len(cells)]
        codes[there], given[there] = CELL_CLASSES.index(edit.to), True
        lost += len(rows) - len(there)
    return codes, given, lost


def _classes(cells: pa.Table, codes: NDArray[np.int64], given: NDArray[np.bool_]) -> dict[str, Any]:
    """Return the columns that a relabeling changes."""
    if not given.any():
        return {}
    names = pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int8)), pa.array(CELL_CLASSES))
    columns: dict[str, Any] = {"class": names}
    if "reported" in cells.column_names:
        told = cells["reported"].cast(pa.string()).to_numpy()
        columns["reported"] = np.where(given, np.array(CELL_CLASSES, object)[codes], told)
    for name, value in (("confidence", 1.0), ("abstained", False)):
        if name in cells.column_names:
            columns[name] = np.where(given, value, cells[name].to_numpy()).astype(type(value))
    return columns


def _surroundings(cells: pa.Table, codes: NDArray[np.int64], tissue: Tissue, workers: int) -> dict[str, Any]:
    """Return the columns that tell of a cell's surroundings."""
    x_um, y_um = (cells[name].to_numpy() for name in ("x_um", "y_um"))
    counted = cells["counted"].to_numpy() & (tissue.map.at(x_um, y_um) > 0)
    labels = np.where(counted, codes, -1)
    counts = neighbor_counts(x_um, y_um, labels, radii_um=NEIGHBOR_RADII_UM, workers=workers)
    zones = tissue.zones.at(x_um, y_um)
    places = pa.array(zones.astype(np.int8) - 1, pa.int8(), mask=zones == 0)
    return {
        "counted": counted,
        "zone": pa.DictionaryArray.from_arrays(places, pa.array(ZONE_CLASSES)),
        "distance_to_carcinoma_um": carcinoma_distance(x_um, y_um, tissue.map, workers=workers),
        **{
            f"n_{name}_{radius}um": counts[:, r, k]
            for r, radius in enumerate(NEIGHBOR_RADII_UM)
            for k, name in enumerate(CELL_CLASSES)
        },
    }
