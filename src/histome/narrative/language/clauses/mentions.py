"""Clauses on a part of the cells, on what there is little or none of."""

import re
from dataclasses import replace

from histome.narrative.language.amounts import word_amount
from histome.narrative.language.clauses.measuring import (
    OF_THEM,
    cells_amount,
    measure_options,
    quotient,
)
from histome.narrative.language.clauses.values import (
    part_checked,
    placed_amount,
    tissue_amount,
)
from histome.narrative.language.judging import (
    Judged,
    judge_amount,
    judge_presence,
    union,
)
from histome.narrative.language.lexicon import CellGroup
from histome.narrative.language.patterns import ClauseMatch, Context, rule
from histome.narrative.language.pieces import ALL_CELLS, AREA, Measured, Ratioed, is_area
from histome.narrative.language.quantities import ZONES

_LEAVING = re.compile(r"leav(?:ing|es)\b", re.I)
_THIS = re.compile(r"\b(?:this|that) (?:tissue )?(?:class|category|compartment|type)\b", re.I)
_MOSTLY = re.compile(r"\b(?:mostly|largely|mainly|predominantly|primarily)\b", re.I)
ALL_OF_IT = re.compile(r"\b(?:consist|compos|made up of|built of|built from)", re.I)


@rule("R Y", "Q E Y", "Q Y", "Q o Q Y")
def _abstained(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "257 of the inflammatory cells are engaged"."""
    measured: Measured = m.one("Y")
    named = m.cells()[0] if m.cells() else (c.within,) if c.within else c.cells or measured.cells
    alone = not named and "engaged" in measured.measures  # "257 engaged cells were counted"
    if alone or (
        named == (ALL_CELLS,) and m.one("Q") and m.one("Q").dimension is None
    ):  # "of 400 cells, 24 are engaged"
        named = (CellGroup(("Inflammatory",), "Inflammatory"),)
    part: Ratioed = m.one("R") or Ratioed(m.one("Q"), named, checked=m.all("Q")[1] if m.one("o") else None)
    if "engaged" not in measured.measures or not part.cells or part.cells[0].members != ("Inflammatory",):
        return None
    engaged, every = c.world.whole("engaged"), c.world.count(part.cells[0])
    share = quotient(engaged, every)
    value = share if part.amount.dimension == "share" else engaged
    c.measured = Measured(("engaged",))
    stated = part_checked(part, c) if m.one("o") else []
    return [*stated, judge_amount([value], part.amount)]


@rule("Q o Q", "R")
def _so_many_of(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "very few lie in the carcinoma: 40 of 1,800", of those spoken of and where."""
    part: Ratioed | None = m.one("R")
    few, every = (part.amount, part.checked) if part else m.all("Q")
    everything = part is None or (len(part.cells) == 1 and part.cells[0].everything)
    if not everything or every is None or few.dimension or every.dimension or few.worded:
        return None
    if c.measured == Measured(("engaged",)):  # "only a few are engaged (257 of 3,133)"
        counts = [c.world.whole("engaged"), c.world.named("count_Inflammatory")]
        return [judge_amount([value], told) for value, told in zip(counts, (few, every), strict=True)]
    if len(c.cells) != 1 or c.cells[0].place or c.cells[0].everything or len(c.place) > 1 or c.outside:
        return None
    mine, whole = c.cells[0], c.cells[0] if c.place else c.within or ALL_CELLS
    told = judge_amount([c.world.count(mine.at(c.place[0]) if c.place else mine)], few)
    return [told] if part else [told, judge_amount([c.world.count(whole)], every)]


@rule("Q Q [LT]")
def _all_of_them(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "...; all 200 are stromal"."""
    every, count = m.all("Q")
    if not every.worded or every.holds[0] < 0.99 or count.dimension or len(c.cells) != 1:
        return None
    told = judge_amount([c.world.count(c.cells[0].at(None))], count)
    where = m.places() or m.tissues()[0]
    return [told, *placed_amount((c.cells[0].at(None),), where, every, c)]


@rule("E Y")
def _engaged(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "no inflammatory cell is engaged" and "the inflammatory cells are engaged": none, or all."""
    named, engaged = m.cells()[0], c.world.whole("engaged")
    every = c.world.count(named[0])
    if m.one("Y").measures != ("engaged",) or m.one("Y").cells or named[0].members != ("Inflammatory",):
        return None
    if engaged is None or every is None or len(named) > 1 or not every.amount:
        return None
    true = {0.0: False, every.amount: True}.get(engaged.amount)
    reason = {False: "none is", True: "", None: "some are and some are not"}[true]
    return [Judged(true, "finding", m.text, (*engaged.sources, *every.sources), reason)]


@rule("o W", "o E", "o Q W", "o Q E", "o Q S", "o S", "o R", "o Q o [WES]", "o [QO]? K")
def _of_all(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "of the 4,501 nuclei, ..." and "among the immune cells, ..."."""
    part: Ratioed | None = m.one("R")
    if m.tokens("K"):  # "of all tissue compartments"
        named = m.one("Q") or m.one("O")
        return None if named is not None and named.holds[0] < 0.9 else []
    amount = part.amount if part else m.one("Q")
    cells = m.cells()[0] if m.cells() else (part.cells if part and part.cells else (ALL_CELLS,))
    area = any(map(is_area, m.tokens("S"))) or (amount is not None and amount.dimension == "area")
    c.within = AREA if area or (part and part.amount.of == "area") else union(cells)
    if amount is None:
        return []
    counted = m.cells() or (part and part.cells)
    values = [c.world.count(c.within)] if counted else [c.world.area(None), c.world.named("VALID_AREA")]
    return [judge_amount(values, amount)]


@rule("o T", "2 T")
def _of_places(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "of core, inner margin and outer margin, ...": all that there are to compare."""
    named = sorted(m.tissues()[0])
    return [] if named in (sorted(ZONES), ["CARCINOMA", "STROMA"]) else None


@rule("p? $ o? [TL]")
def _per_unit_of_place(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "per square millimeter of stroma, ..."."""
    if m.one("$")[0] != "area":
        return None
    c.place, c.aspect = m.places() or m.tissues()[0], "density"
    return []


@rule("[AQ]")
def _whoever(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "although few, ...": of whom comes after it."""
    amount = m.one("A") or m.one("Q")
    if c.cells or c.tissues or c.tile_metric or c.pending or not amount.worded:
        return None
    c.pending = [amount]
    return []


@rule("[wi] R")
def _at_a_part(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "lymphocytes are scarce, at under 2 % of the total"."""
    part: Ratioed = m.one("R")
    wide = part.whole and part.amount.dimension == "area"
    if part.checked or part.tiles or part.tissues or (c.tile_metric and not c.cells) or (wide and c.cells):
        return None
    if not c.cells and not c.tissues and part.whole:
        c.pending = [part.amount]
        return []
    if c.measured and not c.cells and not c.tissues and part.cells == (ALL_CELLS,):
        return [judge_amount(measure_options(c.measured, c, part.amount), part.amount)]
    if c.cells and (part.whole or part.cells):
        return cells_amount(c.cells, part.amount, c, part.cells[0] if part.cells else None)
    return tissue_amount(c.tissues, part.amount, c) if c.tissues and part.whole else None


@rule("[wi] Q", "w Q o W", "w Q [KW]")
def _pending(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "with 45 %, ...": of whom comes after it."""
    dimension = m.one("Q").dimension
    if (c.measured or c.tile_metric) and not c.cells and not c.tissues:
        return None
    if m.one("Q").worded and m.one("Q").holds[0] > 0.99:  # "across all calls"
        return None
    if c.against and m.one("i") and dimension in ("area", "pixel area", "density"):
        return None
    if c.cells or c.tissues:
        if m.one("Q").dimension in (None, "count"):
            return None
        return cells_amount(c.cells, m.one("Q"), c) if c.cells else tissue_amount(c.tissues, m.one("Q"), c)
    c.pending = [m.one("Q")]
    return []


@rule("A E", "S A E", "S? A i E", "A E Q")
def _few_cells(m: ClauseMatch, c: Context) -> list[Judged]:
    """Read "few lymphocytes", "the section is rich in lymphocytes", "a low lymphocyte count of 30"."""
    counted = cells_amount(m.cells()[0], m.one("Q"), c) if m.one("Q") else []
    return [*cells_amount(m.cells()[0], m.one("A"), c), *counted]


@rule("E A", "E O A", "E y A", "E i A", "E A o Q")
def _adjective(m: ClauseMatch, c: Context) -> list[Judged] | None:
    found: list[Judged] = []
    if m.one("y") and m.one("y").holds[0] < 1:  # "equally"
        return None
    for each in m.cells()[0]:
        found += cells_amount((each,), m.one("A"), c)
        found += cells_amount((each,), m.one("Q"), c) if m.one("Q") else []
    c.cells = m.cells()[0]
    return found


@rule("T A", "A T", "S A T", "w A T", "R")
def _tissue_adjective(m: ClauseMatch, c: Context) -> list[Judged] | None:
    part: Ratioed | None = m.one("R")
    if part is not None:
        if not part.tissues or (c.tissues not in ((), part.tissues) and part.amount.dimension == "share"):
            return None  # "epithelium takes 1.5 mm2, half of what the stroma does"
        return [judge_amount([c.world.area_share(part.tissues[0])], part.amount)]
    amount = m.one("A")
    if OF_THEM.search(m.text):
        return None
    # A seventh of the area is little for a tissue, where a fifth of the cells is much for a class.
    wide = amount if amount.holds[0] > 1e-3 else amount.scaled(2.5, "share")
    return tissue_amount(m.tissues()[0], wide, c)


@rule("S W? O E", "W O E", "O E S")
def _mostly_made_of(m: ClauseMatch, c: Context) -> list[Judged]:
    """Read "the section is mostly composed of carcinoma cells"."""
    return cells_amount(m.cells()[-1], m.one("O"), c)


@rule("[ST] D E")
def _mostly_of(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "the stroma consists mostly of lymphocytes": more than half of the cells there."""
    if not _MOSTLY.search(m.text):
        return None
    c.place = m.tissues()[0] if m.tissues() else c.place
    return cells_amount(m.cells()[0], replace(word_amount("shares", "most"), of="there"), c)


@rule("[ETYL]", "u? 5? Y")
def _that_is(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "(stroma)" behind "supporting tissue": the same again in other words."""
    kinds = m.parts[-1][1].kinds
    median = c.world.is_patch or "median" in m.text.lower()
    same = (
        "Y" in kinds
        and median
        and m.said <= {"plain"}
        and c.measured is not None
        and not m.parts[-1][1].notes
    )
    if same and not c.negated and kinds["Y"] == c.measured and kinds["Y"].measures == ("distance",):
        return []  # "since this is the median distance"
    if c.negated or m.said or m.parts[-1][1].notes or len(m.parts) > 1:
        return None
    same = (
        "E" in kinds
        and bool(c.cells)
        and all(each.members and set(each.members) <= set(kinds["E"].members) for each in c.cells)
    )
    same = same or ("T" in kinds and (kinds["T"],) in (c.tissues, c.place))
    same = same or ("L" in kinds and kinds["L"] == c.place)
    same = same or ("Y" in kinds and c.measured is not None and kinds["Y"].measures == c.measured.measures)
    return [] if same else None


@rule("Y A")
def _their_number(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "..., although their number is low": of those spoken of."""
    measured: Measured = m.one("Y")
    if "count" not in measured.measures or measured.cells or measured.tissues or len(c.cells) != 1:
        return None
    return cells_amount(c.cells, m.one("A"), c)


@rule("S K")
def _none_of_the_area(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "necrosis is absent, with no area assigned to this class"."""
    if not c.negated or len(c.tissues) != 1 or c.cells or not _THIS.search(m.text):
        return None
    return [judge_presence(c.world.area(c.tissues[0]), m.text, "finding")]


@rule("W E", "Q W E")
def _no_cells_are(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "no cells were classified as granulocytes", "none of the 400 cells ..."."""
    if m.one("Q") and c.negated:
        whole = judge_amount([c.world.count(ALL_CELLS)], m.one("Q"))
        found = [judge_presence(c.world.count(each), each.name) for each in m.cells()[1]]
        return found if whole.true else None
    return [judge_presence(c.world.count(each), each.name) for each in m.cells()[1]] if c.negated else None


@rule("W", "S W")
def _none_at_all(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "no nuclei were found"."""
    every = m.one("W").everything and m.one("W").place is None
    if not (c.negated and m.said and every):
        return None
    there = judge_presence(c.world.count(ALL_CELLS), m.text)
    others = c.world.facts.left_out or c.world.facts.get("CELL_N_NOT_COUNTED")
    if others and not there.true:
        return [there._replace(true=None, reason="others were found that no number counts")]
    return [there]


@rule("T")
def _left_without(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "all plasma cells lie in the stroma, leaving the carcinoma without any": of those spoken of."""
    if not c.negated or len(c.cells) != 1 or not _LEAVING.match(m.text):
        return None
    return [judge_presence(c.world.count(c.cells[0].at(place)), place) for place in m.tissues()[0]]


@rule("[ETY]", "T", "S [ETY]", "[ETY] L", "[ET]", "[ET] L?")
def _presence(m: ClauseMatch, c: Context) -> list[Judged] | None:
    placed = any(each.place for group in m.cells() for each in group)
    bare = len(m.parts) == 1 and not m.parts[0][1].notes and not placed and "seen" not in m.said
    if (bare or not m.said) and not c.negated and not m.parts[0][1].notes:
        return None
    if ALL_OF_IT.search(m.text) and not c.negated:  # "consists of carcinoma and necrosis": of nothing else
        return None
    if m.places() and m.cells() and not c.negated and "seen" not in m.said and not m.parts[0][1].notes:
        return None  # "lie in the stroma": most of them do
    found: list[Judged] = []
    place = m.places() or c.place
    for each in [one for group in m.cells() for one in group]:
        where = each.at(place[0]) if place and not each.place else each
        found.append(judge_presence(c.world.count(where), each.name))
    for each in [one for group in m.tissues() for one in group]:
        found.append(judge_presence(c.world.area(each), each, "finding"))
    if m.one("Y") is not None:
        found += _thing_presence(m.one("Y"), c)
        c.measured = m.one("Y")
    if not found:
        return None
    c.cells, c.place = m.cells()[0] if m.cells() else c.cells, m.places() or c.place
    return found


def _thing_presence(measured: Measured, c: Context) -> list[Judged]:
    if "aggregates" not in measured.measures or measured.cells or measured.tissues:
        return []
    return [judge_presence(c.world.whole("aggregates"), "lymphoid aggregates", "finding")]
