"""Clauses that compare two things: more than, twice as many as, a ratio."""

import re
from collections.abc import Sequence
from dataclasses import replace

from histome.narrative.language.amounts import Amount, word_amount
from histome.narrative.language.clauses.measuring import measure_options
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
from histome.narrative.language.quantities import Value

_IN_NUMBER = re.compile(r"outnumber|\b(?:to|for every|per) (?:one|1)\b", re.I)
_VARIES = re.compile(r"\bvar(?:y|ies|ied|ying)\b", re.I)
_TOGETHER = re.compile(r"\b(?:together|combined|jointly|in total|sum)\b", re.I)
_BARE = Amount((0, 0), (0, 0), None, "")


def _quantity(name: str, thing: Token, c: Context) -> Value | None:
    """Return what is compared of cells, a tissue or a measured thing."""
    world = c.world
    if "Y" in thing.kinds and not thing.has("ET"):
        measured: Measured = thing.kinds["Y"]
        options = [v for v in measure_options(measured, c, _BARE) if v is not None]
        return options[0] if options else None
    if thing.is_joined and "T+" in thing.kinds:
        joined = world.summed([world.area(tissue) for tissue in thing.kinds["T+"]])
        return joined if name in ("size", "count", "high") else None
    if "T" in thing.kinds and "E" not in thing.kinds:
        if name == "density":
            return world.density(CellGroup((), "all", everything=True, place=thing.kinds["T"]))
        return world.area(thing.kinds["T"]) if name in ("size", "count", "high") else None
    cells = thing.kinds["E+"] if "E+" in thing.kinds else (thing.kinds["E"],)
    if name == "count":
        return c.world.count(union(cells))
    if len(cells) != 1:
        return None
    one = cells[0]
    if name == "size":
        return world.nuclear(one) if one.nuclei or c.world.count(one) is not None else None
    if name == "density":
        return world.density(one)
    if name == "roundness":
        return world.roundness(one)
    return world.distance(one) if name == "near" else None


def compared(
    first: Token, second: Token, names: Sequence[str], sign: int, factor: Amount | None, c: Context, text: str
) -> list[Judged] | None:
    """Return the claim that one thing is more than another in the first measure that both have."""
    if "Y" in first.kinds and first.kinds["Y"].cells:
        c.cells = first.kinds["Y"].cells
    if c.each and "E+" in first.kinds:
        ones = [Token({"E": each}, first.start, first.end) for each in first.kinds["E+"]]
        found = [compared(one, second, names, sign, factor, replace(c), text) for one in ones]
        return [claim for claims in found for claim in claims or ()]
    if c.each and "T+" in second.kinds:
        others = [Token({"T": each}, second.start, second.end) for each in second.kinds["T+"]]
        found = [compared(first, other, names, sign, factor, c, text) for other in others]
        return [claim for claims in found for claim in claims or ()]
    if c.each and "T+" in first.kinds:
        ones = [Token({"T": each}, first.start, first.end) for each in first.kinds["T+"]]
        found = [compared(one, second, names, sign, factor, replace(c), text) for one in ones]
        return [claim for claims in found for claim in claims or ()]
    if c.each and "E+" in second.kinds:
        others = [Token({"E": each}, second.start, second.end) for each in second.kinds["E+"]]
        found = [compared(first, other, names, sign, factor, c, text) for other in others]
        return [claim for claims in found for claim in claims or ()]
    if _VARIES.search(text):  # how much something varies is not how much there is
        return [Judged(None, "comparison", text, reason="what varies more is not measured")]
    if c.fronted and len(c.place) > 1:  # "in both stroma and carcinoma": in each of them
        ones = [replace(c, place=(place,)) for place in c.place]
        found = [compared(first, second, names, sign, factor, one, text) for one in ones]
        return [claim for claims in found for claim in claims or ()]
    pooled = second if second.is_joined else first if first.is_joined else None
    if pooled is not None and not c.each and not _TOGETHER.search(text):
        return _pooled_or_each(first, second, names, sign, factor, c, text)
    if c.fronted and len(c.place) == 1:
        first, second = _at(first, c.place[0]), _at(second, c.place[0])
    elif (
        "E" in first.kinds and "E" in second.kinds and not first.kinds["E"].place and second.kinds["E"].place
    ):
        return _in_one_place(first, second, names, sign, factor, c, text)
    nuclei = "size" in names and any("E" in t.kinds and t.kinds["E"].nuclei for t in (first, second))
    if nuclei and "E+" in second.kinds and "E" in first.kinds and not c.aspect:  # larger than each of them
        return compared(first, second, ["size"], sign, factor, replace(c, each=True), text)
    if nuclei and not c.aspect and tuple(names) == ("count", "size"):
        return _of_nuclei(first, second, sign, factor, c, text)
    for name in [c.aspect] if c.aspect else names:
        if nuclei and name == "count" and not c.aspect:
            continue
        mine, other = _quantity(name, first, c), _quantity(name, second, c)
        if mine is not None and other is not None:
            c.pair = (mine, other)
            c.measured = second.kinds.get("Y", c.measured)
            c.cells = first.kinds.get("E+") or ((first.kinds["E"],) if "E" in first.kinds else c.cells)
            c.against = second.kinds.get("E+") or ((second.kinds["E"],) if "E" in second.kinds else ())
            return [judge_ratio(mine, other, factor, sign, text)]
    return [Judged(None, "comparison", text, reason="the facts do not say")]


def _pooled_or_each(
    first: Token, second: Token, names: Sequence[str], sign: int, factor: Amount | None, c: Context, text: str
) -> list[Judged] | None:
    """Return the claim that a is more than "b and c": open if all together and each differ."""
    each = compared(first, second, names, sign, factor, replace(c, each=True), text) or []
    found = compared(first, second, names, sign, factor, c, f"{text} together") or []
    agree = {claim.true for claim in (*each, *found)}
    if len(agree) == 1 or not each:
        return found
    reason = "each of them, or all together"
    return [Judged(None, "comparison", text, reason=reason)]


def _of_nuclei(
    first: Token, second: Token, sign: int, factor: Amount | None, c: Context, text: str
) -> list[Judged] | None:
    """Return the claim that nuclei exceed others: in number if it says so, else open unless size agrees."""
    names = ["count"] if _IN_NUMBER.search(text) else ["count", "size"]
    both = [compared(first, second, [name], sign, factor, replace(c), text) or [] for name in names]
    told = [claims[0] for claims in both if claims and claims[0].true is not None]
    compared(first, second, names[-1:], sign, factor, c, text)
    if not told or len({claim.true for claim in told}) > 1:
        reason = "in number or in size is not said" if told else "the facts do not say"
        return [Judged(None, "comparison", text, reason=reason)]
    return told[:1]


def _at(thing: Token, place: str) -> Token:
    """Return cells in a place, if they are in none."""
    if "E" not in thing.kinds or "E+" in thing.kinds or thing.kinds["E"].place:
        return thing
    return Token({**thing.kinds, "E": thing.kinds["E"].at(place)}, thing.start, thing.end)


def _in_one_place(
    first: Token, second: Token, names: Sequence[str], sign: int, factor: Amount | None, c: Context, text: str
) -> list[Judged]:
    """Return the claim of "a outnumber b in the carcinoma": of both there; open if only all of a do."""
    place = second.kinds["E"].place
    there = compared(_at(first, place), second, names, sign, factor, replace(c, place=()), text) or []
    bare = Token({"E": second.kinds["E"].at(None)}, second.start, second.end)
    found = compared(first, bare, names, sign, factor, c, text) or []
    c.cells = (first.kinds["E"].at(place),)
    same = [claim.true for claim in there] == [claim.true for claim in found]
    return there if same or len(there) != 1 else [there[0]._replace(true=there[0].true or None)]


@rule("E x E", "E x g? E", "T x T", "T x g? T", "Y x [YET]", "E x E Y")
def _outnumber(m: ClauseMatch, c: Context) -> list[Judged] | None:
    first, second = [token for letter, token in m.parts if letter in "ETY"][:2]
    sign = m.one("x")
    names = m.all("Y")
    if len(names) == 1 and "Y" in first.kinds and not second.has("Y"):
        measured: Measured = first.kinds["Y"]
        second = likened(second, measured)
    if not first.has("Y") or first.kinds["Y"].cells or first.kinds["Y"].tissues:
        c.cells = first.kinds.get("E+") or ((first.kinds["E"],) if "E" in first.kinds else ())
    by_size = c.ranked_by == "size" and not _IN_NUMBER.search(m.text)  # "the largest nuclei, exceeding a"
    return compared(first, second, ("size",) if by_size else ("count", "size"), sign, None, c, m.text)


def likened(thing: Token, measured: Measured) -> Token:
    """Return the same measure of another thing: "the number of a exceeds that of b"."""
    cells = thing.kinds.get("E+") or ((thing.kinds["E"],) if "E" in thing.kinds else measured.cells)
    tissues = (
        (thing.kinds["T"],) if "T" in thing.kinds else measured.tissues if "E" not in thing.kinds else ()
    )
    place = thing.kinds.get("L", measured.place)
    if "T" in thing.kinds and "E" not in thing.kinds and measured.cells:  # "the density of a in the core"
        inside = tuple(each.at(thing.kinds["T"]) for each in measured.cells)
        return Token({"Y": Measured(measured.measures, inside)}, thing.start, thing.end)
    if place and cells and not any(each.place for each in cells):
        cells = tuple(each.at(place[0]) for each in cells)
    return Token({"Y": Measured(measured.measures, cells, tissues, ())}, thing.start, thing.end)


@rule("E x")
def _outnumber_both(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "a exceed b, but c exceed both"."""
    if not c.each or len(c.cells) != 1 or len(c.against) != 1:
        return None
    counts = [c.world.count(union(each)) for each in (m.cells()[0], c.cells, c.against)]
    return [judge_ratio(counts[0], other, None, m.one("x"), m.text) for other in counts[1:]]


@rule("E x 6 E", "E x g 6 E", "E y? m a 6 E")
def _outnumber_others(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "lymphocytes outnumber all other immune cells"."""
    mine, others = union(m.cells()[0]), union(m.cells()[1])
    if not set(mine.members) < set(others.members):
        return None
    if m.one("6").startswith(("any", "every", "each")) and len(mine.members) == 1:
        values = {name: c.world.count(CellGroup((name,), name, place=mine.place)) for name in others.members}
        sign = m.one("x") or directions(m.one("m"))[1]
        return [judge_rank(values, mine.members[0], sign, m.text)]
    if m.one("x") is None:
        return None
    rest = others._replace(members=tuple(n for n in others.members if n not in mine.members), name="others")
    judged = judge_ratio(c.world.count(mine), c.world.count(rest), None, m.one("x"), m.text)
    return [judged if judged.true else judged._replace(true=None)]


@rule(
    "E x E g? [QF] W?",
    "E x F g? E",
    "E x E y",
    "E x g? E g? [QF] W?",
    "E y x E",
    "T x T g? [QF]",
    "Y x [YE] g? [QF]",
)
def _outnumber_by(m: ClauseMatch, c: Context) -> list[Judged] | None:
    first, second = [token for letter, token in m.parts if letter in "ETY"]
    if "Y" in first.kinds and "Y" not in second.kinds:
        second = likened(second, first.kinds["Y"])
    factor = m.one("Q") or m.one("F") or m.one("y")
    if factor.dimension not in ("ratio", None, "area"):
        return None
    if [letter for letter, _ in m.parts][-2:] == ["g", "E"] and m.one(
        "F"
    ):  # "outnumbered tenfold by lymphocytes"
        return compared(first, second, ("count", "size"), -abs(m.one("x")), factor, c, m.text)
    if factor.dimension == "ratio" or m.one("g") not in ("by", None):  # "by a factor of 3"
        return compared(first, second, ("count", "size"), m.one("x"), factor, c, m.text)
    return more_by(first, second, ("count", "size"), m.one("x"), factor, c, m.text) if m.one("g") else None


def more_by(
    first: Token, second: Token, names: Sequence[str], sign: int, amount: Amount, c: Context, text: str
) -> list[Judged] | None:
    """Return the claims of "by 600 cells": that it is more, and the difference."""
    found = compared(first, second, names, sign, None, c, text)
    if not found or len(found) != 1 or found[0].true is None or len(c.pair) != 2:
        return None
    mine, other = c.pair
    apart = mine.computed(sign * (mine.amount - other.amount), *other.sources)
    return [*found, judge_amount([apart], amount)]


@rule(
    "[ETY] y? m o? S? a g? [ETY]",
    "Y y? m i E a i? E",
    "y? m [ET] a [ET]",
    "m [ET] a [ET]",
    "[ET] y? m a [ET]",
    "[ETY] y? m Y a [ETY]",
    "m E a E",
)
def _more_than(m: ClauseMatch, c: Context) -> list[Judged] | None:
    first, second = [token for letter, token in m.parts if letter in "ETY"][:2]
    if m.one("i") and m.one("Y"):  # "mean area is larger in a than in b"
        mine, other = m.tokens("E")
        first, second = likened(mine, m.one("Y")), likened(other, m.one("Y"))
    elif len([1 for letter, _ in m.parts if letter in "ETY"]) == 3:
        middle, second = [token for letter, token in m.parts if letter in "ETY"][1:3]
        first, second = likened(first, middle.kinds["Y"]), likened(second, middle.kinds["Y"])
    elif "Y" in first.kinds and "Y" not in second.kinds:
        second = likened(second, first.kinds["Y"])
    names, sign = directions(m.one("m"))
    c.cells = (first.kinds["E"],) if "E" in first.kinds else c.cells
    return compared(first, second, names, sign, m.one("y"), c, m.text)


def directions(found: Sequence[tuple[str, int]]) -> tuple[list[str], int]:
    """Return what a comparative may compare, the likeliest first, and its sign."""
    order = ("count", "high", "size", "density", "roundness", "near")
    names = sorted((name for name, _ in found), key=order.index)
    return names, found[0][1]


@rule("E y? m W a E", "E W y? m a E", "E F s? q W s E")
def _have_larger_nuclei(m: ClauseMatch, c: Context) -> list[Judged] | None:
    first, second = m.tokens("E")
    names, sign = directions(m.one("m")) if m.one("m") else (["size"], 1)
    kept = [name for name in names if name in ("size", "roundness", "high")]
    return compared(
        first, second, [{"high": "size"}.get(n, n) for n in kept], sign, m.one("F") or m.one("y"), c, m.text
    )


@rule(
    "[ETY] [FQ] m a [ETY]",
    "[ETY] [FQ] s q s [ETY]",
    "[ET] [FQ] s q Y s [ET]",
    "[ETY] [FQ] s? A s [ETY]",
    "[FQ] s [qA] [ET] s [ET]",
    "S [FQ] s [qA] [ET] s [ET]",
    "[FQ] m [ET] a [ET]",
    "[ET] [FQ] o? Y o? [ETY]",
    "[ET] S? [FQ] o? Y",
    "[ETY] [FQ] [ETY]",
    "Y [FQ] u? [ETY]",
    "Y [FQ] s q s [ETY]",
    "[ET] [FQ] s [qA] s [ET]",
)
def _times(m: ClauseMatch, c: Context) -> list[Judged] | None:
    things = [token for letter, token in m.parts if letter in "ETY"]
    factor = m.one("F") or m.one("Q")
    if factor.dimension not in (None, "ratio", "share") or is_little(m):
        return None
    if m.tokens("Q") and m.tokens("Q")[0].has("O"):  # "are mostly lymphocytes"
        return None
    if m.one("m") and factor.worded and factor.text.lower() == "many":  # "many more"
        factor = word_amount("degrees", "much")
    if factor.dimension is None and not m.one("s") and not m.one("m"):  # "one cell", not "one times"
        return None
    names, sign = directions(m.one("m")) if m.one("m") else (list(m.one("q") or ("count", "size")), 0)
    if factor.dimension is None and m.one("m"):  # "1,200 more lymphocytes than epithelial cells"
        between = m.text[
            m.tokens("Q")[0].end - m.parts[0][1].start : m.tokens("m")[0].start - m.parts[0][1].start
        ]
        if len(things) != 2 or "," in between:  # "a, numbering 30, are fewer than b"
            return None
        return more_by(things[0], things[1], names, sign, factor, c, m.text)
    if len(things) == 3:
        first, second = (likened(thing, things[1].kinds["Y"]) for thing in (things[0], things[2]))
    elif (
        len(things) == 2 and things[1].has("Y") and things[1].kinds["Y"].cells and not things[0].has("Y")
    ) or (things[1].has("Y") and things[1].kinds["Y"].tissues and not things[0].has("Y")):
        first, second = likened(things[0], things[1].kinds["Y"]), things[1]
    else:
        first, second = things
        second = (
            likened(second, first.kinds["Y"]) if "Y" in first.kinds and "Y" not in second.kinds else second
        )
    return compared(first, second, _sized(names, first), sign, factor, c, m.text)


def is_little(m: ClauseMatch) -> bool:
    """Whether "as ... as" is of a word for little: "twice as rare"."""
    amount = m.one("A")
    return amount is not None and amount.holds[1] < 0.5


def _sized(names: Sequence[str], thing: Token) -> list[str]:
    """Return the measures of an adjective: of tissues much is area, of nuclei it is area, of cells number."""
    cells = thing.kinds.get("E")
    nuclei = cells is not None and cells.nuclei and names != ["count"]
    return ["size", *names] if nuclei else list(names)


@rule("[ETY] s [qA] s [ETY]", "T s q Y s T", "[ET] y q s [ET]", "s q [ET] s [ET]", "E y A s E")
def _as_much(m: ClauseMatch, c: Context) -> list[Judged] | None:
    things = [token for letter, token in m.parts if letter in "ETY"]
    if is_little(m):
        return None
    first, second = things[0], things[-1]
    names = list(m.one("q") or ("count", "size"))
    return compared(first, second, [*names, "size"], 0, word_amount("degrees", "equal"), c, m.text)


@rule("[ETY] [yF] [YMqAnSK]*", "[ET] i y [YM]")
def _alike(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "a and b are equally frequent", "a and b occupy equal areas"."""
    thing, factor = m.parts[0][1], m.one("y")
    letter = next((each for each in "ET" if f"{each}+" in thing.kinds), None)
    if letter is None or factor is None or factor.holds[0] >= 1 or len(thing.kinds[f"{letter}+"]) != 2:
        return None
    first, second = (Token({letter: each}, thing.start, thing.end) for each in thing.kinds[f"{letter}+"])
    names = list(m.one("q") or ("count", "size"))
    if m.one("Y"):
        measured: Measured = m.one("Y")
        names = ["size" if each in ("area", "nuclear") else each for each in measured.measures]
    found = compared(first, second, names, 0, factor, c, m.text)
    c.cells, c.tissues = thing.kinds.get("E+", ()), thing.kinds.get("T+", ())
    return found
