"""ComBat: batches made alike, told in every table that holds such numbers."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from histome.cohort.answers.tables.measured import CohortNumbers, Floats
from histome.errors import DataError, UsageError
from histome.exports.extra import needed
from histome.metrics.catalogue import find_metric

# Rows a batch needs for a mean and a spread of its own.
_FEWEST = 5


def harmonize(measured: CohortNumbers, batch: str, *, keep: Sequence[str] = ()) -> CohortNumbers:
    """Return the numbers with the batches of a column made alike by ComBat, as far as they are known.

    Location and scale of each metric are drawn to those of the whole cohort (Johnson et al. 2007,
    doi:10.1093/biostatistics/kxj037; Fortin et al. 2018, doi:10.1016/j.neuroimage.2017.11.024), by
    combatlearn. What goes with the columns of `keep` is left in: without it a group that came from one batch
    is taken for batch. Nulls stay null; intervals are gone, for they were those of the numbers as measured;
    values that leave their range are put on its end. Metrics without a value in most rows of every batch
    stay as they are.

    Raises DataError where a batch is too small, or where batch and `keep` cannot be told apart.
    """
    combat: Any = needed("combatlearn", "harmonize")
    pandas: Any = needed("pandas", "cohort")
    if batch in keep:
        raise UsageError(f"{batch!r} cannot be taken off and kept")
    batches = measured.column(batch)
    _check(measured, batches, batch)
    kept = {name: measured.column(name) for name in keep}
    _refuse_confounded(batches, kept, batch)
    usable = _usable(measured.value, batches)
    known = np.isfinite(measured.value[:, usable])
    filled = _filled(measured.value[:, usable], batches)
    frame = pandas.DataFrame(filled, columns=[measured.names[k] for k in usable])
    held = {"discrete_covariates": pandas.DataFrame(kept)} if kept else {}
    model = combat.ComBat(batch=pandas.Series(batches.astype(str)), method="fortin", **held)
    made = np.array(model.fit_transform(frame), np.float64)
    value = measured.value.copy()
    value[:, usable] = np.where(known, _in_range(made, [measured.names[k] for k in usable]), np.nan)
    none = np.full(value.shape, np.nan)
    words = f"ComBat over {batch}" + (f", kept: {', '.join(keep)}" if keep else "")
    return replace(measured, value=value, low=none, high=none, harmonized=words)


def _check(measured: CohortNumbers, batches: np.ndarray, batch: str) -> None:
    if (batches == "").any():
        slide = measured.ids[int(np.flatnonzero(batches == "")[0])]
        raise DataError(f"{slide} has no {batch}: fill it in, or leave the {measured.each} out")
    names, counts = np.unique(batches, return_counts=True)
    if len(names) < 2:
        raise DataError(f"column {batch!r} holds one batch: there is nothing to make alike")
    if counts.min() < _FEWEST:
        small = str(names[counts.argmin()])
        raise DataError(
            f"batch {small!r} of {batch!r} has {counts.min()} {measured.each}s: {_FEWEST} are needed"
        )


def _refuse_confounded(batches: np.ndarray, kept: dict[str, np.ndarray], batch: str) -> None:
    columns = [np.ones(len(batches)), *((batches == name).astype(float) for name in np.unique(batches)[1:])]
    for name, column in kept.items():
        if (column == "").any():
            raise DataError(f"column {name!r} is empty for some rows: what is kept must be known of all")
        columns += [(column == kind).astype(float) for kind in np.unique(column)[1:]]
    design = np.column_stack(columns)
    if np.linalg.matrix_rank(design) < design.shape[1]:
        raise DataError(f"{batch} and {', '.join(kept)} cannot be told apart: nothing can be taken off")


def _usable(value: Floats, batches: np.ndarray) -> list[int]:
    """Return the metrics that most rows of every batch have, and that vary in each."""
    usable = np.ones(value.shape[1], bool)
    for name in np.unique(batches):
        part = value[batches == name]
        known = np.isfinite(part)
        usable &= known.mean(axis=0) >= 0.7
        highest, lowest = (np.where(known, part, fill) for fill in (-np.inf, np.inf))
        usable &= highest.max(axis=0) > lowest.min(axis=0)
    if not usable.any():
        raise DataError("no metric has values in every batch: there is nothing to make alike")
    return np.flatnonzero(usable).tolist()


def _filled(value: Floats, batches: np.ndarray) -> Floats:
    """Return the values with the mean of the batch where there is none."""
    filled = value.copy()
    for name in np.unique(batches):
        mine = batches == name
        filled[mine] = np.where(np.isfinite(value[mine]), value[mine], np.nanmean(value[mine], axis=0))
    return filled


def _in_range(value: Floats, names: Sequence[str]) -> Floats:
    for k, name in enumerate(names):
        try:
            low, high = find_metric(name).template.range
        except UsageError:
            low, high = 0.0, 1.0  # a share of tiles
        if low is not None or high is not None:
            value[:, k] = np.clip(value[:, k], low, high)
    return value
