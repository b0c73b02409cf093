"""Words that place something: "in the stroma", "outside carcinoma and stroma", "stromal"."""

from histome.narrative.language.phrases.asides import are_at, is_at
from histome.narrative.language.pieces import ALL_CELLS, Token


def located(tokens: list[Token], at: int) -> tuple[dict, int] | None:
    """Read a place, and whether a verb says that they are there: "inhabit", not "in the stroma"."""
    found = _locations(tokens, at)
    if found and found[0] and tokens[at].kinds.get("i") == "lies":
        return {**found[0], "lies": True}, found[1]
    return found


def _locations(tokens: list[Token], at: int) -> tuple[dict, int] | None:
    """Read "in the stroma", "in both carcinoma and stroma"; drop "on the slide"."""
    outside = is_at(tokens, at, "e")
    dense = are_at(tokens, at - 1, "Q", "o") and tokens[at - 1].kinds["Q"].dimension == "density"
    told = are_at(tokens, at - 1, "ETL", "o", "S") and not is_at(tokens, at - 1, "M")
    if not (is_at(tokens, at, "i") or outside or dense or told):
        return None
    start = at + 1 + is_at(tokens, at + 1, "B")
    if is_at(tokens, start, "SI") and start == at + 1 and not is_at(tokens, start, "T") and not outside:
        return {}, start + 1
    among = is_at(tokens, at, "o") and are_at(tokens, at, "i", "WK") and not is_at(tokens, at + 2, "o")
    if among and any(token.has("NZ") for token in tokens[:at]):  # "do not occur among the cells"
        return {}, at + 2
    if are_at(tokens, start, "J", "K"):
        return {"L": (tokens[start].kinds["J"],)}, start + 2
    if not is_at(tokens, start, "T") or outside:
        if not outside or not is_at(tokens, start, "T"):
            return None
        both = are_at(tokens, start + 1, "&", "T")  # "outside carcinoma and stroma"
        ends = (start, start + 2) if both else (start,)
        return {"e": tuple(tokens[k].kinds["T"] for k in ends)}, ends[-1] + 1
    places, end = [tokens[start].kinds["T"]], start + 1
    while start > at + 1 or are_at(tokens, end, "&", "i", "T"):
        step = 2 if are_at(tokens, end, "&", "T") else 3 if are_at(tokens, end, "&", "i", "T") else 0
        if not step:
            break
        places.append(tokens[end + step - 1].kinds["T"])
        end += step
    if (
        len(places) == 1
        and are_at(tokens, end, "&", "T")
        and is_at(tokens, end + 2, ",") | (end + 2 == len(tokens))
    ):
        places.append(tokens[end + 1].kinds["T"])
        end += 2
    if len(places) == 1 and start > at + 1:
        return None
    if (
        len(places) > 1
        and is_at(tokens, at + 1, "B")
        and tokens[at + 1].kinds["B"] in ("both", "each", "both of")
    ):
        return {"L": tuple(places), "each": True}, end
    return {"L": tuple(places)}, end


def adjective_of_place(tokens: list[Token], at: int) -> tuple[dict, int] | None:
    """Read "stromal" as a place: of the cells behind it, or behind "to be"."""
    if not is_at(tokens, at, "J"):
        return None
    place = tokens[at].kinds["J"]
    if is_at(tokens, at + 1, "E"):
        cells = tokens[at + 1].kinds["E"]
        return {"E": cells.at(place)}, at + 2
    if is_at(tokens, at + 1, "W"):
        return {"E": ALL_CELLS.at(place)}, at + 2
    if is_at(tokens, at + 1, "u"):
        return {"L": (place,), "u": ""}, at + 2
    if is_at(tokens, at + 1, "K") and is_at(tokens, at - 1, "O"):  # "are largely a stromal population"
        return {"L": (place,), "J": place}, at + 2
    return {"L": (place,), "J": place}, at + 1
