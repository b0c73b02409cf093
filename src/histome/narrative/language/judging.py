"""Is what a clause says so? Claims from amounts, comparisons, ranks and places, against the facts."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from histome.narrative.language.amounts import Amount
from histome.narrative.language.lexicon import CellGroup
from histome.narrative.language.pieces import ALL_CELLS, AREA
from histome.narrative.language.quantities import Value, World

_UNKNOWN = "the facts do not say"


class Judged(NamedTuple):
    """Something that is said: true, false or open (None), what it rests on, and why it is not true."""

    true: bool | None
    kind: str
    text: str
    sources: tuple[str, ...] = ()
    reason: str = ""
    exact: bool = False  # a number, neither words nor a limit

    def denied(self) -> "Judged":
        """Return the opposite; that it is not some number says nothing."""
        if self.true is None or self.exact:
            return self._replace(true=None)
        reason = "" if not self.true else "the facts say that it is so"
        return self._replace(true=not self.true, reason=reason)


def judge_amount(options: Iterable[Value | None], amount: Amount, kind: str = "number") -> Judged:
    """Return whether one of the values that may be meant is an amount."""
    known = [value for value in options if value is not None]
    if not known:
        return Judged(None, kind, amount.text, reason=_UNKNOWN)
    fitting = [value for value in known if _comparable(value, amount)]
    if not fitting:
        if any(_other_resolution(value, amount) for value in known):
            return Judged(False, "unit", amount.text, reason="the value has another unit")
        return Judged(None, "unit", amount.text, reason="what is said to be so much is measured otherwise")
    results = [(_tested(value, amount), value) for value in fitting]
    for result, value in results:
        if result:
            return Judged(True, kind, amount.text, value.sources, exact=amount.is_number and kind == "number")
    if any(result is None for result, _ in results):
        return Judged(None, kind, amount.text, reason="an amount that the words leave open")
    told = dict.fromkeys(value.told(amount.dimension) for _, value in results)
    reason = f"the facts say otherwise: {'; '.join([*told][:2])}"
    return Judged(False, kind, amount.text, reason=reason, exact=amount.is_number and kind == "number")


def _comparable(value: Value, amount: Amount) -> bool:
    if amount.dimension is None:
        return value.dimension in ("count", "share", "ratio", "bits", "nats")
    if amount.dimension in ("bits", "nats"):
        return value.dimension in ("bits", "share")
    same = {"ratio": "share", "share": "share"}
    return same.get(amount.dimension, amount.dimension) == same.get(value.dimension, value.dimension)


def _other_resolution(value: Value, amount: Amount) -> bool:
    """Whether one is in pixels and the other is not: "61 px" of what is 61 um."""
    pair = {value.dimension, amount.dimension}
    return pair in ({"length", "pixel length"}, {"area", "pixel area"})


def _tested(value: Value, amount: Amount) -> bool | None:
    return amount.test(value.amount)


def judge_ratio(
    first: Value | None, second: Value | None, factor: Amount | None, sign: int, text: str
) -> Judged:
    """Return whether the first is more (sign 1), less (-1) or as much as (0) the second, by a factor."""
    if first is None or second is None:
        return Judged(None, "comparison", text, reason=_UNKNOWN)
    sources = (*first.sources, *second.sources)
    if first.dimension != second.dimension:
        return Judged(None, "comparison", text, reason="two values that do not compare")
    high, low = (first.amount, second.amount) if sign >= 0 else (second.amount, first.amount)
    if factor is None:
        return _told(high > low, text, sources)
    if not low:
        return Judged(None if high else False, "comparison", text, sources, reason="the other is 0")
    result = factor.test(high / low)
    if result and sign and high <= low and not factor.worded:
        result = None
    return _told(result, text, sources)


def _told(result: bool | None, text: str, sources: tuple[str, ...]) -> Judged:
    reasons = {True: "", False: "the numbers say otherwise", None: "words that leave it open"}
    return Judged(result, "comparison", text, sources, reasons[result])


def judge_rank(values: dict[str, Value | None], mine: str, rank: int, text: str) -> Judged:
    """Return whether one of several has a rank: 1 is the largest, -1 the smallest."""
    own = values.get(mine)
    if own is None:
        return Judged(None, "class", text, reason=_UNKNOWN)
    known = {name: value for name, value in values.items() if value is not None}
    if rank < 0 and own.amount > 0:  # what is not there at all has no rank
        known = {name: value for name, value in known.items() if value.amount > 0}
    if len(known) < 2:
        return Judged(None, "class", text, reason=_UNKNOWN)
    more = sum(value.amount > own.amount for value in known.values())
    same = sum(value.amount == own.amount for name, value in known.items() if name != mine)
    less = len(known) - more - same - 1
    before = more if rank > 0 else less
    place = abs(rank) - 1
    true = before <= place <= before + same and (own.amount > 0 or rank < 0)
    return Judged(true, "class", text, own.sources, "" if true else "another has that place")


def judge_presence(count: Value | None, text: str, kind: str = "class") -> Judged:
    """Return whether there is any."""
    if count is None:
        return Judged(None, kind, text, reason=_UNKNOWN)
    there = count.amount > 0
    return Judged(there, kind, text, count.sources, "" if there else "there are none")


def cells_options(
    world: World, cells: CellGroup, amount: Amount, within: CellGroup | None
) -> list[Value | None]:
    """Return the values that an amount of cells may mean, by its unit."""
    if amount.of == "area" or within == AREA:  # "half of the tissue": cells have no measured area
        return []
    whole = within or ALL_CELLS
    if whole.place and not cells.place:
        cells = cells.at(whole.place)
    match amount.dimension:
        case "share":
            if cells.everything:
                return [world.share(cells, whole.at(None))]
            there = world.share(cells, whole.at(cells.place)) if cells.place else None
            if cells.place and within is None:
                mine = world.placed(cells.at(None), (cells.place,))
                return [there] if amount.of == "there" else [mine, there]
            if cells.place and whole.place is None and not whole.everything:
                return [world.share(cells, whole), there]
            return [world.share(cells, whole)]
        case "density":
            return [world.density(cells)]
        case "area" | "pixel area":
            return [world.nuclear(cells)]
        case "length" | "pixel length":
            return [world.distance(cells)]
        case "ratio":
            return []
        case None if amount.middle < 1 and not float(amount.middle).is_integer():
            return [world.share(cells, whole)]
        case _:
            return [world.count(cells)]


def union(cells: Sequence[CellGroup]) -> CellGroup:
    """Return cells of several kinds together."""
    if len(cells) == 1:
        return cells[0]
    members = tuple(dict.fromkeys(member for each in cells for member in each.members))
    return CellGroup(members, " and ".join(each.name for each in cells), place=cells[0].place)


def tissue_options(world: World, tissue: str, amount: Amount) -> list[Value | None]:
    """Return the values that an amount of a tissue may mean, by its unit."""
    match amount.dimension:
        case "share":
            return [world.area_share(tissue)]
        case "area":
            return [world.area(tissue)]
        case None if amount.middle < 1:
            return [world.area_share(tissue)]
        case None if tissue == "CARCINOMA":  # "carcinoma 9,000" among counts
            return [world.count(CellGroup(("carcinoma_cell",), "carcinoma_cell"))]
        case _:
            return [world.area(tissue)]
