"""What people do to a profile in the viewer: each becomes a line of its file of edits."""

import getpass
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import shapely
from pydantic import BaseModel, ConfigDict, Field

from histome.errors import HistomeError, UsageError
from histome.store.edits import Edit, Exclude, Relabel, Undo, in_force
from histome.viewer.measures import outline_of
from histome.viewer.view import SlideView

Said = Annotated[str, Field(max_length=500)]


class _ByPerson(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    author: Said
    reason: Said = ""


class RelabelAsked(_ByPerson):
    """Rows of the table that are of a class."""

    rows: list[int] = Field(min_length=1)
    to: str


class ExcludeAsked(_ByPerson):
    """A region (GeoJSON, in the viewer's unit) that is not to be measured."""

    region: dict[str, Any]


class UndoAsked(_ByPerson):
    """The id of an edit that is not to hold any more."""

    of: str


def relabel(view: SlideView, asked: RelabelAsked) -> None:
    """Give cells another class; raises UsageError for rows or a class that are none."""
    rows = np.unique(asked.rows)
    if view.cells is None or rows[0] < 0 or rows[-1] >= len(view.cells):
        raise UsageError("there are no such cells")
    cells = view.cells.select(["cell_id", "x", "y", "class"]).take(pa.array(rows))
    place = {name: tuple(np.round(cells[name].to_numpy(), 2).tolist()) for name in "xy"}
    was = tuple(cells["class"].cast(pa.string()).to_pylist())
    ids = tuple(cells["cell_id"].to_pylist())
    view.add_edit(Relabel, **_said(asked), to=asked.to, cell_id=ids, **place, was=was)


def exclude(view: SlideView, asked: ExcludeAsked) -> None:
    """Exclude a region; raises HistomeError where it is none."""
    polygon = shapely.from_wkb(outline_of(asked.region, view.unit_um))
    in_px = shapely.transform(polygon, lambda xy: np.round(xy / view.mpp, 2))
    view.add_edit(Exclude, **_said(asked), geometry=shapely.geometry.mapping(in_px))


def undo(view: SlideView, asked: UndoAsked) -> None:
    """Undo an edit; raises UsageError where none of that id holds."""
    if asked.of not in {edit.id for edit in in_force(view.edits)}:
        raise UsageError("this edit does not hold any more")
    view.add_edit(Undo, **_said(asked), of=asked.of)


def _said(asked: _ByPerson) -> dict[str, str]:
    if not asked.author.strip():
        raise HistomeError("say who you are: every correction has an author")
    return {"author": asked.author.strip(), "reason": asked.reason.strip()}


def told_edits(view: SlideView) -> dict[str, Any]:
    """Return the edits for the page, the last first, and who seems to be looking."""
    holds = {edit.id for edit in in_force(view.edits)}
    shown = [edit for edit in view.edits if not isinstance(edit, Undo)]
    return {
        "author": _user(),
        "edits": [{**_told(edit), "holds": edit.id in holds} for edit in reversed(shown)],
        "excluded": [
            _in_units(edit.geometry, view.mpp) for edit in in_force(view.edits) if isinstance(edit, Exclude)
        ],
    }


def _told(edit: Edit) -> dict[str, Any]:
    told = {name: getattr(edit, name) for name in ("id", "time", "author", "reason", "action")}
    return {**told, "to": edit.to, "cells": len(edit.x)} if isinstance(edit, Relabel) else told


def _in_units(geometry: dict[str, Any], mpp: Sequence[float]) -> dict[str, Any]:
    shape = shapely.transform(shapely.geometry.shape(geometry), lambda xy: xy * (1.0, mpp[1] / mpp[0]))
    return shapely.geometry.mapping(shape)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's number without a name
        return ""
