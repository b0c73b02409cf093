"""Clauses that give a measure: a density, a distance, a nuclear area, a score."""

import math
import re
from dataclasses import replace

from histome.narrative.language.amounts import Amount
from histome.narrative.language.clauses.measuring import cells_amount, in_unit, measure_options, quotient
from histome.narrative.language.clauses.values import tissue_amount
from histome.narrative.language.judging import (
    Judged,
    judge_amount,
)
from histome.narrative.language.patterns import ClauseMatch, Context, rule
from histome.narrative.language.pieces import ALL_CELLS, Measured, Ratioed
from histome.narrative.units import dimension

_VARY = re.compile(r"\bvar(?:y|ies|ied)\b", re.I)


def measured_amount(measured: Measured, amount: Amount, c: Context) -> list[Judged]:
    """Return the claim that a measure of something has a value."""
    single = {"ratio", "share"} & set(measured.measures)
    if (
        not measured.cells
        and not measured.tissues
        and c.measured
        and set(measured.measures) & set(c.measured.measures)
    ):
        others = c.measured.cells
        measured = measured._replace(
            cells=tuple(each.at(None) for each in others) if measured.place else others
        )
    counted = c.measured is not None and {"aggregates", "regions"} & set(c.measured.measures)
    if counted and measured == Measured(("count",)):  # "no aggregate formed: the count is zero"
        measured = c.measured or measured
    c.measured = measured
    own = {each.place for each in measured.cells if each.place}
    c.place = measured.place or (tuple(own) if len(own) == 1 else c.place)
    c.cells = measured.cells or c.cells
    amount = in_unit(amount, c)
    if "aggregates" in measured.measures and amount.dimension == "area" and c.each:
        each = quotient(c.world.named("LYMPHOID_AGGREGATE_AREA"), c.world.whole("aggregates"))
        return [judge_amount([each and each._replace(dimension="area")], amount)]
    if "ratio" in single and len(measured.cells) + len(measured.tissues) == 2 and amount.dimension is None:
        amount = amount.scaled(1.0, "ratio")
    return [judge_amount(measure_options(measured, c, amount), amount)]


@rule("S? Q W i? R")
def _on_so_much(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "the section holds 12,000 cells on 7 mm2 of tissue"."""
    part: Ratioed = m.one("R")
    if not part.whole:
        return None
    return [*cells_amount((ALL_CELLS,), m.one("Q"), c), judge_amount([c.world.area(None)], part.amount)]


@rule("Y Q L?", "Y L Q", "[wgif] Y o? Q", "Y o Q", "Y Q i? L?", "Y i Q L?")
def _measure_is(m: ClauseMatch, c: Context) -> list[Judged]:
    measured = m.one("Y")
    c.place = m.places() or c.place
    return measured_amount(measured, m.one("Q"), c)


@rule("Y Q [po] [ET]", "Y Q L")
def _measure_is_for(m: ClauseMatch, c: Context) -> list[Judged]:
    measured: Measured = m.one("Y")
    cells = m.cells()[0] if m.cells() else ()
    return measured_amount(
        measured._replace(cells=cells, tissues=m.tissues()[0] if m.tissues() else ()), m.one("Q"), c
    )


@rule("[a=] Q L", "[a=] Q [pio]? [ET]", "[a=] E i? Q", "[a=] Q")
def _against(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "the stromal density is 567 per mm2, compared with 27 per mm2 in the carcinoma"."""
    who = m.cells()[0] if m.cells() else c.cells if m.places() else c.against
    places, amount = m.places(), m.one("Q")
    if m.tissues() and not c.cells:
        return tissue_amount(m.tissues()[0], amount, c)
    places = places or (m.tissues()[0] if m.tissues() else ())
    who = c.cells if m.tissues() else who
    if len(who) != 1 or len(places) > 1 or amount.worded:
        return None
    cells = who[0].at(places[0]) if places else who[0]
    if c.measured is None:
        return cells_amount((cells,), amount, c)
    return measured_amount(Measured(c.measured.measures, (cells,)), amount, c)


@rule("E")
def _vary(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "carcinoma nuclei vary in size, ...": by how much comes after it."""
    if c.cells or c.tissues or c.negated or not _VARY.search(m.text) or len(m.cells()[0]) != 1:
        return None
    c.cells = m.cells()[0]
    return []


@rule("Y w? Y o? Q", "Y i E w? Y o? Q")
def _varies(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "nuclear area of tumor cells varies with a coefficient of 0.5"."""
    first, second = m.all("Y")
    if (
        first.tissues not in ((), ("CARCINOMA",))
        or "nuclear" not in first.measures
        or second.measures != ("spread",)
        or second.cells
    ):
        return None
    who = m.cells()[0] if m.cells() else first.cells or c.cells
    return measured_amount(second._replace(cells=who), m.one("Q"), c)


@rule("5 Q")
def _mean_too(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "the minimum distance is 5.2 um, the mean 9.8 um"."""
    if c.measured is None or "least_distance" not in c.measured.measures:
        return None
    return measured_amount(c.measured._replace(measures=("distance",)), m.one("Q"), c)


@rule("Y u E Q")
def _share_that_are(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "the fraction of cells that are fibroblasts is 11.7 %"."""
    measured: Measured = m.one("Y")
    if not {"share", "count"} & set(measured.measures) or len(measured.cells) != 1 or measured.place:
        return None
    return cells_amount(m.cells()[0], m.one("Q"), c, measured.cells[0])


@rule("Y R")
def _til_share(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "stromal TILs cover 2.4 % of the stroma"."""
    part: Ratioed = m.one("R")
    if set(m.one("Y").measures) != {"stromal_til"} or part.tissues != ("STROMA",):
        return None
    return [judge_amount([c.world.whole("stromal_til")], part.amount)]


@rule("Q Y p Q E")
def _til_per_hundred(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "11.5 intratumoral TILs per 100 carcinoma cells"."""
    many, hundred = m.all("Q")
    if set(m.one("Y").measures) != {"intratumoral_til"} or m.cells()[0][0].name != "carcinoma_cell":
        return None
    return [judge_amount([c.world.whole("intratumoral_til")], many)] if hundred.middle == 100 else None


@rule("Y f Q p E t Q p E")
def _ranging(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "stromal densities range from 27 per mm2 for granulocytes to 800 per mm2 for fibroblasts"."""
    measured: Measured = m.one("Y")
    if measured.cells not in ((), (ALL_CELLS,)) and not all(each.everything for each in measured.cells):
        return None
    place = measured.place or tuple(each.place for each in measured.cells if each.place) or c.place
    found: list[Judged] = []
    for cells, amount in zip(m.cells(), m.all("Q"), strict=True):
        who = tuple(each.at(place[0]) if place else each for each in cells)
        found += measured_amount(measured._replace(cells=who, place=()), amount, c)
    return found


@rule("[SY] r? i $")
def _in_units(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "areas are in square pixels"."""
    known = {dimension(unit)[0] for unit in c.world.facts.units.values()}
    mine = m.one("$")[0]
    if "length" not in mine and "area" not in mine:
        return None
    return [Judged(mine in known, "unit", m.text, (), "" if mine in known else "the values have other units")]


@rule("R", "Q")
def _left_open(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "it abstained on 600 cells (5 % of all cells)"."""
    part: Ratioed | None = m.one("R")
    if c.measured is None or c.measured.measures != ("abstained",):
        return None
    if part and not part.whole and (not part.cells or not part.cells[0].everything):
        return None
    amount = part.amount if part else m.one("Q")
    return [judge_amount(measure_options(c.measured, c, amount), amount)]


@rule("Q [po] [ET]")
def _for_another(m: ClauseMatch, c: Context) -> list[Judged] | None:
    if c.measured is None or not m.cells():
        return None
    return measured_amount(c.measured._replace(cells=m.cells()[0]), m.one("Q"), c)


@rule(
    "[ET] Y o? Q L?",
    "[ET] Q o? Y L?",
    "[ET] i Y o? Q L?",
    "[ET] w Y o? Q L?",
    "E Y Q",
    "E w Y o? Q L?",
    "E i Y o? Q L?",
)
def _has_measure(m: ClauseMatch, c: Context) -> list[Judged] | None:
    measured: Measured = m.one("Y")
    if set(measured.measures) & {"regions", "aggregates"}:
        return None
    if measured.tissues:
        return None
    if measured.cells and not measured.cells[0].everything:  # "the carcinoma has a lymphocyte density of 20"
        there = m.tissues()[0] if m.tissues() and not m.places() else ()
        if len(there) != 1 or measured.place or "density" not in measured.measures:
            return None
        who = tuple(each.at(there[0]) for each in measured.cells)
        return (
            None if measured.cells[0].place else measured_amount(measured._replace(cells=who), m.one("Q"), c)
        )
    c.place = m.places() or c.place
    thing = m.cells()[0] if m.cells() else ()
    tissues = m.tissues()[0] if m.tissues() else ()
    c.cells, c.tissues = thing, tissues
    if len(thing) > 1:
        return None
    return measured_amount(measured._replace(cells=thing, tissues=tissues), m.one("Q"), c)


@rule("L? Q E t? $ L?", "Q E t? $ L?", "T Q E t? $", "E Q t? $ L?", "$ o? [TL] Q E")
def _per_area(m: ClauseMatch, c: Context) -> list[Judged] | None:
    kind, factor = m.one("$")
    if kind == "area":  # "each square millimeter of stroma holds 97"
        kind, factor = "density", 1e6 / factor
    c.place = m.places() or (m.tissues()[0] if m.tissues() else c.place)
    return cells_amount(m.cells()[0], m.one("Q").scaled(factor, kind), c)


@rule("[SM] o? Q", "M R", "R 4", "3 R", "R 3", "3 Q [WE]", "Q [WE] 3", "Q 4")
def _of_the_run(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "the model abstained on 5 % of the cells", "93 % of the tissue passed quality control"."""
    part: Ratioed | None = m.one("R")
    amount = part.amount if part else m.one("Q")
    if m.tokens("3"):
        if part and (not part.cells or not part.cells[0].everything):
            return None
        if any(not each.everything for group in m.cells() for each in group):
            return None
        c.measured, c.cells = Measured(("abstained",)), ()
        return [judge_amount(measure_options(c.measured, c, amount), amount)]
    if m.tokens("4"):
        if part and not part.whole:
            return None
        return [
            judge_amount([c.world.named("RELATIVE_AREA_VALID_TISSUE"), c.world.named("VALID_AREA")], amount)
        ]
    whole = [c.world.area(None), c.world.named("VALID_AREA")]
    if part and part.whole and amount.dimension == "share":
        return [judge_amount([c.world.named("RELATIVE_AREA_VALID_TISSUE")], amount)]
    c.measured = Measured(("area",))
    return [judge_amount(whole, amount)] if amount.dimension == "area" and not part else None


@rule("! R")
def _tiles_are(m: ClauseMatch, c: Context) -> list[Judged] | None:
    part: Ratioed = m.one("R")
    if not part.tiles:
        return None
    c.tile_metric, c.cells, c.tissues = m.one("!"), (), ()
    return [judge_amount([c.world.named(m.one("!"))], part.amount)]


@rule("E i? Y o? Q f? [TE]?", "E i? Y o? Q t [TE]", "Y o Q E f [TE]")
def _at_a_distance(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "lymphocytes keep a median distance of 85 um from the carcinoma"."""
    measured: Measured = m.one("Y")
    if "distance" not in measured.measures or len(m.cells()[0]) != 1 or not _to_tumor(m, c):
        return None
    return [judge_amount([c.world.distance(m.cells()[0][0])], m.one("Q"))]


@rule(
    "5? E 5? o? Q f? 0? [ETe]?",
    "5? E Q f 0? [ET]",
    "0 E Q f? 0? [ET]?",
    "5? E Q [of] [TE]",
    "5? E f 0? [ET] g Q",
    "5 o? Q E f [TE]",
    "0 Q f? 0? [ET]?",
    "0 E Q",
)
def _far(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "the median lymphocyte lies 42 um from carcinoma"."""
    amount, cells = m.one("Q"), m.cells()
    if amount.dimension not in ("length", "pixel length"):
        return None
    who = (
        cells[0]
        if cells and m.parts[0][0] in "5E0" and not (m.parts[0][0] == "0" and m.parts[1][0] != "E")
        else c.cells
    )
    if len(who) != 1 or not _to_tumor(m, c):
        return None
    c.cells = who
    least = m.parts[0][0] == "0"
    return [judge_amount([c.world.distance(who[0], least=least)], amount)]


def _to_tumor(m: ClauseMatch, c: Context) -> bool:
    """Whether what it is far from, if that is named, is the tumor."""
    others = [each.members for group in m.cells()[1:] for each in group]
    tissues = [tissue for group in m.tissues() for tissue in group]
    near = all(members in (("Neoplastic",), ("carcinoma_cell",)) for members in others)
    return near and all(tissue == "CARCINOMA" for tissue in tissues)


@rule("R i R", "R i Q f T")
def _half_within(m: ClauseMatch, c: Context) -> list[Judged] | None:
    part: Ratioed = m.one("R")
    amount = m.one("Q") or m.all("R")[1].amount
    tissues = m.tissues()[0] if m.tissues() else m.all("R")[1].tissues
    if not part.cells or tissues != ("CARCINOMA",) or amount.dimension != "length":
        return None
    if part.amount.test(0.5) is not True or not 0.4 < part.amount.middle < 0.6:
        return None
    c.measured = Measured(("distance",))
    return [judge_amount([c.world.distance(part.cells[0])], amount)]


@rule("[YET] x g? Q", "E x R")
def _above(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "the density of fibroblasts exceeds 300 per mm2"."""
    part: Ratioed | None = m.one("R")
    if part and (len(part.cells) != 1 or part.checked):
        return None
    amount = part.amount if part else m.one("Q")
    if amount.dimension == "ratio" or amount.worded or (m.one("g") and not m.one("Y")):
        return None
    low, high = (amount.middle, math.inf) if m.one("x") > 0 else (-math.inf, amount.middle)
    beyond = replace(amount, holds=(low, high), fails=(low, high))
    if m.one("Y"):
        return measured_amount(m.one("Y"), beyond, c)
    within = part.cells[0] if part else None
    if m.cells():
        return cells_amount(m.cells()[0], beyond, c, within)
    return tissue_amount(m.tissues()[0], beyond, c)
