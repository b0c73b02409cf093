"""Clauses that place cells: mostly in the stroma, outside of the carcinoma, absent."""

from histome.narrative.language.amounts import word_amount
from histome.narrative.language.clauses.values import placed_amount
from histome.narrative.language.judging import (
    Judged,
    judge_amount,
    judge_presence,
)
from histome.narrative.language.patterns import ClauseMatch, Context, rule


@rule("E [bl]* O [blt]* L", "E O L", "O E [bl]* L", "E [bl]* O T", "E [bl]* A? O L")
def _mostly(m: ClauseMatch, c: Context) -> list[Judged] | None:
    places = m.places() or (m.tissues()[0] if m.tissues() else ())
    return placed_amount(m.cells()[0], places, m.one("O"), c)


@rule("E [bl]* [bl]* L", "E l L", "E L", "X E L")
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
        if not c.negated and found[-1].true and not _is_seen(m):
            share = c.world.placed(each, places)
            if share is None or share.amount < 0.5:
                found.append(Judged(None, "place", m.text, reason="some lie there, not most"))
    return found


_SEEN = (
    "found",
    "seen",
    "present",
    "detected",
    "identified",
    "observed",
    "occur",
    "occurs",
    "encountered",
    "noted",
    "detectable",
    "visible",
    "exist",
)


def _is_seen(m: ClauseMatch) -> bool:
    return bool(m.tokens("X")) or any(word in _SEEN for word in m.all("l"))


@rule("E [bl]* e", "E e", "R [bl]* e", "E [bl]* O e")
def _outside(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "most lymphocytes lie outside the carcinoma"."""
    amount = m.one("R").amount if m.one("R") else m.one("O")
    cells = m.cells()[0] if m.cells() else m.one("R").cells
    if len(cells) != 1:
        return None
    inside = c.world.placed(cells[0], (m.one("e"),))
    if inside is None:
        return [Judged(None, "place", m.text, reason="the facts do not say")]
    out = inside._replace(amount=1 - inside.amount)
    return [judge_amount([out], amount or word_amount("adverbs", "mostly"))]


@rule("T h E", "T h [bl]* E", "T b* h E")
def _tissue_holds(m: ClauseMatch, c: Context) -> list[Judged] | None:
    place = m.tissues()[0][0]
    c.place, c.cells = (place,), m.cells()[0]
    return [judge_presence(c.world.count(each.at(place)), each.name) for each in m.cells()[0]]


@rule("E b* Z L?", "[ETY] b* Z", "Z E", "E Z", "T Z", "E b* Z f? T", "[ET] b? l? Z")
def _absent(m: ClauseMatch, c: Context) -> list[Judged] | None:
    place = m.places() or (m.tissues()[0] if m.tissues() and m.cells() else ())
    if m.cells():
        found = [
            judge_presence(c.world.count(each.at(place[0]) if place else each), each.name)
            for each in m.cells()[0]
        ]
        c.cells = m.cells()[0]
        c.again = lambda cells: [judge_presence(c.world.count(each), each.name).denied() for each in cells]
    elif m.tissues():
        found = [judge_presence(c.world.area(each), each, "finding") for each in m.tissues()[0]]
    else:
        if "aggregates" not in m.one("Y").measures:
            return None
        found = [judge_presence(c.world.whole("aggregates"), "lymphoid aggregates", "finding")]
    return [claim.denied() for claim in found]
