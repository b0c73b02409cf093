"""Print what stands behind each class and each organ of a model, as Markdown, from its card.

    python runs/print_evidence.py            # the shipped nuclei and tissue models
    python runs/print_evidence.py FOLDER

The figures are those that shipping wrote (`histome.validation.evidence`): held-out sources only. A row
without any says "no evidence".
"""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from histome.classes import CELL_CLASSES, TISSUE_CLASSES
from histome.models.card import Card, load_card
from histome.models.label_support import FEW_SCORED, card_support
from histome.models.tasks import CELL_TASKS

# Fewer held-out sources of a tissue than this are no score of it.
FEW_SOURCES = 3
# Asked of every model, beside the organs that it was scored on.
ROWS = (
    "bladder",
    "breast",
    "colorectum",
    "liver",
    "lung",
    "pancreas",
    "prostate",
    "stomach",
    "primary",
    "metastasis",
)


def figure(entry: Mapping[str, Any] | None) -> str:
    """A value with its interval."""
    if not entry:
        return "-"
    if entry["units"] == 1:  # one source, or one field, has no interval
        return f"{entry['value']:.3f}"
    return f"{entry['value']:.3f} [{entry['low']:.3f}, {entry['high']:.3f}]"


def print_table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows as Markdown."""
    print("|", " | ".join(heads), "|\n|" + "---|" * len(heads))
    for row in rows:
        print("|", " | ".join(map(str, row)), "|")
    print()


def print_classes(card: Card) -> None:
    """Each class: how it was learned, what is labeled as it alone on held-out fields, and F1."""
    cells = card.task in CELL_TASKS
    scored, support = card.scores.get("classes", {}), card_support(card)
    rows = []
    for name in CELL_CLASSES if cells else TISSUE_CLASSES:
        entry = scored.get(name, {})
        n = entry.get("n_scored", 0)
        told = figure(entry.get("f1")) if n >= (FEW_SCORED if cells else FEW_SOURCES) else "no evidence"
        rows.append((name, support.get(name, "not known"), n, told))
    print_table((card.name, "trained", "n scored" if cells else "sources scored", "F1"), rows)


def print_organs(card: Card) -> None:
    """Each organ: held-out fields, of cells their number and detection F1, share that the label allows."""
    scored = card.scores.get("organs", {})
    heads = {"fields": "fields", "nuclei": "nuclei", "detection_f1": "detection F1"}
    if card.task not in CELL_TASKS:
        heads = {"fields": "fields", "sources": "sources"}
    heads["type_allowed"] = "class allowed by the label"
    rows = []
    for name in (*ROWS, *sorted(set(scored) - set(ROWS))):
        entry = scored.get(name, {})
        rows.append((name, *(cell(entry, key) for key in heads)))
    print_table((card.name, *heads.values()), rows)


def cell(entry: Mapping[str, Any], key: str) -> object:
    """A number of a row, or a figure with its interval."""
    if key in ("fields", "sources", "nuclei"):
        return entry.get(key, 0)
    return figure(entry.get(key)) if entry else "no evidence"


def main() -> None:
    """Print the tables of each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("models", nargs="*", default=["nuclei", "tissue"])
    for name in parser.parse_args().models:
        card = load_card(name)
        print_classes(card)
        print_organs(card)


if __name__ == "__main__":
    main()
