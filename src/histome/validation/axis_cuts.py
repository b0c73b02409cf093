"""Limits of the phenotype axes that an outcome chooses: on some patients, tested on the others."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray
from pyarrow import csv

from histome.errors import UsageError
from histome.metrics.uncertainty import holm
from histome.phenotype.axes import phenotypes
from histome.tables import read_table
from histome.validation.resampling import Estimate, bootstrap

_FOLDS = 5
_FEWEST_PATIENTS = 10  # of each outcome: under two a fold there is nothing to choose by
_PERMUTATIONS = 1000
_SIGNIFICANT = 0.05
_COUNTS = "total_cell_count"
_MISSING = frozenset(csv.ConvertOptions().null_values)  # as in a column of numbers: "", NA, NaN, null ...


class OutcomeCut(NamedTuple):
    """The limit of one axis.

    Attributes
    ----------
    axis : str
        Name of the axis.
    cut : float
        In its unit; chosen on all patients, for use.
    high_is_event : bool
        Whether the outcome goes with values over it.
    youden : Estimate
        Sensitivity + specificity - 1 of limits chosen without the patient that each is tried on, 95 %
        percentile bootstrap over patients.
    rows : int
        Rows with a value.
    p, p_holm : float
        Share of permutations, in which patients of a like number of rows change their outcomes, that do as
        well or better on patients who did not choose; and by Holm over the axes that were tried at once.
    fixed : int
        Patients of whose number of rows none has the other outcome, so that theirs never changes.
    """

    axis: str
    cut: float
    high_is_event: bool
    youden: Estimate
    rows: int
    p: float
    p_holm: float
    fixed: int

    @property
    def holds(self) -> bool:
        """Whether it did better than chance on other patients: `p_holm` under 0.05."""
        return self.p_holm < _SIGNIFICANT

    def line(self) -> str:
        """One line for a person."""
        side = "over" if self.high_is_event else "under"
        axis = phenotypes().axes[self.axis]
        limit = f"{axis.value} {side} {self.cut:.4g} {axis.unit}".removesuffix(" 1")
        e, n = self.youden, f"{self.youden.units} patients, {self.rows} rows"
        return (
            f"{self.axis}: the outcome goes with {limit}; on other patients sensitivity + specificity - 1: "
            f"{e.value:.2f} [{e.low:.2f}, {e.high:.2f}] ({n}), p = {self.p:.3f}, "
            f"{self.p_holm:.3f} with the other axes (Holm)"
        )


def outcome_cuts(
    values: Mapping[str, NDArray[np.floating]],
    outcome: NDArray[np.bool_],
    patients: Sequence[str],
    *,
    seed: int = 0,
) -> list[OutcomeCut]:
    """Return the limit of each axis that tells the outcome best, by Youden's index.

    Patients are dealt into five folds, those with and without the outcome apart; the rows of a fold are tried
    with the limit that the other folds chose, so no patient is tried with a limit that it helped to choose.
    The same is done 1,000 times with outcomes and folds exchanged at random, which gives p: among patients
    with 1, 2 to 3, 4 to 7, 8 to 15 ... rows, as who has many rows pulls the limit more than who has few.
    An axis has no limit where fewer than ten patients with the outcome, or without it, have a value of it.

    Parameters
    ----------
    values : mapping of str to (n,) float
        By axis; NaN where a row has none.
    outcome : (n,) bool
        Of the row's patient.
    patients : (n,) str
        Of each row.

    Raises
    ------
    UsageError
        Fewer than ten patients with the outcome or without it, no axis with values of as many, or a patient
        with both.
    """
    names, patient = np.unique(np.asarray(patients), return_inverse=True)
    events = np.bincount(patient, outcome, len(names)) / np.bincount(patient, minlength=len(names))
    if ((events > 0) & (events < 1)).any():
        mixed = names[(events > 0) & (events < 1)][0]
        raise UsageError(f"patient {mixed} has both outcomes; give each patient one")
    if _fewest(events, patient) < _FEWEST_PATIENTS:
        raise UsageError(
            f"{int(events.sum())} patients with the outcome and {int((1 - events).sum())} without; "
            f"{_FEWEST_PATIENTS} of each are needed"
        )
    rng = np.random.default_rng(seed)
    fold = _dealt(events, rng)
    least = {axis: _fewest(events, patient[np.isfinite(v)]) for axis, v in values.items()}
    tried = {axis: v for axis, v in values.items() if least[axis] >= _FEWEST_PATIENTS}
    if not tried:
        raise UsageError(
            f"no axis has values of {_FEWEST_PATIENTS} patients with the outcome and of {_FEWEST_PATIENTS} "
            "without"
        )
    cuts = [_cut(axis, v, events > 0, fold, patient, rng) for axis, v in tried.items()]
    every = holm(np.array([cut.p for cut in cuts]))
    return [cut._replace(p_holm=float(p)) for cut, p in zip(cuts, every, strict=True)]


def _fewest(events: NDArray[np.floating], patient: NDArray[np.integer]) -> int:
    """How many patients of these rows have the outcome that fewer have."""
    mine = events[np.unique(patient)]
    return int(min(mine.sum(), (1 - mine).sum()))


def _dealt(events: NDArray[np.floating], rng: np.random.Generator) -> NDArray[np.int64]:
    """The fold of each patient."""
    fold = np.empty(len(events), np.int64)
    for event in (0, 1):
        mine = rng.permutation(np.flatnonzero(events == event))
        fold[mine] = np.arange(len(mine)) % _FOLDS
    return fold


def _cut(
    axis: str,
    value: NDArray[np.floating],
    event: NDArray[np.bool_],
    fold: NDArray[np.int64],
    patient: NDArray[np.integer],
    rng: np.random.Generator,
) -> OutcomeCut:
    """The limit of one axis; outcome and fold are those of the patients, `patient` is the row's."""
    seen = np.flatnonzero(np.isfinite(value))
    rows = seen[np.argsort(value[seen], kind="stable")]
    value, (those, patient) = value[rows].astype(float), np.unique(patient[rows], return_inverse=True)
    event, fold = event[those], fold[those]
    outcome = event[patient]
    parts = _parts(outcome, _said(value, outcome, fold[patient]))
    youden = bootstrap(parts, patient.tolist(), _youden, rng=np.random.default_rng(0))
    strata = _strata(np.bincount(patient), event)
    orders = np.tile(np.arange(len(those)), (_PERMUTATIONS, 1))
    for order in orders:
        for mine in strata:
            order[mine] = rng.permutation(mine)
    by_chance = _youden(_permuted(value, patient, event, fold, orders))
    as_good = np.count_nonzero(by_chance >= _youden(parts.sum(0)))
    p = (1 + as_good) / (1 + _PERMUTATIONS)
    cut, over = _best(value, outcome, np.ones(len(value), np.bool_))
    return OutcomeCut(axis, cut, over, youden, len(value), p, p, len(those) - sum(map(len, strata)))


def _strata(rows: NDArray[np.integer], event: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """The patients with 1, 2 to 3, 4 to 7 ... rows each, where they have both outcomes.

    Among all patients p is wrong where the outcome goes with the number of rows.
    """
    doublings = np.frexp(rows)[1]
    alike = (np.flatnonzero(doublings == k) for k in np.unique(doublings))
    return [mine for mine in alike if event[mine].any() and not event[mine].all()]


def cut_doubts(cuts: Sequence[OutcomeCut], axes: Collection[str]) -> list[str]:
    """One line for the axes of a table without a limit, one where most outcomes could not be exchanged."""
    doubts, without = [], sorted(set(axes) - {cut.axis for cut in cuts})
    if without:
        doubts.append(
            f"{', '.join(without)}: left out, as fewer than {_FEWEST_PATIENTS} patients with the outcome, or "
            "without it, have a value"
        )
    if fixed := [cut.axis for cut in cuts if 2 * cut.fixed > cut.youden.units]:
        doubts.append(
            f"{', '.join(fixed)}: more than half of the patients have no patient with the other outcome and "
            "a like number of rows, so p rests on the others (1 without any); take about as many rows of each"
        )
    return doubts


def _youden(sums: NDArray[np.floating]) -> NDArray[np.floating]:
    hits, events, quiet, rest = np.moveaxis(sums, -1, 0)
    return hits / np.where(events > 0, events, np.nan) + quiet / np.where(rest > 0, rest, np.nan) - 1


def _parts(outcome: NDArray[np.bool_], said: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Of each row: a hit, an event, rightly quiet, no event; (n, 4)."""
    return np.stack([outcome & said, outcome, ~outcome & ~said, ~outcome], 1).astype(float)


@njit(cache=True, nogil=True)
def _best(value, outcome, used):  # pragma: no cover (compiled)
    """The limit between two values with the largest difference of the shares over it, and its side.

    Of the rows that are used; all are in the order of their values.
    """
    all_events, all_rest = 0, 0
    for i in range(len(value)):
        all_events += used[i] and outcome[i]
        all_rest += used[i] and not outcome[i]
    cut, over, largest, last, events, rest = np.nan, True, -1.0, np.nan, 0, 0
    for i in range(len(value)):
        if not used[i]:
            continue
        if value[i] > last:
            under = events / max(1, all_events) - rest / max(1, all_rest)
            if abs(under) > largest:
                cut, over, largest = (last + value[i]) / 2, under < 0, abs(under)
        last = value[i]
        events += outcome[i]
        rest += not outcome[i]
    return (last if largest < 0 else cut), over


@njit(cache=True, nogil=True)
def _said(value, outcome, fold):  # pragma: no cover (compiled)
    """What the limit of the other folds says of each row."""
    said = np.zeros(len(value), np.bool_)
    for k in range(_FOLDS):
        cut, over = _best(value, outcome, fold != k)
        for i in range(len(value)):
            if fold[i] == k:
                said[i] = (value[i] > cut) == over
    return said


@njit(cache=True, nogil=True)
def _permuted(value, patient, event, fold, orders):  # pragma: no cover (compiled)
    """The sums of `_parts` where patients have the outcomes and folds of others, a row an order."""
    sums = np.zeros((len(orders), 4))
    for draw in range(len(orders)):
        outcome = event[orders[draw]][patient]
        said = _said(value, outcome, fold[orders[draw]][patient])
        for i in range(len(value)):
            sums[draw, 0] += outcome[i] and said[i]
            sums[draw, 1] += outcome[i]
            sums[draw, 2] += not outcome[i] and not said[i]
            sums[draw, 3] += not outcome[i]
    return sums


class OutcomeRows(NamedTuple):
    """The arguments of `outcome_cuts`, and what was left out of them, in lines; none for nothing."""

    values: dict[str, NDArray[np.floating]]
    outcome: NDArray[np.bool_]
    patients: list[str]
    left_out: list[str]


def read_outcome_table(path: Path, *, outcome: str, patient: str) -> OutcomeRows:
    """Return the rows of a .parquet or .csv file, a row a tile or slide, that have 20 cells or more.

    Its columns are the values of the axes and the counts of cells as `histome tme tiles` writes them, the
    patient, and the outcome, 0 or 1. A row with fewer than 20 cells of a class that an axis rests on has no
    value of it. Without a column of counts the rows are kept, and `left_out` says so. Raises UsageError, one
    line, for another file.
    """
    table = read_table(path)
    if missing := [name for name in (outcome, patient) if name not in table.column_names]:
        raise UsageError(f"{path}: no column {missing[0]}; it has {', '.join(table.column_names)}")
    axes = phenotypes().axes.values()
    counts = dict.fromkeys(_count(kind) for axis in axes for kind in axis.rests_on)
    used = (outcome, patient, _COUNTS, *counts, *(axis.value for axis in axes))
    if twice := [name for name in used if table.column_names.count(name) > 1]:
        raise UsageError(f"{path}: the column {twice[0]} is there more than once; keep one")
    for row, one in enumerate(table[outcome].to_pylist(), start=1):
        if one not in (0, 1):
            held = "empty" if one is None else repr(one)
            raise UsageError(
                f"{path}: row {row} below the head has the {outcome} {held}; "
                "the outcome must be 0 or 1 in every row"
            )
    for row, one in enumerate(table[patient].to_pylist(), start=1):
        if one is None or str(one).strip() in _MISSING:
            held = "empty" if one is None else repr(str(one))
            raise UsageError(
                f"{path}: row {row} below the head has no {patient} ({held}); give each row its patient"
            )
    values = _axis_values(table, path)
    enough, left_out = _enough_cells(table, patient, path)
    if len(table) and not enough.any():
        raise UsageError(f"{path}: {left_out[0]}")
    table = table.filter(pa.array(enough))
    values, few = _labeled({axis: v[enough] for axis, v in values.items()}, table, path)
    outcomes = np.array(table[outcome].to_pylist(), bool)
    return OutcomeRows(values, outcomes, list(map(str, table[patient].to_pylist())), [*left_out, *few])


def _count(kind: str) -> str:
    return f"count_{kind}"


def _enough_cells(table: pa.Table, patient: str, path: Path) -> tuple[NDArray[np.bool_], list[str]]:
    """Return which rows have enough cells for labels, (n,) bool, and what is left out in words."""
    fewest = phenotypes().fewest_cells
    if _COUNTS not in table.column_names:
        told = f"no column {_COUNTS}: rows of fewer than {fewest} cells could not be left out"
        return np.ones(len(table), bool), [told]
    enough = _numbers(table, _COUNTS, path) >= fewest
    if enough.all():
        return enough, []
    rows = f"{np.count_nonzero(~enough):,} of {len(table):,} rows left out: fewer than {fewest} cells"
    lost = len(set(table[patient].to_pylist()) - set(table.filter(pa.array(enough))[patient].to_pylist()))
    patients = f"{lost:,} {'patient has' if lost == 1 else 'patients have'} no other"
    return enough, [f"{rows}; {patients}" if lost else rows]


def _labeled(
    values: dict[str, NDArray[np.floating]], table: pa.Table, path: Path
) -> tuple[dict[str, NDArray[np.floating]], list[str]]:
    """Return the values that get a label, NaN for others, and which those are in words.

    An axis has none where a class that it rests on has too few cells.
    """
    labeled, told, fewest = dict(values), list[str](), phenotypes().fewest_cells
    for name, value in values.items():
        kinds = phenotypes().axes[name].rests_on
        missing = [_count(kind) for kind in kinds if _count(kind) not in table.column_names]
        there = [_count(kind) for kind in kinds if _count(kind) in table.column_names]
        enough = np.all([_numbers(table, count, path) >= fewest for count in there], axis=0)
        labeled[name] = np.where(enough, value, np.nan)
        few = np.count_nonzero(np.isfinite(value) & ~enough)
        cells = f"fewer than {fewest} {' or '.join(kinds)} cells"
        if missing:
            told.append(f"{name}: no column {', '.join(missing)}: rows of {cells} could not be left out")
        if few:
            told.append(f"{name}: {few:,} of {len(table):,} rows left out: {cells}")
    return labeled, told


def _axis_values(table: pa.Table, path: Path) -> dict[str, NDArray[np.floating]]:
    """Return the columns of the axes that a table has, NaN for a null; UsageError where none can be."""
    axes = phenotypes().axes.items()
    values = {n: _numbers(table, a.value, path) for n, a in axes if a.value in table.column_names}
    if not values:
        wanted = ", ".join(axis.value for axis in phenotypes().axes.values())
        raise UsageError(f"{path}: none of the columns {wanted}")
    for name, value in values.items():
        if (endless := np.flatnonzero(np.isinf(value))).size:
            row, column = int(endless[0]), phenotypes().axes[name].value
            raise UsageError(
                f"{path}: row {row + 1} below the head has the {column} {value[row]:g}; "
                "leave it empty where there is none"
            )
        told = value[np.isfinite(value)]
        if len(told) and (why := phenotypes().axes[name].refused(told.min(), told.max())):
            raise UsageError(f"{path}: {why}; the column holds {told.min():g} to {told.max():g}")
    return values


def _numbers(table: pa.Table, name: str, path: Path) -> NDArray[np.floating]:
    try:
        return table[name].cast(pa.float64()).fill_null(float("nan")).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise UsageError(f"{path}: column {name} holds no numbers ({error})") from error


def cuts_to_toml(cuts: Sequence[OutcomeCut]) -> str:
    """Return the limits as TOML that `histome tme patch --cuts` reads: one limit an axis, nothing between.

    Those that did not surely better than chance on other patients stand in comments: the shipped limits stay.
    """
    tables = []
    for c in cuts:
        lines = [f"[{c.axis}] # {c.line()}", f"below = {c.cut!r}", f"above = {c.cut!r}"]
        off = [
            "# not surely better than chance on other patients, so not in use:",
            *(f"# {line}" for line in lines),
        ]
        tables.append("\n".join(lines if c.holds else off) + "\n")
    return "# For research use; chosen by an outcome.\n\n" + "\n".join(tables)
