"""Clauses that compare places: denser in the stroma than in the carcinoma."""

import itertools
from collections.abc import Sequence

from histome.narrative.language.amounts import word_amount
from histome.narrative.language.clauses.comparisons import directions, is_little
from histome.narrative.language.judging import (
    Judged,
    judge_amount,
    judge_rank,
    judge_ratio,
    union,
)
from histome.narrative.language.lexicon import CellGroup
from histome.narrative.language.patterns import ClauseMatch, Context, rule
from histome.narrative.language.pieces import Measured, Token
from histome.narrative.language.quantities import ZONES, Value


@rule("T k Y Y?", "Y k L", "k Y L")
def _densest_place(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "the outer margin has the highest lymphocyte density"."""
    measured: Measured = m.one("Y")
    place = m.tissues()[0][0] if m.tissues() else m.places()[0]
    places = ZONES if place in ZONES else ("CARCINOMA", "STROMA")
    if "density" not in measured.measures or len(measured.cells) != 1 or place not in places:
        return None
    c.cells, c.place, c.measured = measured.cells, (place,), measured
    return [
        judge_rank({p: c.world.density(measured.cells[0].at(p)) for p in places}, place, m.one("k"), m.text)
    ]


@rule("E k [LT]", "L E k", "T k g E", "T [KS] k g? E")
def _where_densest(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "lymphocytes are densest at the outer margin"."""
    place = (m.places() or m.tissues()[0])[0]
    places = ZONES if place in ZONES else ("CARCINOMA", "STROMA")
    cells = m.cells()[0]
    if c.aspect != "density" or len(cells) != 1 or cells[0].place or place not in places:
        return None
    c.cells, c.place = cells, (place,)
    return [judge_rank({p: c.world.density(cells[0].at(p)) for p in places}, place, m.one("k"), m.text)]


@rule("[YE] G f Q L t Q L", "[YE] G f Q L [t,&]* Q L [t,&]* Q L")
def _gradient_of(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "lymphocyte density rises from 280 per mm2 in the core to 610 per mm2 in the outer margin"."""
    thing = m.parts[0][1]
    cells = thing.kinds["E"] if "E" in thing.kinds else next(iter(thing.kinds["Y"].cells), None)
    if cells is None or ("Y" in thing.kinds and "density" not in thing.kinds["Y"].measures):
        return None
    values = [c.world.density(cells.at(place)) for place in m.places()]
    if len(values) != len(m.all("Q")):
        return None
    return [*numbers_of(values, m), *steps_of(values, m.one("G"), m)]


@rule("E O [TL] [a=] [TL]")
def _enriched(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "lymphocytes are enriched in the stroma relative to the carcinoma"."""
    first, second = (
        token.kinds.get("L") or (token.kinds["T"],) for letter, token in m.parts if letter in "TL"
    )
    if len(m.cells()[0]) != 1 or len(first) != 1 or len(second) != 1 or m.one("O").holds[0] < 0.5:
        return None
    one = m.cells()[0][0]
    here, there = (c.world.density(one.at(place)) for place in (first[0], second[0]))
    return [judge_ratio(here, there, None, 1, m.text)]


@rule(
    "[EY] y? x [Lu] g? [QF]?",
    "E y Y",
    "E y [MK]? L",
    "[EY] y? m L a [Lu]",
    "[EY] F m L? a L",
    "[EY] [FQ] s [qA] L s L",
    "y? m E L? a L",
    "[EY] y? m a L",
    "[EY] [FQ] L",
    "[EY] y? m L a L",
    "[FQ] s q E s L",
    "[EY] F m a L",
    "E y? [qA] s? L s L",
    "E L y? m y? a T",
    "[EY] [FQ] s [qA] s L",
    "[EY] y q L",
)
def _by_place(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "lymphocytes are denser in stroma than in carcinoma"."""
    if is_little(m):
        return None
    thing = next(token for letter, token in m.parts if letter in "EY")
    if "E+" in thing.kinds:
        found = [_by_place(_of_one(m, each), c) for each in thing.kinds["E+"]]
        return None if None in found else [claim for claims in found for claim in claims or ()]
    named = thing.kinds["E"] if "E" in thing.kinds and "Y" not in thing.kinds else None
    measured: Measured | None = None if named else thing.kinds.get("Y")
    cells = named or (measured.cells[0] if measured and measured.cells else None)
    places = [*m.places(), *(tissue for group in m.tissues() for tissue in group)]
    if measured is None and m.one("Y") and not m.one("Y").cells:
        places = list(m.one("Y").place)
    if measured and measured.place:
        places = [*measured.place, *places]
    if cells is None and c.cells:
        cells = c.cells[0]
    if cells is not None and cells.place:  # "those of the carcinoma"
        places = [cells.place, *places, *(t.kinds["T"] for t in m.tokens("u") if "T" in t.kinds)]
    if len(places) == 1 and len(c.place) == 1 and c.place[0] not in places and m.one("a"):
        places = [*c.place, *places]  # "in the core, lymphocytes are denser than in the stroma"
    if cells is None or len(places) != 2:
        return None
    if measured is None and m.one("Y"):  # "in similar numbers in a and b"
        measured, places = m.one("Y"), list(m.one("Y").place)
    names, sign = directions(m.one("m")) if m.one("m") else (list(m.one("q") or ("count",)), m.one("x") or 1)
    names = [c.aspect] if c.aspect else names
    c.place = (places[0],)
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
    c.pair = (first, second) if first and second else ()
    equal = m.one("y") is not None and m.one("m") is None and m.one("x") is None and not m.one("F")
    factor = m.one("F") or m.one("Q") or (word_amount("degrees", "equal") if equal else m.one("y"))
    c.cells = (cells.at(None),)
    return [judge_ratio(first, second, factor, 0 if equal else sign, m.text)]


def _of_one(m: ClauseMatch, cells: CellGroup) -> ClauseMatch:
    """Return a clause on "a and b" as one on one of them."""
    parts = tuple(
        (name, Token({"E": cells}, t.start, t.end) if "E+" in t.kinds else t) for name, t in m.parts
    )
    return m._replace(parts=parts)


@rule("E x T")
def _above_there(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "610 per mm2 at the outer margin, above both the inner margin and the core"."""
    cells = m.cells()[0]
    if len(c.place) != 1 or len(cells) != 1 or c.unit != "density" or cells[0].place not in (None, *c.place):
        return None
    here = c.world.density(cells[0].at(c.place[0]))
    there = [c.world.density(cells[0].at(tissue)) for tissue in m.tissues()[0]]
    return [judge_ratio(here, other, None, m.one("x"), m.text) for other in there]


@rule("Y G t Q L?", "L? Y G t Q")
def _up_to(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "at the outer margin, lymphocyte density climbs to 610 per mm2": so much, and nowhere more."""
    measured: Measured = m.one("Y")
    place = m.places() or c.place
    if "density" not in measured.measures or len(measured.cells) != 1 or len(place) != 1:
        return None
    c.place = place
    places = ZONES if place[0] in ZONES else ("CARCINOMA", "STROMA")
    values = {p: c.world.density(measured.cells[0].at(p)) for p in places}
    told = judge_amount([values.get(place[0])], m.one("Q"))
    return [told, judge_rank(values, place[0], m.one("G"), m.text)]


@rule("T y? m E a T", "T y? m [gwi] E a T", "T [FQ] s [qA] E s T", "T y? m g E a g? T", "T y m E a T")
def _tissue_holds_more(m: ClauseMatch, c: Context) -> list[Judged] | None:
    cells, (first, second) = m.cells()[0], m.tissues()
    if len(cells) != 1:
        return None
    names, sign = directions(m.one("m")) if m.one("m") else (list(m.one("q") or ("count",)), 1)
    c.cells = (cells[0].at(None),)
    value = c.world.density if "density" in (c.aspect or names) else c.world.count
    factor = m.one("F") or m.one("Q") or m.one("y")
    here, there = value(cells[0].at(first[0])), value(cells[0].at(second[0]))
    c.pair = (here, there) if here and there else ()
    return [judge_ratio(here, there, factor, sign, m.text)]


@rule("T y? m [iog]? E a [iog]? E", "T F s? [qA] E s E")
def _holds_more_of(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "the carcinoma contains more macrophages than lymphocytes"."""
    groups, places = m.cells(), m.tissues()[0]
    names, sign = directions(m.one("m")) if m.one("m") else (["count"], 0)
    if len(places) != 1 or is_little(m) or any(each.place for group in groups for each in group):
        return None
    value = c.world.density if "density" in (c.aspect or names) else c.world.count
    here, there = (value(union(group).at(places[0])) for group in groups)
    c.cells, c.place, c.pair = groups[0], places, (here, there) if here and there else ()
    return [judge_ratio(here, there, m.one("F") or m.one("y"), sign, m.text)]


@rule(
    "[YE] 9? G 9? f [TL] [iL]* T? [ti]* [TL]",
    "[YE] 9? G 9? f T t T t T",
    "[YE] 9? G 9? f Q t Q f [TL] t [TL]",
    "[YE] 9? G 9? f [TL] t [TL] f Q t Q",
)
def _gradient(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "lymphocyte density rises from the core through the inner to the outer margin"."""
    thing = m.parts[0][1]
    cells = thing.kinds["E"] if "E" in thing.kinds else next(iter(thing.kinds["Y"].cells or c.cells), None)
    places = [(token.kinds.get("L") or (token.kinds["T"],))[0] for _, token in m.parts if token.has("LT")]
    if cells is None or len(places) < 2:
        return None
    if "Y" in thing.kinds and "density" not in thing.kinds["Y"].measures:
        return None
    if m.one("9") and set(places) <= set(ZONES):  # "steadily": in every zone between
        places = zones_between(places[0], places[-1])
    values = [c.world.density(cells.at(place)) for place in places]
    c.cells = (cells,)
    return [*numbers_of((values[0], values[-1]), m), *steps_of(values, m.one("G"), m)]


def zones_between(first: str, last: str) -> tuple[str, ...]:
    """Return the zones that are passed on the way from one to another, both with them."""
    start, end = ZONES.index(first), ZONES.index(last)
    return ZONES[start : end + 1] if start < end else ZONES[end : start + 1][::-1]


def numbers_of(values: Sequence[Value | None], m: ClauseMatch) -> list[Judged]:
    """Return the claims that densities are the clause's numbers, one after another, if it has any."""
    amounts = [each if each.dimension else each.scaled(1.0, "density") for each in m.all("Q")]
    return [judge_amount([value], amount) for value, amount in zip(values, amounts, strict=False)]


def steps_of(values: Sequence[Value | None], sign: int, m: ClauseMatch) -> list[Judged]:
    """Return the claims that each value is above or below the one before it."""
    return [judge_ratio(after, before, None, sign, m.text) for before, after in itertools.pairwise(values)]
