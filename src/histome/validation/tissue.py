"""Scores of the tissue network against each data set's own labels, with intervals by source."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from histome.classes import TISSUE_CLASSES
from histome.datasets.tissue_fields import TissueField, white

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
Counts = NDArray[np.float64]
_K = {name: k for k, name in enumerate(TISSUE_CLASSES)}
# Our seven classes as the three of wsss4luad: tumor, tumor-associated stroma, normal lung.
_WSSS = np.array([0, 2, 0, 1, 2, 1, 1])
_WSSS_NAMES = ("tumor", "stroma", "normal")


def _full(probabilities: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    planes = [cv2.resize(p, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR) for p in probabilities]
    return np.stack(planes)


def wsss_counts(field: TissueField, probabilities: NDArray[np.float32]) -> Counts:
    """(3, 3) intersection, predicted and true pixels of tumor, stroma and normal; background left out."""
    assert field.truth is not None
    predicted = _WSSS[_full(probabilities, field.image.shape).argmax(0)]
    tissue = field.truth < 3
    rows = [(predicted == k, field.truth == k) for k in range(3)]
    return np.array(
        [[(p & t & tissue).sum(), (p & tissue).sum(), (t & tissue).sum()] for p, t in rows], np.float64
    )


def glas_counts(field: TissueField, probabilities: NDArray[np.float32]) -> Counts:
    """Intersection, predicted and true gland pixels; a gland is where carcinoma or epithelium wins."""
    assert field.truth is not None
    best = _full(probabilities, field.image.shape).argmax(0)
    predicted = (best == _K["CARCINOMA"]) | (best == _K["EPITHELIAL_TISSUE"])
    return np.array(
        [(predicted & (field.truth > 0)).sum(), predicted.sum(), (field.truth > 0).sum()], np.float64
    )


def malignancy(probabilities: NDArray[np.float32]) -> float:
    """Carcinoma's share of carcinoma and normal epithelium over the field's epithelium, 0-1."""
    carcinoma, normal = probabilities[_K["CARCINOMA"]], probabilities[_K["EPITHELIAL_TISSUE"]]
    epithelium = np.maximum(carcinoma, normal)
    return float((epithelium * carcinoma).sum() / max((epithelium * (carcinoma + normal)).sum(), 1e-9))


def iou(counts: Counts) -> NDArray[np.float64]:
    """Intersection over union of (..., 3) counts; nan where neither is there."""
    union = counts[..., 1] + counts[..., 2] - counts[..., 0]
    return np.divide(counts[..., 0], union, out=np.full(union.shape, np.nan), where=union > 0)


def dice(counts: Counts) -> NDArray[np.float64]:
    """Dice of (..., 3) counts."""
    return 2 * counts[..., 0] / np.maximum(counts[..., 1] + counts[..., 2], 1.0)


def bootstrap(
    values: Sequence,
    sources: Sequence[str],
    statistic: Callable[[NDArray], float],
    *,
    rng: np.random.Generator,
) -> dict[str, float | int | list[float]]:
    """Value, n, sources and 95 % percentile interval of a statistic, resampling whole sources 1,000 times."""
    array, names = np.asarray(values), np.asarray(sources)
    groups = [np.flatnonzero(names == s) for s in sorted(set(sources))]
    draws = []
    for _ in range(1000):
        rows = np.concatenate([groups[k] for k in rng.integers(len(groups), size=len(groups))])
        draws.append(statistic(array[rows]))
    low, high = map(float, np.nanpercentile(draws, [2.5, 97.5]))
    value = round(float(statistic(array)), 4)
    return {
        "value": value,
        "interval": [round(low, 4), round(high, 4)],
        "n": len(array),
        "sources": len(groups),
    }


def _summed(score: Callable[[Counts], NDArray], k: int | None = None) -> Callable[[NDArray], float]:
    def statistic(counts: NDArray) -> float:
        total = score(counts.sum(0))
        return float(total if k is None else total[k])

    return statistic


def _mean_iou(counts: NDArray) -> float:
    return float(np.nanmean(iou(counts.sum(0))))


def _share_above(limit: float) -> Callable[[NDArray], float]:
    return lambda rows: float(np.mean((rows[:, 0] > limit) == (rows[:, 1] > 0.5)))


# Words of the tile sets that one of our sets answers; the others (mixed tiles) are not scored.
_TILE_ANSWERS = {
    **{"TUM": ("CARCINOMA",), "STR": ("STROMA", "VESSEL"), "NORM": ("EPITHELIAL_TISSUE", "STROMA")},
    **{"MUS": ("OTHER", "STROMA"), "LYM": ("STROMA", "OTHER"), "MUC": ("OTHER",), "ADI": ("OTHER",)},
    **{"DEB": ("NECROSIS", "BLOOD"), "Non-Viable-Tumor": ("NECROSIS",)},
    "Non-Tumor": ("STROMA", "OTHER", "BLOOD", "VESSEL"),
}


def answer_share(field: TissueField, probabilities: NDArray[np.float32]) -> float:
    """Share of the field's tissue whose winning class is one that the field's label allows."""
    best = _full(probabilities, field.image.shape).argmax(0)
    allowed = [_K[name] for name in _TILE_ANSWERS[field.label]]
    tissue = ~white(field.image) if field.label not in ("ADI", "MUC") else np.ones(best.shape, bool)
    return float(np.isin(best, allowed)[tissue].mean())


def score_tissue(
    predict: Predict, fields: Sequence[TissueField], rng: np.random.Generator
) -> dict[str, dict]:
    """Every score of the card on `fields`; `predict`: image at 1 um/px -> probabilities (7, h/2, w/2)."""
    wanted = [f for f in fields if f.data_set in ("wsss4luad", "glas") or f.label in _TILE_ANSWERS]
    predicted = [(f, predict(f.image)) for f in wanted]
    scores = _score_wsss([(f, p) for f, p in predicted if f.data_set == "wsss4luad"], rng)
    scores |= _score_glas([(f, p) for f, p in predicted if f.data_set == "glas"], rng)
    return scores | _score_tiles([(f, p) for f, p in predicted if f.label in _TILE_ANSWERS], rng)


def _score_wsss(predicted: list[tuple[TissueField, NDArray]], rng: np.random.Generator) -> dict[str, dict]:
    if not predicted:
        return {}
    counts, sources = [wsss_counts(f, p) for f, p in predicted], [f.source for f, _ in predicted]
    scores = {
        f"wsss4luad_iou_{name}": bootstrap(counts, sources, _summed(iou, k), rng=rng)
        for k, name in enumerate(_WSSS_NAMES)
    }
    return scores | {"wsss4luad_iou_mean": bootstrap(counts, sources, _mean_iou, rng=rng)}


def _score_glas(predicted: list[tuple[TissueField, NDArray]], rng: np.random.Generator) -> dict[str, dict]:
    if not predicted:
        return {}
    counts, sources = [glas_counts(f, p) for f, p in predicted], [f.source for f, _ in predicted]
    grades = [(malignancy(p), float(f.label == "malignant")) for f, p in predicted]
    return {
        "glas_gland_dice": bootstrap(counts, sources, _summed(dice), rng=rng),
        "glas_grade_accuracy": bootstrap(grades, sources, _share_above(0.5), rng=rng),
    }


def _score_tiles(predicted: list[tuple[TissueField, NDArray]], rng: np.random.Generator) -> dict[str, dict]:
    scores = {}
    for name in sorted({(f.data_set, f.label) for f, _ in predicted}):
        mine = [(f, p) for f, p in predicted if (f.data_set, f.label) == name]
        shares, sources = [answer_share(f, p) for f, p in mine], [f.source for f, _ in mine]
        scores["_".join(name).lower().replace("-", "_")] = bootstrap(shares, sources, np.mean, rng=rng)
    return scores
