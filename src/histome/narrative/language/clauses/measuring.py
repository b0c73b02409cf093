"""Values of measures and of cells: a density, the ratio of two tissues, a score, so many of some cells."""

import math
import re
from dataclasses import replace

from histome.narrative.language.amounts import Amount
from histome.narrative.language.judging import Judged, cells_options, judge_amount, union
from histome.narrative.language.lexicon import CellGroup
from histome.narrative.language.patterns import Context
from histome.narrative.language.pieces import ALL_CELLS, AREA, Measured
from histome.narrative.language.quantities import Value


def whole_measure(c: Context, measured: Measured) -> Value | None:
    """Return a measure of the slide or patch as a whole."""
    return next((v for v in (c.world.whole(name) for name in measured.measures) if v is not None), None)


def measure_options(measured: Measured, c: Context, amount: Amount) -> list[Value | None]:
    """Return the values that a measure of something may have."""
    world, place = c.world, (measured.place or c.place or (None,))[0]
    own = bool(measured.place and not measured.cells)  # "the intratumoral density" of those named before
    cells = tuple(
        each if (each.place and not own) or not place else each.at(place)
        for each in measured.cells or c.cells
    )
    found: list[Value | None] = []
    for name in measured.measures:
        found += _options(name, measured, cells, c, amount)
    if not measured.cells and not measured.tissues:
        found += [world.whole(name) for name in measured.measures]
    return found


def _options(
    name: str, measured: Measured, cells: tuple[CellGroup, ...], c: Context, amount: Amount
) -> list[Value | None]:
    world, one = c.world, cells[0] if len(cells) == 1 else None
    tissues = measured.tissues
    match name:
        case "ratio" | "share" | "distance" | "least_distance" if len(cells) == 2 or len(tissues) == 2:
            return _of_two(name, cells, tissues, c)
        case "share" if tissues:
            return [world.area_share(tissue) for tissue in tissues]
        case "share" if one:
            return cells_options(world, one, amount.scaled(1.0, "share"), c.within)
        case "ratio" if one:
            return [world.share(one, ALL_CELLS)]
        case "count" if not cells and not tissues:
            return [world.count(ALL_CELLS)]
        case "count" if one:
            return [world.count(one)]
        case "density" if one:
            return [world.density(one)]
        case "area" if tissues:
            return [world.area(tissues[0]), world.area_share(tissues[0])]
        case "area" | "nuclear" if one:
            return [world.nuclear(one)]
        case "area" if not cells:
            return [world.area(None)]
        case "roundness" if one:
            return [world.roundness(one)]
        case "distance" | "least_distance" if one and tissues in ((), ("CARCINOMA",)):
            return [world.distance(one, least=name == "least_distance")]
        case "clark_evans" if one and one.members == ("lymphocyte",):
            return [world.whole("clark_evans")]
        case "spread" if tissues == ("CARCINOMA",) or (one and one.members == ("carcinoma_cell",)):
            return [world.whole("spread")]
        case "aggregates":
            area = world.named("LYMPHOID_AGGREGATE_AREA")
            return [area if amount.dimension == "area" else world.whole("aggregates")]
        case "engaged" if measured.cells and cells[0].members != ("Inflammatory",):
            return []
        case "engaged" if amount.dimension == "share":
            return [quotient(world.whole("engaged"), world.named("count_Inflammatory"))]
        case "abstained":
            share = amount.dimension == "share" or amount.middle < 1
            return [world.named("ABSTAINED_FRACTION_ALL" if share else "ABSTAINED_COUNT_ALL")]
        case "valid":
            return [world.named("VALID_AREA"), world.named("RELATIVE_AREA_VALID_TISSUE")]
        case _ if not tissues and (not cells or not measured.cells):
            return [world.whole(name)]
        case "shannon" | "entropy" | "confidence" if measured.cells == (ALL_CELLS,):
            return [world.whole(name)]
    return []


def _of_two(
    name: str, cells: tuple[CellGroup, ...], tissues: tuple[str, ...], c: Context
) -> list[Value | None]:
    if name in ("distance", "least_distance"):
        kinds = {("Inflammatory",), ("Neoplastic",)}
        if len(cells) == 2 and {each.members for each in cells} == kinds:
            return [c.world.whole(name)]
        if len(cells) == 1 and tissues == ("CARCINOMA",):
            return [c.world.distance(cells[0])]
        return []
    if len(tissues) == 2:
        return [quotient(c.world.area(tissues[0]), c.world.area(tissues[1]))]
    return [quotient(c.world.count(cells[0]), c.world.count(cells[1]))]


def quotient(first: Value | None, second: Value | None) -> Value | None:
    """Return one value / another; None where there is none."""
    if first is None or second is None or not second.amount:
        return None
    return Value(first.amount / second.amount, "ratio", (*first.sources, *second.sources))


def cells_amount(
    cells: tuple[CellGroup, ...], amount: Amount, c: Context, within: CellGroup | None = None
) -> list[Judged]:
    """Return the claim that there are so many of some cells, or that they are such a share."""
    place = c.place[0] if len(c.place) == 1 else None
    if len(cells) == 1 and cells[0].everything and c.cells and not c.cells[0].everything:
        told = replace(c, carried=())
        there = place if c.place is c.carried else None  # "mostly in the stroma, with 1,300 cells"
        before = tuple(each.at(cells[0].place or each.place or there) for each in c.cells)
        found = cells_amount(before, amount, told, within)
        if found[0].true:
            return found
    placed = tuple(each if each.place or not place else each.at(place) for each in cells)
    amount = in_unit(amount, c)
    if len({each.place for each in placed}) > 1 or (len(placed) > 1 and any(e.everything for e in placed)):
        return [Judged(None, "number", amount.text, reason="cells that overlap")]
    if len(placed) > 1 and amount.dimension in ("share", "count", None) and not c.each:
        placed = (union(placed),)
    c.cells = cells
    if amount.dimension == "density" and len({each.place for each in cells}) == 1 and cells[0].place:
        c.place = (cells[0].place,)
    whole = within or c.within
    if whole and whole.everything and whole != AREA and place and not cells[0].place:
        whole = whole.at(whole.place or place)  # "in the stroma, lymphocytes are 44 % of the cells"
    told = [_counted_or_measured(each, amount, c, whole) for each in placed]
    if amount.dimension == "share" and place and within is None:
        told = [judge_amount(cells_options(c.world, each, amount, whole), amount) for each in placed]
    return [_or_open(one, each, amount, whole, c) for one, each in zip(told, placed, strict=True)]


def _or_open(told: Judged, cells: CellGroup, amount: Amount, whole: CellGroup | None, c: Context) -> Judged:
    """Return a share that is not so as open, if it is one of others that may be meant."""
    if told.true is not False or amount.dimension != "share" or not cells.place or not _is_figure(amount):
        return told
    there = [c.world.share(cells, ALL_CELLS.at(cells.place))]
    others = there if whole else cells_options(c.world, cells, replace(amount, of=None), None)
    may_be = judge_amount(others, amount).true
    return told._replace(true=None, reason="of whom it is a part is not said") if may_be else told


def _is_figure(amount: Amount) -> bool:
    """Whether it is a number or a fraction, or a limit of one: neither "most" nor "abundant"."""
    return not amount.worded or math.isfinite(amount.middle)


OF_THEM = re.compile(r"\bof (?:them|these|those|which|whom)\b", re.I)
_COMPOSES = re.compile(
    r"\b(?:ma(?:de|kes?|king) up|constitut|account|represent|compri|compos|consist|built|form(?:s|ed)?\b)",
    re.I,
)
_NOUN = re.compile(r"(?:the|an?|in the) \w", re.I)  # "are the majority there", not "are mostly there"
_MUCH = 0.2  # "most", "the bulk", "a large part", which are a part of somebody; "few" may be few anywhere


def of_those_there(amount: Amount, c: Context, text: str, *, before: bool = False) -> Amount:
    """Return a share as one of the cells there, where the words say so: "in the stroma, 44 % are a".

    `before` is whether it stands before the cells: "44 % lymphocytes in the stroma".
    """
    if amount.dimension != "share" or amount.of is not None or OF_THEM.search(text):
        return amount
    if not _is_figure(amount) and (amount.holds[0] < _MUCH or amount.text.lower().endswith("of")):
        return amount
    told = before or _COMPOSES.search(text) or (c.fronted and _is_figure(amount)) or _NOUN.match(amount.text)
    return replace(amount, of="there") if told else amount


def _counted_or_measured(cells: CellGroup, amount: Amount, c: Context, whole: CellGroup | None) -> Judged:
    """Return whether there are so many, or the measure spoken of is so: "... is 48 um2, that of b 25.5"."""
    options = cells_options(c.world, cells, amount, whole)
    if (
        cells.place and c.place and c.place is c.carried and not c.fronted
    ):  # the place may be that of the clause before, or none
        options += cells_options(c.world, cells.at(None), amount, whole and whole.at(None))
    counted = judge_amount(options, amount)
    if counted.true is False and amount.dimension == "share" and len(c.against) == 1:
        ratio = quotient(c.world.count(cells), c.world.count(c.against[0]))
        if judge_amount([ratio], amount).true:  # "b are half as numerous as a, and c a third"
            return counted._replace(true=None, reason="of whom it is a part is not said")
    if c.measured is None or amount.dimension is not None or counted.true:
        return counted
    options = measure_options(c.measured._replace(cells=(cells,), tissues=()), c, amount)
    known = next((value for value in options if value is not None), None)
    return judge_amount([known], amount.scaled(1.0, known.dimension)) if known else counted


def in_unit(amount: Amount, c: Context) -> Amount:
    """Return an amount without a unit in that of the numbers before it, where those were densities."""
    if amount.dimension is None and c.unit == "density":
        return amount.scaled(1.0, "density")
    c.unit = amount.dimension
    return amount
