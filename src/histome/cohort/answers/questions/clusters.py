"""Are there kinds of tumors? Clusters that a single cloud of patients would not give."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist, squareform

from histome.cohort.answers.page.answer import Answer, counted, listed, p_words, value_words
from histome.cohort.answers.page.figures import scatter
from histome.cohort.answers.questions.choose import filled_scores, in_words
from histome.cohort.answers.tables.measured import CohortNumbers, Floats
from histome.errors import DataError

_MOST = 6
_FEWEST = 20
_DISCOVERY = 0.05
# Of clusters of a part of the rows: below, another cohort would have others.
_STEADY = 0.6
_Labels = NDArray[np.int64]


def find_clusters(measured: CohortNumbers, *, clouds: int = 99, seed: int = 0) -> Answer:
    """Return clusters of rows, or that one cloud explains the numbers as well.

    Normal scores, their principal components that hold 80 % of the variance, Ward's linkage, the number of
    clusters (2 to 6) with the best mean silhouette. It is held against `clouds` of normal values with the
    same covariance, which have no clusters: p is the share of them with a silhouette as good. Clusters are
    those with p at most 0.05 that parts of the rows give again (adjusted Rand index at least 0.6).

    Raises DataError for fewer than 20 rows or two metrics.
    """
    if len(measured) < _FEWEST or len(measured.names) < 2:
        raise DataError(
            f"{len(measured)} {measured.each}s and {len(measured.names)} metrics: clusters need {_FEWEST} "
            "and 2"
        )
    rng = np.random.default_rng(seed)
    scores = filled_scores(measured.value)
    places, shares = components(scores)
    labels, best = _best(places)
    spread = places.std(axis=0)
    chance = [_best(rng.normal(size=places.shape) * spread)[1] for _ in range(clouds)]
    p = (1 + sum(each >= best for each in chance)) / (1 + clouds)
    steady = _steadiness(places, labels, rng)
    found = p <= _DISCOVERY and steady >= _STEADY
    table = _rows(measured, labels, places, found=found)
    profile = _profile(measured, labels)
    groups = [f"cluster {k}" for k in labels] if found else [f"all {measured.each}s"] * len(measured)
    names = [f"component {k + 1} ({100 * shares[k]:.0f} % of the variance)" for k in (0, 1)]
    return Answer(
        "clusters",
        "Are there kinds of tumors?",
        _said(measured, labels, (p, steady), profile),
        {"clusters": table, **({"clusters_metrics": profile} if found else {})},
        _brief(profile) if found else (),
        scatter(places[:, 0], places[:, 1], groups, axes_names=(names[0], names[1])),
        f"Each point is one {measured.each}, at its first two principal components.",
        (
            "Ward's linkage on the principal components of normal scores that hold 80 % of the variance; "
            "silhouette "
            f"{best:.2f}; {clouds} clouds without clusters, of the same spread. Steadiness is the adjusted "
            "Rand index of clusters "
            "found again in 50 draws of 80 % of the rows. Clusters are descriptions: do not test, on the "
            "same "
            "rows, the metrics that made them.",
        ),
    )


def components(scores: Floats, share: float = 0.8) -> tuple[Floats, Floats]:
    """Return the rows at their principal components, at least two, and the share of the variance of each."""
    centered = scores - scores.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centered, full_matrices=False)
    shares = sizes**2 / max(float((sizes**2).sum()), 1e-300)
    kept = max(2, int(np.searchsorted(np.cumsum(shares), share)) + 1)
    return (left * sizes)[:, :kept], shares[:kept]


def _best(places: Floats) -> tuple[_Labels, float]:
    """Return the labels of the number of clusters with the best mean silhouette."""
    condensed = pdist(places)
    tree, square = linkage(condensed, "ward"), squareform(condensed)
    tried = [fcluster(tree, k, "maxclust").astype(np.int64) for k in range(2, _MOST + 1)]
    heights = [_silhouette(square, labels) for labels in tried]
    k = int(np.argmax(heights))
    return tried[k], heights[k]


def _silhouette(distance: Floats, labels: _Labels) -> float:
    """Return the mean silhouette (Rousseeuw 1987); a cluster of one counts 0."""
    kinds = np.unique(labels)
    if len(kinds) < 2:
        return -1.0
    member = (labels[:, None] == kinds).astype(float)
    sizes = member.sum(axis=0)
    sums = distance @ member
    own = labels[:, None] == kinds
    inside = (sums * own).sum(axis=1) / np.maximum(sizes[np.argmax(own, axis=1)] - 1, 1)
    others = np.where(own, np.inf, sums / sizes).min(axis=1)
    width = (others - inside) / np.maximum(np.maximum(others, inside), 1e-300)
    return float(np.where(sizes[np.argmax(own, axis=1)] > 1, width, 0.0).mean())


def _steadiness(places: Floats, labels: _Labels, rng: np.random.Generator, draws: int = 50) -> float:
    """Return the mean agreement of clusters found again in parts of the rows."""
    k, n = len(np.unique(labels)), len(places)
    found = []
    for _ in range(draws):
        part = np.sort(rng.choice(n, round(0.8 * n), replace=False))
        again = fcluster(linkage(places[part], "ward"), k, "maxclust")
        found.append(_rand(labels[part], again))
    return float(np.mean(found))


def _rand(first: _Labels, second: _Labels) -> float:
    """Return the adjusted Rand index (Hubert and Arabie 1985): 1 the same, 0 as by chance."""
    _, a = np.unique(first, return_inverse=True)
    _, b = np.unique(second, return_inverse=True)
    table = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(table, (a, b), 1)
    pairs, rows, columns, every = (
        (x * (x - 1) / 2).sum() for x in (table, table.sum(axis=1), table.sum(axis=0), np.array([len(a)]))
    )
    expected = rows * columns / every
    most = (rows + columns) / 2
    return float((pairs - expected) / (most - expected)) if most != expected else 1.0


def _rows(measured: CohortNumbers, labels: _Labels, places: Floats, *, found: bool) -> list[dict[str, Any]]:
    more = {"harmonized": measured.harmonized} if measured.harmonized else {}
    return [
        {
            measured.each: name,
            "cluster": int(label) if found else 1,
            "component_1": float(at[0]),
            "component_2": float(at[1]),
            **more,
        }
        for name, label, at in zip(measured.ids, labels, places, strict=True)
    ]


def _profile(measured: CohortNumbers, labels: _Labels) -> list[dict[str, Any]]:
    """Return the median of each metric in each cluster, those that differ most first."""
    scores = filled_scores(measured.value)
    kinds = np.unique(labels)
    means = np.stack([scores[labels == k].mean(axis=0) for k in kinds])
    order = np.argsort(-np.ptp(means, axis=0), kind="stable")
    return [
        {"metric": measured.names[k], "unit": measured.units[k]}
        | {f"median_cluster_{c}": float(np.nanmedian(measured.value[labels == c, k])) for c in kinds.tolist()}
        | {f"mean_score_cluster_{c}": float(means[i, k]) for i, c in enumerate(kinds.tolist())}
        for k in order.tolist()
    ]


def _brief(profile: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the medians of each cluster, for the page."""
    rows = []
    for row in profile:
        medians = {key: each for key, each in row.items() if key.startswith("median_")}
        told = {key: value_words(row["metric"], each, row["unit"]) for key, each in medians.items()}
        rows.append({"metric": in_words([row["metric"]])[0], **told})
    return rows


def _said(
    measured: CohortNumbers,
    labels: _Labels,
    judged: tuple[float, float],
    profile: list[dict[str, Any]],
) -> tuple[str, ...]:
    p, steady = judged
    if p > _DISCOVERY:
        return (
            f"No: {counted(len(measured), measured.each)} form one cloud. Clusters can always be cut out of "
            "one, and "
            f"these are no better separated than those of a cloud without any (p {p_words(p)}); none are "
            "reported.",
        )
    sizes = listed([str(int((labels == k).sum())) for k in np.unique(labels)], _MOST)
    if steady < _STEADY:
        return (
            f"No: {counted(len(measured), measured.each)} fall into no groups that hold. Clusters cut out of "
            f"them are better separated than those of a cloud without any (p {p_words(p)}), but parts of the "
            f"cohort give others (adjusted Rand index {steady:.2f}); none are reported.",
        )
    called = in_words([row["metric"] for row in profile[:3]])
    return (
        f"{len(np.unique(labels))} clusters, of {sizes} {measured.each}s, better separated than those of "
        "one cloud "
        f"(p {p_words(p)}), found again in parts of the cohort (adjusted Rand index {steady:.2f}). They "
        f"differ most in {listed(called)}.",
    )
