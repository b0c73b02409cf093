"""Outlines against outlines and class maps against class maps: the usual scores, with intervals."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from histome.errors import DataError
from histome.validation.image_strata import ImageStrata
from histome.validation.maps.semantic import confusion
from histome.validation.matching import detection_counts, instance_scores, shared_pixels
from histome.validation.raters.page import Section
from histome.validation.resampling import bootstrap, f1, ratio

Labels = NDArray[np.integer]
_MEANS = ("dice", "iou", "aji", "aji_plus", "dq", "sq", "pq")


class LabelImage(NamedTuple):
    """Instances (h, w), 0 = none, and the class of each that has one."""

    labels: Labels
    classes: Mapping[int, str]


# Median diameters of nuclei, um: outside of these the resolution is another one.
_DIAMETERS_UM = (2.0, 40.0)


def segmentation_doubts(images: Mapping[str, tuple[LabelImage, LabelImage]], mpp: float) -> list[str]:
    """One line each: nuclei of a size that none has, images without one, no nucleus that meets another.

    Of pairs of one size (`segmentation_sections` refuses others).
    """
    doubts = []
    areas = np.concatenate([np.bincount(true.labels.ravel())[1:] for true, _ in images.values()])
    if (areas > 0).any():
        wide = 2 * float(np.sqrt(np.median(areas[areas > 0]) / np.pi)) * mpp
        if not _DIAMETERS_UM[0] <= wide <= _DIAMETERS_UM[1]:
            doubts.append(f"the true nuclei are {wide:.3g} um wide at {mpp:g} um/px: is --mpp right?")
    empty = [name for name, (true, found) in images.items() if true.labels.any() and not found.labels.any()]
    if empty:
        doubts.append(f"nothing was found in {len(empty)} of {len(images)} images, as in {empty[0]}.")
    alone = [name for name, (true, found) in images.items() if found.labels.any() and not true.labels.any()]
    if alone:
        doubts.append(f"only found nuclei, no true one, in {len(alone)} of {len(images)}, as in {alone[0]}.")
    both = [pair for pair in images.values() if all(each.labels.any() for each in pair)]
    if both and not any(((true.labels > 0) & (found.labels > 0)).any() for true, found in both):
        doubts.append("no true nucleus meets a found one: are both files of the same images?")
    return doubts


def map_doubts(maps: Mapping[str, tuple[Labels, Labels]]) -> list[str]:
    """One line each: class maps that know nothing anywhere."""
    doubts = []
    for place, what in enumerate(("the truth knows no class", "no class was found")):
        empty = [name for name, pair in maps.items() if not pair[place].any()]
        if empty:
            doubts.append(f"{what} (all 0) in {len(empty)} of {len(maps)} maps, as in {empty[0]}.")
    return doubts


def aji_plus(true: Labels, found: Labels) -> float:
    """Aggregated Jaccard index with one-to-one pairs of the largest total IoU (AJI+, arXiv:1812.06499).

    Shared pixels of the pairs / (their unions + pixels of unpaired instances); NaN where both are empty.
    """
    shared = shared_pixels(true, found)
    area_true, area_found = shared.sum(1)[1:], shared.sum(0)[1:]
    shared = shared[1:, 1:]
    union = area_true[:, None] + area_found - shared
    rows, columns = linear_sum_assignment(-(shared / np.maximum(union, 1)))
    inter = shared[rows, columns]
    # Each unpaired pixel counts once: all pixels of all instances less those that pairs share.
    outer = area_true.sum() + area_found.sum() - inter.sum()
    return float(inter.sum() / outer) if outer else float("nan")


def score_image(true: LabelImage, found: LabelImage, mpp: float, *, within_um: float = 3.0) -> dict[str, Any]:
    """Every score of one image.

    Returns
    -------
    dict
        dice, iou (of all nuclei's pixels), aji, aji_plus, dq, sq, pq (IoU > 0.5; NaN where neither has a
        nucleus, 0 where one has none), tp, fp, fn of centers within `within_um`, and `pq CLASS` for each
        class of the truth (images without a true nucleus of a class are left out, as by PanNuke).
    """
    if true.labels.shape != found.labels.shape:
        raise DataError(f"sizes differ, {true.labels.shape} px and {found.labels.shape}: one resolution?")
    pixels = [(image.labels > 0) for image in (true, found)]
    both, total = (pixels[0] & pixels[1]).sum(), pixels[0].sum() + pixels[1].sum()
    parts = instance_scores(true.labels, found.labels)
    counts = detection_counts(*(centers_of(i.labels) * mpp for i in (true, found)), within_um=within_um)
    nothing = float("nan")
    scores: dict[str, Any] = {
        "dice": float(2 * both / total) if total else nothing,
        "iou": float(both / (total - both)) if total else nothing,
        "aji": parts.aji,
        "aji_plus": aji_plus(true.labels, found.labels),
        **{name: getattr(parts, name) for name in ("dq", "sq", "pq")},
        **counts._asdict(),
    }
    for name in sorted(set(true.classes.values())):
        mine, answer = (_only(image, name) for image in (true, found))
        scores[f"pq {name}"] = instance_scores(mine, answer).pq if mine.any() else nothing
    return scores


def _only(image: LabelImage, name: str) -> Labels:
    kept = [k for k, label in image.classes.items() if label == name]
    return np.where(np.isin(image.labels, kept), image.labels, 0)


def centers_of(labels: Labels) -> NDArray[np.float64]:
    """(n, 2) x, y centroid of each instance that is there, px; a pixel's center is at .5."""
    rows, columns = np.nonzero(labels)
    ids = labels[rows, columns]
    number = np.bincount(ids)
    there = number > 0
    sums = [np.bincount(ids, place + 0.5) for place in (columns, rows)]
    return np.stack([total[there] / number[there] for total in sums], axis=1).reshape(-1, 2)


def segmentation_sections(
    images: Mapping[str, tuple[LabelImage, LabelImage]],
    mpp: float,
    *,
    seed: int,
    draws: int,
    strata: ImageStrata | None = None,
) -> list[Section]:
    """Means over images, detection of all nuclei, mPQ over classes, each image; by stratum where asked."""
    rows = [{"image": name} | score_image(*pair, mpp) for name, pair in images.items()]
    return scored_sections(rows, seed=seed, draws=draws, strata=strata)


def scored_sections(
    rows: Sequence[Mapping[str, Any]], *, seed: int, draws: int, strata: ImageStrata | None = None
) -> list[Section]:
    """The same of images that are scored: rows of `image` and what `score_image` says of it."""
    rng = np.random.default_rng(seed)
    classes = sorted({name for row in rows for name in row if name.startswith("pq ")})
    rows = [{**dict.fromkeys(classes, float("nan")), **row} for row in rows]
    whole = [_mean(rows, [name], rng, draws) for name in _MEANS]
    counts = np.array([[row[name] for name in ("tp", "fp", "fn")] for row in rows], float)
    groups = [row["image"] for row in rows]
    detection = bootstrap(counts, groups, f1, rng=rng, draws=draws)
    whole.append({"measure": "detection F1", "label": "all", **detection.row()})
    if classes:
        whole.append(_mean(rows, classes, rng, draws) | {"measure": "mPQ"})
        whole += [_mean(rows, [name], rng, draws) | {"measure": "pq", "label": name[3:]} for name in classes]
    text = (
        "Means over images, each resampled whole; detection F1 counts all nuclei, a center within 3 um is a "
        "hit. mPQ is the mean over classes of each class's mean over the images that truly have it. n is the "
        "number of images."
    )
    by = _pq_strata(rows, classes, strata, rng, draws) if strata else []
    return [
        Section("segmentation", "Nuclei: outlines and places", text, whole),
        *by,
        Section("images", "Each image", "The same of each image.", rows, figure=""),
    ]


def _pq_strata(
    rows: Sequence[Mapping[str, Any]],
    classes: Sequence[str],
    strata: ImageStrata,
    rng: np.random.Generator,
    draws: int,
) -> list[Section]:
    """PanNuke's mPQ: of an image the mean over the classes that it truly has; PQ where there are none."""
    names = tuple(classes) or ("pq",)
    values = _nanmean(np.array([[row[name] for name in names] for row in rows], float))
    known = np.isfinite(values)
    parts = np.stack([np.where(known, values, 0), known], axis=1).astype(float)
    measure = "mPQ" if classes else "PQ"
    return strata.sections(parts, ratio, measure, rng=rng, draws=draws)


def _mean(
    rows: Sequence[Mapping[str, Any]], names: Sequence[str], rng: np.random.Generator, draws: int
) -> dict[str, Any]:
    """Mean over `names` of the mean of each over the images that have it."""
    values = np.array([[row[name] for name in names] for row in rows], float)
    known = np.isfinite(values)
    parts = np.hstack([np.where(known, values, 0), known])

    def score(sums: NDArray[np.floating]) -> NDArray[np.floating]:
        each = np.split(sums, 2, axis=-1)
        return _nanmean(ratio(np.stack(each, axis=-1)))

    found = bootstrap(parts, [row["image"] for row in rows], score, rng=rng, draws=draws)
    there = int(known.any(1).sum())
    return {"measure": names[0], "label": "all", **found.row(), "n": there}


def _nanmean(values: NDArray[np.floating]) -> NDArray[np.floating]:
    known = np.isfinite(values)
    return ratio(np.stack([np.where(known, values, 0).sum(-1), known.sum(-1)], axis=-1))


def map_sections(
    maps: Mapping[str, tuple[Labels, Labels]],
    names: Sequence[str],
    *,
    seed: int,
    draws: int,
    strata: ImageStrata | None = None,
) -> list[Section]:
    """Dice and IoU of each class of pairs of class maps (0 = not known in the truth, k = `names[k - 1]`).

    Pixels are summed over images; where the truth is 0 nothing is asked, and a 0 of the map found is a miss.
    """
    n, parts = len(names) + 1, []
    for name, (true, found) in maps.items():
        if true.shape != found.shape:
            raise DataError(f"{name}: sizes differ, {true.shape} px and {found.shape}: one resolution?")
        if max(true.max(initial=0), found.max(initial=0)) >= n:
            raise DataError(f"{name}: has a value above {len(names)}, the number of classes.")
        parts.append(confusion(true, found, n, ignore=0).ravel())
    rng, sums, rows = np.random.default_rng(seed), np.array(parts, float), []
    for k, label in enumerate(names, start=1):
        for measure in ("Dice", "IoU"):
            found = bootstrap(sums, list(maps), _overlap(measure, k, n), rng=rng, draws=draws)
            asked = int(sums.sum(0).reshape(n, n)[k].sum())
            rows.append({"measure": measure, "label": label, **found.row(), "true_px": asked})
    text = "Pixels of all images together, images resampled whole; what the truth does not know is left out."
    each = [_overlap("Dice", k, n) for k in range(1, n)]
    mean = lambda parts: _nanmean(np.stack([score(parts) for score in each], axis=-1))  # noqa: E731
    by = strata.sections(sums, mean, "mean Dice", rng=rng, draws=draws) if strata else []
    return [Section("maps", "Class maps", text, rows), *by]


def _overlap(measure: str, k: int, n: int) -> Callable[[NDArray[np.floating]], NDArray[np.floating]]:
    def score(sums: NDArray[np.floating]) -> NDArray[np.floating]:
        table = sums.reshape(*sums.shape[:-1], n, n)
        hits, both = table[..., k, k], table[..., k, :].sum(-1) + table[..., k].sum(-1)
        top, bottom = (2 * hits, both) if measure == "Dice" else (hits, both - hits)
        return ratio(np.stack([top, bottom], axis=-1))

    return score
