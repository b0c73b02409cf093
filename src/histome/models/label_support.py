"""How each class was learned: from n labels of its own, or as a member of wider groups only.

A card says so in `training.labels` ("direct, n = 55", "indirect"); a cells table carries what its model's
card says in its metadata. Classes that were hardly taught stand beside every number of theirs.
"""

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from histome.classes import CELL_CLASSES
from histome.models.card import Card

if TYPE_CHECKING:
    import pyarrow as pa

# Fewer labels of its own than this, all data sets together, and a class' numbers are marked.
FEW_LABELS = 100
# Fewer held-out nuclei of a class than this are no score of it.
FEW_SCORED = 20
CLASS_LABELS = b"histome.class_labels"
_DIRECT = re.compile(r"direct, n = ([\d,]+)")


class Support(NamedTuple):
    """What one class was learned from.

    Attributes
    ----------
    kind : "direct", "indirect" or "unknown"
        "direct": labels of its own; "indirect": a member of wider groups only; "unknown": the card says
        something else.
    n : int or None
        Number of labels of its own; None where it is not known.
    text : str
        As the card has it; `str()` gives it.
    """

    kind: Literal["direct", "indirect", "unknown"]
    n: int | None
    text: str

    @classmethod
    def of_count(cls, n: int) -> "Support":
        """Return the support by n labels of the class' own."""
        return cls("direct", n, f"direct, n = {n}") if n else cls("indirect", 0, "indirect")

    @classmethod
    def read(cls, text: str) -> "Support":
        """Return what a card's text says."""
        if found := _DIRECT.fullmatch(text):
            return cls("direct", int(found[1].replace(",", "")), text)
        return cls("indirect", 0, text) if text.startswith("indirect") else cls("unknown", None, text)

    @property
    def weak(self) -> bool:
        """Whether numbers of the class are marked: it is known to have fewer than `FEW_LABELS` of its own."""
        return self.n is not None and self.n < FEW_LABELS

    def __str__(self) -> str:
        """Return the card's text."""
        return self.text


def weakly_supported(support: Mapping[str, Support]) -> dict[str, Support]:
    """Return the classes without labels of their own or with fewer than `FEW_LABELS`, ordered by name."""
    return {name: found for name, found in sorted(support.items()) if found.weak}


def read_support(texts: Any) -> dict[str, Support]:
    """Return what a table of texts says of each class; empty for anything but a table."""
    if not isinstance(texts, Mapping):
        return {}
    return {str(name): Support.read(str(text)) for name, text in texts.items()}


def support_texts(support: Mapping[str, Support]) -> dict[str, str]:
    """Return the texts that `read_support` reads."""
    return {name: str(found) for name, found in support.items()}


def card_support(card: Card) -> dict[str, Support]:
    """Return how a model learned each of its classes; empty where its card does not say."""
    return read_support(card.training.get("labels"))


def unscored_classes(card: Card) -> tuple[str, ...]:
    """Return the classes of cells without a held-out score (`scores.classes`); none where the card has none.

    A score is of `FEW_SCORED` nuclei or more that are labeled as that class alone.
    """
    scored = card.scores.get("classes")
    if not isinstance(scored, Mapping):
        return ()
    return tuple(name for name in CELL_CLASSES if scored.get(name, {}).get("n_scored", 0) < FEW_SCORED)


def support_metadata(card: Card) -> dict[bytes, bytes]:
    """Return what the cells table of a model carries in its schema's metadata."""
    return {CLASS_LABELS: json.dumps(support_texts(card_support(card))).encode()}


def table_support(schema: "pa.Schema") -> dict[str, Support]:
    """Return how the model of a cells table learned each class; empty for a table from elsewhere."""
    try:
        return read_support(json.loads((schema.metadata or {})[CLASS_LABELS]))
    except (KeyError, ValueError):
        return {}
