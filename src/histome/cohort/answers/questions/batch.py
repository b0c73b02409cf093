"""Can the scanner or the center be told from the numbers? By patients that the classifier has not seen."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kruskal

from histome.cohort.answers.page.answer import Answer, counted, ends_words, listed, p_words
from histome.cohort.answers.page.figures import forest
from histome.cohort.answers.questions.choose import filled_scores, groups_of, in_words
from histome.cohort.answers.questions.effects import explained
from histome.cohort.answers.tables.measured import CohortNumbers, Floats
from histome.errors import DataError
from histome.metrics.uncertainty import benjamini_hochberg

_DISCOVERY = 0.05
_SHOWN = 24
_FOLDS = 5
# Share of the variance of ranks between batches under which a metric is called robust (Cohen's medium
# effect).
ROBUST = 0.06
# Cramer's V from which groups and batches are called entangled.
_ENTANGLED = 0.3


class _Told(NamedTuple):
    """How well batches are told: balanced accuracy, what chance gives (95th percentile), p."""

    accuracy: float
    chance: float
    by_chance: float
    p: float


def find_batch(
    measured: CohortNumbers, batch: str, *, by: str = "", permutations: int = 99, seed: int = 0
) -> Answer:
    """Return how well the batches of a column can be told from the numbers, and which numbers show them.

    A ridge classifier of the normal scores, judged on patients that it has not seen (5 folds), against the
    same with the batches dealt out anew among the patients. A metric is robust where the upper end of the
    interval of epsilon squared is under `ROBUST`. `by` asks whether the groups of that column and the batches
    can be told apart at all.

    Raises DataError for batches too small.
    """
    rows, batches = groups_of(measured, batch, fewest=_FOLDS)
    patients = np.array(rows.about.get("patient", rows.ids)) if rows.each == "slide" else np.array(rows.ids)
    if min(len(set(patients[batches == name])) for name in set(batches)) < _FOLDS:
        raise DataError(
            f"a batch of {batch!r} has fewer than {_FOLDS} patients: it cannot be judged on others"
        )
    rng = np.random.default_rng(seed)
    told = _judged(filled_scores(rows.value), batches, patients, permutations, rng)
    table = _per_metric(rows, batches, rng)
    mixed = _entangled(rows, batches, by) if by else None
    name = f"batch_{''.join(s if s.isalnum() else '_' for s in batch.lower())}"
    title = f"Can the {batch} be told from the numbers?"
    return Answer(
        name,
        title,
        _said(told, table, batch, len(set(batches)), mixed),
        {name: table, f"{name}_told": [told._asdict()]},
        [_brief(row) for row in table],
        _figure(table),
        "Share of the variance of ranks between batches, with 95 % intervals; blue: q at most "
        f"{_DISCOVERY:g}. "
        f"Left of {ROBUST:g} with its whole interval: robust.",
        (
            f"A ridge classifier of the normal scores of {counted(len(rows.names), 'metric')}, balanced "
            "accuracy over "
            f"{_FOLDS} folds of whole patients; p over {permutations} deals of the batches among the "
            "patients. Per "
            "metric: Kruskal-Wallis, Benjamini-Hochberg, epsilon squared with a bootstrap interval.",
            "A batch that differs need not be a fault of the scanner: centers have other patients, too. "
            "Where a "
            "group of interest came from one batch alone, no method can tell the two apart.",
        ),
    )


def _judged(
    scores: Floats,
    batches: NDArray[np.str_],
    patients: NDArray[np.str_],
    permutations: int,
    rng: np.random.Generator,
) -> _Told:
    own, place = np.unique(patients, return_inverse=True)
    first = np.zeros(len(own), dtype=batches.dtype)
    first[place] = batches
    # Whole patients are dealt where none has two batches.
    whole = bool((first[place] == batches).all())
    found = _accuracy(scores, batches, _folds(first, rng)[place])
    chance = []
    for _ in range(permutations):
        dealt = rng.permutation(first)
        again = dealt[place] if whole else rng.permutation(batches)
        chance.append(_accuracy(scores, again, _folds(dealt, rng)[place]))
    p = (1 + sum(each >= found for each in chance)) / (1 + permutations)
    return _Told(found, 1 / len(set(batches)), float(np.percentile(chance, 95)), p)


def _folds(batch_of: NDArray[np.str_], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the fold of each patient; those of a batch are spread over all folds."""
    order = rng.permutation(len(batch_of))
    order = order[np.argsort(batch_of[order], kind="stable")]
    folds = np.empty(len(batch_of), np.int64)
    folds[order] = np.arange(len(batch_of)) % _FOLDS
    return folds


def _accuracy(scores: Floats, batches: NDArray[np.str_], folds: NDArray[np.int64]) -> float:
    """Return the balanced accuracy of ridge classifiers on the folds that they have not seen."""
    names, code = np.unique(batches, return_inverse=True)
    guessed = np.empty(len(code), np.int64)
    for k in range(_FOLDS):
        test = folds == k
        weights = ridge_classifier(scores[~test], code[~test], len(names))
        guessed[test] = np.argmax(np.column_stack([np.ones(test.sum()), scores[test]]) @ weights, axis=1)
    return float(np.mean([(guessed[code == k] == k).mean() for k in range(len(names))]))


def ridge_classifier(scores: Floats, code: NDArray[np.int64], kinds: int) -> Floats:
    """Return the weights (1 + metrics, classes) of a ridge regression on +-1; classes weigh the same.

    The penalty, the number of metrics, is that of a prior under which all of them together say as much as
    chance.
    """
    weight = (len(code) / (kinds * np.maximum(np.bincount(code, minlength=kinds), 1)))[code]
    wanted = np.where(code[:, None] == np.arange(kinds), 1.0, -1.0)
    middle, height = (np.average(each, axis=0, weights=weight) for each in (scores, wanted))
    x, y = scores - middle, wanted - height
    penalty = scores.shape[1] * np.eye(scores.shape[1])
    slopes = np.linalg.solve((x.T * weight) @ x + penalty, (x.T * weight) @ y)
    return np.vstack([height - middle @ slopes, slopes])


def _per_metric(
    rows: CohortNumbers, batches: NDArray[np.str_], rng: np.random.Generator
) -> list[dict[str, Any]]:
    table = []
    for k, name in enumerate(rows.names):
        values = rows.value[:, k]
        samples = [values[(batches == each) & np.isfinite(values)] for each in np.unique(batches)]
        if min(map(len, samples)) < 2:
            continue
        size = explained(samples, rng, draws=200)
        row = {"metric": name, "epsilon_squared": size.value, "low": size.low, "high": size.high}
        table.append(row | {"p": float(kruskal(*samples).pvalue)})
    q = benjamini_hochberg(np.array([row["p"] for row in table]))
    more = {"harmonized": rows.harmonized} if rows.harmonized else {}
    made = [
        {**row, "q": float(each), "verdict": _verdict(row, each), **more}
        for row, each in zip(table, q, strict=True)
    ]
    return sorted(made, key=lambda row: (-row["epsilon_squared"], row["metric"]))


def _verdict(row: dict[str, Any], q: float) -> str:
    if q <= _DISCOVERY:
        return "differs" if row["high"] >= ROBUST else "differs a little"
    return "robust" if row["high"] < ROBUST else "not settled"


def _entangled(rows: CohortNumbers, batches: NDArray[np.str_], by: str) -> str:
    """Return what the table of groups and batches says of telling them apart."""
    groups = rows.column(by)
    known = groups != ""
    kinds, ours = np.unique(groups[known], return_inverse=True)
    names, theirs = np.unique(batches[known], return_inverse=True)
    if len(kinds) < 2 or len(names) < 2:
        return f"{by} has one group: whether it goes with the batches cannot be asked."
    counts = np.zeros((len(kinds), len(names)))
    np.add.at(counts, (ours, theirs), 1)
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    chi2 = float(((counts - expected) ** 2 / expected).sum())
    v = float(np.sqrt(chi2 / counts.sum() / (min(counts.shape) - 1)))
    if v >= 0.999:
        return f"Every batch has one group of {by}: no method can tell the two apart."
    if v >= _ENTANGLED:
        return (
            f"Groups of {by} are dealt unevenly over the batches (Cramér's V {v:.2f}): part of what differs "
            "between "
            "groups may be the batches; hold the batch still with --covariate."
        )
    return f"Groups of {by} are dealt about evenly over the batches (Cramér's V {v:.2f})."


def _said(
    told: _Told, table: Sequence[dict[str, Any]], batch: str, kinds: int, mixed: str | None
) -> tuple[str, ...]:
    verdicts = [row["verdict"] for row in table]
    accuracy = (
        f"of {kinds} batches the right one in {100 * told.accuracy:.0f} of 100, where chance gives "
        f"{100 * told.chance:.0f} (p {p_words(told.p)})"
    )
    if told.p <= _DISCOVERY:
        first = f"Yes: the {batch} can be told from the numbers, {accuracy}."
    else:
        first = f"Not shown: the {batch} was not told better than by chance, {accuracy}."
    worst = in_words([row["metric"] for row in table if row["verdict"].startswith("differs")])
    robust = [row["metric"] for row in table if row["verdict"] == "robust"]
    counts = (
        f"{len(worst)} of {counted(len(table), 'metric')} {'differs' if len(worst) == 1 else 'differ'} "
        "between batches"
        + (f", most {listed(worst, 3)}" if worst else "")
        + f"; {len(robust)} are robust, {verdicts.count('not settled')} not settled with this n."
    )
    return (first, counts, *([mixed] if mixed else []))


def _brief(row: dict[str, Any]) -> dict[str, Any]:
    size = ends_words(row["epsilon_squared"], row["low"], row["high"])
    called = {"metric": in_words([row["metric"]])[0], "epsilon squared": size}
    return called | {"p": row["p"], "q": row["q"], "verdict": row["verdict"]}


def _figure(table: Sequence[dict[str, Any]]) -> str:
    rows = table[:_SHOWN]
    if not rows:
        return ""
    ends = [(row["low"], row["high"]) for row in rows]
    marked = [row["q"] <= _DISCOVERY for row in rows]
    called = in_words([row["metric"] for row in rows])
    sizes = [row["epsilon_squared"] for row in rows]
    return forest(called, sizes, ends, marked=marked, about=(ROBUST, "epsilon squared"))
