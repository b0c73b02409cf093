"""Clauses that compare places: denser in the stroma than in the carcinoma."""

from histome.narrative.language.amounts import word_amount
from histome.narrative.language.clauses.comparisons import directions, is_little
from histome.narrative.language.judging import (
    Judged,
    judge_amount,
    judge_rank,
    judge_ratio,
)
from histome.narrative.language.patterns import ClauseMatch, Context, rule
from histome.narrative.language.reading import Measured


@rule("T h k Y", "Y b k L", "k Y [bl]* L", "T [hv] k Y Y?")
def _densest_place(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "the outer margin has the highest lymphocyte density"."""
    measured: Measured = m.one("Y")
    place = m.tissues()[0][0] if m.tissues() else m.places()[0]
    zones = ("TUMOR_CORE", "INNER_INVASIVE_MARGIN", "OUTER_INVASIVE_MARGIN")
    places = zones if place in zones else ("CARCINOMA", "STROMA")
    if "density" not in measured.measures or len(measured.cells) != 1 or place not in places:
        return None
    c.cells, c.place = measured.cells, (place,)
    return [
        judge_rank({p: c.world.density(measured.cells[0].at(p)) for p in places}, place, m.one("k"), m.text)
    ]


@rule("[YE] G f Q L t Q L")
def _gradient_of(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "lymphocyte density rises from 280 per mm2 in the core to 610 per mm2 in the outer margin"."""
    thing = m.parts[0][1]
    cells = thing.kinds["E"] if "E" in thing.kinds else next(iter(thing.kinds["Y"].cells), None)
    if cells is None or ("Y" in thing.kinds and "density" not in thing.kinds["Y"].measures):
        return None
    values = [c.world.density(cells.at(place)) for place in m.places()]
    told = [judge_amount([value], amount) for value, amount in zip(values, m.all("Q"), strict=True)]
    return [*told, judge_ratio(values[1], values[0], None, m.one("G"), m.text)]


@rule(
    "[EY] [bvl]* y? m L a [Lu]",
    "[EY] b* F m L? a L",
    "[EY] b* [FQ] s [qA] L s L",
    "X y? m E L? a L",
    "[EY] [bvl]* y? m a L",
    "[EY] b* [FQ] L",
    "[EY] l* y? m L a L",
    "X [FQ] s q E s L",
    "[EY] b* F m a L",
    "E [bl]* y? [qA] s? L s L",
    "[EY] b y q L",
)
def _by_place(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "lymphocytes are denser in stroma than in carcinoma"."""
    if is_little(m):
        return None
    thing = next(token for letter, token in m.parts if letter in "EY")
    named = thing.kinds["E"] if "E" in thing.kinds and "Y" not in thing.kinds else None
    measured: Measured | None = None if named else thing.kinds.get("Y")
    cells = named or (measured.cells[0] if measured and measured.cells else None)
    places = list(m.places())
    if measured and measured.place:
        places = [*measured.place, *places]
    if cells is None and c.cells:
        cells = c.cells[0]
    if cells is not None and cells.place:
        places = [cells.place, *places]
    if cells is None or len(places) != 2:
        return None
    names, sign = directions(m.one("m")) if m.one("m") else (list(m.one("q") or ()), 1)
    name = "density" if measured and "density" in measured.measures else None
    if measured and not name:
        name = "count" if "count" in measured.measures else None
        if name is None:
            return None
    name = name or ("density" if "density" in names else "count" if "count" in names else None)
    if name is None:
        return None
    value = c.world.density if name == "density" else c.world.count
    first, second = (value(cells.at(place)) for place in places)
    equal = m.one("y") is not None and m.one("m") is None and not m.one("F")
    factor = m.one("F") or m.one("Q") or (word_amount("degrees", "equal") if equal else m.one("y"))
    c.cells = (cells.at(None),)
    return [judge_ratio(first, second, factor, 0 if equal else sign, m.text)]


@rule(
    "T [bhv]* y? m E a T",
    "T b* y? m g E a T",
    "T [bhv]* [FQ] s [qA] E s T",
    "T b y? m g E a g? T",
    "T h y? m E a T [bvh]*",
)
def _tissue_holds_more(m: ClauseMatch, c: Context) -> list[Judged] | None:
    cells, (first, second) = m.cells()[0], m.tissues()
    if len(cells) != 1:
        return None
    names, sign = directions(m.one("m")) if m.one("m") else (list(m.one("q") or ("count",)), 1)
    value = c.world.density if "density" in names else c.world.count
    factor = m.one("F") or m.one("Q") or m.one("y")
    return [judge_ratio(value(cells[0].at(first[0])), value(cells[0].at(second[0])), factor, sign, m.text)]


@rule("[YE] G f T t T", "[YE] G f T i T", "[YE] G f L")
def _gradient(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "lymphocyte density rises from the core to the outer margin"."""
    thing = m.parts[0][1]
    cells = thing.kinds["E"] if "E" in thing.kinds else next(iter(thing.kinds["Y"].cells or c.cells), None)
    if (
        cells is None
        or len(m.tissues()) != 2
        or ("Y" in thing.kinds and "density" not in thing.kinds["Y"].measures)
    ):
        return None
    values = [c.world.density(cells.at(tissues[0])) for tissues in m.tissues()]
    return [judge_ratio(values[1], values[0], None, m.one("G"), m.text)]
