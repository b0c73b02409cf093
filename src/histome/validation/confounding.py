"""Do vectors follow biology, or where a slide comes from? Robustness of an encoder, through `croma`.

The indices are those of PathoROB (arXiv:2507.17845) and CRoMa (arXiv:2607.25497), computed by the package of
the latter; the clustering score is computed here.
"""

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2

from histome.errors import DataError, UsageError

_K = (3, 5, 7, 9, 11, 15, 21)
# Shares of the way from a balanced to a fully confounded training set; Cramer's V of each is its share.
_STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
_REPEATS, _SEED = 10, 1000


class Manifest(NamedTuple):
    """What is known of each row of the vectors: biology, confounder (center, scanner, set), group (slide)."""

    label: NDArray[np.str_]
    confounder: NDArray[np.str_]
    group: NDArray[np.str_]


class Robustness(NamedTuple):
    """Indices of one set of vectors; None where the set does not allow one, with the reason in `missing`.

    Attributes
    ----------
    ri : 0-1
        Robustness index: SO / (SO + OS) over the k nearest neighbors of other groups, where SO has the same
        label and another confounder, OS another label and the same confounder. k has the best balanced
        accuracy of neighbors.
    mari : 0-1
        The same, neighbors weighed by their distance.
    croma : -1 to 1
        Mean of (d_OS - d_SO) / (d_OS + d_SO) of the distances to the nearest of each kind.
    apd : -1 to 0
        Mean relative loss of balanced accuracy of a logistic probe as its training set goes from balanced to
        confounded.
    nipd
        Loss above chance over Cramer's V, integrated.
    clustering : -1 to 1
        ARI of k-means clusters with the labels less that with the confounders.
    k, n : int
        Neighbors, and rows.
    support : 0-1
        Share of the rows that have a neighbor of either kind among the k, of which `ri` and `mari` are.
    by_k : dict
        Number of neighbors -> robustness index.
    by_strength : dict
        How far the probe's training set is confounded (Cramer's V, 0-1) -> its mean balanced accuracy.
    missing : dict
        Index -> reason.
    """

    ri: float | None
    mari: float | None
    croma: float | None
    apd: float | None
    nipd: float | None
    clustering: float | None
    k: int | None
    n: int
    support: float | None
    by_k: dict[int, float]
    by_strength: dict[float, float]
    missing: dict[str, str]


def measure_confounding(
    vectors: NDArray[np.floating], manifest: Manifest, *, k_candidates: Sequence[int] = _K
) -> Robustness:
    """Return the robustness indices of vectors (n, d), k the best of the candidates.

    Raises DataError where there is one label or one confounder only, UsageError where croma is missing.
    """
    for name in ("label", "confounder"):
        if len(np.unique(getattr(manifest, name))) < 2:
            raise DataError(f"robustness needs two {name}s at least; there is {getattr(manifest, name)[0]!r}")
    try:
        import croma
    except ModuleNotFoundError as error:
        raise UsageError(f"no module {error.name!r}; install it: pip install 'histome[encoders]'") from error
    frame, missing = _frame(manifest), dict[str, str]()
    options = {"features": np.asarray(vectors, float), "manifest": frame, "confounder_column": "confounder"}
    with _quiet():
        ri = _try(lambda: croma.RI.compute(**options, k_candidates=tuple(k_candidates)), "ri", missing)
        k = ri.k if ri is not None else None
        few = [each for each in k_candidates if each < len(vectors)] if ri is not None else []
        by_k = croma.RI.compute_curve(**options, k_values=few) if few else {}
        mari = _try(
            lambda: croma.MaRI.compute(**options, k_candidates=(k or k_candidates[0],)), "mari", missing
        )
        margin = _try(lambda: croma.CRoMa.compute(**options), "croma", missing)
        sweep = _try(lambda: _sweep(vectors, manifest), "apd", missing)
        apd = None if sweep is None else _try(lambda: croma.apd(sweep), "apd", missing)
        nipd = None if sweep is None else _try(lambda: croma.nipd(sweep, _STRENGTHS, 0.5), "nipd", missing)
    return Robustness(
        ri=_value(ri),
        mari=_value(mari),
        croma=_value(margin),
        apd=apd,
        nipd=nipd,
        clustering=clustering_score(vectors, manifest),
        k=k,
        n=len(vectors),
        support=None if ri is None else float(ri.support),
        by_k={each: float(value) for each, value in by_k.items()},
        by_strength={} if sweep is None else dict(zip(_STRENGTHS, sweep.mean(1).tolist(), strict=True)),
        missing=missing,
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep croma's remarks on small sets out of our lines (`support` says it), and BLAS to one thread.

    Its matrices are small: on a busy machine the threads of BLAS wait for each other ten times as long.
    """
    from threadpoolctl import threadpool_limits

    logger = logging.getLogger("croma")
    before, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before


def _try(compute: Callable[[], Any], name: str, missing: dict[str, str]) -> Any:
    try:
        return compute()
    except (ValueError, RuntimeError, DataError) as error:
        missing[name] = " ".join(str(error).split())[:160]
        return None


def _value(result: Any) -> float | None:
    return None if result is None or not np.isfinite(result.value) else float(result.value)


def _frame(manifest: Manifest) -> Any:
    import pandas as pd

    ids = [str(row) for row in range(len(manifest.label))]
    columns = {"label": manifest.label, "confounder": manifest.confounder, "group_id": manifest.group}
    return pd.DataFrame({"sample_id": ids, "image_path": ids, **columns})


def _sweep(vectors: NDArray[np.floating], manifest: Manifest) -> NDArray[np.float64]:
    """Balanced accuracies (strengths, repeats) on the two labels and confounders with the most groups.

    A group's row is the mean of its vectors, so that no group is learned from and asked about.
    """
    from croma import probe_sweep

    rows, confounders, labels = _two_by_two(vectors, manifest)
    cells = np.bincount(2 * confounders + labels, minlength=4)
    # The tail of each cell is asked about: what the widest training set (2 n) and its validation leave.
    unit = int(cells.min() * 0.6 / 2 // 4 * 4)
    if unit < 4:
        raise DataError(
            f"too few groups: {cells.tolist()} of two labels and two confounders; 14 each at least"
        )
    schedule = [
        (
            [(c, y, round(unit * (1 + share if c == y else 1 - share))) for c in (0, 1) for y in (0, 1)],
            2 * unit,
        )
        for share in _STRENGTHS
    ]
    return probe_sweep(
        rows,
        confounders,
        labels,
        schedule=schedule,
        iterations=_REPEATS,
        seed=_SEED,
        validation_fraction=0.25,
    )


def _two_by_two(vectors: NDArray[np.floating], manifest: Manifest) -> tuple[NDArray, NDArray, NDArray]:
    """Mean vectors of the groups of two labels and two confounders, and these as 0 and 1."""
    keys = np.stack([manifest.confounder, manifest.label, manifest.group], axis=1).astype(str)
    cells, row = np.unique(keys, axis=0, return_inverse=True)
    means = np.zeros((len(cells), vectors.shape[1]))
    np.add.at(means, row.ravel(), vectors)
    means /= np.bincount(row.ravel())[:, None]
    kinds = [np.unique(cells[:, column]) for column in (0, 1)]
    counts = np.array([[np.sum((cells[:, 0] == c) & (cells[:, 1] == y)) for y in kinds[1]] for c in kinds[0]])
    pairs = [
        (counts[np.ix_([a, b], [y, z])].min(), a, b, y, z)
        for a in range(len(kinds[0]))
        for b in range(a)
        for y in range(len(kinds[1]))
        for z in range(y)
    ]
    _, a, b, y, z = max(pairs)
    kept = np.isin(cells[:, 0], kinds[0][[a, b]]) & np.isin(cells[:, 1], kinds[1][[y, z]])
    confounder, label = (cells[kept, 0] == kinds[0][a], cells[kept, 1] == kinds[1][y])
    return means[kept], confounder.astype(int), label.astype(int)


def clustering_score(vectors: NDArray[np.floating], manifest: Manifest) -> float:
    """Return ARI with the labels less ARI with the confounders, of k-means with as many clusters as each.

    ARI is the adjusted Rand index: 1 where clusters are the labels, 0 where they are drawn by chance.
    """
    unit = np.asarray(vectors, float)
    unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    scores = []
    for truth in (manifest.label, manifest.confounder):
        count = len(np.unique(truth))
        _, found = kmeans2(unit, count, minit="++", iter=50, rng=np.random.default_rng(0))
        scores.append(adjusted_rand(truth, found))
    return scores[0] - scores[1]


def adjusted_rand(truth: NDArray, found: NDArray) -> float:
    """Return the adjusted Rand index of two partitions (Hubert and Arabie 1985, doi:10.1007/BF01908075)."""
    rows, columns = (np.unique(part, return_inverse=True)[1] for part in (truth, found))
    table = np.zeros((rows.max() + 1, columns.max() + 1))
    np.add.at(table, (rows, columns), 1)
    together, of_rows, of_columns = ((n * (n - 1) / 2).sum() for n in (table, table.sum(1), table.sum(0)))
    expected = of_rows * of_columns / (len(truth) * (len(truth) - 1) / 2)
    most = (of_rows + of_columns) / 2
    return float((together - expected) / (most - expected)) if most != expected else 1.0
