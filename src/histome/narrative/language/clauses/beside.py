"""Clauses that compare with who was named before, or give the values of those compared."""

from histome.narrative.language.clauses.comparisons import compared, directions, is_little
from histome.narrative.language.clauses.measuring import measure_options
from histome.narrative.language.judging import Judged, cells_options, judge_amount, judge_ratio, union
from histome.narrative.language.patterns import ClauseMatch, Context, rule
from histome.narrative.language.pieces import Measured, Token


@rule("[iw]? Y? o? Q [a&] Q [piou]? [ETL]", "[iw]? Y? o? Q [a&] Q W?", "[iw]? Y? o? Q s? a Q")
def _one_and_the_other(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "larger than lymphocyte nuclei, at 62.4 versus 27.8 um2": what was compared has these values."""
    measured: Measured | None = m.one("Y")
    if not c.pair or (measured and (measured.cells or measured.tissues)):
        return None
    groups = (c.cells[0], c.against[0]) if len(c.against) == len(c.cells) == 1 else (None, None)
    found = []
    for value, cells, amount in zip(c.pair, groups, m.all("Q"), strict=True):
        known = measured and cells and measure_options(measured._replace(cells=(cells,)), c, amount)
        others = known or (cells_options(c.world, cells, amount, None) if cells else [])
        found.append(judge_amount(others if known else [value, *others], amount))
    return found


@rule("i Q")
def _those_at(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "larger than the connective cells, at 40.2 um2": what was compared with last has the value."""
    if len(c.against) != 1 or m.one("Q").dimension not in ("area", "pixel area", "density", "share"):
        return None
    return [judge_amount(cells_options(c.world, c.against[0], m.one("Q"), None), m.one("Q"))]


@rule("E y? m Y")
def _more_than_those(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "a outnumber b but have the smaller nuclei": smaller than those of b."""
    measured: Measured = m.one("Y")
    if not c.against or measured.cells or measured.tissues:
        return None
    names, sign = directions(m.one("m"))
    names = ["size"] if "nuclear" in measured.measures else names
    return compared(
        m.tokens("E")[0], Token({"E": union(c.against)}, 0, 0), names, sign, m.one("y"), c, m.text
    )


@rule("= E", "= T")
def _compared_with(m: ClauseMatch, c: Context) -> list[Judged] | None:
    if not m.cells():
        return None
    c.beside = m.cells()[0]
    return []


@rule("[a=] T")
def _unlike_there(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "there is no a in the carcinoma, in contrast to the stroma, where 290 were found"."""
    there = m.tissues()[0]
    if len(c.cells) != 1 or c.cells[0].place or len(c.place) != 1 or len(there) != 1 or there == c.place:
        return None
    here = c.world.count(c.cells[0].at(c.place[0]))
    if here is None or here.amount:
        return None
    c.beside = c.cells
    return []


@rule("Q")
def _so_many_there(m: ClauseMatch, c: Context) -> list[Judged] | None:
    if not c.beside or not c.fronted or len(c.place) != 1 or m.one("Q").dimension:
        return None
    who, c.beside = c.beside, ()
    return [judge_amount([c.world.count(each.at(c.place[0]))], m.one("Q")) for each in who]


@rule("m Y f E")
def _smaller_shares_of(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "carcinoma cells dominate, with smaller contributions from b and c": each of them is fewer."""
    measured: Measured = m.one("Y")
    if len(c.cells) != 1 or c.cells[0].everything or measured.cells or "share" not in measured.measures:
        return None
    sign = directions(m.one("m"))[1]
    before = c.world.count(c.cells[0])
    return [judge_ratio(c.world.count(each), before, None, sign, m.text) for each in m.cells()[0]]


@rule("[EY] y? m K?", "m E", "E F s? [qA] s?")
def _more_than_beside(m: ClauseMatch, c: Context) -> list[Judged] | None:
    if not c.beside or not m.cells():
        return None
    if is_little(m):
        return None
    names, sign = directions(m.one("m")) if m.one("m") else (list(m.one("q") or ("count",)), 0)
    names = ["count"] if m.one("K") else names  # "the larger population"
    other = Token({"E": union(c.beside)}, 0, 0)
    c.beside = ()
    return compared(m.tokens("E")[0], other, names, sign, m.one("F") or m.one("y"), c, m.text)
