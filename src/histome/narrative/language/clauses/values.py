"""Clauses that give a value: so many cells, such a share of them, so large a tissue."""

from histome.narrative.language.amounts import Amount
from histome.narrative.language.clauses.measuring import measure_options, whole_measure
from histome.narrative.language.judging import (
    Judged,
    cells_options,
    judge_amount,
    judge_ratio,
    tissue_options,
    union,
)
from histome.narrative.language.lexicon import CellGroup, vocabulary
from histome.narrative.language.patterns import ClauseMatch, Context, rule
from histome.narrative.language.quantities import Value
from histome.narrative.language.reading import Ratioed, Token


def cells_amount(
    cells: tuple[CellGroup, ...], amount: Amount, c: Context, within: CellGroup | None = None
) -> list[Judged]:
    """Return the claim that there are so many of some cells, or that they are such a share."""
    place = c.place[0] if len(c.place) == 1 else None
    placed = tuple(each if each.place or not place else each.at(place) for each in cells)
    amount = in_unit(amount, c)
    if len(placed) > 1 and amount.dimension in ("share", "count", None):
        placed = (union(placed),)
    c.cells, c.again = cells, lambda other: cells_amount(other, amount, c, within)
    whole = within or c.within
    if amount.dimension == "share" and place and within is None:
        return [judge_amount(cells_options(c.world, each, amount, c.within), amount) for each in placed]
    return [judge_amount(cells_options(c.world, each, amount, whole), amount) for each in placed]


def in_unit(amount: Amount, c: Context) -> Amount:
    """Return an amount without a unit in that of the numbers before it, where those were densities."""
    if amount.dimension is None and c.unit == "density":
        return amount.scaled(1.0, "density")
    c.unit = amount.dimension
    return amount


def notes_on(token: Token, c: Context) -> list[Judged]:
    """Return claims for the numbers in brackets behind a word."""
    found: list[Judged] = []
    if "E+" in token.kinds:
        for cells, notes in zip(token.kinds["E+"], token.kinds.get("notes", ()), strict=False):
            found += notes_on(Token({"E": cells}, token.start, token.end, notes), c)
        return found
    for note in token.notes:
        options: list[Value | None] = []
        if "H" in token.kinds and "E" not in token.kinds:
            options += _labeled(token.kinds["H"], c)
        elif "E" in token.kinds:
            cells = token.kinds["E"]
            options += cells_options(c.world, cells, note, c.within)
            options += (
                cells_options(c.world, cells.at(c.place[0]), note, None)
                if c.place and not cells.place
                else []
            )
            options += [c.world.roundness(cells)] if note.dimension is None else []
        elif "Y" in token.kinds and "T" not in token.kinds:
            options += measure_options(token.kinds["Y"], c, note)
        elif "T" in token.kinds:
            options += tissue_options(c.world, token.kinds["T"], note) + _there(c, token.kinds["T"], note)
        elif "L" in token.kinds:
            options += _there(c, token.kinds["L"][0], note)
        elif "Q" in token.kinds or "R" in token.kinds:
            options += [value for cells in c.cells for value in cells_options(c.world, cells, note, c.within)]
            options += [value for tissue in c.tissues for value in tissue_options(c.world, tissue, note)]
        else:
            options += _about(c, note)
        found.append(judge_amount(options, note))
    return found


def _labeled(label: str, c: Context) -> list[Value | None]:
    """Return what a number behind a label is of."""
    measures = vocabulary()["phenotype_measures"]
    return [c.world.whole(name) for name, labels in measures.items() if label in labels]


def _there(c: Context, tissue: str, note: Amount) -> list[Value | None]:
    return [value for cells in c.cells for value in cells_options(c.world, cells.at(tissue), note, None)]


def _about(c: Context, note: Amount) -> list[Value | None]:
    """Return what a number behind a label or an adjective may be of."""
    values: list[Value | None] = [
        value for cells in c.cells for value in cells_options(c.world, cells, note, c.within)
    ]
    values += [value for tissue in c.tissues for value in tissue_options(c.world, tissue, note)]
    values += _there(c, c.place[0], note) if c.place else []
    return values + ([whole_measure(c, c.measured)] if c.measured else [])


@rule("[EW] [bvh]* Q [LS]?", "[EW] [bv]* l? Q L?", "[EW] Q", "[EW] [bv]* l i Q L?", "[EW] l* Q L?")
def _cells_are(m: ClauseMatch, c: Context) -> list[Judged]:
    c.place = m.places() or c.place
    return cells_amount(m.cells()[0], m.one("Q"), c)


@rule(
    "X? Q [EW] [bl]* L?",
    "S [bhv]* Q [EW] L?",
    "W b Q E",
    "C Q [EW] L?",
    "[bhvl] Q [EW] L?",
    "Q [EW] [bl]* i? L?",
    "b? Q b* l? E",
)
def _so_many(m: ClauseMatch, c: Context) -> list[Judged] | None:
    c.place = m.places() or c.place
    if c.unit == "area":
        c.unit = None
    return cells_amount(m.cells()[0], m.one("Q"), c)


@rule("T [hvb]* l? Q [EW]", "T g Q E")
def _holds(m: ClauseMatch, c: Context) -> list[Judged] | None:
    c.place, c.cells = m.tissues()[0], m.cells()[0]
    return cells_amount(m.cells()[0], m.one("Q"), c)


@rule("T [Q]", "T O? Q")
def _tissue_or_cells_there(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "carcinoma 28.6 %", and "the stroma holds 1,700 lymphocytes, the carcinoma only 40"."""
    if c.cells and not c.tissues and m.one("Q").dimension in (None, "density", "count"):
        c.place = m.tissues()[0]
        return cells_amount(tuple(each.at(None) for each in c.cells), m.one("Q"), c)
    return tissue_amount(m.tissues()[0], m.one("Q"), c)


@rule("E [bvh]* R L?", "E l? R")
def _cells_share(m: ClauseMatch, c: Context) -> list[Judged] | None:
    part: Ratioed = m.one("R")
    c.place = m.places() or c.place
    if part.tissues or part.tiles:
        return None
    return part_checked(part, c) + cells_amount(
        m.cells()[0], part.amount, c, part.cells[0] if part.cells else None
    )


def part_checked(part: Ratioed, c: Context) -> list[Judged]:
    """Return the claim in "of the 10,000 cells"."""
    if part.checked is None:
        return []
    if part.tissues:
        return [judge_amount(tissue_options(c.world, part.tissues[0], part.checked), part.checked)]
    values = [c.world.count(part.cells[0])] if part.cells else [c.world.area(None)]
    return [judge_amount(values, part.checked)]


@rule("R [blv]* [EW]", "R l b E")
def _share_is_cells(m: ClauseMatch, c: Context) -> list[Judged] | None:
    part: Ratioed = m.one("R")
    if part.tissues or part.tiles or m.one("W"):
        return None
    claims = part_checked(part, c)
    within = part.cells[0] if part.cells else None
    c.within = within if within and not within.everything else c.within
    return claims + cells_amount(m.cells()[0], part.amount, c, within)


@rule("R [blv]* O? L", "R L", "R O? [bl]* i L")
def _share_lies(m: ClauseMatch, c: Context) -> list[Judged] | None:
    part: Ratioed = m.one("R")
    if part.whole and len(m.places()) == 1:
        return tissue_amount(m.places(), part.amount, c)
    if not part.cells:
        return None
    return part_checked(part, c) + placed_amount(part.cells, m.places(), part.amount, c)


def placed_amount(
    cells: tuple[CellGroup, ...], places: tuple[str, ...], amount: Amount, c: Context
) -> list[Judged]:
    """Return the claim that so many of some cells, or such a share of them, lie in tissues."""
    if any(each.place for each in cells):
        return [Judged(None, "place", amount.text, reason="cells of one tissue do not lie in another")]
    c.cells, c.place = cells, places
    if amount.dimension in ("count", None):
        return [judge_amount([c.world.count(each.at(place))], amount) for each in cells for place in places]
    return [judge_amount([c.world.placed(each.at(None), places)], amount) for each in cells]


@rule("Q [bl]* L", "Q b* O? l L")
def _of_them_lie(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "of the 3,000 lymphocytes, 600 lie in the carcinoma"."""
    if c.within is None or c.within.everything or m.one("Q").dimension not in (None, "share", "count"):
        return None
    within = c.within
    found = placed_amount((within,), m.places(), m.one("Q"), c)
    c.within = within
    return found


@rule("X? R [bl]*", "S h R", "C R", "[lhw] R")
def _so_few(m: ClauseMatch, c: Context) -> list[Judged] | None:
    part: Ratioed = m.one("R")
    if part.whole and part.amount.dimension == "area":
        return [judge_amount([c.world.area(None)], part.amount)]
    if part.tissues and not part.cells:
        return [judge_amount([c.world.area_share(part.tissues[0])], part.amount)]
    if not part.cells or part.cells[0].everything:
        return None
    return cells_amount(part.cells, part.amount, c)


@rule("T h R", "T h A E", "T h O E")
def _holds_few(m: ClauseMatch, c: Context) -> list[Judged] | None:
    part: Ratioed | None = m.one("R")
    cells = part.cells if part else m.cells()[0]
    amount = part.amount if part else m.one("A") or m.one("O")
    if not cells:
        return None
    return placed_amount(cells, m.tissues()[0], amount, c)


def tissue_amount(tissues: tuple[str, ...], amount: Amount, c: Context) -> list[Judged]:
    """Return the claim that a tissue is so large."""
    c.tissues, c.cells = tissues, ()
    return [judge_amount(tissue_options(c.world, tissue, amount), amount) for tissue in tissues]


@rule("T [bvh]* Q", "T [bv]* R", "T v Y? Q", "T [vh] [YM] o? Q", "T b* l Q")
def _tissue_is(m: ClauseMatch, c: Context) -> list[Judged] | None:
    part: Ratioed | None = m.one("R")
    if part and (part.cells or part.tiles):
        return None
    if part and part.tissues:
        return [
            judge_ratio(
                c.world.area(m.tissues()[0][0]),
                c.world.area(part.tissues[0]),
                _as_ratio(part.amount),
                0,
                m.text,
            )
        ]
    return tissue_amount(m.tissues()[0], part.amount if part else m.one("Q"), c) + (
        part_checked(part, c) if part else []
    )


def _as_ratio(amount: Amount) -> Amount:
    return amount.scaled(1.0, "ratio")


@rule("Q b? T [bl]*", "X? Q T", "S [bhv] Q T", "R [bvl]* T")
def _share_is_tissue(m: ClauseMatch, c: Context) -> list[Judged] | None:
    part: Ratioed | None = m.one("R")
    if part and not part.whole:
        return None
    amount = part.amount if part else m.one("Q")
    if amount.dimension not in ("share", "area"):
        return None
    extra = part_checked(part, c) if part else []
    return extra + tissue_amount(m.tissues()[0], amount, c)
