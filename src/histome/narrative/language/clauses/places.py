"""Clauses that place cells: mostly in the stroma, outside of the carcinoma, absent."""

import re
from dataclasses import replace

from histome.narrative.language.amounts import Amount, word_amount
from histome.narrative.language.clauses.measuring import cells_amount
from histome.narrative.language.clauses.mentions import ALL_OF_IT
from histome.narrative.language.clauses.values import placed_amount
from histome.narrative.language.judging import (
    Judged,
    judge_amount,
    judge_presence,
    judge_ratio,
    union,
)
from histome.narrative.language.patterns import ClauseMatch, Context, rule
from histome.narrative.language.pieces import Token

_ROUNDING = 1e-9
_FULL = re.compile(r"\b(?:pervad|permeat|fill|crowd|flood|carpet|blanket|pack)", re.I)  # many are there


@rule("~ R O? L", "~ Q O? L", "~ R e", "~ Q e", "~ R E")
def _all_but(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "all but 100 of the plasma cells lie in the stroma": so many of them do not."""
    amount = m.one("R").amount if m.one("R") else m.one("Q")
    cells = (
        m.one("R").cells
        if m.one("R")
        else tuple(each.at(None) for each in c.cells or ((c.within,) if c.within else ()))
    )
    if not m.text.lower().startswith("all but") or len(cells) != 1 or amount.dimension:
        return None
    if m.cells():
        inside = c.world.count(union(m.cells()[0]))
    else:
        inside = c.world.summed([c.world.count(cells[0].at(p)) for p in m.one("e") or m.places()])
    every = c.world.count(cells[0])
    if inside is None or every is None:
        return None
    left = inside.amount if m.one("e") else every.amount - inside.amount
    c.cells = cells
    return [judge_amount([inside.computed(left, *every.sources)], amount)]


@rule("E O t* L", "E L O", "O E L", "E O t? T", "E A O L", "E q O L", "E O t? T O")
def _mostly(m: ClauseMatch, c: Context) -> list[Judged] | None:
    places = m.places() or (m.tissues()[0] if m.tissues() else ())
    if m.all("O")[-1].holds[0] < 0.97 and len(m.all("O")) > 1:
        return None
    return placed_amount(m.cells()[0], places, m.one("O"), c)


@rule("[EW] L")
def _lies(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "lymphocytes are found in the stroma": there are some, or most if nothing is "found"."""
    found = []
    places = m.places()
    c.cells, c.place = m.cells()[0], places
    for each in m.cells()[0]:
        if each.place:
            return None
        for place in places:
            found.append(judge_presence(c.world.count(each.at(place)), each.name))
        if not c.negated and found[-1].true and "seen" not in m.said:
            share = c.world.placed(each, places)
            if share is None or share.amount < 0.5:
                found.append(Judged(None, "place", m.text, reason="some lie there, not most"))
    return found


@rule("E e", "R e", "E O e", "e Q E", "Q E e", "E Q e", "Q e")
def _outside(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "most lymphocytes lie outside the carcinoma"."""
    amount = m.one("R").amount if m.one("R") else m.one("O") or m.one("Q")
    cells = m.cells()[0] if m.cells() else m.one("R").cells if m.one("R") else c.cells
    if len(cells) != 1 or (m.one("R") and m.one("R").checked):
        return None
    c.cells, c.outside = cells, m.one("e")
    inside = c.world.placed(cells[0], m.one("e"))
    count = c.world.count(cells[0])
    if inside is None or count is None:
        return [Judged(None, "place", m.text, reason="the facts do not say")]
    if m.one("Q") and amount.dimension != "share":
        left = count.computed(count.amount * (1 - inside.amount), *inside.sources)
        return [judge_amount([left], amount)]
    out = inside.computed(1 - inside.amount)
    if c.negated and amount is None:
        return [judge_presence(out if out.amount > _ROUNDING else out.computed(0.0), m.text)]
    return [judge_amount([out], amount or word_amount("adverbs", "mostly"))]


@rule("[EY] y 2 [TK]", "E y 2 Q? k? K")
def _split(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "split evenly between carcinoma (40) and stroma (45)": as many in one as in the other."""
    places = m.tissues()[0] if m.tissues() else ("CARCINOMA", "STROMA")
    measured = m.one("Y")
    cells = measured.cells if measured else m.cells()[0]
    if (measured and measured.measures[0] not in ("density", "count")) or (
        m.one("Q") and m.one("Q").middle != 2
    ):
        return None
    if len(places) != 2 or len(cells) != 1 or cells[0].place or m.one("y").holds[0] >= 1:
        return None
    value = c.world.density if measured and measured.measures[0] == "density" else c.world.count
    here, there = (value(cells[0].at(place)) for place in places)
    c.cells, c.measured = cells, measured or c.measured
    return [judge_ratio(here, there, m.one("y"), 0, m.text)]


@rule("T E")
def _tissue_holds(m: ClauseMatch, c: Context) -> list[Judged] | None:
    place = m.tissues()[0][0]
    if ALL_OF_IT.search(m.text):
        return None
    c.place, c.cells = (place,), m.cells()[0]
    if _FULL.search(m.text):
        return cells_amount(m.cells()[0], word_amount("shares", "many"), c)
    return [judge_presence(c.world.count(each.at(place)), each.name) for each in m.cells()[0]]


@rule("T Z i E")
def _lacking(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "the stroma is lacking in granulocytes"."""
    place = m.tissues()[0][0]
    return [judge_presence(c.world.count(each.at(place)), each.name).denied() for each in m.cells()[0]]


@rule("8 L", "w 8 L", "8 &? T")
def _rest(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "80 % lie in the stroma, the remainder in the carcinoma"."""
    if m.tissues():
        areas = [c.world.area_share(tissue) for tissue in (*c.tissues, *m.tissues()[0])]
        whole = c.world.summed(areas) if c.tissues else None
        return [judge_amount([whole], _nearly_whole())] if whole else None
    if len(c.cells) != 1 or not c.carried:
        return None
    share = c.world.placed(c.cells[0].at(None), (*c.carried, *m.places()))
    if share is None or set(c.carried) & set(m.places()):
        return None
    return [judge_amount([share], _nearly_whole())]


def _nearly_whole() -> Amount:
    """Return the amount of what "the rest" adds up to."""
    return replace(word_amount("shares", "all"), holds=(0.97, 1.0), fails=(0.93, 1.0))


@rule("E O? Z L?", "[ETY] O? Z f? S?", "Z [EY]", "E O? Z [fi]? T")
def _absent(m: ClauseMatch, c: Context) -> list[Judged] | None:
    place = m.places() or (m.tissues()[0] if m.tissues() and m.cells() else ())
    if m.one("O") and m.one("O").holds[0] < 0.97:
        return None
    if any(each.place not in (None, *place) for group in m.cells() for each in group):
        return [Judged(None, "place", m.text, reason="cells of one tissue do not lie in another")]
    if m.cells():
        there = place or (None,)
        found = [
            judge_presence(c.world.count(each.at(where) if where else each), each.name)
            for each in m.cells()[0]
            for where in there
        ]
        c.cells = m.cells()[0]
    elif m.tissues():
        found = [judge_presence(c.world.area(each), each, "finding") for each in m.tissues()[0]]
        c.tissues, c.cells = m.tissues()[0], ()
    else:
        name = next((each for each in ("aggregates", "regions") if each in m.one("Y").measures), None)
        if name is None:
            return None
        found = [judge_presence(c.world.whole(name), name, "finding")]
    return [claim.denied() for claim in found]


def rather(token: Token, c: Context, text: str) -> list[Judged]:
    """Return the claim that more lie in one place than in another: "in the stroma rather than ..."."""
    here, there = token.kinds.get("L") or (token.kinds["T"],), token.kinds["rather"]
    if len(c.cells) != 1 or len(here) != 1 or len(there) != 1:
        return [Judged(None, "place", text, reason="of whom this is said is not clear")]
    mine = c.cells[0].at(None)
    told = judge_ratio(c.world.count(mine.at(here[0])), c.world.count(mine.at(there[0])), None, 1, text)
    if not token.kinds.get("not"):
        return [told]
    left = judge_amount([c.world.placed(mine, there)], word_amount("shares", "almost_none"), "place")
    return [told, left]
