"""Clauses that give a measure: a density, a distance, a nuclear area, a score."""

import math
from dataclasses import replace

from histome.narrative.language.amounts import Amount
from histome.narrative.language.clauses.measuring import measure_options, whole_measure
from histome.narrative.language.clauses.values import cells_amount, in_unit, tissue_amount
from histome.narrative.language.judging import (
    Judged,
    judge_amount,
)
from histome.narrative.language.patterns import ClauseMatch, Context, rule
from histome.narrative.language.reading import ALL_CELLS, Measured, Ratioed


def measured_amount(measured: Measured, amount: Amount, c: Context) -> list[Judged]:
    """Return the claim that a measure of something has a value."""
    single = {"ratio", "share"} & set(measured.measures)
    if (
        not measured.cells
        and not measured.tissues
        and c.measured
        and set(measured.measures) & set(c.measured.measures)
    ):
        measured = measured._replace(cells=c.measured.cells)
    c.measured = measured
    c.cells = measured.cells or c.cells
    amount = in_unit(amount, c)
    if "ratio" in single and len(measured.cells) + len(measured.tissues) == 2 and amount.dimension is None:
        amount = amount.scaled(1.0, "ratio")
    return [judge_amount(measure_options(measured, c, amount), amount)]


@rule("S [hb] Q W i R")
def _on_so_much(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "the section holds 12,000 cells on 7 mm2 of tissue"."""
    part: Ratioed = m.one("R")
    if not part.whole:
        return None
    return [*cells_amount((ALL_CELLS,), m.one("Q"), c), judge_amount([c.world.area(None)], part.amount)]


@rule("Y [bvlh]* Q L?", "Y L Q", "[wh] Y o? Q", "Y o Q", "Y L b Q", "Y [bv]* l? Q i? L?", "Y b* l i Q L?")
def _measure_is(m: ClauseMatch, c: Context) -> list[Judged]:
    measured = m.one("Y")
    c.place = m.places() or c.place
    return measured_amount(measured, m.one("Q"), c)


@rule("Y [bvl]* Q [po] [ET]", "Y b Q L")
def _measure_is_for(m: ClauseMatch, c: Context) -> list[Judged]:
    measured: Measured = m.one("Y")
    cells = m.cells()[0] if m.cells() else ()
    return measured_amount(
        measured._replace(cells=cells, tissues=m.tissues()[0] if m.tissues() else ()), m.one("Q"), c
    )


@rule("[a=] Q L")
def _against(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "the stromal density is 567 per mm2, compared with 27 per mm2 in the carcinoma"."""
    if c.measured is None or len(c.measured.cells) != 1 or len(m.places()) != 1:
        return None
    cells = c.measured.cells[0].at(m.places()[0])
    return measured_amount(Measured(c.measured.measures, (cells,)), m.one("Q"), c)


@rule("Q [po] [ET]")
def _for_another(m: ClauseMatch, c: Context) -> list[Judged] | None:
    if c.measured is None or not m.cells():
        return None
    return measured_amount(c.measured._replace(cells=m.cells()[0]), m.one("Q"), c)


@rule(
    "[ET] [hv] Y o? Q L?",
    "[ET] [hv] Q o? Y L?",
    "[ET] l i Y o Q L?",
    "[ET] w Y o Q L?",
    "E [hv]* Y b? Q",
    "E l? w Y o Q L?",
    "E [bl]* i Y o Q L?",
)
def _has_measure(m: ClauseMatch, c: Context) -> list[Judged] | None:
    measured: Measured = m.one("Y")
    if set(measured.measures) & {"regions", "aggregates"}:
        return None
    if measured.tissues or (measured.cells and not measured.cells[0].everything):
        return None
    c.place = m.places() or c.place
    thing = m.cells()[0] if m.cells() else ()
    tissues = m.tissues()[0] if m.tissues() else ()
    c.cells, c.tissues = thing, tissues
    if len(thing) > 1:
        return None
    return measured_amount(measured._replace(cells=thing, tissues=tissues), m.one("Q"), c)


@rule("L? X? Q E $ L?", "X? Q E $ L?", "T h Q E $", "E v Q $ L?")
def _per_area(m: ClauseMatch, c: Context) -> list[Judged] | None:
    dimension, factor = m.one("$")
    c.place = m.places() or (m.tissues()[0] if m.tissues() else c.place)
    return cells_amount(m.cells()[0], m.one("Q").scaled(factor, dimension), c)


@rule("Q Y [bl]*", "S [bhv] Q Y", "X Q Y", "T [bhv] Q Y", "C Q Y", "Q Y [bv] L?", "T v o? Q Y")
def _things(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "two lymphoid aggregates were found", "the carcinoma forms five regions"."""
    measured: Measured = m.one("Y")
    if not set(measured.measures) & {"aggregates", "regions"} or measured.cells:
        return None
    if measured.tissues not in ((), ("CARCINOMA",)):
        return None
    if m.tissues() and (m.tissues()[0] != ("CARCINOMA",) or "regions" not in measured.measures):
        return None
    c.measured = measured
    return [judge_amount([whole_measure(c, measured)], m.one("Q"))]


@rule("[SM] o Q b*", "R 4", "3 R", "3 Q [WE]", "Q [WE] b* 3", "Q b 4")
def _of_the_run(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "the model abstained on 5 % of the cells", "93 % of the tissue passed quality control"."""
    part: Ratioed | None = m.one("R")
    amount = part.amount if part else m.one("Q")
    if m.tokens("3"):
        if part and (not part.cells or not part.cells[0].everything):
            return None
        share = amount.dimension == "share"
        return [
            judge_amount(
                [c.world.named("ABSTAINED_FRACTION_ALL" if share else "ABSTAINED_COUNT_ALL")], amount
            )
        ]
    if m.tokens("4"):
        return [
            judge_amount([c.world.named("RELATIVE_AREA_VALID_TISSUE"), c.world.named("VALID_AREA")], amount)
        ]
    return [judge_amount([c.world.area(None)], amount)] if amount.dimension == "area" else None


@rule("! [bv]* R")
def _tiles_are(m: ClauseMatch, c: Context) -> list[Judged] | None:
    part: Ratioed = m.one("R")
    return [judge_amount([c.world.named(m.one("!"))], part.amount)] if part.tiles else None


@rule("Q Y [bvh]* Y? o? Q")
def _things_cover(m: ClauseMatch, c: Context) -> list[Judged] | None:
    measured: Measured = m.one("Y")
    if "aggregates" not in measured.measures or any("area" not in each.measures for each in m.all("Y")[1:]):
        return None
    first, second = m.all("Q")
    return [
        judge_amount([whole_measure(c, measured)], first),
        judge_amount(measure_options(measured, c, second), second),
    ]


@rule("E [hvlb]* i? Y o Q f? [TE]?", "E [hvlb]* i? Y o Q t T")
def _at_a_distance(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "lymphocytes keep a median distance of 85 um from the carcinoma"."""
    measured: Measured = m.one("Y")
    if "distance" not in measured.measures or len(m.cells()[0]) != 1 or not _to_tumor(m, c):
        return None
    return [judge_amount([c.world.distance(m.cells()[0][0])], m.one("Q"))]


@rule(
    "5? E [bl]* Q f? 0? [ETe]?",
    "5? E [bl]* Q f 0? [ET]",
    "0 E [bl]* Q f? 0? [ET]?",
    "5? E b* l Q [of] [TE]",
    "0 [blv]* Q f? 0? [ET]?",
    "0 E b? Q",
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


@rule("R [bl]* i R", "R [bl]* i Q f T")
def _half_within(m: ClauseMatch, c: Context) -> list[Judged] | None:
    part: Ratioed = m.one("R")
    amount = m.one("Q") or m.all("R")[1].amount
    tissues = m.tissues()[0] if m.tissues() else m.all("R")[1].tissues
    if not part.cells or tissues != ("CARCINOMA",) or amount.dimension != "length":
        return None
    if part.amount.test(0.5) is not True or not 0.4 < part.amount.middle < 0.6:
        return None
    return [judge_amount([c.world.distance(part.cells[0])], amount)]


@rule("[YET] x g? Q")
def _above(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "the density of fibroblasts exceeds 300 per mm2"."""
    amount = m.one("Q")
    if amount.dimension == "ratio" or amount.worded:
        return None
    low, high = (amount.middle, math.inf) if m.one("x") > 0 else (-math.inf, amount.middle)
    beyond = replace(amount, holds=(low, high), fails=(low, high))
    if m.one("Y"):
        return measured_amount(m.one("Y"), beyond, c)
    return cells_amount(m.cells()[0], beyond, c) if m.cells() else tissue_amount(m.tissues()[0], beyond, c)


@rule("k [bv]* o? Q", "k Y? [bv]* o? Q")
def _largest_region(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "twelve regions, the largest measuring 0.41 mm2"."""
    if c.measured is None or "regions" not in c.measured.measures or m.one("k") != 1:
        return None
    return [judge_amount([c.world.whole("largest_region")], m.one("Q"))]
