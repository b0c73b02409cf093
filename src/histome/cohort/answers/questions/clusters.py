"""Are there kinds of tumors? Clusters that a single cloud of patients would not give."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import cdist, pdist, squareform

from histome.cohort.answers.page.answer import Answer, counted, listed, p_words, value_words
from histome.cohort.answers.page.figures import scatter
from histome.cohort.answers.questions.choose import filled_scores, in_words
from histome.cohort.answers.tables.measured import CohortNumbers, Floats
from histome.errors import DataError

_MOST = 6
_FEWEST = 20
_DISCOVERY = 0.05
# Tibshirani and Walther take 0.8 to 0.9. Rings, arcs and lines of 80 rows pass 0.85 in 0 to 5 of 100 drawings
# (0.8 in up to 15), 2 to 4 kinds with centers 8 SD apart in 65 to 100, 10 SD apart in all.
_STRONG = 0.85
_DRAWS = 30
_Labels = NDArray[np.int64]


def find_clusters(measured: CohortNumbers, *, clouds: int = 99, seed: int = 0) -> Answer:
    """Return clusters of rows, or that one cloud explains the numbers as well.

    Normal scores, their principal components that hold 80 % of the variance, Ward's linkage, the number of
    clusters (2 to 6) with the best mean silhouette. It is held against `clouds` of normal values with the
    same covariance, which have no clusters: p is the share of them with a silhouette as good. Clusters are
    those with p at most 0.05 that halves of the rows predict of each other (prediction strength at least
    0.85): rows along a continuum can be cut well, but nobody can tell where.

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
    strength = _strength(places, len(np.unique(labels)), rng)
    found = p <= _DISCOVERY and strength >= _STRONG
    table = _rows(measured, labels, places, found=found)
    profile = _profile(measured, labels)
    groups = [f"cluster {k}" for k in labels] if found else [f"all {measured.each}s"] * len(measured)
    names = [f"component {k + 1} ({100 * shares[k]:.0f} % of the variance)" for k in (0, 1)]
    return Answer(
        "clusters",
        "Are there kinds of tumors?",
        _said(measured, labels, (p, strength), profile),
        {"clusters": table, **({"clusters_metrics": profile} if found else {})},
        _brief(profile) if found else (),
        scatter(places[:, 0], places[:, 1], groups, axes_names=(names[0], names[1])),
        f"Each point is one {measured.each}, at its first two principal components.",
        (
            "Ward's linkage on the principal components of normal scores that hold 80 % of the variance; "
            f"silhouette {best:.2f}; {clouds} clouds without clusters, of the same spread. Prediction "
            "strength: of two rows that clusters of one half put together, how often those of the other half "
            f"do so, too, in the worst cluster, on average over {_DRAWS} halvings; at least {_STRONG}. "
            "Clusters are descriptions: do not test, on the same rows, the metrics that made them.",
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


def _strength(places: Floats, k: int, rng: np.random.Generator) -> float:
    """Return the prediction strength of k clusters (Tibshirani and Walther 2005), 0-1.

    The share of pairs of rows in one cluster of a half that lie nearest to one center of the other half's
    clusters; of the worst cluster, mean over halvings.
    """
    found = []
    for _ in range(_DRAWS):
        one, other = np.array_split(rng.permutation(places), 2)
        mine, theirs = (fcluster(linkage(half, "ward"), k, "maxclust") for half in (one, other))
        centers = np.stack([one[mine == kind].mean(axis=0) for kind in np.unique(mine)])
        nearest = cdist(other, centers).argmin(axis=1)
        found.append(min(_alike(nearest[theirs == kind]) for kind in np.unique(theirs)))
    return float(np.mean(found))


def _alike(labels: NDArray[np.intp]) -> float:
    """Return the share of pairs with the same label; 1 where there is no pair."""
    sizes, n = np.bincount(labels), len(labels)
    return float((sizes * (sizes - 1)).sum() / (n * (n - 1))) if n > 1 else 1.0


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
    p, strength = judged
    if p > _DISCOVERY:
        return (
            f"No: {counted(len(measured), measured.each)} form one cloud. Clusters can always be cut out of "
            "one, and "
            f"these are no better separated than those of a cloud without any (p {p_words(p)}); none are "
            "reported.",
        )
    sizes = listed([str(int((labels == k).sum())) for k in np.unique(labels)], _MOST)
    if strength < _STRONG:
        return (
            f"No: {counted(len(measured), measured.each)} fall into no groups that hold. Clusters cut out of "
            f"them are better separated than those of a cloud without any (p {p_words(p)}), but each half of "
            f"the cohort gives others (prediction strength {strength:.2f}); none are reported.",
        )
    called = in_words([row["metric"] for row in profile[:3]])
    return (
        f"{len(np.unique(labels))} clusters, of {sizes} {measured.each}s, better separated than those of "
        "one cloud "
        f"(p {p_words(p)}), the same in each half of the cohort (prediction strength {strength:.2f}). They "
        f"differ most in {listed(called)}.",
    )
