"""Which slides are unlike the others? To be looked at before they are believed, or left out."""

from typing import Any

import numpy as np
from scipy.stats import chi2, skew

from histome.cohort.answers.page.answer import Answer, counted, listed, value_words
from histome.cohort.answers.page.figures import scatter
from histome.cohort.answers.questions.choose import in_words
from histome.cohort.answers.tables.measured import CohortNumbers, Floats
from histome.errors import DataError

_FEWEST = 10
# One in a thousand rows of a normal cloud.
_CHANCE = 0.001
# Scale of the median absolute deviation of normal values.
_MAD = 1.4826
_FARTHEST = 8.0


def find_outliers(measured: CohortNumbers) -> Answer:
    """Return how far each row lies from the middle of the cohort, and in which metrics.

    Each metric (of skewed ones the logarithm) less its median, over its scaled median absolute deviation and
    cut at 8; the distance is that of the principal components (80 % of the variance), each over its own
    scale; flagged beyond what one in 1,000 normal rows reaches. Raises DataError for fewer than 10 rows.
    """
    if len(measured) < _FEWEST:
        raise DataError(
            f"{len(measured)} {measured.each}s: {_FEWEST} are needed to say which is unlike the others"
        )
    z = _robust(measured.value)
    distance, places = _distance(np.clip(np.nan_to_num(z), -_FARTHEST, _FARTHEST))
    limit = float(np.sqrt(chi2.ppf(1 - _CHANCE, places.shape[1])))
    order = np.argsort(-distance, kind="stable")
    table = [_row(measured, k, z[k], (float(distance[k]), limit)) for k in order.tolist()]
    flagged = [row for row in table if row["flagged"]]
    groups = ["unlike the others" if each > limit else "in the cloud" for each in distance]
    named = {k: measured.ids[k] for k in order[: min(8, len(flagged))].tolist()}
    return Answer(
        "outliers",
        f"Which {measured.each}s are unlike the others?",
        _said(flagged, measured),
        {"outliers": table},
        [_brief(measured, k, z[k], float(distance[k])) for k in order[: len(flagged)].tolist()],
        scatter(places[:, 0], places[:, 1], groups, axes_names=("component 1", "component 2"), named=named),
        f"Each point is one {measured.each}, at the first two of the {places.shape[1]} components that the "
        "distance counts, in units of their own spread.",
        (
            f"Flagged: farther from the middle than {limit:.1f}, as one in 1,000 of a normal cloud would "
            "be. A flag "
            "is a reason to open the slide (`histome view`), none to leave it out: rare tumors are outliers "
            "too.",
        ),
    )


def _robust(value: Floats) -> Floats:
    """Return each metric less its median over its spread; of a metric that most rows share, over its SD."""
    return _scaled(np.column_stack([_unskewed(column) for column in value.T]))


def _scaled(value: Floats) -> Floats:
    middle = np.nanmedian(value, axis=0)
    spread = _MAD * np.nanmedian(np.abs(value - middle), axis=0)
    spread = np.where(spread > 0, spread, np.nanstd(value, axis=0))
    return np.divide(value - middle, spread, out=np.zeros_like(value), where=spread > 0)


def _unskewed(column: Floats) -> Floats:
    """Return a metric; of one that is skewed and never negative log(value + a tenth of its median)."""
    known = column[np.isfinite(column)]
    if len(known) < 3 or known.min() < 0 or not skew(known) > 1:
        return column
    return np.log(column + 0.1 * (np.median(known) or known.mean()))


def _distance(z: Floats) -> tuple[Floats, Floats]:
    """Return the distance of each row and its components over their scales."""
    _, sizes, axes = np.linalg.svd(z - np.median(z, axis=0), full_matrices=False)
    shares = np.cumsum(sizes**2) / max(float((sizes**2).sum()), 1e-300)
    kept = max(2, int(np.searchsorted(shares, 0.8)) + 1)
    places = _scaled((z - np.median(z, axis=0)) @ axes[:kept].T)
    return np.sqrt((places**2).sum(axis=1)), places


def _row(measured: CohortNumbers, k: int, z: Floats, far: tuple[float, float]) -> dict[str, Any]:
    why = [f"{measured.names[i]} {measured.value[k, i]:.3g} ({z[i]:+.1f})" for i in _farthest(z)]
    row = {measured.each: measured.ids[k], "distance": far[0], "limit": far[1], "flagged": far[0] > far[1]}
    more = {"harmonized": measured.harmonized} if measured.harmonized else {}
    return {**row, "farthest_in": "; ".join(why), **more}


def _farthest(z: Floats) -> list[int]:
    """Return the three metrics that are farthest from their middle."""
    most = np.argsort(-np.abs(np.nan_to_num(z)))[:3]
    return [i for i in most.tolist() if np.isfinite(z[i])]


def _brief(measured: CohortNumbers, k: int, z: Floats, distance: float) -> dict[str, Any]:
    """Return a row of the page: in words, with units."""
    most = _farthest(z)
    called = in_words([measured.names[i] for i in most])
    values = [value_words(measured.names[i], float(measured.value[k, i]), measured.units[i]) for i in most]
    why = [f"{name}: {value} ({z[i]:+.1f})" for name, value, i in zip(called, values, most, strict=True)]
    row = {measured.each: measured.ids[k], "distance": distance}
    return {**row, "farthest in (and by how many of its own spread)": "; ".join(why)}


def _said(flagged: list[dict[str, Any]], measured: CohortNumbers) -> tuple[str, ...]:
    each = measured.each
    if not flagged:
        return (f"None of {counted(len(measured), each)} lies outside the cloud.",)
    names = [str(row[each]) for row in flagged]
    names_of = [text.split(" ")[0] for text in flagged[0]["farthest_in"].split("; ")]
    called = in_words(names_of)
    return (
        f"{len(flagged)} of {counted(len(measured), each)} {'lies' if len(flagged) == 1 else 'lie'} outside "
        "the "
        f"cloud: {listed(names)}. The first is farthest off in {listed(called)}. Look at them before "
        "anything "
        "else is read.",
    )
