"""Scores of a nuclei model on labeled fields: additive parts, then figures with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyarrow import Table

from histome.classes import CELL_CLASSES
from histome.datasets.declared import declaration_of
from histome.datasets.labelsets import EPITHELIAL, members
from histome.validation.confidence import (
    balanced_accuracy,
    calibration_parts,
    confusion_parts,
    coverage_curve,
    expected_calibration_error,
    macro_f1,
)
from histome.validation.matching import Panoptic, match_centers
from histome.validation.resampling import Estimate, bootstrap, f1, ratio
from histome.validation.scores import (
    Found,
    TypedCounts,
    f_c,
    merged_probabilities,
    outline_scores,
    typed_counts,
)

if TYPE_CHECKING:
    from histome.datasets.fields import Field


def groups_for(data_set: str) -> Mapping[str, tuple[str, ...]]:
    """Return the groups of classes that a data set's labels can tell apart, by name.

    Those that it declares; else labels whose sets share a class are one group, and classes that no label
    names are another; else, for data labeled with our classes, the nine classes.
    """
    about = declaration_of(data_set)
    if about.groups or about.labels is None:
        return about.groups or {name: (name,) for name in CELL_CLASSES}
    groups: list[tuple[list[str], int]] = []
    for label, mask in about.labels.items():
        joined = [group for group in groups if group[1] & mask]
        groups = [group for group in groups if not group[1] & mask]
        names, bits = [name for group in joined for name in group[0]], [group[1] for group in joined]
        if mask:
            groups.append(([*names, label], int(np.bitwise_or.reduce([mask, *bits]))))
    found = {"_".join(names): members(bits) for names, bits in groups}
    rest = tuple(name for name in CELL_CLASSES if not any(name in group for group in found.values()))
    return found | ({"none of these": rest} if rest else {})


def group_of_sets(sets: NDArray[np.integer], groups: Mapping[str, tuple[str, ...]]) -> NDArray[np.int64]:
    """Group that shares a class with each label set (the first one), -1 where no type is known."""
    bit = {name: 1 << k for k, name in enumerate(CELL_CLASSES)}
    masks = [sum(bit[name] for name in group) for group in groups.values()]
    hits = np.stack([(sets & mask) > 0 for mask in masks], axis=1)
    return np.where(hits.any(1), hits.argmax(1), -1)


def found_from_table(cells: Table, mpp: float) -> Found:
    """The cells table of one field, in um."""
    rings = shapely.get_exterior_ring(shapely.from_wkb(cells["geometry"].to_numpy()))
    corners, owner = shapely.get_coordinates(rings, return_index=True)
    # Each ring ends where it starts; the shorter ones stay there.
    counts = np.bincount(owner, minlength=len(rings))
    ends = np.cumsum(counts) - 1
    outlines = np.repeat(corners[ends][:, None], counts.max(initial=4) - 1, axis=1)
    outlines[np.arange(outlines.shape[1]) < (counts - 1)[:, None]] = np.delete(corners, ends, axis=0)
    return Found(
        np.stack([cells["x_um"].to_numpy(), cells["y_um"].to_numpy()], axis=1),
        outlines * mpp,
        np.stack([cells[f"p_{name}"].to_numpy() for name in CELL_CLASSES], axis=1),
        cells["abstained"].to_numpy(zero_copy_only=False),
    )


@dataclass(frozen=True)
class Answers:
    """Types of the matched nuclei whose type is known.

    Attributes
    ----------
    true, guess : (n,) int64
        True group, given group.
    confidence : (n,) float
        Probability of the given group.
    malignant : (4,) float
        (2, 2) confusion of {carcinoma cell} and {epithelial cell}, raveled, where the label says which.
    sets, said : (m,) int64
        Label set and likeliest class of every matched nucleus whose type is known.
    """

    true: NDArray[np.int64]
    guess: NDArray[np.int64]
    confidence: NDArray[np.floating]
    malignant: NDArray[np.floating]
    sets: NDArray[np.int64]
    said: NDArray[np.int64]


def answers(found: Found, field: "Field", groups: Mapping[str, tuple[str, ...]]) -> Answers:
    """What was said of the types of one field's nuclei."""
    pairs = match_centers(field.points_px * field.label_mpp, found.centers_um)
    sets, p = field.sets[1:][pairs[:, 0]], found.probabilities[pairs[:, 1]]
    true = group_of_sets(sets, groups)
    known = true >= 0
    merged = merged_probabilities(p[known], groups)
    epithelial = [CELL_CLASSES.index(name) for name in EPITHELIAL]
    sure = np.isin(sets, [1 << k for k in epithelial])
    grades = confusion_parts(
        (sets[sure] == 1 << epithelial[1]).astype(int), p[sure][:, epithelial].argmax(1), 2
    )
    typed = sets > 0
    return Answers(
        true[known],
        merged.argmax(1),
        merged.max(1, initial=0.0),
        grades,
        sets[typed].astype(np.int64),
        p[typed].argmax(1),
    )


@dataclass(frozen=True)
class FieldScore:
    """Additive parts of one field: what every figure of a card is made of."""

    data_set: str
    name: str
    source: str
    detection: NDArray[np.int64]
    typed: TypedCounts | None
    outlines: Panoptic | None
    answers: Answers | None = None


def score_field(found: Found, field: "Field") -> FieldScore:
    """Score the cells found on one labeled field."""
    groups = groups_for(field.data_set)
    has_types = bool(declaration_of(field.data_set).groups or field.sets.any())
    true_um = field.points_px * field.label_mpp
    typed, detection = typed_counts(true_um, group_of_sets(field.sets[1:], groups), found, groups)
    return FieldScore(
        field.data_set,
        field.name,
        field.source,
        np.array(detection),
        typed if has_types else None,
        outline_scores(field.labels, found, field.label_mpp) if field.shapes else None,
        answers(found, field, groups) if has_types else None,
    )


def _groups(scores: Sequence[FieldScore]) -> list[str]:
    """Sources to resample; fields where there are fewer than five sources (two patients give no interval)."""
    sources = [s.source for s in scores]
    return sources if len(set(sources)) >= 5 else [s.name for s in scores]


def summarize(scores: Sequence[FieldScore], rng: np.random.Generator) -> dict[str, Estimate]:
    """Figures of one data set: detection F1 (3 um), PQ and AJI (means over fields), F_c of each group."""
    names = _groups(scores)
    figures = {
        "detection_f1": bootstrap(np.stack([s.detection for s in scores]).astype(float), names, f1, rng=rng)
    }
    shaped = [(s, n) for s, n in zip(scores, names, strict=True) if s.outlines is not None]
    for k, figure in ((2, "pq"), (3, "aji")):
        if shaped:
            parts = np.array([[s.outlines[k], 1.0] for s, _ in shaped if s.outlines])
            figures[figure] = bootstrap(parts, [n for _, n in shaped], ratio, rng=rng)
    typed = [(s.typed, n) for s, n in zip(scores, names, strict=True) if s.typed is not None]
    for k, group in enumerate(groups_for(scores[0].data_set) if typed else ()):
        parts = np.stack([t.f_class(k) for t, _ in typed]).astype(float)
        if parts[:, [0, 2]].sum():
            figures[f"f_c_{group}"] = bootstrap(parts, [n for _, n in typed], f_c, rng=rng)
            figures[f"f1_matched_{group}"] = bootstrap(parts[:, :3], [n for _, n in typed], f1, rng=rng)
    return figures | _confidence_figures(scores, names, rng)


def _confidence_figures(
    scores: Sequence[FieldScore], names: Sequence[str], rng: np.random.Generator
) -> dict[str, Estimate]:
    """Macro F1 and calibration error of the matched nuclei's groups; malignant against healthy epithelium."""
    given = [(s.answers, name) for s, name in zip(scores, names, strict=True) if s.answers is not None]
    if not given:
        return {}
    n = len(groups_for(scores[0].data_set))
    names = [name for _, name in given]
    confusion = np.stack([confusion_parts(a.true, a.guess, n) for a, _ in given])
    calibration = np.stack([calibration_parts(a.confidence, a.true == a.guess) for a, _ in given])
    malignant = np.stack([a.malignant for a, _ in given])
    figures = {
        "macro_f1_matched": bootstrap(confusion, names, macro_f1, rng=rng),
        "calibration_error": bootstrap(calibration, names, expected_calibration_error, rng=rng),
    }
    if malignant.reshape(-1, 2, 2).sum((0, 2)).all():
        figures["malignant_or_healthy_balanced_accuracy"] = bootstrap(
            malignant, names, balanced_accuracy, rng=rng
        )
    return figures


def f1_by_coverage(scores: Sequence[FieldScore]) -> list[dict[str, float]]:
    """Macro F1 of the surest share of all matched nuclei of one data set (see `coverage_curve`)."""
    given = [s.answers for s in scores if s.answers is not None]
    if not given:
        return []
    true, guess = (np.concatenate([getattr(a, name) for a in given]) for name in ("true", "guess"))
    confidence = np.concatenate([a.confidence for a in given])
    return coverage_curve(confidence, true, guess, len(groups_for(scores[0].data_set)))


def score_tables(scores: Sequence[FieldScore]) -> dict[str, dict]:
    """Figures of each data set as a card holds them, with the numbers of fields, sources and true nuclei.

    Data sets stand in the order of the scores; the intervals are drawn with one generator from seed 0.
    """
    rng = np.random.default_rng(0)
    tables = {}
    for name in dict.fromkeys(s.data_set for s in scores):
        mine = [s for s in scores if s.data_set == name]
        figures = {figure: e.as_dict() for figure, e in summarize(mine, rng).items()}
        if declaration_of(name).partly_labeled:
            figures = {k: e for k, e in figures.items() if k != "detection_f1" and not k.startswith("f_c")}
        nuclei = int(sum(s.detection[0] + s.detection[2] for s in mine))
        sizes = {"fields": len(mine), "sources": len({s.source for s in mine}), "nuclei": nuclei}
        tables[name] = sizes | figures
    return tables


def rounded(figures: Any) -> Any:
    """Return the same tables with numbers of four digits; NaN (nothing to score) is left out."""
    if isinstance(figures, Mapping):
        return {k: rounded(v) for k, v in figures.items() if not (isinstance(v, float) and np.isnan(v))}
    if isinstance(figures, list):
        return [rounded(row) for row in figures]
    return round(figures, 4) if isinstance(figures, float) else figures
