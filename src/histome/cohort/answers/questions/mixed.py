"""Groups in a model: slides with an intercept for each patient, or patients; covariates held still."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from histome.cohort.answers.page.answer import Answer, counted, ends_words, p_words
from histome.cohort.answers.page.figures import forest
from histome.cohort.answers.questions.choose import groups_of, in_words, normal_scores
from histome.cohort.answers.questions.intercepts import Fit, fit_means
from histome.cohort.answers.tables.measured import CohortNumbers, Floats, with_patients
from histome.errors import DataError
from histome.metrics.uncertainty import benjamini_hochberg

_DISCOVERY = 0.05
_SHOWN = 24
_Z = float(ndtri(0.975))


def model_groups(slides: CohortNumbers, by: str, *, covariates: Sequence[str] = ()) -> Answer:
    """Return by how many SD the groups of a column differ, in each metric of the slides.

    A linear mixed model with a random intercept for each patient (REML), where some patient has several
    slides; else least squares with HC3 errors. The metric is taken as normal scores of its ranks, so the
    effect is in SD of the cohort, whatever its unit. The first group in the alphabet is the one compared
    with; covariates are columns of the manifest, numbers as they are and texts as classes.
    """
    rows, groups = groups_of(slides, by)
    of_patients = rows.each == "slide" and "patient" in rows.about
    patients = np.array(with_patients(rows) if of_patients else rows.ids)
    names = np.unique(groups).tolist()
    design, known = _design(rows, groups, names, covariates)
    repeated = len(set(patients)) < len(patients)
    scores = normal_scores(rows.value)
    table = []
    for k, metric in enumerate(rows.names):
        usable = known & np.isfinite(scores[:, k])
        fit = fit_means(scores[usable, k], design[usable], patients[usable])
        table += _rows(metric, fit, names, int(usable.sum()), harmonized=rows.harmonized)
    q = benjamini_hochberg(np.array([row["p"] for row in table]))
    table = [{**row, "q": float(each)} for row, each in zip(table, q, strict=True)]
    table.sort(key=lambda row: (np.nan_to_num(row["p"], nan=2.0), row["metric"]))
    name = f"model_{''.join(s if s.isalnum() else '_' for s in by.lower())}"
    kind = (
        "mixed model, a random intercept for each patient" if repeated else "least squares, one row a patient"
    )
    return Answer(
        name,
        f"The groups of {by} in a model",
        _said(table, repeated, len(set(patients)), len(rows), covariates),
        {name: table},
        [_brief(row) for row in table],
        _figure(table),
        f"Difference to {names[0]} in SD of the cohort, with 95 % intervals; blue: q at most {_DISCOVERY:g}.",
        (
            f"A {kind}, of normal scores of ranks; {names[0]} is the group compared with"
            + (f"; held still: {', '.join(covariates)}" if covariates else "")
            + ". Slides of one patient resemble each other: to count them as independent finds too much: "
            "the random intercept mends that. Nulls are left out, metric by metric. q: Benjamini-Hochberg "
            "over all rows.",
        ),
    )


def _design(
    rows: CohortNumbers, groups: NDArray[np.str_], names: Sequence[str], covariates: Sequence[str]
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return intercept, groups but the first, covariates; and the rows where all of them are known."""
    columns = [np.ones(len(rows)), *((groups == name).astype(float) for name in names[1:])]
    known = np.ones(len(rows), bool)
    for name in covariates:
        texts = rows.column(name)
        known &= texts != ""
        try:
            numbers = rows.numbers(name)
            columns.append((numbers - np.nanmean(numbers)) / (np.nanstd(numbers) or 1.0))
        except DataError:
            columns += [(texts == kind).astype(float) for kind in np.unique(texts[texts != ""])[1:]]
    design = np.column_stack(columns)
    if np.linalg.matrix_rank(design[known]) < design.shape[1]:
        raise DataError(
            f"the groups follow from {', '.join(covariates)}: they cannot be told apart in a model"
        )
    return design, known


def _rows(
    metric: str, fit: "Fit | None", names: Sequence[str], n: int, *, harmonized: str
) -> list[dict[str, Any]]:
    rows = []
    for k, name in enumerate(names[1:], start=1):
        value, error = (float("nan"),) * 2 if fit is None else (float(fit.value[k]), float(fit.error[k]))
        row = {"metric": metric, "group": name, "against": names[0], "n": n, "difference_sd": value}
        row |= {"low": value - _Z * error, "high": value + _Z * error}
        row["p"] = float(2 * ndtr(-abs(value / error))) if error > 0 else float("nan")
        rows.append(row | ({"harmonized": harmonized} if harmonized else {}))
    return rows


def _said(
    table: Sequence[dict[str, Any]], repeated: bool, patients: int, slides: int, covariates: Sequence[str]
) -> tuple[str, ...]:
    found = [row for row in table if row["q"] <= _DISCOVERY]
    counts = f"{counted(slides, 'slide' if repeated else 'row')} of {counted(patients, 'patient')}"
    held = f", {', '.join(covariates)} held still" if covariates else ""
    if not found:
        return (f"No difference was found with {counts}{held}.",)
    row = found[0]
    called = in_words([row["metric"]])[0]
    return (
        f"{len(found)} of {counted(len(table), 'difference')} found with {counts}{held}. Clearest: {called}, "
        f"{abs(row['difference_sd']):.2f} SD {'higher' if row['difference_sd'] > 0 else 'lower'} in "
        f"{row['group']} than in {row['against']} (95 %: {row['low']:.2f} to {row['high']:.2f}), q "
        f"{p_words(row['q'])}.",
    )


def _brief(row: dict[str, Any]) -> dict[str, Any]:
    size = ends_words(row["difference_sd"], row["low"], row["high"])
    called = {"metric": in_words([row["metric"]])[0], "group": row["group"], "against": row["against"]}
    return called | {"difference in SD": size, "p": row["p"], "q": row["q"]}


def _figure(table: Sequence[dict[str, Any]]) -> str:
    rows = [row for row in table if row["p"] == row["p"]][:_SHOWN]
    if not rows:
        return ""
    more = len({row["group"] for row in rows}) > 1
    called = in_words([row["metric"] for row in rows])
    names = [f"{name}, {row['group']}" if more else name for name, row in zip(called, rows, strict=True)]
    marked = [row["q"] <= _DISCOVERY for row in rows]
    ends = [(row["low"], row["high"]) for row in rows]
    sizes = [row["difference_sd"] for row in rows]
    return forest(names, sizes, ends, marked=marked, about=(0.0, "difference in SD"))
