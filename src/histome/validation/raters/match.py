"""Labels that people gave at places, set beside the cells that a model found there, one to one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from histome.errors import DataError
from histome.validation.matching import detection_counts, match_centers

WITHIN_UM = 3.0
# Labels of another slide or resolution meet cells too, by chance; of so few that cannot be told.
_FEWEST_LABELS = 20
_SHIFTS = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]], float)
_BESIDE = 8.0


class Placed(NamedTuple):
    """What one rater said: centers (n, 2) in um, label (n,)."""

    centers_um: NDArray[np.float64]
    label: NDArray[Any]


@dataclass(frozen=True)
class Matched:
    """Votes and answers on the same cells, as the tables that the other comparisons read.

    Attributes
    ----------
    votes : list of dict
        Rows of cell_id, rater, label: the labels that met a cell.
    answers : list of dict
        Rows of cell_id, label, confidence, abstained: the cells that some label met.
    unmatched : list of dict
        Rows of rater, label, x_um, y_um: labels that met no cell.
    counts : list of dict
        Rows of rater, labels, matched, labels_alone, and, where an area was given in which all nuclei are
        labeled, cells_alone, precision, recall, f1.
    doubts : list of str
        Raters of whose labels fewer than half met a cell.
    """

    votes: list[dict[str, Any]]
    answers: list[dict[str, Any]]
    unmatched: list[dict[str, Any]]
    counts: list[dict[str, Any]]
    doubts: list[str] = field(default_factory=list)


def match_votes(
    cells: pa.Table,
    raters: Mapping[str, Placed],
    *,
    area_um: shapely.Geometry | None = None,
    within_um: float = WITHIN_UM,
) -> Matched:
    """Match each rater's labels to the cells of a profile.

    Parameters
    ----------
    cells : table
        cell_id, x_um, y_um, class and, where there are any, confidence and abstained.
    raters : name -> Placed
        Labels of any places; cells that nobody labeled say nothing, for labels are sparse.
    area_um : polygon or None
        Where all nuclei are labeled, um: labels and cells elsewhere are left out, and a cell there that met
        no label is a false positive.
    within_um : float, um
        Largest distance of a pair.

    Raises
    ------
    DataError
        Where no label of any rater meets a cell, or those of one meet no more cells than they do a little
        beside: another slide, other units.
    """
    cells = _inside(cells, area_um)
    found = np.stack([cells[name].to_numpy() for name in ("x_um", "y_um")], axis=1)
    ids = [str(value) for value in cells["cell_id"].to_pylist()]
    matched, met = Matched([], [], [], []), np.zeros(len(ids), bool)
    for name, placed in raters.items():
        placed = _placed_inside(placed, area_um)
        pairs = match_centers(placed.centers_um, found, within_um=within_um)
        met[pairs[:, 1]] = True
        labels = [str(label) for label in placed.label]
        matched.votes.extend({"cell_id": ids[j], "rater": name, "label": labels[i]} for i, j in pairs)
        for i in np.setdiff1d(np.arange(len(labels)), pairs[:, 0]):
            x, y = placed.centers_um[i].tolist()
            matched.unmatched.append({"rater": name, "label": labels[i], "x_um": x, "y_um": y})
        row = {"rater": name, "labels": len(labels), "matched": len(pairs)}
        row["labels_alone"] = len(labels) - len(pairs)
        if area_um is not None:
            row |= _detection(placed.centers_um, found, within_um)
        matched.counts.append(row)
        matched.doubts.extend(_doubt(name, placed.centers_um, found, len(pairs), within_um))
    if not matched.votes:
        asked = sum(row["labels"] for row in matched.counts)
        raise DataError(
            f"none of {asked:,} labels lies within {within_um:g} um of a cell: are they of this slide, in "
            "px of its full resolution?"
        )
    matched.answers.extend(_answers(cells, ids, np.flatnonzero(met)))
    return matched


def _doubt(
    name: str, centers_um: NDArray[np.float64], found_um: NDArray[Any], met: int, within_um: float
) -> list[str]:
    """What to say where few labels met a cell; raises DataError where it is no more than by chance."""
    if len(centers_um) < _FEWEST_LABELS or 2 * met >= len(centers_um) or not met:
        return []
    beside = [centers_um + _BESIDE * within_um * shift for shift in _SHIFTS]
    chance = float(np.mean([len(match_centers(each, found_um, within_um=within_um)) for each in beside]))
    told = f"{name}: {met:,} of {len(centers_um):,} labels met a cell, {chance:.0f} would by chance"
    if met <= chance + 3 * np.sqrt(max(chance, 1.0)):
        raise DataError(f"{told}: are they of this slide, in px of its full resolution?")
    return [f"{told}; see unmatched.csv."]


def _detection(true_um: NDArray[Any], found_um: NDArray[Any], within_um: float) -> dict[str, Any]:
    tp, fp, fn = counts = detection_counts(true_um, found_um, within_um=within_um)
    precision, recall = (tp / (tp + wrong) if tp + wrong else float("nan") for wrong in (fp, fn))
    return {"cells_alone": fp, "precision": precision, "recall": recall, "f1": counts.f1}


def _answers(cells: pa.Table, ids: list[str], rows: NDArray[np.intp]) -> list[dict[str, Any]]:
    met = cells.take(pa.array(rows))
    known = {name: met[name].to_pylist() for name in ("confidence", "abstained") if name in met.column_names}
    columns = {"cell_id": [ids[row] for row in rows], "label": met["class"].to_pylist()} | known
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _inside(cells: pa.Table, area_um: shapely.Geometry | None) -> pa.Table:
    if area_um is None:
        return cells
    kept = shapely.contains_xy(area_um, cells["x_um"].to_numpy(), cells["y_um"].to_numpy())
    return cells.filter(pa.array(kept))


def _placed_inside(placed: Placed, area_um: shapely.Geometry | None) -> Placed:
    if area_um is None:
        return placed
    kept = shapely.contains_xy(area_um, *placed.centers_um.T)
    return Placed(placed.centers_um[kept], np.asarray(placed.label)[kept])
