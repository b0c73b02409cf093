"""Values of measures: the density of some cells, the ratio of two tissues, a score of the whole slide."""

from histome.narrative.language.amounts import Amount
from histome.narrative.language.judging import (
    cells_options,
)
from histome.narrative.language.lexicon import CellGroup
from histome.narrative.language.patterns import Context
from histome.narrative.language.pieces import ALL_CELLS, Measured
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
