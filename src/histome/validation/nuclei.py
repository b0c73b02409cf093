"""Scores of a nuclei model on labelled fields: additive parts, then figures with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely
from numpy.typing import NDArray
from pyarrow import Table

from histome.config import CELL_CLASSES
from histome.validation.bootstrap import Estimate, bootstrap, f1, ratio
from histome.validation.matching import Panoptic
from histome.validation.scores import Found, TypedCounts, f_c, outline_scores, typed_counts

if TYPE_CHECKING:
    from histome.training.datasets import Field

LEUKOCYTES = ("lymphocyte", "plasma_cell", "macrophage", "granulocyte")
EPITHELIAL = ("carcinoma_cell", "epithelial_cell")
# How each data set's own labels are asked for: the nine probabilities are summed into these groups.
GROUPS: dict[str, dict[str, tuple[str, ...]]] = {
    "consep": {
        "epithelial": EPITHELIAL,
        "inflammatory": LEUKOCYTES,
        "fibroblast_endothelial": ("fibroblast", "endothelial_cell"),
        "muscle_other": ("other",),
    },
    "crchistophenotypes": {
        "epithelial": EPITHELIAL,
        "inflammatory": LEUKOCYTES,
        "fibroblast": ("fibroblast", "endothelial_cell"),
        "others": ("other",),
    },
    "monusac": {
        "epithelial": EPITHELIAL,
        "lymphocyte": ("lymphocyte", "plasma_cell"),
        "neutrophil": ("granulocyte",),
        "macrophage": ("macrophage",),
        "none of these": ("fibroblast", "endothelial_cell", "other"),
    },
}


def group_of_sets(sets: NDArray[np.integer], groups: Mapping[str, tuple[str, ...]]) -> NDArray[np.int64]:
    """Group that shares a class with each label set (the first one), -1 where no type is known."""
    bit = {name: 1 << k for k, name in enumerate(CELL_CLASSES)}
    masks = [sum(bit[name] for name in group) for group in groups.values()]
    hits = np.stack([(sets & mask) > 0 for mask in masks], axis=1)
    return np.where(hits.any(1), hits.argmax(1), -1)


def found_from_table(cells: Table, mpp: float) -> Found:
    """The cells table of one field, in um."""
    outlines = [
        shapely.get_coordinates(shapely.from_wkb(g))[:-1] * mpp for g in cells["geometry"].to_pylist()
    ]
    return Found(
        np.stack([cells["x_um"].to_numpy(), cells["y_um"].to_numpy()], axis=1),
        np.stack(outlines) if outlines else np.empty((0, 32, 2)),
        np.stack([cells[f"p_{name}"].to_numpy() for name in CELL_CLASSES], axis=1),
        cells["abstained"].to_numpy(zero_copy_only=False),
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


def score_field(found: Found, field: "Field") -> FieldScore:
    """Score the cells found on one labelled field."""
    groups = GROUPS.get(field.data_set, {"any": CELL_CLASSES})
    true_um = field.points_px * field.label_mpp
    typed, detection = typed_counts(true_um, group_of_sets(field.sets[1:], groups), found, groups)
    return FieldScore(
        field.data_set,
        field.name,
        field.source,
        np.array(detection),
        typed if field.data_set in GROUPS else None,
        outline_scores(field.labels, found, field.label_mpp) if field.shapes else None,
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
    for k, group in enumerate(GROUPS.get(scores[0].data_set, {})):
        parts = np.stack([t.f_class(k) for t, _ in typed]).astype(float)
        if parts[:, [0, 2]].sum():
            figures[f"f_c_{group}"] = bootstrap(parts, [n for _, n in typed], f_c, rng=rng)
            figures[f"f1_matched_{group}"] = bootstrap(parts[:, :3], [n for _, n in typed], f1, rng=rng)
    return figures
