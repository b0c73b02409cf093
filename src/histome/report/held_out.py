"""How well each class did on labels that its model did not learn from, out of the models' cards."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from histome.metrics.format import format_number
from histome.models.card import Card
from histome.models.describe import ScoreRow, score_rows

_HELD_OUT = "held_out"
# How cards name the figure of a class: agreement of the classes of found cells, of areas.
_FIGURES = {"f1_matched_": "F1", "iou_": "IoU"}
# Words in the names of figures that are labels of data sets -> our classes.
_WORDS = {
    "inflammatory": ("lymphocyte", "plasma_cell", "macrophage", "granulocyte"),
    "neutrophil": ("granulocyte",),
    "epithelial": ("carcinoma_cell", "epithelial_cell"),
    "endothelial": ("endothelial_cell",),
    "plasma": ("plasma_cell",),
    "tumor": ("CARCINOMA",),
    "normal": ("EPITHELIAL_TISSUE",),
    "stroma": ("STROMA",),
    "necrosis": ("NECROSIS",),
    **{name: (name,) for name in ("lymphocyte", "macrophage", "granulocyte", "fibroblast", "other")},
}


# On fewer fields or slides the figure says so itself: seven fields with a few cells each may well give 1.0.
_FEW = 10


class ClassError(NamedTuple):
    """What a card says of a class, "F1 0.18", and on what data.

    `note` is "group" where the label does not tell the class from others, "n = 7" where it is of so few.
    """

    text: str
    note: str
    title: str


def held_out_errors(cards: Iterable[Card]) -> Mapping[str, ClassError]:
    """Return the held-out figure of each class by its name.

    Of several the one whose label is closest to the class (fewest classes in one), then of the most
    fields or slides. A class that no held-out label speaks of has none.
    """
    best: dict[str, tuple[tuple[int, int], ClassError]] = {}
    for card in cards:
        for row in score_rows(card.scores):
            if row.place[:1] == (_HELD_OUT,):
                _keep_better(best, row)
    return {name: error for name, (_, error) in best.items()}


def _keep_better(best: dict[str, tuple[tuple[int, int], ClassError]], row: ScoreRow) -> None:
    for figure, short in _FIGURES.items():
        before, found, label = row.figure.partition(figure)
        names = [name for word in label.split("_") for name in _WORDS.get(word, ())] if found else []
        units = int(row.n) if row.n.isdigit() else 0
        rank = (len(names), -units)
        for name in names:
            if name not in best or rank < best[name][0]:
                data = " ".join(filter(None, (*row.place[1:], before.strip("_"))))
                best[name] = rank, _error(short, row, data, label=label, of_group=len(names) > 1)


def _error(figure: str, row: ScoreRow, data: str, *, label: str, of_group: bool) -> ClassError:
    few = row.n.isdigit() and int(row.n) < _FEW
    note = ", ".join(["group"] * of_group + [f"n = {row.n}"] * few)
    text = f"{figure} {format_number(row.value, 2)}"
    where = f"{data}, label “{label.replace('_', ', ')}”"
    interval = row.interval(lambda end: format_number(end, 2))
    return ClassError(text, note, f"{text}, 95 % interval {interval}, on {where} (n = {row.n})")
