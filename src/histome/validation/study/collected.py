"""The filled files of a reader study as the tables that agreement, consensus and scores are made of."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from histome.errors import DataError
from histome.store.disk import read_json
from histome.tables import read_table
from histome.validation.matching import match_centers
from histome.validation.raters.votes import SAID_UNSURE

# A nucleus that lies farther from where it was is another one, or the file has another resolution.
MOVED_UM = 3.0
_OWN = ("x_px", "y_px", "mpp", "sought")


class Drawn(NamedTuple):
    """An annotation: its name, its label ("" where it has none), its center in px."""

    name: str
    label: str
    center_px: tuple[float, float]


@dataclass(frozen=True)
class Collected:
    """What raters sent back.

    Attributes
    ----------
    votes : list of dict
        Rows of cell_id, rater, label, condition and what is known of the cell: slide, region, arm ...
    answers : list of dict
        The model's rows, of all cells of the study.
    counts : list of dict
        Rows of rater, condition, cells, labeled, unsure, met (of those labeled, by an annotation without a
        name that lies on the cell), others (labels on what is no cell of the study), missing_files.
    panel : list of dict
        Rows of cell_id, label of all cells, of a study with restained pictures.
    conditions : tuple of str
        In the order in which they were shown.
    """

    votes: list[dict[str, Any]]
    answers: list[dict[str, Any]]
    counts: list[dict[str, Any]]
    panel: list[dict[str, Any]]
    conditions: tuple[str, ...]


def collect_study(folder: Path, read: Callable[[Path], Iterable[Drawn]]) -> Collected:
    """Read the files that raters filled in, in the folder that `write_study` made.

    Parameters
    ----------
    read : callable(path)
        The annotations of a GeoJSON file.

    Raises
    ------
    DataError
        No study there, no label anywhere, a label that was no choice, a cell with two labels, a cell that was
        moved; the file and the cell are named.
    """
    plan = read_json(folder / "study.json")
    if not {"raters", "conditions", "classes"} <= set(plan):
        raise DataError(f"{folder}: no study here (study.json is missing or damaged).")
    cells = {row["cell_id"]: row for row in read_table(folder / "key/cells.csv").to_pylist()}
    choices = {_plain(name): name for name in (*plan["classes"], *SAID_UNSURE)}
    votes, counts = [], []
    for rater in plan["raters"]:
        for condition in plan["conditions"]:
            place = folder / "raters" / rater / condition
            given, count = _read_rater(place, cells, choices, read)
            counts.append({"rater": rater, "condition": condition, "cells": len(cells), **count})
            votes += [_vote(cells[name], rater, label, condition) for name, label in given.items()]
    if not votes:
        raise DataError(f"{folder}: no nucleus has a label yet; raters save their files in raters/.")
    panel = folder / "key/panel.csv"
    known = read_table(panel).to_pylist() if panel.is_file() else []
    return Collected(
        votes, read_table(folder / "key/model.csv").to_pylist(), counts, known, tuple(plan["conditions"])
    )


def _read_rater(
    place: Path,
    cells: Mapping[str, Mapping[str, Any]],
    choices: Mapping[str, str],
    read: Callable[[Path], Iterable[Drawn]],
) -> tuple[dict[str, str], dict[str, int]]:
    given: dict[str, str] = {}
    missing, met, others = 0, 0, 0
    for slide in sorted({str(cell["slide"]) for cell in cells.values()}):
        path = place / f"{slide}.geojson"
        if not path.is_file():
            missing += 1
            continue
        drawn = [each for each in read(path) if each.label]
        for each in drawn:
            if each.name in cells:
                label = _checked(each, cells[each.name], choices, path)
                if given.setdefault(each.name, label) != label:
                    raise DataError(f"{path}: {each.name} is both {given[each.name]} and {label}.")
        free = {name: cell for name, cell in cells.items() if cell["slide"] == slide and name not in given}
        nameless = [each for each in drawn if not each.name]
        found = _met(nameless, free, choices, path)
        given |= found
        met += len(found)
        others += sum(each.name not in cells for each in drawn) - len(found)
    unsure = sum(label in SAID_UNSURE for label in given.values())
    told = {"labeled": len(given), "unsure": unsure, "met": met}
    return given, told | {"others": others, "missing_files": missing}


def _met(
    drawn: Sequence[Drawn], cells: Mapping[str, Mapping[str, Any]], choices: Mapping[str, str], path: Path
) -> dict[str, str]:
    """Labels of annotations that a rater drew anew, on the cells that they lie on, one to one."""
    if not drawn or not cells:
        return {}
    names, mpp = list(cells), next(iter(cells.values()))["mpp"]
    there = np.array([[cells[name]["x_px"], cells[name]["y_px"]] for name in names]) * mpp
    pairs = match_centers(np.array([each.center_px for each in drawn]) * mpp, there, within_um=MOVED_UM)
    return {names[j]: _choice(drawn[i], names[j], choices, path) for i, j in pairs.tolist()}


def _checked(drawn: Drawn, cell: Mapping[str, Any], choices: Mapping[str, str], path: Path) -> str:
    label = _choice(drawn, drawn.name, choices, path)
    far = max(abs(drawn.center_px[k] - cell[f"{axis}_px"]) for k, axis in enumerate("xy")) * cell["mpp"]
    if not far <= MOVED_UM:
        raise DataError(
            f"{path}: {drawn.name} lies {far:.0f} um from where it was: another slide or resolution?"
        )
    return label


def _choice(drawn: Drawn, name: str, choices: Mapping[str, str], path: Path) -> str:
    if _plain(drawn.label) not in choices:
        known = ", ".join(dict.fromkeys(choices.values()))
        raise DataError(f"{path}: {name} is {drawn.label!r}; the choices are {known}.")
    return choices[_plain(drawn.label)]


def _vote(cell: Mapping[str, Any], rater: str, label: str, condition: str) -> dict[str, Any]:
    known = {name: value for name, value in cell.items() if name not in ("cell_id", *_OWN)}
    return {"cell_id": cell["cell_id"], "rater": rater, "label": label, "condition": condition, **known}


def _plain(name: str) -> str:
    return name.strip().casefold().replace(" ", "_").replace("-", "_")
