"""Clauses that give a value: so many cells, such a share of them, so large a tissue."""

import re
from dataclasses import replace

from histome.narrative.language.amounts import Amount
from histome.narrative.language.clauses.measuring import (
    OF_THEM,
    cells_amount,
    measure_options,
    of_those_there,
    quotient,
)
from histome.narrative.language.judging import (
    Judged,
    cells_options,
    judge_amount,
    tissue_options,
)
from histome.narrative.language.lexicon import CellGroup, vocabulary
from histome.narrative.language.patterns import ClauseMatch, Context, rule
from histome.narrative.language.pieces import ALL_CELLS, Ratioed, Token, is_area
from histome.narrative.language.quantities import Value


def notes_on(token: Token, c: Context) -> list[Judged]:
    """Return claims for the numbers in brackets behind a word."""
    found: list[Judged] = []
    if "E+" in token.kinds:
        for cells, notes in zip(token.kinds["E+"], token.kinds.get("notes", ()), strict=False):
            found += notes_on(Token({"E": cells}, token.start, token.end, notes), c)
        return found
    if "Y" in token.kinds and len(token.kinds["Y"].place) == len(token.notes) > 1:
        for place, note in zip(token.kinds["Y"].place, token.notes, strict=True):
            found.append(judge_amount(_there(c, place, note), note))
        return found
    for note in token.notes:
        options: list[Value | None] = []
        if "T+" in token.kinds and len(token.notes) == len(token.kinds["T+"]):
            each = token.kinds["T+"][token.notes.index(note)]
            options += _there(c, each, note) + tissue_options(c.world, each, note)
        elif token.has("RQ") and c.tile_metric and not c.cells:
            options.append(c.world.named(c.tile_metric))
        elif "!" in token.kinds and c.world.named(token.kinds["!"]):
            options.append(c.world.named(token.kinds["!"]))
        elif "c" in token.kinds and "E" not in token.kinds:
            options.append(c.world.whole("clark_evans"))
        elif "H" in token.kinds and "E" not in token.kinds:
            options += _labeled(token.kinds["H"], c)
        elif note.dimension == "ratio" and len(c.cells) == len(c.against) == 1:
            options.append(quotient(c.world.count(c.cells[0]), c.world.count(c.against[0])))
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
            options += measure_options(c.measured, c, note) if c.measured else []
            options += [value for tissue in c.tissues for value in tissue_options(c.world, tissue, note)]
            options += _there(c, c.place[0], note) if c.place else []
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
    return values + (measure_options(c.measured, c, note) if c.measured else [])


@rule("[EW] Q [LS]?", "[EW] Q L?", "[EW] Q", "[EW] i Q L?")
def _cells_are(m: ClauseMatch, c: Context) -> list[Judged] | None:
    if any(map(is_area, m.tokens("S"))):  # "are 25 % of the section area"
        return None
    if len(m.cells()[0]) > 1 and m.places() and m.one("Q").worded and m.one("Q").dimension == "share":
        return placed_amount(m.cells()[0], m.places(), m.one("Q"), c)
    c.place = m.places() or c.place
    behind = m.one("i") and m.one("Q").dimension is None and len(c.place) == 1 and not m.places()
    if behind and not any(each.place for each in m.cells()[0]):  # "mostly in the stroma, at 1,300"
        c.carried = ()
        return cells_amount(tuple(each.at(c.place[0]) for each in m.cells()[0]), m.one("Q"), c)
    carried = m.parts[0][1].end == 0  # "20 % lie in the carcinoma; in the stroma, 70 %"
    amount = m.one("Q") if carried else of_those_there(m.one("Q"), c, m.text)
    return cells_amount(m.cells()[0], amount, c)


@rule("Q [EW] L?", "S Q [EW] L?", "W Q E", "Q W t? E", "Q [EW] i? L?", "Q E")
def _so_many(m: ClauseMatch, c: Context) -> list[Judged] | None:
    c.place = m.places() or c.place
    if c.unit == "area":
        c.unit = None
    amount = m.one("Q")
    if amount.dimension is None:
        c.measured = None
    if len(m.cells()[-1]) > 1 and m.places() and amount.worded and amount.dimension == "share":
        return placed_amount(m.cells()[-1], m.places(), amount, c)  # "most a and b lie there": of each
    of_them = amount.worded and amount.text.lower().endswith(("them", "which", "whom", "these"))
    within = c.cells[0] if of_them and len(c.cells) == 1 and not c.cells[0].everything else None
    amount = amount if within else of_those_there(amount, c, m.text, before=m.parts[0][0] in "QS")
    return cells_amount(m.cells()[-1], amount, c, within)


@rule("T Q [EW]", "T g Q E")
def _holds(m: ClauseMatch, c: Context) -> list[Judged] | None:
    c.place, c.cells = m.tissues()[0], m.cells()[0]
    return cells_amount(m.cells()[0], of_those_there(m.one("Q"), c, m.text, before=True), c)


@rule("T Q", "T O? Q")
def _tissue_or_cells_there(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "carcinoma 28.6 %", and "the stroma holds 1,700 lymphocytes, the carcinoma only 40"."""
    if c.cells and not c.tissues and m.one("Q").dimension == "share":
        placed = placed_amount(c.cells, m.tissues()[0], m.one("Q"), replace(c))
        if all(claim.true for claim in placed):
            return placed
    if c.cells and not c.tissues and m.one("Q").dimension in (None, "density", "count"):
        c.place = m.tissues()[0]
        return cells_amount(tuple(each.at(None) for each in c.cells), m.one("Q"), c)
    return tissue_amount(m.tissues()[0], m.one("Q"), c)


@rule("E R L?", "E R")
def _cells_share(m: ClauseMatch, c: Context) -> list[Judged] | None:
    part: Ratioed = m.one("R")
    c.place = m.places() or c.place
    if part.tissues or part.tiles or (part.whole and part.amount.dimension == "area"):
        return None
    if part.whole and COVERS.search(m.text):  # cells have no measured area
        return None
    return cells_amount(m.cells()[0], part.amount, c, part.cells[0] if part.cells else None)


def part_checked(part: Ratioed, c: Context) -> list[Judged]:
    """Return the claim in "of the 10,000 cells"."""
    if part.checked is None or part.tiles:
        return []
    if part.tissues:
        return [judge_amount(tissue_options(c.world, part.tissues[0], part.checked), part.checked)]
    values = [c.world.count(part.cells[0])] if part.cells else [c.world.area(None)]
    if part.cells and part.cells[0].everything:  # "of 1,800 cells" may be those spoken of
        values += [c.world.count(each.at(None)) for each in c.cells]
    told = judge_amount(values, part.checked)
    if part.cells and part.cells[0].place and told.true is False:  # "9 of 10 lymphocytes in the stroma"
        everywhere = judge_amount([c.world.count(part.cells[0].at(None))], part.checked)
        told = told._replace(true=None, reason="it can be read in two ways") if everywhere.true else told
    return [told]


def apart(part: Ratioed, cells: tuple[CellGroup, ...]) -> bool:
    """Whether nobody of some cells is among those that a part is of: half of the a are never b."""
    whole = {name for each in part.cells for name in each.members}
    return bool(whole) and not any(each.everything or whole & set(each.members) for each in cells)


COVERS = re.compile(r"\b(?:cover|occup|take[sn]? up|took up|taking up|extend|span|fill|blanket)", re.I)
_ALSO_TISSUE = {"epithelial_cell": "EPITHELIAL_TISSUE", "carcinoma_cell": "CARCINOMA"}


@rule("R [EW]", "R E", "R s E")
def _share_is_cells(m: ClauseMatch, c: Context) -> list[Judged] | None:
    part: Ratioed = m.one("R")
    if part.tissues or part.tiles or m.one("W"):
        return None
    within = part.cells[0] if part.cells else None
    if within and not within.everything and set(within.members) <= set(m.cells()[0][0].members):
        return [judge_amount([Value(1.0, "share", ())], part.amount, "class")]  # all a are such cells
    if apart(part, m.cells()[0]):
        return None
    c.within = within if within and not within.everything else c.within
    found = cells_amount(m.cells()[0], part.amount, c, within)
    tissue = _ALSO_TISSUE.get(m.cells()[0][0].name)
    if part.whole and tissue and judge_amount(tissue_options(c.world, tissue, part.amount), part.amount).true:
        return [claim._replace(true=claim.true or None) for claim in found]  # of the cells or of the area
    return found


@rule("R O? L", "R L", "R O? i L", "R O t? T")
def _share_lies(m: ClauseMatch, c: Context) -> list[Judged] | None:
    part: Ratioed = m.one("R")
    places = m.places() or m.tissues()[0]
    if part.whole and len(places) == 1:
        return tissue_amount(places, part.amount, c)
    if not part.cells or (m.one("O") and m.one("O").holds[0] < 0.5):  # "most are kept out of the carcinoma"
        return None
    return placed_amount(part.cells, places, part.amount, c)


def placed_amount(
    cells: tuple[CellGroup, ...], places: tuple[str, ...], amount: Amount, c: Context
) -> list[Judged]:
    """Return the claim that so many of some cells, or such a share of them, lie in tissues."""
    if any(each.place for each in cells):
        return [Judged(None, "place", amount.text, reason="cells of one tissue do not lie in another")]
    before, c.cells, c.place = c.cells, cells, places
    if cells == (ALL_CELLS,) and before not in ((), cells):  # "..., with only a handful of cells there"
        theirs = placed_amount(tuple(each.at(None) for each in before), places, amount, c)
        if all(claim.true for claim in theirs):
            return [Judged(None, "place", amount.text, reason="of which cells is not said")]
        c.cells = cells
    if amount.dimension in ("count", None):
        return [judge_amount([c.world.count(each.at(place))], amount) for each in cells for place in places]
    if amount.of == "there":  # "abundant lymphocytes lie there": not many of them, but of the cells there
        ones = [(each.at(place), ALL_CELLS.at(place)) for each in cells for place in places]
        return [judge_amount([c.world.share(one, every)], amount) for one, every in ones]
    apart = [(place,) for place in places] if c.each else [places]
    return [judge_amount([c.world.placed(each.at(None), one)], amount) for each in cells for one in apart]


@rule("R & R O? L", "R & R & R L")
def _shares_lie(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "most plasma cells and most fibroblasts lie in the stroma"."""
    parts: list[Ratioed] = m.all("R")
    if not all(part.cells for part in parts) or len(m.places()) != 1 or m.one("O"):
        return None
    return [claim for part in parts for claim in placed_amount(part.cells, m.places(), part.amount, c)]


@rule("Q L", "Q O? L", "Q o Q L")
def _of_them_lie(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "of the 3,000 lymphocytes, 600 lie in the carcinoma"."""
    within = c.within or (c.cells[0].at(None) if len(c.cells) == 1 else None)
    if within is None or within.everything or m.one("Q").dimension not in (None, "share", "count"):
        return None
    found = placed_amount((within,), m.places(), m.one("Q"), c)
    found += [judge_amount([c.world.count(within)], each) for each in m.all("Q")[1:]]
    c.within = c.within and within
    return found


@rule("R", "S R", "w R")
def _so_few(m: ClauseMatch, c: Context) -> list[Judged] | None:
    part: Ratioed = m.one("R")
    if part.whole and part.amount.dimension == "area":
        return [judge_amount([c.world.area(None)], part.amount)]
    if part.tissues and not part.cells:
        other = c.tissues not in ((), part.tissues) and part.amount.dimension == "share"
        return None if other else tissue_amount(part.tissues, part.amount, c)
    if not part.cells or part.cells[0].everything:
        return None
    return cells_amount(part.cells, part.amount, c)


@rule("T R", "T A i? E", "T O E")
def _holds_few(m: ClauseMatch, c: Context) -> list[Judged] | None:
    part: Ratioed | None = m.one("R")
    cells = part.cells if part else m.cells()[0]
    amount = part.amount if part else m.one("A") or m.one("O")
    if not cells:
        return None
    told = (" with", " of them", "full of", " in", " by", "ly")  # "is mostly lymphocytes"
    if m.one("i") or m.one("O") or (part and amount.text.lower().endswith(told)):
        c.place = m.tissues()[0]  # "the stroma is rich in lymphocytes": of the cells there
        return [
            judge_amount([c.world.share(e.at(p), ALL_CELLS.at(p)) for p in c.place], amount) for e in cells
        ]
    return placed_amount(cells, m.tissues()[0], amount, c)


def tissue_amount(tissues: tuple[str, ...], amount: Amount, c: Context) -> list[Judged]:
    """Return the claim that a tissue is so large."""
    c.tissues, c.cells = tissues, ()
    alone = [judge_amount(tissue_options(c.world, tissue, amount), amount) for tissue in tissues]
    if len(tissues) == 1 or c.each:
        return alone
    value = c.world.area_share if amount.dimension == "share" else c.world.area
    joined = judge_amount([c.world.summed([value(tissue) for tissue in tissues])], amount)
    if joined.true or not all(claim.true for claim in alone):
        return [joined]
    return [joined._replace(true=None, reason="each of them, or all together")]


@rule("T Q", "T R", "T Y? Q", "T [YM] o? Q")
def _tissue_is(m: ClauseMatch, c: Context) -> list[Judged] | None:
    part: Ratioed | None = m.one("R")
    if part and (part.cells or part.tiles):
        return None
    if part and part.tissues:
        return tissue_part(m.tissues()[0], part, c)
    return tissue_amount(m.tissues()[0], part.amount if part else m.one("Q"), c)


def tissue_part(tissues: tuple[str, ...], part: Ratioed, c: Context) -> list[Judged]:
    """Return the claim that a tissue is such a part of another's area."""
    mine, other = tissues[0], part.tissues[0]
    if mine != other and (mine, other) != ("NECROSIS", "CARCINOMA"):
        return [Judged(None, "finding", part.amount.text, reason="the one tissue is no part of the other")]
    shares = [quotient(c.world.area(mine), c.world.area(other))]
    if (mine, other) == ("NECROSIS", "CARCINOMA"):  # the tumor's area may be meant with the necrosis in it
        shares.append(c.world.whole("necrosis_fraction"))
    c.tissues, c.cells = tissues, ()
    return [judge_amount(shares, part.amount)]


@rule("T Q o T [SM]?")
def _tissue_of_tissues(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "necrosis takes up 9 % of carcinoma and necrosis"."""
    mine, others = m.tissues()
    if len(mine) != 1 or len(others) < 2 or m.one("Q").dimension != "share":
        return None
    whole = c.world.summed([c.world.area(tissue) for tissue in dict.fromkeys(others)])
    c.tissues, c.cells = mine, ()
    return [judge_amount([quotient(c.world.area(mine[0]), whole)], m.one("Q"))]


@rule("Q T", "S Q T", "R T")
def _share_is_tissue(m: ClauseMatch, c: Context) -> list[Judged] | None:
    part: Ratioed | None = m.one("R")
    if (part and not part.whole) or OF_THEM.search(m.text):
        return None
    amount = part.amount if part else m.one("Q")
    if amount.dimension not in ("share", "area"):
        return None
    return tissue_amount(m.tissues()[0], amount, c)
