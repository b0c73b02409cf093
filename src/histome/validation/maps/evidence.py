"""What stands behind each of the seven tissues and each organ: how much was learned, scored, and how well."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from histome.classes import TISSUE_CLASSES
from histome.datasets.declared import declaration_of
from histome.datasets.organs import organ_of
from histome.datasets.tissue_fields import TissueField
from histome.datasets.tissue_labels import TISSUE_LABELS
from histome.models.label_support import Support
from histome.validation.maps.tissue import Predict, winning_class
from histome.validation.resampling import bootstrap, f1, ratio

Table = dict[str, dict[str, Any]]
# Pixels of a class alone from which a field teaches it or is scored on it: 100 um2.
_LEAST_PX = 100
_ALLOWED = TISSUE_LABELS.table()[0] > 0
# By code: the class that the label names alone, -1 for wider sets.
_ALONE = np.where(_ALLOWED.sum(axis=1) == 1, _ALLOWED.argmax(axis=1), -1)


class FieldCounts(NamedTuple):
    """Pixels of one field at 1 um/px.

    Attributes
    ----------
    classes : (7, 3) float64
        Hits, false alarms and misses of each class: a pixel labeled as it alone is a hit or a miss, one
        called so against its label a false alarm.
    allowed : (2,) float64
        Labeled pixels whose class the label allows, and all labeled ones.
    """

    data_set: str
    source: str
    classes: NDArray[np.float64]
    allowed: NDArray[np.float64]


def count_field(field: TissueField, predict: Predict) -> FieldCounts:
    """Compare the map of one field with its labels."""
    said, labeled = winning_class(field, predict(field.image)), field.codes > 0
    alone, right = _ALONE[field.codes], _ALLOWED[field.codes, said]
    counts = np.zeros((len(TISSUE_CLASSES), 3))
    for k in range(len(TISSUE_CLASSES)):
        mine, called = labeled & (alone == k), labeled & (said == k)
        counts[k] = (mine & called).sum(), (called & ~right).sum(), (mine & ~called).sum()
    allowed = np.array([(labeled & right).sum(), labeled.sum()], np.float64)
    return FieldCounts(field.data_set, field.source, counts, allowed)


def tissue_support(fields: Iterable[TissueField]) -> dict[str, str]:
    """Return how each class was learned: the number of fields with pixels that are labeled as it alone."""
    taught = np.zeros(len(TISSUE_CLASSES), int)
    for field in fields:
        alone = _ALONE[field.codes[field.codes > 0]]
        taught += np.bincount(alone[alone >= 0], minlength=len(TISSUE_CLASSES)) >= _LEAST_PX
    return {name: str(Support.of_count(int(n))) for name, n in zip(TISSUE_CLASSES, taught, strict=True)}


def tissue_evidence(counted: Sequence[FieldCounts], support: dict[str, str]) -> dict[str, Table]:
    """Return both tables as a card holds them under `scores`.

    Of each class `n_scored`, the sources with pixels labeled as it alone, and their F1 (Dice) by pixels; of
    each organ the share of labeled pixels whose class the label allows. Sources are resampled.
    """
    rng = np.random.default_rng(0)
    sources = np.array([f"{each.data_set}: {each.source}" for each in counted])
    classes: Table = {}
    for k, name in enumerate(TISSUE_CLASSES):
        parts = np.array([each.classes[k] for each in counted]).reshape(-1, 3)
        holds = parts[:, 0] + parts[:, 2] >= _LEAST_PX
        classes[name] = {"trained": support[name], "n_scored": len(set(sources[holds]))}
        if holds.any():
            classes[name]["f1"] = bootstrap(parts, sources.tolist(), f1, rng=rng).as_dict()
    return {"classes": classes, "organs": _organs(counted, rng)}


def _organs(counted: Sequence[FieldCounts], rng: np.random.Generator) -> Table:
    groups: dict[str, list[FieldCounts]] = {}
    for each in counted:
        for name in (organ_of(each.data_set, each.source), declaration_of(each.data_set).site):
            if name and each.allowed[1]:
                groups.setdefault(name, []).append(each)
    return {
        name: {
            "fields": len(groups[name]),
            "sources": len({each.source for each in groups[name]}),
            "type_allowed": bootstrap(
                np.stack([each.allowed for each in groups[name]]),
                [each.source for each in groups[name]],
                ratio,
                rng=rng,
            ).as_dict(),
        }
        for name in sorted(groups)
    }
