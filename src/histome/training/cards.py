"""What training writes into the card of a model, of whatever task."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histome.classes import CELL_CLASSES
from histome.models.card import Card, load_card, write_card
from histome.models.label_support import Support
from histome.models.reference import reference_window, summarize
from histome.models.runtime import Network


def rewrite_card(card: Card, out: Path, **changes: Any) -> Card:
    """Write the card with some fields changed into a model's folder; returns it as it is read from there."""
    write_card(Card.model_validate(card.model_dump() | changes), out)
    return load_card(out)


def reference_of(card: Card) -> dict[str, Any]:
    """What a model answers on the reference window, in 32-bit floats."""
    return dict(summarize(Network(card, precision="f32")(reference_window(card))))


def label_support(
    sets: NDArray[np.integer],
    classes: Sequence[str] = CELL_CLASSES,
    before: Mapping[str, Support] | None = None,
) -> dict[str, str]:
    """How each of our classes was learned: `direct, n = ..` nuclei labeled as it alone, else `indirect`.

    Parameters
    ----------
    sets : (n,) int
        Label sets of the nuclei that were learned from.
    classes : Sequence[str]
        Those that the network has; the others are learned by none.
    before : Mapping[str, Support] or None
        Support by the model that training started from; its labels count too.
    """
    support = {}
    for k, name in enumerate(CELL_CLASSES):
        earlier = (before or {}).get(name)
        n = int((sets == 1 << k).sum()) if name in classes else 0
        n += earlier.n or 0 if earlier else 0
        support[name] = str(Support.of_count(n))
    return support
