"""Clauses on tiles, on a part of the cells, on what there is little or none of."""

from histome.narrative.language.clauses.measuring import quotient
from histome.narrative.language.clauses.values import cells_amount, part_checked, tissue_amount
from histome.narrative.language.judging import (
    Judged,
    judge_amount,
    judge_presence,
    union,
)
from histome.narrative.language.patterns import ClauseMatch, Context, rule
from histome.narrative.language.reading import ALL_CELLS, Measured, Ratioed


@rule("[PT]? P? [bh]* ! P? i R", "T h ! P? i R", "R h ! P?", "R h P? !")
def _tiles_with(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "the immune phenotype is inflamed in 60 % of the tiles"."""
    part: Ratioed = m.one("R")
    return [judge_amount([c.world.named(m.one("!"))], part.amount)] if part.tiles else None


@rule("R")
def _that_many_tiles(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "(75 % of the tumor tiles)" behind a phenotype."""
    part: Ratioed = m.one("R")
    if not part.tiles or c.tile_metric is None:
        return None
    return [judge_amount([c.world.named(c.tile_metric)], part.amount)]


@rule("R [bv]* !", "Q !", "Q b? !")
def _tiles(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "60 % of the tiles with tumor are inflamed"."""
    part: Ratioed | None = m.one("R")
    if part is not None and not part.tiles:
        return None
    if part is None and c.unit != "tiles":
        return None
    c.unit = "tiles"
    amount = part.amount if part else m.one("Q")
    checked = [judge_amount([c.world.sample(m.one("!"))], part.checked)] if part and part.checked else []
    return [*checked, judge_amount([c.world.named(m.one("!"))], amount)]


@rule("R [bl]* Y", "Q E [bl]* Y")
def _abstained(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "257 of the inflammatory cells are engaged"."""
    measured: Measured = m.one("Y")
    part: Ratioed = m.one("R") or Ratioed(m.one("Q"), m.cells()[0])
    if "engaged" not in measured.measures or not part.cells or part.cells[0].members != ("Inflammatory",):
        return None
    engaged, every = c.world.whole("engaged"), c.world.count(part.cells[0])
    share = quotient(engaged, every)
    value = share if part.amount.dimension == "share" else engaged
    return [*part_checked(part, c), judge_amount([value], part.amount)]


@rule("o W", "o E", "o Q W", "o Q E", "o Q S", "o S", "o R", "o Q o [WES]")
def _of_all(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "of the 4,501 nuclei, ..." and "among the immune cells, ..."."""
    part: Ratioed | None = m.one("R")
    amount = part.amount if part else m.one("Q")
    cells = m.cells()[0] if m.cells() else (part.cells if part and part.cells else (ALL_CELLS,))
    c.within = union(cells)
    if amount is None:
        return []
    counted = m.cells() or (part and part.cells)
    values = [c.world.count(c.within)] if counted else [c.world.area(None), c.world.named("VALID_AREA")]
    return [judge_amount(values, amount)]


@rule("[wi] Q", "w Q o W")
def _pending(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "with 45 %, ...": of whom comes after it."""
    if c.cells or c.tissues:
        if m.one("Q").dimension in (None, "count"):
            return None
        return cells_amount(c.cells, m.one("Q"), c) if c.cells else tissue_amount(c.tissues, m.one("Q"), c)
    c.pending = [m.one("Q")]
    return []


@rule("X? A E [bl]*", "S h A E", "C A E", "[hl] A E")
def _few_cells(m: ClauseMatch, c: Context) -> list[Judged]:
    return cells_amount(m.cells()[0], m.one("A"), c)


@rule("E [bl]* A", "X E A", "E [bl]* O A", "E [bl]* y? A", "E [bl] i A")
def _adjective(m: ClauseMatch, c: Context) -> list[Judged]:
    found: list[Judged] = []
    for each in m.cells()[0]:
        found += cells_amount((each,), m.one("A"), c)
    c.cells = m.cells()[0]
    c.again = lambda other: cells_amount(other, m.one("A"), c)
    return found


@rule("T [bl]* A", "X A T", "A T [bl]*", "S h A T", "w A T", "h A T", "X R", "h R")
def _tissue_adjective(m: ClauseMatch, c: Context) -> list[Judged] | None:
    part: Ratioed | None = m.one("R")
    if part is not None:
        return [judge_amount([c.world.area_share(part.tissues[0])], part.amount)] if part.tissues else None
    amount = m.one("A")
    # A fifth of the area is little for a tissue, where a fifth of the cells is much for a class.
    wide = amount.scaled(1.0, "share") if amount.holds[0] > 0 else amount.scaled(4.0, "share")
    return tissue_amount(m.tissues()[0], wide, c)


@rule("S b* O b* E", "S O [vbh]* E")
def _mostly_made_of(m: ClauseMatch, c: Context) -> list[Judged]:
    """Read "the section is mostly composed of carcinoma cells"."""
    return cells_amount(m.cells()[0], m.one("O"), c)


@rule("W b* E", "W b l E")
def _no_cells_are(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "no cells were classified as granulocytes"."""
    return [judge_presence(c.world.count(each), each.name) for each in m.cells()[1]] if c.negated else None


@rule(
    "X? [ETY] [bl]*",
    "b T",
    "C [ETY]",
    "S h [ETY]",
    "X [ETY] L",
    "[ET] b* l*",
    "X b? [ET]",
    "[lh] [ETY]",
    "X [ET] l L?",
    "l b? [ET]",
)
def _presence(m: ClauseMatch, c: Context) -> list[Judged] | None:
    placed = any(each.place for group in m.cells() for each in group)
    if len(m.parts) == 1 and not c.negated and not m.parts[0][1].notes and not placed:
        return None
    found: list[Judged] = []
    place = m.places() or c.place
    for each in [one for group in m.cells() for one in group]:
        where = each.at(place[0]) if place and not each.place else each
        found.append(judge_presence(c.world.count(where), each.name))
    for each in [one for group in m.tissues() for one in group]:
        found.append(judge_presence(c.world.area(each), each, "finding"))
    if m.one("Y") is not None:
        found += _thing_presence(m.one("Y"), c)
    if not found:
        return None
    c.cells = m.cells()[0] if m.cells() else c.cells
    c.again = lambda cells: [judge_presence(c.world.count(each), each.name) for each in cells]
    return found


def _thing_presence(measured: Measured, c: Context) -> list[Judged]:
    if "aggregates" not in measured.measures or measured.cells or measured.tissues:
        return []
    return [judge_presence(c.world.whole("aggregates"), "lymphoid aggregates", "finding")]
