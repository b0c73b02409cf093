"""A clause that gives one value, whatever its order: who, where, which measure, how much.

What it says follows from its parts alone, so that words which only join them need not stand in a fixed order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from histome.narrative.language.amounts import Amount
from histome.narrative.language.clauses.measures import measured_amount
from histome.narrative.language.clauses.measuring import OF_THEM, cells_amount, of_those_there
from histome.narrative.language.clauses.values import (
    COVERS,
    apart,
    placed_amount,
    tissue_amount,
    tissue_part,
)
from histome.narrative.language.judging import Judged, judge_amount
from histome.narrative.language.lexicon import CellGroup
from histome.narrative.language.patterns import Context, is_silent
from histome.narrative.language.phrases.asides import is_at
from histome.narrative.language.pieces import ALL_CELLS, AREA, Measured, Ratioed, Token, is_area
from histome.narrative.language.quantities import Value

_JOINING = "iowpgtuK"


@dataclass
class _Parts:
    """What a clause names: cells, tissues, places, measures, an amount or a part of something."""

    cells: list[tuple[CellGroup, ...]] = field(default_factory=list)
    tissues: list[tuple[str, ...]] = field(default_factory=list)
    places: list[tuple[str, ...]] = field(default_factory=list)
    measures: list[Measured] = field(default_factory=list)
    amounts: list[Amount] = field(default_factory=list)
    ratios: list[Ratioed] = field(default_factory=list)
    units: list[tuple[str, float]] = field(default_factory=list)
    wholes: int = 0
    counted: list[Amount] = field(default_factory=list)
    late: bool = False  # the cells come behind the amount
    named: bool = False  # rather than carried from the clause before
    of_area: bool = False  # "of the tissue, ..."


def _parts(tokens: Sequence[Token]) -> _Parts | None:
    """Return the parts of a clause; None where it holds anything else."""
    found = _Parts()
    for k, token in enumerate(tokens):
        kinds = token.kinds
        if "Q" in kinds:
            of = k > 0 and tokens[k - 1].has("o")
            whole = kinds["Q"].dimension == "area" and bool(found.amounts)
            counted = kinds["Q"].dimension is None and (k + 1 == len(tokens) or tokens[k + 1].has("W"))
            if kinds["Q"].dimension is None and is_at(tokens, k + 1, "T"):  # "five tumor nests"
                return None
            checked = of and (whole or counted)
            (found.counted if checked else found.amounts).append(kinds["Q"])
        elif "R" in kinds:
            found.ratios.append(kinds["R"])
        elif "E" in kinds or "E+" in kinds:
            found.late |= bool(found.amounts)
            found.named |= token.end > 0
            found.cells.append(kinds.get("E+") or (kinds["E"],))
        elif "L" in kinds:
            found.places.append(kinds["L"])
        elif "v" in kinds and k:  # "total", "number", "average"
            continue
        elif "Y" in kinds:
            found.measures.append(kinds["Y"])
        elif "T" in kinds or "T+" in kinds:
            found.tissues.append(kinds.get("T+") or (kinds["T"],))
        elif "$" in kinds:
            found.units.append(kinds["$"])
        elif "W" in kinds:
            found.wholes += 1
        elif "S" in kinds:
            found.of_area |= k > 0 and tokens[k - 1].has("o") and is_area(token)
        elif kinds.get("p", "for") != "for" or not (token.has(_JOINING) or is_silent(token)):
            return None
    return found


def valued(tokens: Sequence[Token], text: str, c: Context) -> list[Judged] | None:
    """Return the claim of a clause that gives one value; None where it is not plain which."""
    parts = _parts(tokens)
    if parts is None or not parts.amounts + parts.ratios or len(parts.cells) > 1:
        return None
    if max(len(parts.amounts), len(parts.ratios)) > 1 or (parts.counted and parts.measures):
        return None
    if parts.cells and any(part.whole for part in parts.ratios) and COVERS.search(text):
        return None  # cells have no measured area
    if parts.amounts and parts.ratios and (parts.cells or any(token.has(",&") for token in tokens)):
        return None
    if max(map(len, (parts.tissues, parts.places, parts.measures, parts.units))) > 1:
        return None
    if OF_THEM.search(text) and parts.tissues and not parts.cells:  # "most of them reside in the stroma"
        them = c.cells and not c.tissues and parts.amounts and parts.amounts[0].dimension == "share"
        return placed_amount(c.cells, parts.tissues[0], parts.amounts[0], c) if them else None
    if parts.amounts and parts.named:
        parts.amounts = [of_those_there(each, c, text, before=parts.late) for each in parts.amounts]
    found = [
        judge_amount(_whole(parts, c) if each.dimension is None else [c.world.area(None)], each)
        for each in parts.counted
    ]
    for told in [_of_part] * len(parts.ratios) + [_of_amount] * len(parts.amounts):
        claims = told(parts, c)
        if claims is None:
            return None
        found += claims
    return found


def _whole(parts: _Parts, c: Context) -> list[Value | None]:
    """Return what "of 1,800" may count: all cells, or all of those named."""
    named = [c.world.count(each.at(None)) for group in parts.cells for each in group]
    return [c.world.count(ALL_CELLS), *named]


def _of_amount(parts: _Parts, c: Context) -> list[Judged] | None:
    """Return the claim of "the stroma holds lymphocytes at 525 per mm2", in any order."""
    amount = parts.amounts[0]
    if parts.units:
        if amount.dimension is not None:
            return None
        amount = amount.scaled(parts.units[0][1], parts.units[0][0])
    cells = parts.cells[0] if parts.cells else ((ALL_CELLS,) if parts.wholes else ())
    if parts.of_area and not parts.wholes:
        c.within = AREA
    tissues = parts.tissues[0] if parts.tissues else ()
    places = parts.places[0] if parts.places else ()
    if cells and tissues and not places:
        places, tissues = tissues, ()
    if (cells and tissues) or len(places) > 1 or (places and any(each.place for each in cells)):
        return None
    c.place = places or c.place
    if parts.measures:
        return _of_measure(parts.measures[0], cells, tissues, amount, c)
    if cells:
        return cells_amount(cells, amount, c)
    if tissues or (places and not c.cells and not amount.worded):
        return tissue_amount(tissues or places, amount, c)
    return None


def _of_measure(
    measured: Measured, cells: tuple[CellGroup, ...], tissues: tuple[str, ...], amount: Amount, c: Context
) -> list[Judged] | None:
    bound = bool(measured.cells or measured.tissues)
    if (bound and (cells not in ((), (ALL_CELLS,)) or tissues)) or len(cells) > 1 or measured.place:
        return None
    if {"distance", "least_distance"} & set(measured.measures) and c.place not in ((), ("CARCINOMA",)):
        return None
    if {"regions", "aggregates", "engaged"} & set(measured.measures):
        return None
    if not bound:
        measured = measured._replace(cells=cells, tissues=tissues)
    return measured_amount(measured, amount, c)


def _of_part(parts: _Parts, c: Context) -> list[Judged] | None:
    """Return the claim of "half of the lymphocytes lie in the stroma", in any order."""
    part = parts.ratios[0]
    places = parts.places[0] if parts.places else ()
    if part.tiles or parts.measures or parts.units or (places and parts.tissues):
        return None
    if parts.cells and apart(part, parts.cells[0]):
        return None
    if parts.cells:
        c.place = places or (parts.tissues[0] if parts.tissues else c.place)
        if part.tissues or (part.whole and part.amount.dimension == "area"):
            return None
        return cells_amount(parts.cells[0], part.amount, c, part.cells[0] if part.cells else None)
    where = places or (parts.tissues[0] if parts.tissues else ())
    if part.cells and where:
        return placed_amount(part.cells, where, part.amount, c)
    if part.whole and where:
        return tissue_amount(where, part.amount, c)
    return tissue_part(where, part, c) if part.tissues and len(where) == 1 else None
