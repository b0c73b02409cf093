"""How each class was learned: `direct, n = 55` labels of its own, or `indirect`, as a member of wider groups.

A card holds these marks in `training.labels`; a cells table carries its model's in its metadata. Those of
classes that were hardly taught stand beside every number of the class.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from histome.models.card import Card

# Fewer labels of its own than this, all data sets together, and a class' numbers are marked.
FEW_LABELS = 100
CLASS_LABELS = b"histome.class_labels"
_DIRECT = re.compile(r"direct, n = ([\d,]+)")


def labels_of(card: Card) -> dict[str, str]:
    """Return the marks of a card's classes; empty where it has none."""
    return _texts(card.training.get("labels"))


def class_labels_metadata(card: Card) -> dict[bytes, bytes]:
    """Return what the cells table of a model carries in its schema's metadata."""
    return {CLASS_LABELS: json.dumps(labels_of(card)).encode()}


def class_labels(schema: pa.Schema) -> dict[str, str]:
    """Return the marks that a cells table carries; empty where it comes from elsewhere."""
    try:
        return _texts(json.loads((schema.metadata or {})[CLASS_LABELS]))
    except (KeyError, ValueError):
        return {}


def _texts(marks: Any) -> dict[str, str]:
    """Marks as texts by class; empty for anything but a table."""
    return {str(name): str(mark) for name, mark in marks.items()} if isinstance(marks, Mapping) else {}


def weak_marks(marks: Mapping[str, str]) -> dict[str, str]:
    """Return the marks of the classes without labels of their own or with fewer than `FEW_LABELS`."""
    return {name: mark for name, mark in sorted(marks.items()) if own_labels(mark) < FEW_LABELS}


def own_labels(mark: str) -> float:
    """Return the number of labels that a mark states; 0 when indirect, infinite when it says neither."""
    found = _DIRECT.fullmatch(mark)
    if found:
        return int(found[1].replace(",", ""))
    return 0 if mark.startswith("indirect") else float("inf")
