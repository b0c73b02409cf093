"""Clauses that rank: the most common, the second largest, dominated by."""

from histome.narrative.language.judging import (
    Judged,
    judge_rank,
    judge_ratio,
    union,
)
from histome.narrative.language.lexicon import CellGroup
from histome.narrative.language.patterns import ClauseMatch, Context, rule
from histome.narrative.language.quantities import Value
from histome.narrative.language.reading import ALL_CELLS, Measured


def _rivals(c: Context, within: CellGroup | None) -> dict[str, Value | None]:
    """Return the counts of the classes that compete: those of a group, or all but "other"."""
    named = within.members if within is not None and not within.everything else c.world.classes()
    place = within.place if within is not None else None
    place = place or (c.place[0] if len(c.place) == 1 else None)
    return {
        n: c.world.count(CellGroup((n,), n, place=place)) for n in named if n != "other" or len(named) < 3
    }


def ranked(
    cells: tuple[CellGroup, ...], rank: int, c: Context, text: str, within: CellGroup | None = None
) -> list[Judged]:
    """Return the claim that cells have a rank among the classes; several take the ranks from there on."""
    c.cells, c.rank, c.ranked_tissue = cells, rank, False
    values = _rivals(c, within or c.within)
    found = []
    for k, each in enumerate(cells):
        place = rank + k if rank > 0 else rank - k
        if len(each.members) != 1:
            if each.name != "immune":
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
    c.tissues, c.rank, c.ranked_tissue, c.cells = tissues, rank, True, ()
    values = {name: c.world.area(name) for name in c.world.tissues()}
    found = [judge_rank(values, tissue, rank + k, text) for k, tissue in enumerate(tissues)]
    c.rank = rank + len(tissues) - 1
    return found


@rule("E x 8", "E b* x g 8", "E y x 8", "E b* m a 8")
def _outnumber_rest(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "carcinoma cells outnumber everything else"."""
    mine = union(m.cells()[0])
    share = c.world.share(mine, ALL_CELLS)
    if share is None or (m.one("x") or 1) < 0:
        return None
    if share.amount > 0.5:
        return [Judged(True, "comparison", m.text, share.sources)]
    claim = ranked(m.cells()[0], 1, c, m.text)[0]
    return [claim if claim.true is False else claim._replace(true=None)]


@rule("Y b k i E", "Y b k p E", "E h k Y")
def _largest_in(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "mean nuclear area is largest in neoplastic cells"."""
    measured: Measured = m.one("Y")
    value = {"nuclear": c.world.nuclear, "density": c.world.density}.get(measured.measures[0])
    mine = m.cells()[0][0]
    if value is None or measured.cells or len(mine.members) != 1:
        return None
    place = (measured.place or (mine.place,))[0]
    values = {name: value(CellGroup((name,), name, place=place)) for name in c.world.classes()}
    return [judge_rank(values, mine.members[0], m.one("k"), m.text)]


@rule(
    "E [bv]* y? k [KWSM]*",
    "E [bv]* y? k [KWS]* o [WSKE] l?",
    "E [bv]* y? k K? [iw]? S?",
    "E r 1",
    "E r k",
    "E r i? k K?",
    "E b* d [iS]?",
    "E d S",
    "E d L",
    "E b* y? k E",
    "E b* y? k E K?",
    "E [bv] k Y",
    "E b* y? k L",
    "E r 1 i? Y?",
    "E b* 1",
)
def _is_ranked(m: ClauseMatch, c: Context) -> list[Judged] | None:
    rank = m.one("k") or m.one("1") or 1
    groups = m.cells()
    within = union(groups[1]) if len(groups) > 1 else None
    if within is not None and len(within.members) < 2 and not within.everything:
        return None
    c.place = m.places() or c.place
    plain = within is None or (within.everything and not within.place)
    return ranked(groups[0], rank, c, m.text, None if plain else within)


@rule(
    "Q? k [KWS]* b* u? o? E",
    "k [KWS]* o [WSK] b E",
    "k E b E",
    "Q? k [KWSE]* b E",
    "k [KWS]* , E",
    "k K? o E b E",
)
def _the_ranked_is(m: ClauseMatch, c: Context) -> list[Judged] | None:
    groups = m.cells()
    cells = groups[-1]
    within = union(groups[0]) if len(groups) > 1 else None
    amount = m.one("Q")
    if amount is not None and (amount.dimension or amount.middle != len(cells)):
        return None
    named = [token.kinds["E"] for token in m.tokens("E")] if len(groups) > 1 else []
    if named and len(within.members if within else ()) < 2:
        return None
    if len(cells) > 1 and amount is not None:
        return _first_ones(cells, c, m.text, within)
    return ranked(cells, m.one("k"), c, m.text, within)


def _first_ones(
    cells: tuple[CellGroup, ...], c: Context, text: str, within: CellGroup | None
) -> list[Judged]:
    """Return the claim that some classes are the first so many, in any order."""
    values = {name: value for name, value in _rivals(c, within).items() if value is not None}
    best = sorted(values, key=lambda name: -values[name].amount)[: len(cells)]
    given = {each.members[0] for each in cells if len(each.members) == 1}
    true = set(best) == given
    sources = tuple(source for name in best for source in values[name].sources)
    return [Judged(true, "class", text, sources, "" if true else "others come before them")]


@rule(
    "S b* D E",
    "S b* d g E",
    "[EW] b* D E",
    "[EW] b* d g E",
    "X? E D E",
    "W D E",
    "T b* D E",
    "L? S D E",
)
def _dominated(m: ClauseMatch, c: Context) -> list[Judged] | None:
    groups = m.cells()
    within = union(groups[0]) if len(groups) > 1 and not groups[0][0].everything else None
    if m.tissues():
        within = ALL_CELLS.at(m.tissues()[0][0])
        within = CellGroup(c.world.classes(), "all", place=m.tissues()[0][0])
    return ranked(groups[-1], 1, c, m.text, within)


@rule("S? V E", "V E", "V u? o? E", "w E b? k", "w E r? 1", "w E b? 1")
def _next(m: ClauseMatch, c: Context) -> list[Judged] | None:
    if not c.rank:
        return None
    if m.one("V") is None:
        rank = m.one("k") or m.one("1")
        return ranked(m.cells()[0], rank, c, m.text)
    if m.one("V") == "ahead of":
        return [
            judge_ratio(c.world.count(union(c.cells)), c.world.count(union(m.cells()[0])), None, 1, m.text)
        ]
    previous = c.cells
    found = ranked(m.cells()[0], c.rank + 1, c, m.text)
    c.cells = previous[:0] + m.cells()[0]
    return found


@rule("V T", "V u? o? T")
def _next_tissue(m: ClauseMatch, c: Context) -> list[Judged] | None:
    return ranked_tissue(m.tissues()[0], c.rank + 1, c, m.text) if c.rank and c.ranked_tissue else None


@rule("U E")
def _after(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "after lymphocytes, ...": what comes has the next rank."""
    c.rank = -100
    claims = ranked(m.cells()[0], 1, c, m.text)
    c.within = CellGroup(
        tuple(n for n in c.world.classes() if n not in {k for e in m.cells()[0] for k in e.members}), "rest"
    )
    return claims


@rule(
    "T [bv]* y? k [KSW]*",
    "T b* d S?",
    "T d [SL]?",
    "k [KSW]* b T",
    "T r 1",
    "T [bv]* k K o S",
    "S b* d g T",
    "S D T",
)
def _tissue_ranked(m: ClauseMatch, c: Context) -> list[Judged] | None:
    return ranked_tissue(m.tissues()[0], m.one("k") or m.one("1") or 1, c, m.text)
