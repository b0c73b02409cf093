"""The first things said: how much was measured, what must not be believed, the numbers that matter."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from histome.metrics.format import Formatted, MetricTable
from histome.report.wording import in_signs, plain_name_of
from histome.store.caveat import Caveat

MOST_ON_TOP = 3
# What holds for every slide: told with the models.
OF_MODELS = ("MODEL_LIMITS", "FEW_LABELS")
# The first three of them that no doubt touches are read.
NUMBERS_THAT_MATTER = (
    "RELATIVE_AREA_CARCINOMA",
    "CELL_DENSITY_LYMPHOCYTE_STROMA",
    "CELL_DENSITY_LYMPHOCYTE_CARCINOMA",
    "CELL_PERCENTAGE_LYMPHOCYTE",
    "RELATIVE_AREA_STROMA",
)
# What these and the cards rest on, and what the warnings of a code take the ground from.
_RESTS_ON = {
    "ABSOLUTE_AREA": {"lengths"},
    "RELATIVE_AREA_CARCINOMA": {"tumor", "tissues"},
    "RELATIVE_AREA_STROMA": {"tissues"},
    "CELL_PERCENTAGE_LYMPHOCYTE": {"types"},
    "CELL_DENSITY_LYMPHOCYTE_STROMA": {"types", "tissues", "lengths"},
    "CELL_DENSITY_LYMPHOCYTE_CARCINOMA": {"types", "tumor", "tissues", "lengths"},
}
_CLASSES = {"tumor", "types", "tissues"}
_TOUCHES = {
    "NOT_H_AND_E": {*_CLASSES, "lengths"},
    "RESOLUTION_IMPLAUSIBLE": {*_CLASSES, "lengths"},
    "ORGAN_NOT_SEEN": _CLASSES,
    "TYPES_UNFAMILIAR": {"types"},
    "SPECIMEN_NOT_SEEN": {"tissues"},
    "NO_CELLS": {"types"},
    "RESOLUTION_ESTIMATED": {"lengths"},
    "NO_CARCINOMA": {"tumor"},
    "MANY_ABSTAINED": {"types"},
    "MODELS_DISAGREE": {"tumor"},
}
# Code of a warning -> what not to believe; its title says why, or the text of `BECAUSE`.
NOT_TO_BELIEVE = {
    "NOT_H_AND_E": "any number",
    "RESOLUTION_IMPLAUSIBLE": "areas, densities and classes",
    "TYPES_UNFAMILIAR": "the types of cells",
    "ORGAN_NOT_SEEN": "the classes of tissues and cells",
    "SPECIMEN_NOT_SEEN": "any number on tissues",
    "NO_CELLS": "any number on cells",
    "RESOLUTION_ESTIMATED": "areas and densities to better than a third",
    "RESOLUTION_COARSE": "the number of small nuclei",
    "MUCH_EXCLUDED": "that this stands for the whole section",
    "NO_CARCINOMA": "that there is no tumor",
    "CELLS_NOT_COUNTED": "the cell counts",
    "SMALL_SAMPLE": "differences of a few percent",
    "LOW_CONFIDENCE": "the classes of single cells",
    "MANY_ABSTAINED": "the shares of cell classes",
    "MODELS_DISAGREE": "the numbers on the tumor",
    "STAIN_OUTSIDE_TRAINING": "the classes as much as the models' scores suggest",
    "BROKEN_TILES": "that all of the slide was seen",
}

BECAUSE = {
    "TYPES_UNFAMILIAR": "most cells are unlike what the model learned from",
    "LOW_CONFIDENCE": "the model is unsure of many",
}


class Doubt(NamedTuple):
    """What must not be believed, and why."""

    what: str
    why: str


def doubts(warnings: Sequence[Caveat]) -> list[Doubt]:
    """Return the gravest doubts, at most three, each thing once."""
    found: dict[str, Doubt] = {}
    for warning in warnings:
        what = NOT_TO_BELIEVE.get(warning.code)
        if what is not None:
            why = BECAUSE.get(warning.code, warning.title[:1].lower() + warning.title[1:])
            found.setdefault(what, Doubt(what, why))
    return list(found.values())[:MOST_ON_TOP]


def told_apart(warnings: Sequence[Caveat]) -> dict[str, Any]:
    """Return the warnings as the page tells them: on top, further ones, and those of the models.

    The gravest three are on top, never a note. Those of one code are one warning. `folded` are the further
    ones in words, warnings and notes apart.
    """
    warnings = [warning._replace(text=in_signs(warning.text)) for warning in warnings]
    of_slide = _merged([warning for warning in warnings if warning.code not in OF_MODELS])
    top = [warning for warning in of_slide if warning.severity != "note"][:MOST_ON_TOP]
    further = [warning for warning in of_slide if warning not in top]
    notes = sum(warning.severity == "note" for warning in further)
    counts = {"further warning": len(further) - notes, "note": notes}
    return {
        "on_top": top,
        "further": further,
        "folded": ", ".join(f"{n} {name}{'s' if n > 1 else ''}" for name, n in counts.items() if n),
        "of_models": [warning for warning in warnings if warning.code in OF_MODELS],
    }


def _merged(warnings: Sequence[Caveat]) -> list[Caveat]:
    """Return one warning for each code and title, with the texts of all."""
    by_code: dict[tuple[str, str], list[Caveat]] = {}
    for warning in warnings:
        by_code.setdefault((warning.code, warning.title), []).append(warning)
    return [
        same[0]._replace(text=" ".join(dict.fromkeys(each.text for each in same)))
        for same in by_code.values()
    ]


def numbers_that_matter(metrics: MetricTable, warnings: Sequence[Caveat] = ()) -> list[dict[str, Any]]:
    """Return three numbers with their plain names, fewer where more are in doubt."""
    names = [name for name in NUMBERS_THAT_MATTER if not in_doubt(name, warnings)]
    return [{"label": plain_name_of(name), "shown": metrics.formatted(name)} for name in names[:3]]


def in_doubt(metric: str, warnings: Sequence[Caveat]) -> bool:
    """Return whether a warning takes the ground from a number of the first screen."""
    rests_on = _RESTS_ON.get(metric, set())
    return any(rests_on & _TOUCHES.get(warning.code, set()) for warning in warnings)


def measured(metrics: MetricTable) -> dict[str, Formatted]:
    """Return how much was measured."""
    names = {"area": "ABSOLUTE_AREA", "passed": "RELATIVE_AREA_VALID_TISSUE", "cells": "CELL_N_TOTAL"}
    return {key: metrics.formatted(name) for key, name in names.items()}
