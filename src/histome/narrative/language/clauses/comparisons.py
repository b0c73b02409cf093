"""Clauses that compare two things: more than, twice as many as, a ratio."""

from collections.abc import Sequence

from histome.narrative.language.amounts import Amount, word_amount
from histome.narrative.language.clauses.measuring import measure_options
from histome.narrative.language.judging import (
    Judged,
    judge_ratio,
    union,
)
from histome.narrative.language.lexicon import CellGroup
from histome.narrative.language.patterns import ClauseMatch, Context, rule
from histome.narrative.language.quantities import Value
from histome.narrative.language.reading import Measured, Token

_BARE = Amount((0, 0), (0, 0), None, "")


def _quantity(name: str, thing: Token, c: Context) -> Value | None:
    """Return what is compared of cells, a tissue or a measured thing."""
    world = c.world
    if "Y" in thing.kinds and not thing.has("ET"):
        measured: Measured = thing.kinds["Y"]
        options = [v for v in measure_options(measured, c, _BARE) if v is not None]
        return options[0] if options else None
    if "T" in thing.kinds and "E" not in thing.kinds:
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
    for name in names:
        values = _quantity(name, first, c), _quantity(name, second, c)
        if None not in values:
            c.measured = second.kinds.get("Y", c.measured)
            return [judge_ratio(*values, factor, sign, text)]
    return [Judged(None, "comparison", text, reason="the facts do not say")]


@rule("E b* x E", "E x g? E", "E x E", "T x T", "T b* x g? T", "Y x [YET]", "E b x E Y")
def _outnumber(m: ClauseMatch, c: Context) -> list[Judged] | None:
    first, second = [token for letter, token in m.parts if letter in "ETY"][:2]
    sign = m.one("x")
    names = m.all("Y")
    if len(names) == 1 and "Y" in first.kinds and not second.has("Y"):
        measured: Measured = first.kinds["Y"]
        second = likened(second, measured)
    c.cells = first.kinds.get("E+") or ((first.kinds["E"],) if "E" in first.kinds else ())
    return compared(first, second, ("count", "size"), sign, None, c, m.text)


def likened(thing: Token, measured: Measured) -> Token:
    """Return the same measure of another thing: "the number of a exceeds that of b"."""
    cells = thing.kinds.get("E+") or ((thing.kinds["E"],) if "E" in thing.kinds else measured.cells)
    tissues = (
        (thing.kinds["T"],) if "T" in thing.kinds else measured.tissues if "E" not in thing.kinds else ()
    )
    place = thing.kinds.get("L", measured.place)
    if "L" in thing.kinds and cells:
        cells = tuple(each.at(place[0]) for each in cells)
    return Token({"Y": Measured(measured.measures, cells, tissues, ())}, thing.start, thing.end)


@rule("E x 6 E", "E b* x g 6 E")
def _outnumber_others(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "lymphocytes outnumber all other immune cells"."""
    mine, others = union(m.cells()[0]), union(m.cells()[1])
    if not set(mine.members) < set(others.members):
        return None
    rest = others._replace(members=tuple(n for n in others.members if n not in mine.members), name="others")
    judged = judge_ratio(c.world.count(mine), c.world.count(rest), None, m.one("x"), m.text)
    return [judged if judged.true else judged._replace(true=None)]


@rule("E x E g? [QF]", "E b* x g? E g? [QF]", "E y x E", "T x T g? [QF]", "Y x [YE] g? [QF]")
def _outnumber_by(m: ClauseMatch, c: Context) -> list[Judged] | None:
    first, second = [token for letter, token in m.parts if letter in "ETY"]
    if "Y" in first.kinds and "Y" not in second.kinds:
        second = likened(second, first.kinds["Y"])
    factor = m.one("Q") or m.one("F") or m.one("y")
    if factor.dimension not in (None, "ratio"):
        return None
    return compared(first, second, ("count", "size"), m.one("x"), factor, c, m.text)


@rule(
    "[ETY] [bvl]* y? m a g? [ETY]",
    "X y? m [ET] a [ET]",
    "m [ET] a [ET] [bl]*",
    "[ET] [bhv] y? m a [ET] [bl]*",
    "[ETY] h y? m Y a [ETY]",
    "X b* y? m b* l? [ET] a [ET]",
    "C m E a E",
)
def _more_than(m: ClauseMatch, c: Context) -> list[Judged] | None:
    first, second = [token for letter, token in m.parts if letter in "ETY"][:2]
    if len([1 for letter, _ in m.parts if letter in "ETY"]) == 3:
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


@rule("E h y? m W a E", "E h F s? q W s E")
def _have_larger_nuclei(m: ClauseMatch, c: Context) -> list[Judged] | None:
    first, second = m.tokens("E")
    names, sign = directions(m.one("m")) if m.one("m") else (["size"], 1)
    kept = [name for name in names if name in ("size", "roundness", "high")]
    return compared(
        first, second, [{"high": "size"}.get(n, n) for n in kept], sign, m.one("F") or m.one("y"), c, m.text
    )


@rule(
    "[ETY] [bvlh]* [FQ] m a [ETY]",
    "[ETY] [bvl]* [FQ] s q s [ETY]",
    "[ETY] [bvl]* [FQ] s? A s [ETY]",
    "X [FQ] s [qA] [ET] s [ET]",
    "S h [FQ] s [qA] [ET] s [ET]",
    "X [FQ] m [ET] a [ET]",
    "[ET] [bvh] [FQ] o? Y o? [ETY]",
    "[ET] [bvh] [FQ] o? Y",
    "[ETY] [bvl]* [FQ] [ETY]",
    "Y b [FQ] u? [ETY]",
    "Y b [FQ] s q s [ETY]",
    "[ET] l [FQ] s [qA] s [ET]",
)
def _times(m: ClauseMatch, c: Context) -> list[Judged] | None:
    things = [token for letter, token in m.parts if letter in "ETY"]
    factor = m.one("F") or m.one("Q")
    if factor.dimension not in (None, "ratio", "share") or is_little(m):
        return None
    names, sign = directions(m.one("m")) if m.one("m") else (list(m.one("q") or ("count", "size")), 0)
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
    return ["size", *names] if cells is not None and cells.nuclei else list(names)


@rule(
    "[ETY] [bvl]* s [qA] s [ETY]",
    "T [bvh]* s q Y s T",
    "[ET] [bvl]* y q s [ET]",
    "X s q [ET] s [ET]",
    "E b y A s E",
)
def _as_much(m: ClauseMatch, c: Context) -> list[Judged] | None:
    things = [token for letter, token in m.parts if letter in "ETY"]
    if is_little(m):
        return None
    first, second = things[0], things[-1]
    names = list(m.one("q") or ("count", "size"))
    return compared(first, second, [*names, "size"], 0, word_amount("degrees", "equal"), c, m.text)


@rule(
    "p Q? E X Q E",
    "X Q E p Q? E",
    "Q E [pi] Q? E",
    "X Q E X? p Q? E",
    "p Q? E , X? Q E",
    "X p Q? E Q E",
    "p Q? E b* l? Q E",
    "Q E [bl]* p Q? E",
)
def _for_every(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "two lymphocytes for every plasma cell", "one lymphocyte per 50 carcinoma cells"."""
    parts = [(letter, token) for letter, token in m.parts if letter in "EQp"]
    groups: list[tuple[Amount | None, CellGroup]] = []
    amount = None
    for letter, token in parts:
        if letter == "Q":
            amount = token.kinds["Q"]
        elif letter == "E":
            groups.append((amount, token.kinds["E"]))
            amount = None
    if len(groups) != 2:
        return None
    if m.parts[0][0] == "p":
        groups.reverse()
    (many, first), (one, second) = groups
    if many is None or many.dimension is not None or (one is not None and one.dimension is not None):
        return None
    ratio = many.scaled(1 / (one.middle if one else 1.0), "ratio")
    return [judge_ratio(c.world.count(first), c.world.count(second), ratio, 0, m.text)]


@rule("E [bl]* i? Y o? Q", "E b* l i Y o Q")
def _at_a_ratio(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "a and b occur at a ratio of 2:1"."""
    cells = m.cells()[0]
    if len(cells) != 2 or "ratio" not in m.one("Y").measures or m.one("Y").cells:
        return None
    return [judge_ratio(c.world.count(cells[0]), c.world.count(cells[1]), m.one("Q"), 0, m.text)]


@rule("= E", "= T")
def _compared_with(m: ClauseMatch, c: Context) -> list[Judged] | None:
    if not m.cells():
        return None
    c.beside = m.cells()[0]
    return []


@rule("[EY] b* y? m [bl]*", "X m E")
def _more_than_beside(m: ClauseMatch, c: Context) -> list[Judged] | None:
    if not c.beside or not m.cells():
        return None
    names, sign = directions(m.one("m"))
    other = Token({"E": union(c.beside)}, 0, 0)
    c.beside = ()
    return compared(m.tokens("E")[0], other, names, sign, m.one("y"), c, m.text)
