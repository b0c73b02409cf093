"""Agreement of any number of raters beyond chance, over all labels and for each one against the rest."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histome.errors import DataError
from histome.validation.agreement import kappa_of
from histome.validation.raters.votes import Votes
from histome.validation.resampling import Estimate, draw_sums, interval

Level = Literal["nominal", "ordinal"]
_Floats = NDArray[np.floating]


def counts_of(codes: NDArray[np.integer], n_labels: int) -> NDArray[np.int64]:
    """(n, labels) number of votes for each label; missing and unsure votes count for none."""
    return np.stack([(codes == k).sum(1) for k in range(n_labels)], axis=1)


def coincidences(codes: NDArray[np.integer], n_labels: int) -> NDArray[np.float64]:
    """(n, labels^2) each item's part of Krippendorff's coincidence matrix; 0 where it has fewer than 2 votes.

    Of an item with m votes, n_c of them for c: n_c (n_k - [c = k]) / (m - 1).
    Source: Krippendorff 2011, Computing Krippendorff's Alpha-Reliability.
    """
    counts = counts_of(codes, n_labels).astype(float)
    pairs = counts[:, :, None] * counts[:, None, :]
    diagonal = np.arange(n_labels)
    pairs[:, diagonal, diagonal] -= counts
    votes = counts.sum(1)
    pairs[votes >= 2] /= (votes[votes >= 2] - 1)[:, None, None]
    pairs[votes < 2] = 0
    return pairs.reshape(len(codes), -1)


def krippendorff_alpha(sums: _Floats, level: Level = "nominal") -> NDArray[np.float64]:
    """Alpha of (..., labels^2) summed `coincidences`: 1 - observed / expected disagreement.

    NaN where fewer than two votes can be paired or all votes are one label.
    """
    sums = np.asarray(sums, float)
    k = round(sums.shape[-1] ** 0.5)
    matrix = sums.reshape(*sums.shape[:-1], k, k)
    margin = matrix.sum(-1)
    distance = _ordinal(margin) if level == "ordinal" else 1.0 - np.eye(k)
    number = margin.sum(-1)
    observed = (matrix * distance).sum((-2, -1)) * (number - 1)
    expected = (margin[..., :, None] * margin[..., None, :] * distance).sum((-2, -1))
    return 1 - np.divide(observed, expected, out=np.full_like(observed, np.nan), where=expected > 0)


def _ordinal(margin: _Floats) -> _Floats:
    """(..., k, k) squared distance of ranks: votes between two labels, half of their own included."""
    middle = np.cumsum(margin, axis=-1) - margin / 2
    return (middle[..., :, None] - middle[..., None, :]) ** 2


def one_against_rest(sums: _Floats, label: int) -> _Floats:
    """(..., 4) the coincidences of one label against all others."""
    sums = np.asarray(sums, float)
    k = round(sums.shape[-1] ** 0.5)
    matrix = sums.reshape(*sums.shape[:-1], k, k)
    both = matrix[..., label, label]
    only = matrix[..., label, :].sum(-1) - both
    return np.stack([both, only, only, matrix.sum((-2, -1)) - both - 2 * only], axis=-1)


def fleiss_parts(codes: NDArray[np.integer], n_labels: int) -> NDArray[np.float64]:
    """(n, 2 + labels) agreement of each item that all raters labeled, 1, and its votes; 0 for the others."""
    counts = counts_of(codes, n_labels).astype(float)
    raters = codes.shape[1]
    whole = counts.sum(1) == raters
    agreement = (counts * (counts - 1)).sum(1) / max(raters * (raters - 1), 1)
    return np.column_stack([agreement, np.ones(len(codes)), counts]) * whole[:, None]


def fleiss_kappa(sums: _Floats) -> NDArray[np.float64]:
    """Fleiss' kappa of (..., 2 + labels) summed parts (doi:10.1037/h0031619); NaN where it is not defined."""
    sums = np.asarray(sums, float)
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = sums[..., 0] / sums[..., 1]
        share = sums[..., 2:] / sums[..., 2:].sum(-1, keepdims=True)
        expected = (share**2).sum(-1)
        return np.where(expected < 1, (observed - expected) / (1 - expected), np.nan)


def agreement(
    votes: Votes,
    *,
    rng: np.random.Generator,
    draws: int = 10_000,
    level: Level = "nominal",
    units: ArrayLike | None = None,
) -> list[dict[str, Any]]:
    """Krippendorff's alpha, Fleiss' and pairwise Cohen's kappa, per condition and between conditions.

    Parameters
    ----------
    units : (n,) str or None
        Slides or patients, drawn whole; items are drawn if None.

    Returns
    -------
    list of dict
        Rows of measure, condition, label (`all` or one against the rest), value, low, high, n (items that
        enter). A row `alpha difference` is of two conditions on the same draws: the second less the first.

    Raises
    ------
    DataError
        With fewer than two raters, or where no item has two votes.
    """
    if len(votes.raters) == 1:
        raise DataError(f"agreement needs two raters; the votes are of {''.join(votes.raters)} alone.")
    parts = {name: coincidences(codes, len(votes.labels)) for name, codes in votes.codes.items()}
    if not any(part.any() for part in parts.values()):
        raise DataError("no cell has the votes of two raters: there is no agreement to measure.")
    rows = []
    drawn = _draw_together(list(parts.values()), units, rng=rng, draws=draws)
    for condition, sums in zip(parts, drawn, strict=True):
        rows += _alphas(votes, condition, parts[condition], sums, level)
        rows += _kappas(votes, condition, units, rng=rng, draws=draws)
    return rows + _differences(votes, parts, drawn, level)


def _draw_together(
    parts: Sequence[_Floats], units: ArrayLike | None, *, rng: np.random.Generator, draws: int
) -> list[NDArray[np.float64]]:
    """The (draws, labels^2) sums of each condition; the same items or units are drawn for all of them."""
    return np.split(draw_sums(np.hstack(parts), units=units, rng=rng, draws=draws), len(parts), axis=1)


def _alphas(
    votes: Votes, condition: str, part: _Floats, drawn: _Floats, level: Level
) -> list[dict[str, Any]]:
    n, total = int(part.any(1).sum()), part.sum(0)
    rows = [
        _row("alpha", condition, "all", krippendorff_alpha(total, level), krippendorff_alpha(drawn, level), n)
    ]
    for k, label in enumerate(votes.labels if len(votes.labels) > 2 else ()):
        value, values = (krippendorff_alpha(one_against_rest(sums, k)) for sums in (total, drawn))
        rows.append(_row("alpha", condition, label, value, values, n))
    return rows


def _kappas(
    votes: Votes, condition: str, units: ArrayLike | None, *, rng: np.random.Generator, draws: int
) -> list[dict[str, Any]]:
    codes, k = votes.codes[condition], len(votes.labels)
    fleiss = fleiss_parts(codes, k)
    rows = []
    if fleiss.any():
        drawn = draw_sums(fleiss, units=units, rng=rng, draws=draws)
        n = int(fleiss[:, 1].sum())
        rows.append(
            _row("Fleiss kappa", condition, "all", fleiss_kappa(fleiss.sum(0)), fleiss_kappa(drawn), n)
        )
    for a, b in combinations(range(len(votes.raters)), 2):
        both = (codes[:, a] >= 0) & (codes[:, b] >= 0)
        if both.any():
            tables = np.zeros((len(codes), k * k))
            tables[both, codes[both, a] * k + codes[both, b]] = 1
            drawn = draw_sums(tables, units=units, rng=rng, draws=draws).reshape(-1, k, k)
            value, pair = kappa_of(tables.sum(0).reshape(k, k)), f"{votes.raters[a]} and {votes.raters[b]}"
            rows.append(
                _row(f"Cohen kappa, {pair}", condition, "all", value, kappa_of(drawn), int(both.sum()))
            )
    return rows


def _differences(
    votes: Votes, parts: Mapping[str, _Floats], drawn: Sequence[_Floats], level: Level
) -> list[dict[str, Any]]:
    """Alpha of each later condition less that of each earlier one, on the same draws."""
    rows = []
    for (a, first), (b, second) in combinations(enumerate(parts), 2):
        totals = [parts[name].sum(0) for name in (first, second)]
        n = int((parts[first].any(1) & parts[second].any(1)).sum())
        for k, label in [(None, "all"), *(enumerate(votes.labels) if len(votes.labels) > 2 else ())]:
            before, after, before_drawn, after_drawn = (
                krippendorff_alpha(sums, level)
                if k is None
                else krippendorff_alpha(one_against_rest(sums, k))
                for sums in (*totals, drawn[a], drawn[b])
            )
            difference, differences = after - before, after_drawn - before_drawn
            rows.append(_row("alpha difference", f"{second} - {first}", label, difference, differences, n))
    return rows


def _row(measure: str, condition: str, label: str, value: _Floats, drawn: _Floats, n: int) -> dict[str, Any]:
    found: Estimate = interval(float(value), drawn, n)
    return {"measure": measure, "condition": condition, "label": label, **found.row()}
