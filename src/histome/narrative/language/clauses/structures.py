"""Clauses on regions of carcinoma and lymphoid aggregates: how many, how large, the largest of them."""

from histome.narrative.language.clauses.measures import measured_amount
from histome.narrative.language.clauses.measuring import whole_measure
from histome.narrative.language.judging import Judged, judge_amount, judge_presence
from histome.narrative.language.patterns import ClauseMatch, Context, rule
from histome.narrative.language.pieces import Measured


@rule("[TS]? Q Y o? Q")
def _one_region(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "the carcinoma forms a single region of 3.9 mm2"."""
    many, large = m.all("Q")
    if "regions" not in m.one("Y").measures or large.dimension != "area" or many.middle != 1:
        return None
    if m.one("Y").tissues not in ((), ("CARCINOMA",)) or m.tissues() not in ([], [("CARCINOMA",)]):
        return None
    return [judge_amount([c.world.whole(n)], a) for n, a in (("regions", many), ("largest_region", large))]


@rule("Y Y o? Q", "Y o Y o? Q")
def _has_area(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "the largest carcinoma region has a filled area of 1.2 mm2", and "the area of the region is"."""
    first, second = m.all("Y") if m.parts[1][0] == "Y" else reversed(m.all("Y"))
    if m.one("Q").dimension != "area" or "area" not in second.measures or second.cells or second.tissues:
        return None
    if not {"largest_region", "aggregates"} & set(first.measures):
        return None
    return measured_amount(first, m.one("Q"), c)


@rule("S? Q q? Y L?", "T [ios]? Q q? Y")
def _things(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "two lymphoid aggregates were found", "the carcinoma forms five regions"."""
    measured: Measured = m.one("Y")
    if not set(measured.measures) & {"aggregates", "regions"} or measured.cells:
        return None
    if measured.tissues not in ((), ("CARCINOMA",)):
        return None
    if m.tissues() and (m.tissues()[0] != ("CARCINOMA",) or "regions" not in measured.measures):
        return None
    c.measured, c.tissues = measured, m.tissues()[0] if m.tissues() else c.tissues
    return [judge_amount([whole_measure(c, measured)], m.one("Q"))]


@rule("Q Y u? Y? o? Q")
def _things_cover(m: ClauseMatch, c: Context) -> list[Judged] | None:
    measured: Measured = m.one("Y")
    if "aggregates" not in measured.measures or any("area" not in each.measures for each in m.all("Y")[1:]):
        return None
    first, second = m.all("Q")
    return [
        judge_amount([whole_measure(c, measured)], first),
        *measured_amount(measured, second, c),
    ]


@rule("E Y")
def _form_aggregates(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "lymphocytes form no aggregates"."""
    who = m.cells()[0]
    if "aggregates" not in m.one("Y").measures or len(who) != 1 or "lymphocyte" not in who[0].members:
        return None
    return [judge_presence(c.world.whole("aggregates"), "lymphoid aggregates", "finding")]


@rule("Y Q o Q")
def _one_of_them(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "the largest carcinoma region, one of twelve, ..."."""
    one, many = m.all("Q")
    if "largest_region" not in m.one("Y").measures or one.middle != 1:
        return None
    c.measured = m.one("Y")
    return [judge_amount([c.world.whole("regions")], many)]


@rule("k o Q Y Y? o? Q")
def _largest_of(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "the largest of five carcinoma regions measures 1.2 mm2"."""
    many, large = m.all("Q")
    if "regions" not in m.one("Y").measures or m.one("k") != 1 or large.dimension != "area":
        return None
    return [judge_amount([c.world.whole(n)], a) for n, a in (("regions", many), ("largest_region", large))]


@rule("k o? Q", "k Y? o? Q")
def _largest_region(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "twelve regions, the largest measuring 0.41 mm2"."""
    if c.measured is None or "regions" not in c.measured.measures or m.one("k") != 1:
        return None
    return [judge_amount([c.world.whole("largest_region")], m.one("Q"))]
