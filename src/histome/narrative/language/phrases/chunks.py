"""Words that belong together: "in the stroma", "stromal lymphocytes", "the density of lymphocytes"."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from histome.narrative.language.lexicon import CellGroup
from histome.narrative.language.phrases.asides import (
    are_at,
    attributes,
    is_at,
    with_asides,
    without_only,
    without_participles,
    without_reach,
    without_slide,
)
from histome.narrative.language.phrases.locations import adjective_of_place, located
from histome.narrative.language.phrases.renamings import named, of_that_kind, ones, phenotype_share
from histome.narrative.language.pieces import ALL_CELLS, Measured, Ratioed, Token, is_area, stripped

_AND = (
    "and",
    "or",
    "nor",
    "as well as",
    "plus",
    "along with",
    "together with",
    "&",
    "+",
    "but also",
    "alongside",
    "combined with",
)
Chunker = Callable[[list[Token], int], tuple[dict, int] | None]


def chunked(tokens: list[Token], *, joined: bool) -> list[Token]:
    """Return tokens with phrases put together; `joined` makes "a, b and c" one."""
    tokens, told_beside = attributes(
        without_only(without_participles(without_reach(without_slide(stripped(tokens)))))
    )
    for rules in (
        (_pieces, ones, phenotype_share, named, of_that_kind),
        (_same_again,),
        (located, adjective_of_place),
        (_rather_than,),
        (_ratios_of_two,),
        (_placed_cells, _cells_of),
        (_cells_in,),
        (_joined_cells, _joined_tissues) if joined else (),
        (_measured,),
        (_measured_in,),
        (_ratios, _whose),
    ):
        for rule in rules:
            tokens = _rewritten(tokens, rule)
    return [*with_asides(tokens), *told_beside]


def _rewritten(tokens: list[Token], rule: Chunker) -> list[Token]:
    found: list[Token] = []
    at = 0
    while at < len(tokens):
        made = rule(tokens, at)
        if made is None:
            found.append(tokens[at])
            at += 1
            continue
        kinds, end = made
        notes = [note for token in tokens[at:end] for note in token.notes]
        if kinds:
            found.append(Token(kinds, tokens[at].start, tokens[end - 1].end, notes))
        at = end
    return found


def _separated(tokens: list[Token], at: int, letters: str) -> Iterator[int]:
    """Yield where the items of "a, b and c" stand, from the one at `at` on."""
    while is_at(tokens, at, letters):  # "and" ends a list: "after a and b, c"
        yield at
        one = at + 1
        listed = is_at(tokens, one, ",") and not is_at(tokens, one, "&") and is_at(tokens, one + 1, letters)
        if (listed and not _joins(tokens, at - 1)) or (
            _joins(tokens, one) and is_at(tokens, one + 1, letters)
        ):
            at += 2
        elif is_at(tokens, one, ",") and _joins(tokens, one + 1) and is_at(tokens, one + 2, letters):
            at += 3
        else:
            return


def _joins(tokens: list[Token], at: int) -> bool:
    """Whether this is "and" rather than "whereas"."""
    return is_at(tokens, at, "&") and tokens[at].kinds["&"] in _AND


def _pieces(tokens: list[Token], at: int) -> tuple[dict, int] | None:
    """Read "areas of necrosis" as necrosis."""
    if are_at(tokens, at, "b", "of", "T") and not (is_at(tokens, at, "M") and is_at(tokens, at - 1, "Q")):
        return {"T": tokens[at + 2].kinds["T"]}, at + 3
    return None


def _rather_than(tokens: list[Token], at: int) -> tuple[dict, int] | None:
    """Read "in the stroma rather than in the carcinoma": one place, and where there are fewer."""
    if are_at(tokens, at, "LT", "7", "LT"):
        mine, other = tokens[at].kinds, tokens[at + 2].kinds
        place = {letter: mine[letter] for letter in "LT" if letter in mine}
        return {**place, "rather": other.get("L") or (other["T"],)}, at + 3
    if are_at(tokens, at, "L", ",", "N", "LT") and tokens[at + 2].kinds["N"] == "not":
        other = tokens[at + 3].kinds
        other = other.get("L") or (other["T"],)
        return {"L": tokens[at].kinds["L"], "rather": other, "not": True}, at + 4
    return None


def _same_again(tokens: list[Token], at: int) -> tuple[dict, int] | None:
    """Read "necrosis (necrotic tissue)" as one."""
    for letter in "TEM":
        twice = are_at(tokens, at, letter, ",", letter, ",")
        if twice and tokens[at].kinds[letter] == tokens[at + 2].kinds[letter]:
            return dict(tokens[at].kinds), at + 4
    return None


def _ratios_of_two(tokens: list[Token], at: int) -> tuple[dict, int] | None:
    """Read "the ratio of a to b", "the a to b ratio", "the distance from a to b"."""
    if are_at(tokens, at, "M", "of", "ET", "tf&=a"):
        end = at + 4 + is_at(tokens, at + 4, "0_")
        if is_at(tokens, end, "ET") and tokens[at].kinds["M"][0] in ("ratio", "distance", "least_distance"):
            return _pair(tokens[at].kinds["M"], tokens[at + 2], tokens[end]), end + 1
    if are_at(tokens, at, "2", "ET", "&", "ET", ",", "M"):
        return _pair(tokens[at + 5].kinds["M"], tokens[at + 1], tokens[at + 3]), at + 6
    if are_at(tokens, at, "M", "2", "ET", "&", "ET"):
        return _pair(tokens[at].kinds["M"], tokens[at + 2], tokens[at + 4]), at + 5
    if (
        are_at(tokens, at, "E", ",", "E") | are_at(tokens, at, "T", ",", "T")
        and tokens[at + 1].kinds[","] == ":"
    ):
        behind = at + 3 + is_at(tokens, at + 3, "v")
        if is_at(tokens, behind, "Q") and tokens[behind].kinds["Q"].dimension == "ratio":
            letter = "E" if are_at(tokens, at, "E", ",", "E") else "T"
            return {f"{letter}+": (tokens[at].kinds[letter], tokens[at + 2].kinds[letter])}, at + 3
    for step in ((1, 2), (0, 1)):
        middle, last = step
        fits = (
            (is_at(tokens, at + 1, "t/") or tokens[at + 1 : at + 2][0].kinds.get(",") == ":")
            if middle and at + 1 < len(tokens)
            else not middle
        )
        if (
            fits
            and is_at(tokens, at, "ET")
            and is_at(tokens, at + last, "ET")
            and is_at(tokens, at + last + 1, "M")
        ):
            measures = tokens[at + last + 1].kinds["M"]
            if "ratio" in measures or "distance" in measures:
                return _pair(measures, tokens[at], tokens[at + last]), at + last + 2
    return None


def _pair(measures: tuple[str, ...], first: Token, second: Token) -> dict:
    cells = tuple(t.kinds["E"] for t in (first, second) if "E" in t.kinds)
    tissues = tuple(t.kinds["T"] for t in (first, second) if "E" not in t.kinds)
    return {"Y": Measured(measures, cells, tissues)}


def _placed_cells(tokens: list[Token], at: int) -> tuple[dict, int] | None:
    """Read "carcinoma lymphocytes" and "lymphocytes of the stroma" as cells in a tissue."""
    if are_at(tokens, at, "T", "E") and not is_at(tokens, at, "E"):
        return {"E": tokens[at + 1].kinds["E"].at(tokens[at].kinds["T"])}, at + 2
    if are_at(tokens, at, "T", "W"):
        return {"E": ALL_CELLS.at(tokens[at].kinds["T"])}, at + 2
    if are_at(tokens, at, "E", "o", "T") and not tokens[at].kinds["E"].place:
        return {"E": tokens[at].kinds["E"].at(tokens[at + 2].kinds["T"])}, at + 3
    return None


def _cells_of(tokens: list[Token], at: int) -> tuple[dict, int] | None:
    """Read "nuclei of lymphocytes", "the population of lymphocytes", "the lymphocyte group"."""
    if are_at(tokens, at, "WK", "of", "E") and not is_at(tokens, at - 1, "Qo1k"):
        cells = tokens[at + 2].kinds["E"]
        return {"E": cells._replace(nuclei=cells.nuclei or "W" in tokens[at].kinds)}, at + 3
    if are_at(tokens, at, "E", "W") and is_at(tokens, at + 1, "_"):  # "neoplastic objects"
        return {"E": tokens[at].kinds["E"]}, at + 2
    if are_at(tokens, at, "E", "K") and tokens[at + 1].kinds["K"] == "one" and at + 2 == len(tokens):
        return {"E": tokens[at].kinds["E"]}, at + 2
    if are_at(tokens, at, "E", "K") and not tokens[at + 1].has("MvQ") and not is_at(tokens, at - 1, "k"):
        return {"E": tokens[at].kinds["E"]}, at + 2
    return None


def _cells_in(tokens: list[Token], at: int) -> tuple[dict, int] | None:
    """Read "lymphocytes in the stroma"."""
    if are_at(tokens, at, "EW", "L") and not is_at(tokens, at, "L") and "lies" not in tokens[at + 1].kinds:
        cells = tokens[at].kinds.get("E") or ALL_CELLS
        places = tokens[at + 1].kinds["L"]
        if len(places) == 1 and not cells.place:
            return {"E": cells.at(places[0]), "@L": places}, at + 2
    return None


def _joined_cells(tokens: list[Token], at: int) -> tuple[dict, int] | None:
    """Read "a, b and c" of cells as one."""
    places = list(_separated(tokens, at, "E"))
    last = places[-1] if places else at
    if len(places) < 2 or not any(is_at(tokens, k, "&") for k in range(at, last)):
        return None
    return {
        "E+": tuple(tokens[k].kinds["E"] for k in places),
        "notes": [tokens[k].notes for k in places],
    }, last + 1


def _joined_tissues(tokens: list[Token], at: int) -> tuple[dict, int] | None:
    places = list(_separated(tokens, at, "T"))
    last = places[-1] if places else at
    if len(places) < 2 or not any(is_at(tokens, k, "&") for k in range(at, last)):
        return None
    return {"T+": tuple(tokens[k].kinds["T"] for k in places)}, last + 1


def _measured(tokens: list[Token], at: int) -> tuple[dict, int] | None:
    """Read "the density of lymphocytes", "lymphocyte density", "the area of stroma", "stromal density"."""
    if are_at(tokens, at, "M", "o", "EWT", "M"):
        inner = _measure(tokens[at], tokens[at + 2])["Y"]
        return {"Y": inner}, at + 4
    taken = (
        are_at(tokens, at, "M", "v", "T") and "by" in tokens[at + 1].kinds
    )  # "the area occupied by stroma"
    if (
        are_at(tokens, at, "M", "v", "t", "T")
        and "area" in tokens[at].kinds["M"]
        and is_at(tokens, at + 1, "&")
    ):
        return _measure(tokens[at], tokens[at + 3]), at + 4  # "the area given to carcinoma"
    if taken or are_at(tokens, at, "M", "u", "T"):  # "the area that the stroma does"
        return _measure(tokens[at], tokens[at + 2]), at + 3
    if are_at(tokens, at, "M", "o", "M") and {"count", "share"} & set(tokens[at].kinds["M"]):
        counted = {"engaged", "aggregates", "regions", "abstained"} & set(tokens[at + 2].kinds["M"])
        if counted:  # "the number of engaged immune cells"
            return _measured(tokens, at + 2) and (
                {**tokens[at + 2].kinds, "Y": Measured(tokens[at + 2].kinds["M"])},
                at + 3,
            )
    if are_at(tokens, at, "M", "v", "g", "ET"):  # "the area taken up by stroma"
        return _measure(tokens[at], tokens[at + 3]), at + 4
    if are_at(tokens, at, "M", "p", "E") and tokens[at + 1].kinds["p"] == "for":
        return _measure(tokens[at], tokens[at + 2]), at + 3
    if are_at(tokens, at, "M", "of", "ETW"):
        return _measure(tokens[at], tokens[at + 2]), at + 3
    if are_at(tokens, at, "M", "L") and is_at(tokens, at, "M"):
        return {"Y": Measured(tokens[at].kinds["M"], place=tokens[at + 1].kinds["L"])}, at + 2
    if are_at(tokens, at, "ETW", "M") and (
        not is_at(tokens, at + 1, "vQ") or are_at(tokens, at, "E", "M", "L")
    ):
        return _measure(tokens[at + 1], tokens[at]), at + 2
    if are_at(tokens, at, "L", "M") and is_at(tokens, at, "J"):
        return {"Y": Measured(tokens[at + 1].kinds["M"], place=tokens[at].kinds["L"])}, at + 2
    if is_at(tokens, at, "M") and "Y" not in tokens[at].kinds:
        return {**tokens[at].kinds, "Y": Measured(tokens[at].kinds["M"])}, at + 1
    return None


def _measured_in(tokens: list[Token], at: int) -> tuple[dict, int] | None:
    """Read "the lymphocyte density in the core", "stromal density of a", "distance of a to the carcinoma"."""
    bare = is_at(tokens, at, "Y") and not tokens[at].kinds["Y"].cells and not tokens[at].kinds["Y"].tissues
    if bare and are_at(tokens, at + 1, "o", "E") and tokens[at].kinds["Y"].place:
        cells = tokens[at + 2].kinds["E"]
        return {"Y": tokens[at].kinds["Y"]._replace(cells=(cells,))}, at + 3
    if are_at(tokens, at, "Y", "tf", "T") and not bare and tokens[at + 2].kinds["T"] == "CARCINOMA":
        far = {"distance", "least_distance"} & set(tokens[at].kinds["Y"].measures)
        return (dict(tokens[at].kinds), at + 3) if far and not tokens[at].kinds["Y"].tissues else None
    if not are_at(tokens, at, "Y", "L"):
        return None
    measured: Measured = tokens[at].kinds["Y"]
    places = tokens[at + 1].kinds["L"]
    if measured.place or measured.tissues or len(places) != 1 or any(each.place for each in measured.cells):
        return None
    return {**tokens[at].kinds, "Y": measured._replace(place=places)}, at + 2


def _measure(measure: Token, thing: Token) -> dict:
    names = measure.kinds["M"]
    if "E" in thing.kinds:
        return {"Y": Measured(names, (thing.kinds["E"],))}
    if "T" in thing.kinds:
        if thing.kinds["T"] == "CARCINOMA" and set(names) & {"nuclear", "roundness"} and "area" not in names:
            return {"Y": Measured(names, (CellGroup(("carcinoma_cell",), "carcinoma_cell"),))}
        return {"Y": Measured(names, tissues=(thing.kinds["T"],))}
    return {"Y": Measured(names, (ALL_CELLS,))}


def _ratios(tokens: list[Token], at: int) -> tuple[dict, int] | None:
    """Read "half of the lymphocytes", "25 % of the cells", "most lymphocytes", "one in four cells"."""
    if (
        is_area(tokens[at])
        and are_at(tokens, at + 1, "v", "Q", "E")
        and "seen" not in tokens[at + 1].kinds.values()
    ):
        amount = tokens[at + 2].kinds["Q"]  # "the tissue is 25 % lymphocytes"
        if amount.dimension == "share" and (not amount.worded or amount.holds[1] < 0.99):
            return {"R": _of(amount, tokens[at], None)}, at + 3
    if is_at(tokens, at, "Q"):
        amount = tokens[at].kinds["Q"]
        if amount.worded and amount.holds[0] > 0.99 and are_at(tokens, at + 1, "Q", "E"):  # "all 200 cells"
            stated = tokens[at + 1].kinds["Q"]
            return {"R": _of(amount, tokens[at + 2], stated)}, at + 3
        if is_at(tokens, at + 1, "o"):
            checked, thing, amount = None, at + 2, replace(amount, of=None)  # "many of the lymphocytes"
            if are_at(tokens, at + 2, "Q", "EWSTI"):
                checked, thing = tokens[at + 2].kinds["Q"], at + 3
                if checked.dimension == "share":  # "a third of all cells"
                    checked = None
            if (
                are_at(tokens, thing, "Q", "o", "S") and amount.dimension == "area"
            ):  # "4 mm2 of the 7 mm2 of tissue"
                stated = tokens[thing].kinds["Q"]
                return {"R": _of(amount, tokens[thing + 2], stated)}, thing + 3
            if amount.dimension == "share" and is_at(tokens, thing, "M") and is_at(tokens, thing, "Y"):
                bare = tokens[thing].kinds["Y"]
                if not bare.cells and not bare.tissues and not bare.place and "area" in bare.measures:
                    return {"R": _of(amount, Token({"S": "area"}, 0, 0), checked)}, thing + 1
            stated = tokens[thing + 2].kinds["Q"] if are_at(tokens, thing, "S", "o", "Q") else None
            if stated is not None and checked is None and stated.dimension == "area":
                return {"R": _of(amount, tokens[thing], stated)}, thing + 3  # "of a valid area of 7 mm2"
            if is_at(tokens, thing, "EWSTI"):
                return {"R": _of(amount, tokens[thing], checked)}, thing + 1
        if (
            amount.dimension == "share"
            and amount.worded
            and (
                is_at(tokens, at + 1, "EWT")
                or (is_at(tokens, at + 1, "S") and is_area(tokens[at + 1]) and amount.holds[0] < 0.99)
            )
            and not is_at(tokens, at - 1, "s")
        ):
            if is_at(tokens, at - 1, "xag") and amount.holds[0] > 0.99 and is_at(tokens, at + 1, "E"):
                return {"E": tokens[at + 1].kinds["E"]}, at + 2  # "outnumber all immune cells"
            return {"R": _of(amount, tokens[at + 1], None)}, at + 2
    return None


def _of(amount, thing: Token, checked) -> Ratioed:
    if "E" in thing.kinds:
        return Ratioed(amount, (thing.kinds["E"],), checked=checked)
    if "W" in thing.kinds:
        return Ratioed(amount, (ALL_CELLS,), checked=checked)
    if "T" in thing.kinds:
        return Ratioed(amount, tissues=(thing.kinds["T"],), checked=checked)
    if is_area(thing):
        amount = replace(amount, of="area")
    return Ratioed(amount, whole="S" in thing.kinds, tiles="I" in thing.kinds, checked=checked)


def _whose(tokens: list[Token], at: int) -> tuple[dict, int] | None:
    """Read "that of stroma", "those of lymphocytes", "that in carcinoma"."""
    nuclei = any(t.has("E") and "E+" not in t.kinds and t.kinds["E"].nuclei for t in tokens[:at])
    if nuclei and are_at(tokens, at, "u", "o", "T") and tokens[at + 2].kinds["T"] == "CARCINOMA":
        return {"E": CellGroup(("carcinoma_cell",), "carcinoma_cell", nuclei=True), "u": ""}, at + 3
    if are_at(tokens, at, "u", "o", "ET"):
        thing = tokens[at + 2].kinds
        return {key: thing[key] for key in "ET" if key in thing} | {"u": ""}, at + 3
    if are_at(tokens, at, "u", "L"):
        return {"L": tokens[at + 1].kinds["L"], "u": ""}, at + 2
    return None
