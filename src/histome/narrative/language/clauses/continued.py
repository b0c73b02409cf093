"""Clauses that go on from the one before: by a factor of 21, leaving the carcinoma with 40, 80 within it."""

import re
from dataclasses import replace

from histome.narrative.language.amounts import Amount
from histome.narrative.language.clauses.comparisons import compared, directions
from histome.narrative.language.clauses.gradients import numbers_of, steps_of, zones_between
from histome.narrative.language.clauses.ranks import ranked
from histome.narrative.language.clauses.states import PATTERNS
from histome.narrative.language.judging import Judged, judge_amount, judge_presence, judge_ratio, union
from histome.narrative.language.lexicon import CellGroup
from histome.narrative.language.patterns import ClauseMatch, Context, rule
from histome.narrative.language.quantities import ZONES

_ALL = 0.99
_PAIRED = re.compile(r"accompan|match|faced?\b|faces", re.I)


@rule("[gi] [QF]", "[gi] Y o Q")
def _by_a_factor(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "denser in the stroma than in the carcinoma, by a factor of 21": of the two just compared."""
    factor = m.one("F") or m.one("Q")
    if len(c.pair) != 2 or (m.one("Y") and m.one("Y").measures != ("ratio",)):
        return None
    if factor.dimension != "ratio" and (m.one("g") in ("by", None) or factor.dimension):
        return None
    low, high = sorted(c.pair, key=lambda value: value.amount)
    return [judge_ratio(high, low, replace(factor, dimension="ratio"), 1, m.text)]


@rule("[ET] y? m [WE] a T", "T m [WE] a L")
def _holds_more_cells(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "the carcinoma contains more cells than the stroma"."""
    if not m.one("W") or m.one("y") or len(m.tissues()) != 2:
        return None
    places = [group[0] for group in m.tissues()]
    first, second = (c.world.count(m.cells()[-1][0].at(place)) for place in places)
    sign = next((sign for name, sign in m.one("m") if name == "count"), 0)
    return [judge_ratio(first, second, None, sign, m.text)] if sign else None


@rule("T y Y? o? Q")
def _alike_at(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "necrosis and stroma occupy identical areas of 0.8 mm2": each of them so much."""
    tissues, amount = m.tissues()[0], m.one("Q")
    if len(tissues) != 2 or m.one("y").holds[0] >= 1 or amount.dimension not in ("area", "share"):
        return None
    if m.one("Y") and not {"area", "share"} & set(m.one("Y").measures):
        return None
    value = c.world.area if amount.dimension == "area" else c.world.area_share
    c.tissues, c.cells = tissues, ()
    return [judge_amount([value(tissue)], amount) for tissue in tissues]


@rule("v? f T L? t T")
def _on_the_way(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "moving outward from the core to the outer margin, ...": what rises or falls comes after it."""
    ends = [group[0] for group in m.tissues()]
    if c.cells or c.tissues or not set(ends) <= {*ZONES, "CARCINOMA", "STROMA"}:
        return None
    c.place = tuple(ends)
    return []


@rule("[YE] 9? G 9? f Q t Q", "[YE] 9? G 9?", "[YE] 9? m")
def _on_that_way(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "..., lymphocyte density rises from 280 to 610 per mm2": from each place to the next."""
    thing = m.parts[0][1]
    cells = thing.kinds["E"] if "E" in thing.kinds else next(iter(thing.kinds["Y"].cells or c.cells), None)
    if (
        len(c.place) != 2
        or cells is None
        or ("Y" in thing.kinds and "density" not in thing.kinds["Y"].measures)
    ):
        return None
    names, sign = directions(m.one("m")) if m.one("m") else (["density"], m.one("G"))
    if not {"density", "high"} & set(names):
        return None
    places = zones_between(*c.place) if set(c.place) <= set(ZONES) else c.place
    values = [c.world.density(cells.at(place)) for place in places]
    return [*numbers_of((values[0], values[-1]), m), *steps_of(values, sign, m)]


@rule("[ET] y [ET]")
def _matches(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "necrosis matches the stroma", "0.8 mm2, as much as the stroma": equal in area, or in number."""
    first, second = (token for _, token in m.parts if token.has("ET"))
    if m.one("y").holds[0] >= 1 or first.is_joined or second.is_joined:
        return None
    return compared(first, second, ("count", "size"), 0, m.one("y"), c, m.text)


@rule("E 2")
def _between(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "a are the largest, b the smallest, and c fall between"."""
    cells = m.cells()[0]
    if not c.ranked_by or len(cells) != 1 or cells == c.cells:
        return None
    value = {"size": c.world.nuclear, "density": c.world.density}.get(c.ranked_by, c.world.count)
    known = [one for one in (value(CellGroup((n,), n)) for n in c.world.classes()) if one is not None]
    mine = value(cells[0])
    if mine is None or len(known) < 3:
        return None
    told = min(one.amount for one in known) < mine.amount < max(one.amount for one in known)
    return [Judged(told, "class", m.text, mine.sources, "" if told else "it is the first or the last")]


@rule("y? m L")
def _denser_there(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "125 per mm2 in carcinoma versus 112.5 in stroma, so slightly denser in the carcinoma"."""
    both = ("CARCINOMA", "STROMA")
    if len(c.cells) != 1 or len(m.places()) != 1 or m.places()[0] not in both:
        return None
    names, sign = directions(m.one("m"))
    value = c.world.density if "density" in names else c.world.count if "count" in names else None
    other = both[1 - both.index(m.places()[0])]
    if value is None:
        return None
    here, there = (value(c.cells[0].at(place)) for place in (m.places()[0], other))
    return [judge_ratio(here, there, m.one("y"), sign, m.text)]


@rule("w Y o Q")
def _with_a_measure(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "with a mean area of 88 um2, ...": of whom comes after it."""
    measured, amount = m.one("Y"), m.one("Q")
    if c.cells or c.tissues or measured.cells or measured.tissues or measured.place:
        return None
    if amount.dimension not in ("area", "pixel area") or not {"area", "nuclear"} & set(measured.measures):
        return None
    c.pending = [amount]
    return []


@rule("T & Q")
def _left_with(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "..., leaving the carcinoma with only 40": of those spoken of."""
    token = next(token for letter, token in m.parts if letter == "&")
    if not token.kinds["&"].startswith("with") or len(c.cells) != 1 or m.one("Q").dimension:
        return None
    return [judge_amount([c.world.count(c.cells[0].at(m.tissues()[0][0]))], m.one("Q"))]


@rule("w? Q i", "w? Q o Q i", "& Q i")
def _within_it(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "most lie outside the stroma, with just 200 of the 2,400 found within it"."""
    place, (few, *every) = c.outside or c.place, m.all("Q")
    if len(c.cells) != 1 or len(place) != 1 or c.cells[0].place or few.dimension not in (None, "share"):
        return None
    mine = c.cells[0]
    told = c.world.placed(mine, place) if few.dimension else c.world.count(mine.at(place[0]))
    return [judge_amount([told], few), *(judge_amount([c.world.count(mine)], each) for each in every)]


@rule("E y? V E")
def _ahead_of(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "fibroblasts rank behind a but ahead of b"."""
    first, second = m.tokens("E")
    return compared(first, second, ["count"], 1, m.one("y"), c, m.text) if m.one("V") == "ahead" else None


@rule("O E m a E", "O E x E")
def _only_they(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "only carcinoma cells are more frequent than fibroblasts": so these are second."""
    (first, second), total = m.cells(), m.one("O")
    sign = m.one("x") or directions(m.one("m"))[1]
    names = directions(m.one("m"))[0] if m.one("m") else ["count"]
    if sign < 0 or "count" not in names or len(second) != 1 or total.holds[0] < 0.97 or c.aspect:
        return None
    mine, other = m.tokens("E")
    found = compared(mine, other, ["count"], 1, None, c, m.text)
    return found and [*found, *ranked(second, len(first) + 1, c, m.text)]


@rule("c [oi] E Y o? Q", "A c [oi] E Y o? Q", "c [oi] E g Y o? Q", "A c [oi] E g Y o? Q")
def _clustered_by(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "clustering of the lymphocytes is documented by their Clark-Evans index of 0.55"."""
    if m.cells()[0][0].members != ("lymphocyte",) or "clark_evans" not in m.one("Y").measures:
        return None
    value = c.world.whole("clark_evans")
    pattern = Amount(PATTERNS[m.one("c")], PATTERNS[m.one("c")], None, m.text)
    return [judge_amount([value], pattern, "pattern"), judge_amount([value], m.one("Q"))]


@rule("E i [QF] Y", "E i [QF] o? Y")
def _at_half_that(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "plasma cells occur at half the frequency of lymphocytes": half as many."""
    factor, measured = m.one("F") or m.one("Q"), m.one("Y")
    if factor.dimension not in ("ratio", "share") or len(measured.cells) != 1:
        return None
    if not {"count", "share", "density"} & set(measured.measures):
        return None
    name = "density" if "density" in measured.measures else "count"
    first, other = m.tokens("E")[0], m.tokens("Y")[0]
    other = replace(other, kinds={"E": measured.cells[0]})
    return compared(first, other, [name], 0, factor, c, m.text)


@rule("T E i Y o? F [TL]", "E [TL] i Y o? F [TL]")
def _at_times_that(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "the stroma holds lymphocytes at a density 26 times that of the carcinoma"."""
    found = [token.kinds.get("L") or (token.kinds["T"],) for letter, token in m.parts if letter in "TL"]
    cells, measured, (here, there) = m.cells()[0], m.one("Y"), found
    if measured.cells or measured.tissues or measured.place or "density" not in measured.measures:
        return None
    if len(cells) != 1 or cells[0].place or len(here) != 1 or len(there) != 1:
        return None
    first, second = (c.world.density(cells[0].at(place[0])) for place in found)
    return [judge_ratio(first, second, m.one("F"), 0, m.text)]


@rule("[ET] [QF] s [qQA]")
def _as_much_as_those(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "stroma covers 60 %, and carcinoma half as much": as those before."""
    factor, first = m.one("F") or m.all("Q")[0], m.parts[0][1]
    before = {"E": c.cells[0]} if len(c.cells) == 1 else {"T": c.tissues[0]} if len(c.tissues) == 1 else None
    if before is None or factor.dimension not in ("ratio", "share") or not first.has(next(iter(before))):
        return None
    return compared(first, replace(first, kinds=before), ("count", "size"), 0, factor, c, m.text)


@rule("E L y? m a E", "L E y? m a E")
def _more_there(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "plasma cells populate the stroma at a higher density than fibroblasts do"."""
    first, second = m.tokens("E")
    names, sign = directions(m.one("m"))
    if len(m.places()) != 1 or first.is_joined or second.is_joined:
        return None
    mine, other = (
        replace(each, kinds={"E": each.kinds["E"].at(m.places()[0])}, notes=[]) for each in (first, second)
    )
    if first.kinds["E"].place or second.kinds["E"].place:
        return None
    return compared(mine, other, names, sign, m.one("y"), c, m.text)


@rule("E Z f E", "E E")
def _not_in_the_infiltrate(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "plasma cells are missing from the infiltrate", "the infiltrate is devoid of plasma cells"."""
    (first, *_), (second, *_) = m.cells()
    part, whole = (first, second) if m.tokens("Z") else (second, first)
    if whole.name != "immune" or part.place or not set(part.members) <= set(whole.members):
        return None
    if not (m.tokens("Z") or c.negated):
        return None
    there = judge_presence(c.world.count(part), part.name)
    return [there.denied() if m.tokens("Z") else there]


@rule("R E")
def _not_one_of(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "not one of the 400 nuclei was labelled epithelial"."""
    part = m.one("R")
    whole = len(part.cells) == 1 and part.cells[0].everything and part.checked is not None
    if not c.negated or not whole or part.amount.middle != 1 or part.amount.dimension:
        return None
    if part.checked is None or not judge_amount([c.world.count(part.cells[0])], part.checked).true:
        return None
    return [judge_presence(c.world.count(each), each.name) for each in m.cells()[0]]


@rule("E y? V R")
def _ahead_of_each(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "fibroblasts are ahead of every leukocyte class"."""
    part = m.one("R")
    if m.one("V") != "ahead" or part.amount.holds[0] < _ALL or len(part.cells) != 1 or part.checked:
        return None
    mine = c.world.count(union(m.cells()[0]))
    each = [
        CellGroup((name,), name) for name in part.cells[0].members if name not in union(m.cells()[0]).members
    ]
    return [judge_ratio(mine, c.world.count(other), m.one("y"), 1, m.text) for other in each] or None


@rule("E V")
def _ahead_of_them(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "..., with lymphocytes ahead of them": of those spoken of; "with lymphocytes next in line"."""
    if m.one("V") != "ahead" and c.rank > 0 and c.ranked_by == "count":
        return ranked(m.cells()[0], c.rank + 1, c, m.text, c.ranked_within)
    if m.one("V") != "ahead" or len(c.cells) != 1 or not c.rank or c.ranked_by != "count":
        return None
    mine, others = m.cells()[0], c.cells[0]
    told = [judge_ratio(c.world.count(each), c.world.count(others), None, 1, m.text) for each in mine]
    if len(mine) != c.rank - 1:  # "only lymphocytes are ahead" of the third
        return [claim._replace(true=None if claim.true else claim.true) for claim in told]
    return told


@rule("Q E E", "E y? g Q E", "R y? g Q E")
def _as_many_for_each(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "eight a accompany each b", "each b is matched by eight a"."""
    part, many = m.one("R"), m.one("Q")
    one, other = (part.cells if part else m.cells()[0]), m.cells()[-1]
    if m.parts[0][0] == "Q":
        one, other = other, one
    each = part.amount.holds[0] > _ALL if part else c.each
    if not each or many.dimension or not _PAIRED.search(m.text):
        return None
    near = replace(many, holds=(0.88 * many.middle, 1.12 * many.middle), dimension="ratio")
    return [judge_ratio(c.world.count(union(other)), c.world.count(union(one)), near, 0, m.text)]
