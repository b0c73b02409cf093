"""A model and people against a consensus, on the same cells, with intervals of their differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histome.errors import DataError
from histome.validation.confidence import class_f1, mean_known
from histome.validation.raters.consensus import consensus_of
from histome.validation.raters.votes import MISSING, Votes
from histome.validation.resampling import draw_sums, interval

_Floats = NDArray[np.floating]


class Drawing(NamedTuple):
    """How intervals are drawn.

    Attributes
    ----------
    rng : np.random.Generator
        Where the draws come from.
    draws : int
        How many.
    units, strata : (n,) str or None
        See `draw_sums`.
    """

    rng: np.random.Generator
    draws: int = 10_000
    units: ArrayLike | None = None
    strata: ArrayLike | None = None

    def of(self, parts: _Floats, kept: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Drawn sums of the kept rows, (draws, k)."""
        units, strata = (None if of is None else np.asarray(of)[kept] for of in (self.units, self.strata))
        return draw_sums(parts[kept], rng=self.rng, units=units, strata=strata, draws=self.draws)


@dataclass(frozen=True, eq=False)
class Judge:
    """One judge's labels of the items of some votes.

    Attributes
    ----------
    codes : (n,) int16
        Place in the labels of the votes; negative for a label that is none of them, an abstention, `unsure`.
    given : (n,) bool
        Whether the judge looked at the item at all: others are no misses, they are left out.
    confidence : (n,) float or None
        0-1.
    """

    name: str
    codes: NDArray[np.int16]
    given: NDArray[np.bool_]
    confidence: NDArray[np.float64] | None = None


def answers_of_model(votes: Votes, table: Mapping[str, NDArray[Any]], name: str = "model") -> Judge:
    """Place a model's answers (see `read_answers`) beside votes.

    Raises DataError where no cell is shared, and where a column of both (slide, organ) tells two things of
    one cell.
    """
    place = np.searchsorted(votes.items, table["cell_id"])
    known = votes.items[np.minimum(place, len(votes.items) - 1)] == table["cell_id"]
    if not known.any():
        raise DataError(
            f"no cell of the {len(table['cell_id'])} answers has votes: "
            f"cell_id {str(table['cell_id'][0])!r} there, {str(votes.items[0])!r} in the votes."
        )
    for column in votes.columns.keys() & table.keys():
        _check_same(votes.columns[column][place[known]], table, np.flatnonzero(known), column)
    code = np.full(len(known), MISSING, np.int16)
    for k, label in enumerate(votes.labels):
        code[table["label"] == label] = k
    if "abstained" in table:
        code[table["abstained"]] = MISSING
    codes, given = np.full(len(votes.items), MISSING, np.int16), np.zeros(len(votes.items), bool)
    codes[place[known]], given[place[known]] = code[known], True
    confidence = None
    if "confidence" in table:
        confidence = np.full(len(votes.items), np.nan)
        confidence[place[known]] = table["confidence"][known]
    return Judge(name, codes, given, confidence)


def _check_same(
    voted: NDArray[np.str_], table: Mapping[str, NDArray[Any]], rows: NDArray[np.intp], column: str
) -> None:
    said = table[column][rows].astype(np.str_)
    other = np.flatnonzero((said != voted) & (said != "") & (voted != ""))
    if len(other):
        k = other[0]
        raise DataError(
            f"cell {table['cell_id'][rows[k]]} has {column} {str(voted[k])!r} in the votes and "
            f"{str(said[k])!r} in the answers ({len(other):,} such cells): are they of the same slides?"
        )


def answers_of_rater(votes: Votes, condition: str, rater: str) -> Judge:
    """One rater's own votes; cells without a vote of theirs were not given to them."""
    codes = votes.codes[condition][:, votes.raters.index(rater)]
    return Judge(rater, np.where(codes >= 0, codes, MISSING).astype(np.int16), codes != MISSING)


class Truth(NamedTuple):
    """The consensus of a condition: its name, with who is left out, and the place of each item's label."""

    name: str
    codes: NDArray[np.int16]


def truth_of(votes: Votes, condition: str, labels: Sequence[str], *, leave_out: str | None = None) -> Truth:
    """The consensus of a condition in the classes scored, with or without one of the raters."""
    codes = consensus_of(votes, condition, leave_out=leave_out).codes
    name = condition if leave_out is None else f"{condition} without {leave_out}"
    return Truth(name, narrowed(codes, votes.labels, labels))


def confusions(truth: NDArray[np.integer], answer: NDArray[np.integer], n: int) -> NDArray[np.float64]:
    """(m, n (n + 1)) each item's confusion, rows the truth; the last column is of misses."""
    parts = np.zeros((len(truth), n * (n + 1)))
    known = truth >= 0
    column = np.where(answer >= 0, answer, n)
    parts[np.flatnonzero(known), truth[known] * (n + 1) + column[known]] = 1
    return parts


def label_f1(sums: _Floats, n: int) -> _Floats:
    """(..., n) F1 of each class from summed `confusions`; NaN for a class in neither truth nor answers."""
    return class_f1(np.asarray(sums, float).reshape(*np.shape(sums)[:-1], n, n + 1))


def mean_f1(sums: _Floats, n: int) -> _Floats:
    """(...,) mean F1 over the classes that occur: a class without truth that was answered counts 0."""
    return mean_known(label_f1(sums, n))


def mean_recall(sums: _Floats, n: int) -> _Floats:
    """(...,) balanced accuracy: mean recall over the classes that have truth."""
    matrix = np.asarray(sums, float).reshape(*np.shape(sums)[:-1], n, n + 1)
    asked, hits = matrix.sum(-1), np.diagonal(matrix, axis1=-2, axis2=-1)
    return mean_known(np.divide(hits, asked, out=np.full_like(asked, np.nan), where=asked > 0))


def score_answers(
    answers: Judge, truth: NDArray[np.integer], labels: Sequence[str], drawing: Drawing
) -> list[dict[str, Any]]:
    """F1 of each class, macro F1 and balanced accuracy of one judge.

    Parameters
    ----------
    truth : (n,) int
        Place in `labels`; negative where nothing is known, which is left out.

    Returns
    -------
    list of dict
        Rows of judge, measure, label, value, low, high, n (items scored; of a class, those that truly are
        of it).
    """
    n, kept = len(labels), (truth >= 0) & answers.given
    parts = confusions(truth, answers.codes, n)
    total, drawn = parts[kept].sum(0), drawing.of(parts, kept)
    rows = []
    for measure, score in (("macro F1", mean_f1), ("balanced accuracy", mean_recall)):
        found = interval(float(score(total, n)), score(drawn, n), int(kept.sum()))
        rows.append({"judge": answers.name, "measure": measure, "label": "all", **found.row()})
    values, draws = label_f1(total, n), label_f1(drawn, n)
    for k, label in enumerate(labels):
        found = interval(float(values[k]), draws[:, k], int((truth[kept] == k).sum()))
        rows.append({"judge": answers.name, "measure": "F1", "label": label, **found.row()})
    return rows


def compare(
    first: Judge, second: Judge, truth: NDArray[np.integer], labels: Sequence[str], drawing: Drawing
) -> list[dict[str, Any]]:
    """Macro F1 and each class's F1 of the first judge less the second's.

    Both on the cells that both were given, and on the same draws: the interval is of the difference. n is as
    in `score_answers`.
    """
    n, kept = len(labels), (truth >= 0) & first.given & second.given
    parts = np.hstack([confusions(truth, each.codes, n) for each in (first, second)])
    total, drawn = parts[kept].sum(0), drawing.of(parts, kept)
    names = f"{first.name} - {second.name}"
    rows = []
    for measure, label, score, items in (
        ("macro F1", "all", mean_f1, kept),
        *(
            ("F1", label, lambda sums, n, k=k: label_f1(sums, n)[..., k], kept & (truth == k))
            for k, label in enumerate(labels)
        ),
    ):
        value, values = (_less(sums, score, n) for sums in (total, drawn))
        found = interval(float(value), values, int(items.sum()))
        rows.append({"judge": names, "measure": measure, "label": label, **found.row()})
    return rows


def _less(sums: _Floats, score: Any, n: int) -> NDArray[np.float64]:
    half = sums.shape[-1] // 2
    return score(sums[..., :half], n) - score(sums[..., half:], n)


def score_study(
    votes: Votes,
    model: Judge | None,
    drawing: Drawing,
    *,
    truth: str,
    rated: str,
    classes: Sequence[str] | None = None,
    leave_one_out: bool = True,
) -> list[dict[str, Any]]:
    """The model and each rater against the consensus of one condition, and the model less each rater.

    Parameters
    ----------
    truth, rated : str
        The condition whose consensus is the truth, and the one whose votes are scored.
    classes : sequence of str or None
        The classes that are scored: cells that truly are of others are left out, and an answer of another
        class is a miss.
    leave_one_out : bool
        A rater is scored against the consensus of the others where both conditions are one, or their own vote
        would be part of their truth.

    Returns
    -------
    list of dict
        Rows of `score_answers` and `compare` with one thing more, `truth`: whose consensus, without whom, on
        whose cells. Where there is a model, they are of cells that it was given, those of one truth are of
        the same cells, and each difference is that of two of them.
    """
    labels = tuple(classes or votes.labels)
    model = model and replace(model, codes=narrowed(model.codes, votes.labels, labels))
    whole = truth_of(votes, truth, labels)
    rows = _against(whole.name, score_answers(model, whole.codes, labels, drawing)) if model else []
    for rater in votes.raters:
        own = leave_one_out and truth == rated
        against = truth_of(votes, truth, labels, leave_out=rater) if own else whole
        judge = answers_of_rater(votes, rated, rater)
        judge = replace(judge, codes=narrowed(judge.codes, votes.labels, labels))
        rows += _beside(model, judge, against, labels, drawing, again=own)
    return rows


def _beside(
    model: Judge | None,
    rater: Judge,
    truth: Truth,
    labels: Sequence[str],
    drawing: Drawing,
    *,
    again: bool,
) -> list[dict[str, Any]]:
    """A rater and, on the same cells and of the same truth, the model: again where its cells are others."""
    if model is None:
        return _against(truth.name, score_answers(rater, truth.codes, labels, drawing))
    both = model.given & rater.given
    name = truth.name
    if not again and (model.given & ~both & (truth.codes >= 0)).any():
        name, again = f"{name}, cells of {rater.name}", True
    model, rater = (replace(each, given=both) for each in (model, rater))
    rows = score_answers(model, truth.codes, labels, drawing) if again else []
    rows += score_answers(rater, truth.codes, labels, drawing)
    return _against(name, rows + compare(model, rater, truth.codes, labels, drawing))


def _against(truth: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"judge": row["judge"], "truth": truth, **row} for row in rows]


def narrowed(codes: NDArray[np.integer], labels: Sequence[str], classes: Sequence[str]) -> NDArray[np.int16]:
    """Codes of labels as codes of the classes scored, `MISSING` for others; DataError for unknown ones."""
    unknown = [name for name in classes if name not in labels]
    if unknown:
        raise DataError(f"no vote is {', '.join(unknown)}; the labels are {', '.join(labels)}.")
    to = np.array([classes.index(name) if name in classes else MISSING for name in labels], np.int16)
    return np.where(codes >= 0, to[codes], MISSING).astype(np.int16)
