"""Scores of the tissue network against each data set's own labels, with intervals by source."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from histome.classes import TISSUE_CLASSES
from histome.datasets.tissue_fields import TissueField, tissue_labels_of, white_pixels
from histome.validation.resampling import Estimate, bootstrap, ratio

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
Overlaps = NDArray[np.floating]
Predicted = tuple[TissueField, NDArray[np.float32]]
_K = {name: k for k, name in enumerate(TISSUE_CLASSES)}
# Our seven classes as the three of wsss4luad: tumor, tumor-associated stroma, normal lung.
_WSSS = np.array([0, 2, 0, 1, 2, 1, 1])
_WSSS_NAMES = ("tumor", "stroma", "normal")
# Score of segpath_web -> the label of its images, and our classes that answer what is stained.
_STAINED = {
    "blood_dice": ("red blood cells", ("BLOOD",)),
    "epithelium_dice": ("epithelium", ("CARCINOMA", "EPITHELIAL_TISSUE")),
    "muscle_share": ("smooth muscle or myofibroblast", ("STROMA", "VESSEL", "OTHER")),
}


def _full(probabilities: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    planes = [cv2.resize(p, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR) for p in probabilities]
    return np.stack(planes)


def winning_class(field: TissueField, probabilities: NDArray[np.float32]) -> NDArray[np.int64]:
    """Place in `TISSUE_CLASSES` of the most probable class of each pixel of a field, (h, w)."""
    return _full(probabilities, field.image.shape).argmax(0)


def wsss_counts(field: TissueField, probabilities: NDArray[np.float32]) -> Overlaps:
    """(3, 3) intersection, predicted and true pixels of tumor, stroma and normal; background left out."""
    assert field.truth is not None
    predicted = _WSSS[winning_class(field, probabilities)]
    tissue = field.truth < 3
    rows = [(predicted == k, field.truth == k) for k in range(3)]
    return np.array(
        [[(p & t & tissue).sum(), (p & tissue).sum(), (t & tissue).sum()] for p, t in rows], np.float64
    )


def glas_counts(field: TissueField, probabilities: NDArray[np.float32]) -> Overlaps:
    """Intersection, predicted and true gland pixels; a gland is where carcinoma or epithelium wins."""
    assert field.truth is not None
    best = winning_class(field, probabilities)
    predicted = (best == _K["CARCINOMA"]) | (best == _K["EPITHELIAL_TISSUE"])
    return np.array(
        [(predicted & (field.truth > 0)).sum(), predicted.sum(), (field.truth > 0).sum()], np.float64
    )


def malignancy(probabilities: NDArray[np.float32]) -> float:
    """Carcinoma's share of carcinoma and normal epithelium over the field's epithelium, 0-1."""
    carcinoma, normal = probabilities[_K["CARCINOMA"]], probabilities[_K["EPITHELIAL_TISSUE"]]
    epithelium = np.maximum(carcinoma, normal)
    return float((epithelium * carcinoma).sum() / max((epithelium * (carcinoma + normal)).sum(), 1e-9))


def iou(counts: Overlaps) -> NDArray[np.floating]:
    """Intersection over union of (..., 3) counts; NaN where neither is there."""
    return ratio(np.stack([counts[..., 0], counts[..., 1] + counts[..., 2] - counts[..., 0]], axis=-1))


def gland_dice(counts: Overlaps) -> NDArray[np.floating]:
    """Dice of (..., 3) counts; NaN where neither is there."""
    return ratio(np.stack([2 * counts[..., 0], counts[..., 1] + counts[..., 2]], axis=-1))


def answers_of(field: TissueField) -> tuple[str, ...]:
    """The tissue classes that answer a field's one label; empty where it is not scored (mixed tiles)."""
    return tissue_labels_of(field.data_set).answers.get(field.label, ())


def answer_share(field: TissueField, probabilities: NDArray[np.float32]) -> float:
    """Share of the field's tissue whose winning class is one that the field's label allows."""
    best = winning_class(field, probabilities)
    allowed = [_K[name] for name in answers_of(field)]
    # Fat and mucus are white or nearly so.
    is_white = tissue_labels_of(field.data_set).labels[field.label] == "other"
    tissue = np.ones(best.shape, bool) if is_white else ~white_pixels(field.image)
    return float(np.isin(best, allowed)[tissue].mean())


def score_tissue(
    predict: Predict, fields: Sequence[TissueField], rng: np.random.Generator
) -> dict[str, dict[str, float]]:
    """Every score of the card on `fields`.

    Intervals resample whole sources, however few: `units` is their number.

    Parameters
    ----------
    predict : callable(image)
        Image at 1 um/px -> probabilities (7, h/2, w/2).
    """
    mapped = ("wsss4luad", "glas", "segpath_web")
    wanted = [f for f in fields if f.data_set in mapped or answers_of(f)]
    predicted = [(f, predict(f.image)) for f in wanted]
    estimates = _score_wsss([(f, p) for f, p in predicted if f.data_set == "wsss4luad"], rng)
    estimates |= _score_glas([(f, p) for f, p in predicted if f.data_set == "glas"], rng)
    estimates |= _score_stained([(f, p) for f, p in predicted if f.data_set == "segpath_web"], rng)
    estimates |= _score_tiles([(f, p) for f, p in predicted if answers_of(f)], rng)
    return {name: estimate.as_dict() for name, estimate in estimates.items()}


def _score_wsss(predicted: Sequence[Predicted], rng: np.random.Generator) -> dict[str, Estimate]:
    if not predicted:
        return {}
    counts = np.stack([wsss_counts(f, p).ravel() for f, p in predicted])
    sources = [f.source for f, _ in predicted]

    def of_class(k: int) -> Callable[[NDArray], NDArray]:
        return lambda sums: iou(sums[..., 3 * k : 3 * k + 3])

    def mean(sums: NDArray) -> NDArray:
        values = iou(sums.reshape(*sums.shape[:-1], 3, 3))
        return ratio(np.stack([np.nansum(values, -1), np.isfinite(values).sum(-1)], axis=-1))

    scores = {
        f"wsss4luad_iou_{name}": bootstrap(counts, sources, of_class(k), rng=rng)
        for k, name in enumerate(_WSSS_NAMES)
    }
    return scores | {"wsss4luad_iou_mean": bootstrap(counts, sources, mean, rng=rng)}


def _score_glas(predicted: Sequence[Predicted], rng: np.random.Generator) -> dict[str, Estimate]:
    if not predicted:
        return {}
    sources = [f.source for f, _ in predicted]
    counts = np.stack([glas_counts(f, p) for f, p in predicted])
    right = [((malignancy(p) > 0.5) == (f.label == "malignant"), 1) for f, p in predicted]
    return {
        "glas_gland_dice": bootstrap(counts, sources, gland_dice, rng=rng),
        "glas_grade_accuracy": bootstrap(np.array(right, float), sources, ratio, rng=rng),
    }


def _score_stained(predicted: Sequence[Predicted], rng: np.random.Generator) -> dict[str, Estimate]:
    """Dice with what an antibody stained; of smooth muscle, no class of ours, the share that is right."""
    scores = {}
    for name, (label, classes) in _STAINED.items():
        mine = [(f, p) for f, p in predicted if f.label == label]
        if mine:
            counts = np.stack([_stained_counts(f, p, classes) for f, p in mine])
            of = gland_dice if name.endswith("dice") else lambda sums: ratio(sums[..., [0, 2]])
            scores[f"segpath_web_{name}"] = bootstrap(counts, [f.source for f, _ in mine], of, rng=rng)
    return scores


def _stained_counts(
    field: TissueField, probabilities: NDArray[np.float32], classes: Sequence[str]
) -> Overlaps:
    """Intersection, predicted and stained pixels."""
    assert field.truth is not None
    best = winning_class(field, probabilities)
    found, true = np.isin(best, [_K[name] for name in classes]), field.truth == 1
    return np.array([(found & true).sum(), found.sum(), true.sum()], np.float64)


def steadiness(
    predict: Predict,
    image: NDArray[np.uint8],
    offsets_px: Sequence[tuple[int, int]] = ((0, 0), (14, 22), (54, 40)),
) -> float:
    """Share of an image's pixels whose winning class is the same wherever it lies, 0-1.

    The image lies at each offset (x, y, even) on its own mirror image; the smallest share that any two agree.
    """
    room = 32 + max(max(offset) for offset in offsets_px)
    h, w = image.shape[:2]
    maps = []
    for x, y in offsets_px:
        canvas = np.pad(image, ((y, room - y), (x, room - x), (0, 0)), mode="symmetric")
        best = predict(canvas).argmax(0)
        maps.append(best[y // 2 : (y + h) // 2, x // 2 : (x + w) // 2])
    pairs = [(a, b) for k, a in enumerate(maps) for b in maps[:k]]
    return min(float((a == b).mean()) for a, b in pairs)


def _score_tiles(predicted: Sequence[Predicted], rng: np.random.Generator) -> dict[str, Estimate]:
    scores = {}
    for name in sorted({(f.data_set, f.label) for f, _ in predicted}):
        mine = [(f, p) for f, p in predicted if (f.data_set, f.label) == name]
        shares = np.array([(answer_share(f, p), 1.0) for f, p in mine])
        figure = "_".join(name).lower().replace("-", "_")
        scores[figure] = bootstrap(shares, [f.source for f, _ in mine], ratio, rng=rng)
    return scores
