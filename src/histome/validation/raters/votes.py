"""Long tables of labels, a row for each cell and rater, as arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from histome.errors import DataError
from histome.tables import read_table

# No vote, and the vote that says that one cannot tell.
MISSING, UNSURE = -1, -2
SAID_UNSURE = ("unsure", "?", "uncertain")
# A model's answers, as `read_answers` reads them: column -> values.
Answers = Mapping[str, NDArray[Any]]
_OWN = ("cell_id", "rater", "label", "condition")


@dataclass(frozen=True, eq=False)
class Votes:
    """What raters said of the same items.

    Attributes
    ----------
    items : (n,) str
        Their ids, sorted.
    raters, labels : tuple of str
        Names of the columns and of the codes below.
    codes : condition -> (n, raters) int16
        Place of each vote's label in `labels`; `MISSING` or `UNSURE` else. Every condition has every item and
        rater.
    columns : name -> (n,) str
        Whatever else the table says of an item: slide, strata.
    """

    items: NDArray[np.str_]
    raters: tuple[str, ...]
    labels: tuple[str, ...]
    codes: Mapping[str, NDArray[np.int16]]
    columns: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)


def read_votes(path: str | Path, *, labels: Sequence[str] | None = None) -> Votes:
    """Read votes from CSV, TSV or Parquet with columns cell_id, rater, label and, if any, others.

    A blank label is no vote; `unsure`, `uncertain` and `?` say that the rater could not tell.

    Parameters
    ----------
    labels : sequence of str or None
        All labels that there may be, in order (for ordinal scales); those of the table, sorted, if None.

    Raises
    ------
    DataError
        One line: no such columns, no vote, an unknown label, two labels or raters that differ by case alone,
        two votes of one rater on one cell, two values of a cell's own column.
    """
    return votes_of(_read(Path(path), ("cell_id", "rater", "label")), path, labels=labels)


def votes_of(table: pa.Table, path: str | Path, *, labels: Sequence[str] | None = None) -> Votes:
    """The votes of a table, as `read_votes` reads it; `path` is what an error names."""
    said = np.char.strip(_text(table, "label"))
    rows = np.flatnonzero(said != "")
    if not len(rows):
        raise DataError(f"{path}: no row has a label.")
    names, code = _coded(said[rows], labels, path)
    items, item = np.unique(_text(table, "cell_id")[rows], return_inverse=True)
    raters, rater = np.unique(_text(table, "rater")[rows], return_inverse=True)
    for kind, words in (("labels", names), ("raters", raters.tolist())):
        check_case(words, kind, path)
    condition = (
        _text(table, "condition")[rows] if "condition" in table.column_names else np.full(len(rows), "all")
    )
    conditions, which = np.unique(condition, return_inverse=True)
    cube = np.full((len(conditions), len(items), len(raters)), MISSING, np.int16)
    place = np.ravel_multi_index((which, item, rater), cube.shape)
    _check_single(place, rows, path)
    cube.ravel()[place] = code
    others = [name for name in table.column_names if name not in _OWN]
    columns = {name: _of_items(_text(table, name)[rows], item, items, name, path) for name in others}
    codes = dict(zip(conditions.tolist(), cube, strict=True))
    return Votes(items, tuple(raters.tolist()), names, codes, columns)


def read_answers(path: str | Path) -> dict[str, NDArray[Any]]:
    """Read a model's answers: cell_id, label (str) and, if any, confidence (float), abstained (bool), others.

    Raises DataError, one line: no such columns, a cell twice, a confidence that is no number of 0-1.
    """
    return answers_of(_read(Path(path), ("cell_id", "label")), path)


def answers_of(table: pa.Table, path: str | Path) -> dict[str, NDArray[Any]]:
    """The answers of a table, as `read_answers` reads it; `path` is what an error names."""
    answers: dict[str, NDArray[Any]] = {name: _text(table, name) for name in ("cell_id", "label")}
    ids, number = np.unique(answers["cell_id"], return_counts=True)
    if (number > 1).any():
        raise DataError(f"{path}: cell {ids[number > 1][0]} has {number.max()} rows; give one a cell.")
    if "confidence" in table.column_names:
        try:
            answers["confidence"] = table["confidence"].cast(pa.float64()).to_numpy()
        except pa.ArrowInvalid as error:
            raise DataError(f"{path}: column confidence holds text ({error}).") from error
        if not ((answers["confidence"] >= 0) & (answers["confidence"] <= 1)).all():
            raise DataError(f"{path}: column confidence has values outside 0-1 or none.")
    if "abstained" in table.column_names:
        answers["abstained"] = np.isin(np.char.lower(_text(table, "abstained")), ("true", "1", "yes"))
    others = [name for name in table.column_names if name not in answers and name not in _OWN]
    return answers | {name: _text(table, name) for name in others}


def _read(path: Path, wanted: Sequence[str]) -> pa.Table:
    table = read_table(path)
    missing = [name for name in wanted if name not in table.column_names]
    if missing:
        raise DataError(f"{path}: no column {', '.join(missing)} among {', '.join(table.column_names)}.")
    return table


def _text(table: pa.Table, name: str) -> NDArray[np.str_]:
    values = table[name].to_pylist()
    return np.array(["" if value is None else str(value) for value in values], dtype=np.str_)


def _coded(
    said: NDArray[np.str_], labels: Sequence[str] | None, path: str | Path
) -> tuple[tuple[str, ...], NDArray[np.int16]]:
    unsure = np.isin(np.char.lower(said), SAID_UNSURE)
    names = tuple(labels) if labels else tuple(np.unique(said[~unsure]).tolist())
    code = np.full(len(said), UNSURE, np.int16)
    for place, name in enumerate(names):
        code[said == name] = place
    unknown = said[(code == UNSURE) & ~unsure]
    if len(unknown):
        raise DataError(f"{path}: unknown label {str(unknown[0])!r}; known are {', '.join(names)}.")
    return names, code


def check_case(words: Sequence[str], kind: str, path: str | Path) -> None:
    """Raise DataError where two words differ by case alone."""
    seen: dict[str, str] = {}
    for word in words:
        if (other := seen.setdefault(word.strip().casefold(), word)) != word:
            raise DataError(f"{path}: the {kind} {other!r} and {word!r} differ by case alone; write one.")


def _check_single(place: NDArray[np.intp], rows: NDArray[np.intp], path: str | Path) -> None:
    order = np.argsort(place, kind="stable")
    same = np.flatnonzero(np.diff(place[order]) == 0)
    if len(same):
        first, second = (int(rows[order[k]]) + 2 for k in (same[0], same[0] + 1))
        raise DataError(f"{path}: rows {first} and {second} are votes of one rater on one cell; give one.")


def _of_items(
    values: NDArray[np.str_], item: NDArray[np.intp], items: NDArray[np.str_], name: str, path: str | Path
) -> NDArray[np.str_]:
    """The value of each item, (n,); a column that tells two of one item is refused."""
    own = np.empty(len(items), values.dtype)
    own[item] = values
    other = np.flatnonzero(own[item] != values)
    if len(other):
        k = other[0]
        two = f"{str(own[item[k]])!r} and {str(values[k])!r}"
        raise DataError(f"{path}: cell {items[item[k]]} has two values of {name}: {two}.")
    return own
