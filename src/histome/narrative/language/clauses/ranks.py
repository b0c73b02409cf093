"""Clauses that rank: the most common, the second largest, dominated by, followed by."""

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from histome.narrative.language.amounts import Amount, word_amount
from histome.narrative.language.clauses.comparisons import directions
from histome.narrative.language.judging import Judged, judge_amount, judge_rank, judge_ratio, union
from histome.narrative.language.lexicon import CellGroup
from histome.narrative.language.patterns import ClauseMatch, Context, is_silent, rule
from histome.narrative.language.phrases.asides import is_at
from histome.narrative.language.pieces import ALL_CELLS, Measured, Token
from histome.narrative.language.quantities import Value

_JOINING = "KWSMPiowgursy"
_SIZE = re.compile(r"\b(?:larg|bigg|small|tini)")
_NUCLEI = re.compile(r"\b(?:larg|bigg|small)est (?:(?:mean|average) )?nucle(?:i|us)")
_GAPS = {
    "much": re.compile(r"\bdistant\b", re.I),
    "slightly": re.compile(r"\bclose (?:second|third|fourth|runner)", re.I),
}
_EACH = re.compile(r"any|every|each")
_MOST_CLASSES = 10
_ALL = 0.99  # of the classes
_WITHIN = ("nuclear", "density", "share", "count", "area")


@dataclass
class _Ranking:
    """What a clause ranks: cells or tissues, at which place, in what, among whom, behind whom."""

    cells: list[tuple[CellGroup, ...]] = field(default_factory=list)
    tissues: list[tuple[str, ...]] = field(default_factory=list)
    places: list[tuple[str, ...]] = field(default_factory=list)
    behind: list[tuple[CellGroup, ...]] = field(default_factory=list)
    measures: list[Measured] = field(default_factory=list)
    amounts: list[Amount] = field(default_factory=list)
    ranks: list[int] = field(default_factory=list)
    grouped: bool = False
    degrees: list[Amount] = field(default_factory=list)
    titled: bool = False  # "the most common immune cells": a name, not who has the rank


def _ranking(tokens: Sequence[Token]) -> _Ranking | None:
    """Return the parts of a clause that ranks; None where it holds anything else."""
    found = _Ranking()
    slides = [k for k, t in enumerate(tokens) if t.has("S") and not t.has("KT")]
    if any(not is_at(tokens, k - 1, "o") for k in slides) and any(t.has("LT") for t in tokens):
        return None  # "of the slide" is no place
    for k, token in enumerate(tokens):
        kinds = token.kinds
        if kinds.get("U") == "second" and not found.ranks:
            found.ranks.append(2)
        elif token.has("k1"):
            if is_at(tokens, k + 1, "E") and len(tokens[k + 1].kinds.get("E", ALL_CELLS).members) > 1:
                found.titled = True
            found.ranks.append(kinds["k"] if "k" in kinds else kinds["1"])
        elif token.has("dD"):
            found.ranks.append(1)
        elif "E" in kinds or "E+" in kinds:
            after = k and tokens[k - 1].has("U")
            (found.behind if after else found.cells).append(kinds.get("E+") or (kinds["E"],))
        elif "T" in kinds or "T+" in kinds:
            found.tissues.append(kinds.get("T+") or (kinds["T"],))
        elif "L" in kinds:
            found.places.append(kinds["L"])
        elif "Q" in kinds:
            of, mine = k > 0 and tokens[k - 1].has("o"), kinds["Q"]
            if not of or not (  # "of the three classes", "of all"
                mine.holds[0] > _ALL
                if mine.dimension == "share"
                else mine.dimension is None and 2 <= mine.middle <= _MOST_CLASSES
            ):
                found.amounts.append(mine)
        elif token.has("KWSP"):
            found.grouped |= k > 0 and tokens[k - 1].has("k1") and kinds.get("K") != "one"
        elif "Y" in kinds:
            found.measures.append(kinds["Y"])
        elif "y" in kinds and "_" not in kinds and kinds["y"].holds[0] >= 1:  # "leads by a long way"
            found.degrees.append(kinds["y"])
        elif not token.has(_JOINING + "U") and not is_silent(token):
            return None
    return found


def ranking(tokens: Sequence[Token], text: str, c: Context) -> list[Judged] | None:
    """Return the claim of a clause that ranks; None where it is not plain what."""
    parts = _ranking(tokens)
    if parts is None or len(parts.ranks) != 1 or max(len(parts.places), len(parts.behind)) > 1:
        return None
    if len(parts.measures) > 1 or any(each.cells or each.tissues for each in parts.measures):
        return None
    measured = set(parts.measures[0].measures) if parts.measures else set()
    if measured and not measured & set(_WITHIN):
        return None
    if not parts.cells:
        return _of_tissues(parts, measured, text, c)
    who, within = _who_within(parts.cells)
    if who is None or (who[0].place and parts.places) or (parts.titled and len(parts.cells) == 1):
        return None
    places = parts.places or parts.tissues
    if len(places) > 1 or (places and len(places[0]) > 1):
        return None
    c.place = places[0] if places else c.place
    rank = parts.ranks[0]
    if c.behind:  # "after lymphocytes, the most common ..."
        rank, c.behind = c.behind + 1 if rank in (1, 2) else rank, 0
    behind = parts.behind[0] if parts.behind else ()
    rank = len(behind) + 1 if 0 < rank <= len(behind) else rank
    by = c.aspect or _measure_of(who, measured, parts, text, c)
    amount = parts.amounts[0] if parts.amounts else None
    if len(parts.amounts) > 1 or (amount and (amount.dimension or amount.middle != len(who))):
        return None
    if amount is not None and len(who) > 1 and rank == 1 and not c.ordered:
        return _first_ones(who, c, text, within)
    found = [claim for each in parts.behind for claim in ranked(each, rank - len(each), c, text, within, by)]
    found += ranked(who, rank, c, text, within, by)
    told = [word_amount("degrees", name) for name, said in _GAPS.items() if said.search(text)]
    found += _by_so_much(who, rank, by, [*parts.degrees, *told], within, c, text)
    c.against = behind
    return found


def _by_so_much(
    who: tuple[CellGroup, ...],
    rank: int,
    by: str,
    degrees: list[Amount],
    within: CellGroup | None,
    c: Context,
    text: str,
) -> list[Judged]:
    """Return the claim of "leads by a long way": so much more than the next."""
    if not degrees:
        return []
    values = [value for value in _rivals(c, within, by).values() if value is not None]
    values.sort(key=_amount_of, reverse=True)
    mine = _value(by, c)(who[0])
    if not 1 <= rank < len(values) or len(who) != 1:
        return [Judged(None, "comparison", text, reason="by how much is not clear")]
    if rank == 1:
        return [judge_ratio(mine, values[1], each, 1, text) for each in degrees]
    return [judge_ratio(values[rank - 2], mine, each, 1, text) for each in degrees]


def _of_tissues(parts: _Ranking, measured: set[str], text: str, c: Context) -> list[Judged] | None:
    tissues = parts.tissues[0] if len(parts.tissues) == 1 and not parts.places else ()
    if not tissues or parts.amounts or parts.behind or measured - {"share", "area"}:
        return None
    return ranked_tissue(tissues, parts.ranks[0], c, text)


def _who_within(
    groups: list[tuple[CellGroup, ...]],
) -> tuple[tuple[CellGroup, ...] | None, CellGroup | None]:
    """Return who has the rank, and the group among whom: that which holds the other."""
    if len(groups) == 1:
        return groups[0], None
    if len(groups) > 2:
        return None, None
    for mine, others in (groups, groups[::-1]):
        wider = union(others)
        fits = set(union(mine).members) < set(wider.members) or (
            wider.everything and not union(mine).everything
        )
        if fits and len(others) == 1:
            return mine, others[0]
    return None, None


def _measure_of(
    who: tuple[CellGroup, ...], measured: set[str], parts: _Ranking, text: str, c: Context
) -> str:
    """Return in what cells are ranked, where no aspect is named."""
    if "nuclear" in measured and "share" not in measured:
        return "size"
    if "density" in measured:
        return "density"
    if c.ranked_by in ("size", "density") and not parts.grouped and not measured:
        return c.ranked_by
    nuclei = all(each.nuclei for each in who) and not parts.grouped and not measured
    if _NUCLEI.search(text.lower()):
        return "size"
    return "size" if nuclei and _SIZE.search(text.lower()) else "count"


def _value(by: str, c: Context) -> Callable[[CellGroup], Value | None]:
    known = {"size": c.world.nuclear, "density": c.world.density, "roundness": c.world.roundness}
    return known.get(by, c.world.count)


def _rivals(c: Context, within: CellGroup | None, by: str) -> dict[str, Value | None]:
    """Return the values of the classes that compete: those of a group, or all but "other"."""
    named = within.members if within is not None and not within.everything else c.world.classes()
    place = within.place if within is not None else None
    place = place or (c.place[0] if len(c.place) == 1 else None)
    value = _value(by, c)
    return {n: value(CellGroup((n,), n, place=place)) for n in named if n != "other" or len(named) < 3}


def ranked(
    cells: tuple[CellGroup, ...],
    rank: int,
    c: Context,
    text: str,
    within: CellGroup | None = None,
    by: str = "count",
) -> list[Judged]:
    """Return the claim that cells have a rank among the classes; several take the ranks from there on."""
    c.cells, c.rank, c.ranked_by = cells, rank, by
    within = within or c.within
    c.ranked_within = within
    places = {each.place for each in cells if each.place}
    if len(places) == 1 and within is None:
        within = CellGroup(c.world.classes(), "all", place=places.pop())
    values = _rivals(c, within, by)
    found = []
    for k, each in enumerate(cells):
        place = rank + k if rank > 0 else rank - k
        if len(each.members) != 1:
            if each.name != "immune" or by != "count":
                return [Judged(None, "class", text, reason="a group has no rank among classes")]
            rest = {n: v for n, v in values.items() if n not in each.members}
            values_of = {**rest, each.name: c.world.count(each)}
            found.append(judge_rank(values_of, each.name, place, text))
        else:
            found.append(judge_rank(values, each.members[0], place, text))
    c.rank = rank + len(cells) - 1
    return found


def ranked_tissue(tissues: tuple[str, ...], rank: int, c: Context, text: str) -> list[Judged]:
    """Return the claim that a tissue has a rank by area."""
    c.tissues, c.rank, c.ranked_by, c.cells = tissues, rank, "area", ()
    values = {name: c.world.area(name) for name in c.world.tissues()}
    found = [judge_rank(values, tissue, rank + k, text) for k, tissue in enumerate(tissues)]
    c.rank = rank + len(tissues) - 1
    return found


def _first_ones(
    cells: tuple[CellGroup, ...], c: Context, text: str, within: CellGroup | None
) -> list[Judged]:
    """Return the claim that some classes are the first so many, in any order."""
    values = {name: value for name, value in _rivals(c, within, "count").items() if value is not None}
    best = sorted(values, key=lambda name: -values[name].amount)[: len(cells)]
    given = {each.members[0] for each in cells if len(each.members) == 1}
    true = set(best) == given
    sources = tuple(source for name in best for source in values[name].sources)
    return [Judged(true, "class", text, sources, "" if true else "others come before them")]


@rule("[ET] y? x g? [68] K?", "[ET] y? m a [68] [KW]?")
def _outnumber_rest(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "carcinoma cells outnumber everything else", "... every other class"."""
    sign = m.one("x") or directions(m.one("m"))[1]
    if _EACH.match(m.one("6") or m.one("8")) and not m.one("W"):
        if m.tissues():
            return ranked_tissue(m.tissues()[0], sign, c, m.text)
        return ranked(m.cells()[0], sign, c, m.text, None, _compared_by(m, c))
    if m.tissues():
        return None
    mine, place = union(m.cells()[0]), c.place[0] if c.fronted and len(c.place) == 1 else None
    mine = mine if mine.place else mine.at(place)
    share = c.world.share(mine, ALL_CELLS.at(place))
    if share is None or sign < 0 or (place and mine.place != place):
        return None
    if share.amount > 0.5:
        return [Judged(True, "comparison", m.text, share.sources)]
    claim = ranked(m.cells()[0], 1, c, m.text)[0]
    return [claim if claim.true is False else claim._replace(true=None)]


def _compared_by(m: ClauseMatch, c: Context) -> str:
    """Return in what a comparative ranks cells."""
    names = directions(m.one("m"))[0] if m.one("m") else list(m.one("q") or ("count",))
    by = c.aspect or next((name for name in names if name in ("count", "density", "roundness")), "count")
    return "size" if "size" in names and any(each.nuclei for each in m.cells()[0]) else by


@rule("N 6? [EKSW]? x g? [ET]", "N 6? [EKSW]? y? m [SK]? a [ET]", "N 6? [EKSW]? s [qA] s [ET]")
def _none_more(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "no immune class exceeds the lymphocyte", "no tissue is larger than stroma": it is the first."""
    things = [token for letter, token in m.parts if letter in "EKSWT"]
    amount = m.one("A")
    sign = m.one("x") or (directions(m.one("m"))[1] if m.one("m") else 1)
    if (amount and amount.holds[1] < 0.5) or not things[-1].has("ET"):
        return None
    if "E" not in things[-1].kinds:
        return ranked_tissue((things[-1].kinds["T"],), sign, c, m.text) if not things[0].has("E") else None
    within = things[0].kinds.get("E")
    mine = things[-1].kinds["E"]
    if within is not None and not set(mine.members) <= set(within.members):
        return None
    return ranked((mine,), sign, c, m.text, within and within.at(mine.place), _compared_by(m, c))


@rule("E r? 2 E", "E r? 2 E & E")
def _between(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "in size, epithelial nuclei fall between lymphocyte and carcinoma nuclei"."""
    cells = [each for group in m.cells() for each in group]
    by = c.aspect or ("size" if all(each.nuclei for each in cells) else "")
    if len(cells) != 3 or by not in ("size", "count", "density", "roundness"):
        return None
    mine, *others = (_value(by, c)(each) for each in cells)
    if mine is None or None in others:
        return [Judged(None, "comparison", m.text, reason="the facts do not say")]
    c.cells = (cells[0],)
    low, high = sorted(other.amount for other in others if other is not None)
    true = low < mine.amount < high
    return [Judged(true, "comparison", m.text, mine.sources, "" if true else "the numbers say otherwise")]


@rule("E q", "E q W o? Q")
def _large_nuclei(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "carcinoma nuclei are large": the largest that were measured; the smallest are not."""
    cells, says = m.cells()[0], m.one("q")
    large = "size" in says
    if len(cells) != 1 or not (large or "small" in says) or not (cells[0].nuclei or m.one("W")):
        return None
    known = _rivals(c, None, "size")
    c.cells = cells
    judged = [judge_rank(known, cells[0].members[0], sign, m.text) for sign in (1, -1)]
    mine, other = judged if large else judged[::-1]
    if not mine.true:
        mine = mine._replace(true=False if other.true else None)
    return [mine, *([judge_amount([c.world.nuclear(cells[0])], m.one("Q"))] if m.one("Q") else [])]


@rule("E x E x E", "E x E x E x E")
def _chain(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "lymphocytes > plasma cells > fibroblasts"."""
    counts = [c.world.count(union(each)) for each in m.cells()]
    steps = zip(itertools.pairwise(counts), m.all("x"), strict=True)
    return [judge_ratio(first, second, None, sign, m.text) for (first, second), sign in steps]


def _amount_of(value: Value | None) -> float:
    return value.amount if value is not None else 0.0


@rule("E r? U E", "E V E")
def _right_behind(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "epithelial cells come after lymphocytes": less, and open unless next to them."""
    mine, before = (group[0] for group in m.cells())
    if m.one("V") == "ahead":
        return None
    if m.one("V"):  # "lymphocytes are followed by fibroblasts"
        mine, before = before, mine
    values = _rivals(c, c.ranked_within if c.cells == (mine,) else None, "count")
    if len(mine.members) != 1 or len(before.members) != 1 or mine.place or before.place:
        return None
    told = judge_ratio(values.get(before.members[0]), values.get(mine.members[0]), None, 1, m.text)
    order = sorted((name for name, value in values.items() if value), key=lambda n: -_amount_of(values[n]))
    place = order.index(mine.members[0])
    c.cells, c.rank, c.ranked_by = (mine,), place + 1, "count"
    return [told if not told.true or order[place - 1] == before.members[0] else told._replace(true=None)]


@rule("Y k [ip] E")
def _largest_in(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "mean nuclear area is largest in neoplastic cells"."""
    measured: Measured = m.one("Y")
    by = {"nuclear": "size", "density": "density"}.get(measured.measures[0])
    if by is None or measured.cells or len(m.cells()[0]) != 1:
        return None
    c.place = measured.place or c.place
    return ranked(m.cells()[0], m.one("k"), c, m.text, None, by)


@rule("S? V g? u? o? [ET]", "w? E k", "w? E r? 1", "w? E U y?")
def _next(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "..., followed by lymphocytes": the next rank; "ahead of" only sets one before the other."""
    if not c.ranked_by:
        return None
    if m.one("U"):
        return ranked(m.cells()[0], c.rank + 1, c, m.text, c.ranked_within, c.ranked_by)
    if m.one("V") is None:
        return ranked(m.cells()[0], m.one("k") or m.one("1"), c, m.text, c.ranked_within, c.ranked_by)
    if m.tissues():
        return ranked_tissue(m.tissues()[0], c.rank + 1, c, m.text) if c.ranked_by == "area" else None
    if not c.cells or not c.ranked_by:
        return None
    if m.one("V") != "ahead" and c.rank:
        return ranked(m.cells()[0], c.rank + 1, c, m.text, c.ranked_within, c.ranked_by)
    value = _value(c.ranked_by, c)
    last = c.cells[-1]
    found = [judge_ratio(value(last), value(each), None, 1, m.text) for each in m.cells()[0]]
    c.cells, c.rank = m.cells()[0], 0
    return found


@rule("U E")
def _after(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "after lymphocytes, ...": what comes has the next rank."""
    claims = ranked(m.cells()[0], 1, c, m.text)
    c.behind = c.rank
    return claims
