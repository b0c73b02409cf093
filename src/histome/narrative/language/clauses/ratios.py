"""Clauses that set one thing to another: two for every one, 2 to 1, half of that."""

from dataclasses import replace

from histome.narrative.language.amounts import Amount
from histome.narrative.language.clauses.comparisons import compared, likened
from histome.narrative.language.judging import Judged, judge_amount, judge_ratio
from histome.narrative.language.lexicon import CellGroup
from histome.narrative.language.patterns import ClauseMatch, Context, rule
from histome.narrative.language.pieces import Measured, Token


@rule(
    "p Q? E Q E",
    "E Q p Q? E",
    "Q E p Q? E",
    "Q E [pi] Q? E",
    "p Q? E , Q E",
    "Q E [ta] Q E",
    "p Q? E L Q E L",
    "p E Q L",
)
def _for_every(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "two lymphocytes for every plasma cell", "one lymphocyte per 50 carcinoma cells"."""
    if m.places():
        named = [group[0] for group in m.cells()]
        if len(named) == 1:  # "for every lymphocyte in the carcinoma there are forty in the stroma"
            one, other = named[0], named[0].at(m.places()[0])
        else:
            one, other = (cells.at(place) for cells, place in zip(named, m.places(), strict=True))
        ratio = replace(m.all("Q")[-1], dimension="ratio")
        if len(m.all("Q")) != 1 or m.all("Q")[0].dimension is not None:
            return None
        return [judge_ratio(c.world.count(other), c.world.count(one), ratio, 0, m.text)]
    parts = [(letter, token) for letter, token in m.parts if letter in "EQp"]
    groups: list[tuple[Amount | None, CellGroup]] = []
    amount = None
    for letter, token in parts:
        if letter == "Q":
            amount = token.kinds["Q"]
        elif letter == "E":
            groups.append((amount, token.kinds["E"]))
            amount = None
    amounts = m.all("Q")
    if len(groups) == 2 and m.parts[0][0] == "E" and len(amounts) == 2:  # "a amount to one per 100 b"
        groups = [(amounts[0], groups[0][1]), (amounts[1], groups[1][1])]
    elif len(groups) == 2 and m.parts[0][0] == "E":
        groups = [(amounts[0], groups[0][1]), (None, groups[1][1])]
    if len(groups) != 2:
        return None
    if m.parts[0][0] == "p":
        groups.reverse()
    (many, first), (one, second) = groups
    if many is None or many.dimension is not None or (one is not None and one.dimension is not None):
        return None
    if many.holds == (many.middle - 0.5, many.middle + 0.5):  # "two for every", to an eighth
        near = min(0.5, 0.12 * many.middle)
        many = replace(
            many,
            holds=(many.middle - near, many.middle + near),
            fails=(many.middle - near, many.middle + near),
        )
    c.cells, c.against = (first,), (second,)
    ratio = many.scaled(1 / (one.middle if one else 1.0), "ratio")
    return [judge_ratio(c.world.count(first), c.world.count(second), ratio, 0, m.text)]


@rule("[ET] Q o u")
def _part_of_that(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "stroma covers 60 % and carcinoma half of that"."""
    before = {"E": c.cells[0]} if len(c.cells) == 1 else {"T": c.tissues[0]} if len(c.tissues) == 1 else None
    if before is None or m.one("Q").dimension not in ("share", "ratio"):
        return None
    thing = m.parts[0][1]
    return compared(thing, Token(before, 0, 0), ("count", "size"), 0, m.one("Q"), c, m.text)


@rule("E t E Y? Q", "T t T Y? Q")
def _to_another(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "stroma to epithelium is two to one"."""
    if m.one("Q").dimension != "ratio" or (m.one("Y") and m.one("Y") != Measured(("ratio",))):
        return None
    first, second = (token for letter, token in m.parts if letter in "ET")
    return compared(first, second, ("count", "size"), 0, m.one("Q"), c, m.text)


@rule("Y? Q K? T [ta] Q K? T")
def _parts_to_parts(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "four parts carcinoma to one part stroma": of their areas."""
    (first,), (second,) = m.tissues()
    many, one = m.all("Q")
    if many.dimension or one.dimension or not one.middle or m.one("Y") not in (None, Measured(("ratio",))):
        return None
    ratio = many.middle / one.middle
    near = replace(many, holds=(0.93 * ratio, 1.07 * ratio), fails=(0.9 * ratio, 1.12 * ratio))
    return [judge_ratio(c.world.area(first), c.world.area(second), near, 0, m.text)]


@rule("[FQy]? x o E x E", "[FQy]? x o T x T", "S [FQy]? x o E x E")
def _excess(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "a threefold excess of lymphocytes over fibroblasts"."""
    first, second = (token for letter, token in m.parts if letter in "ET")
    factor = m.one("F") or m.one("Q") or m.one("y")
    sign, over = m.all("x")
    if over < 0 or (factor and factor.dimension not in ("ratio", "share")):
        return None
    return compared(first, second, ("count",), sign, factor, c, m.text)


@rule("T Q")
def _areas_at_a_ratio(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "stroma : carcinoma = 2 : 1"."""
    tissues = m.tissues()[0]
    if len(tissues) != 2 or m.one("Q").dimension != "ratio":
        return None
    return [judge_ratio(c.world.area(tissues[0]), c.world.area(tissues[1]), m.one("Q"), 0, m.text)]


@rule("E g? Q", "E i? Y o? Q", "E i Y o Q")
def _at_a_ratio(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "a and b occur at a ratio of 2:1"."""
    cells = m.cells()[0]
    ratio = m.one("Y")
    if len(cells) != 2 or (ratio and ("ratio" not in ratio.measures or ratio.cells)):
        return None
    if m.one("Q").dimension != "ratio":
        return None
    return [judge_ratio(c.world.count(cells[0]), c.world.count(cells[1]), m.one("Q"), 0, m.text)]


@rule("[EY] f u? [EY] g Q W?")
def _differ_by(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "carcinoma nuclei differ from epithelial nuclei by 3 um2": by so much, whichever is larger."""
    first, second = [token for letter, token in m.parts if letter in "EY"]
    amount, name = m.one("Q"), {"area": "size", "pixel area": "size", "density": "density"}
    if "differ" not in m.text.lower() or (amount.dimension or "count") not in (*name, "count"):
        return None
    names = [name.get(amount.dimension or "count", "count")]
    if "Y" in first.kinds and "Y" not in second.kinds:
        second = likened(second, first.kinds["Y"])
    found = compared(first, second, names, 1, None, c, m.text)
    if not found or found[0].true is None:
        return found
    mine, other = c.pair
    return [judge_amount([mine.computed(abs(mine.amount - other.amount), *other.sources)], amount)]


@rule("B Q", "i? Q B")
def _each_of_them(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "necrosis takes as much area as stroma: 0.8 mm2 each": both of those compared."""
    if len(c.pair) != 2:
        return None
    return [judge_amount([value], m.one("Q")) for value in c.pair]
