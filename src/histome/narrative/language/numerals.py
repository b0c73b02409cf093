"""Amounts in a sentence: numbers with hedges and units, fractions, ratios, words for an amount."""

import re
from dataclasses import replace

from histome.narrative.language.amounts import Amount, between, number_amount
from histome.narrative.language.lexicon import Kinds, phrases
from histome.narrative.language.pieces import ALL_CELLS, Ratioed, Token
from histome.narrative.language.tokens import lexemes

_AS_MANY = re.compile(r"\bas (?:many|much|few|high|low|large) as $", re.I)
_BEYOND = {"above": 1, "over": 1, "below": -1, "under": -1}


def with_amounts(tokens: list[Token], sentence: str, subject: str) -> list[Token]:
    """Return tokens with amounts put together."""
    tokens = _without_as_many(_with_halves(tokens, sentence), sentence)
    found: list[Token] = []
    at = 0
    while at < len(tokens):
        amount, end = _amount(tokens, at, sentence)
        if amount is not None:
            found.append(amount)
            at = end
        else:
            found += _unhedged(tokens[at], sentence, subject)
            at += 1
    return found


def _without_as_many(tokens: list[Token], sentence: str) -> list[Token]:
    """Return tokens without the "as many as" of "as many as 1,700"."""
    found: list[Token] = []
    for token in tokens:
        said = _AS_MANY.search(sentence[: token.start]) if token.has("#^%~") else None
        if said:
            found = [one for one in found if one.start < said.start()]
        found.append(token)
    return found


def _with_halves(tokens: list[Token], sentence: str) -> list[Token]:
    """Return tokens with "two and a half" as one number."""
    found: list[Token] = []
    for at, token in enumerate(tokens):
        part = token.kinds.get("%")
        words = sentence[token.start : token.end].lower()
        if part and words.startswith(("a ", "one ")) and len(found) > 1 and "&" in found[-1].kinds:
            whole = _value(found[-2])
            said = sentence[found[-1].start : found[-1].end].lower()
            if whole and whole[2] is None and whole[0].is_integer() and said == "and":
                found[-2:] = [Token({"#": (whole[0] + part, 0.05, None, 1.0)}, found[-2].start, token.end)]
                continue
        several = part and len(found) > 2 and "&" in found[-2].kinds and tokens[at + 1 : at + 2]
        whole, many = (_value(found[-3]), _value(found[-1])) if several else (None, None)
        if part and whole and many and tokens[at + 1].has("@") and many[0] * part < 1:
            value = whole[0] + many[0] * part  # "one and three quarters times"
            found[-3:] = [Token({"#": (value, 0.05, None, 1.0)}, found[-3].start, token.end)]
            continue
        found.append(token)
    return found


def _unhedged(token: Token, sentence: str, subject: str) -> list[Token]:
    """Return "larger than" as two words where no number follows."""
    words = sentence[token.start : token.end].lower().split()
    if "~" in token.kinds and words[-1] in _BEYOND:  # "far above the count of macrophages"
        degree = phrases(subject)[0].get(tuple(words[:-1]), {}).get("y")
        kinds = {**token.kinds, "x": _BEYOND[words[-1]]}
        first = [Token({"y": degree}, token.start, token.start)] if degree else []
        return [*first, replace(token, kinds=kinds)] if degree or len(words) == 1 else [token]
    if "~" not in token.kinds or words[-1] != "than":
        return [token]
    cut = token.end - len("than")
    than = Token({"a": "than"}, cut, token.end)
    for size in range(len(words) - 1):  # "considerably larger than": a degree, and more
        degree = phrases(subject)[0].get(tuple(words[:size]), {}).get("y")
        kinds = phrases(subject)[0].get(tuple(words[size:-1]))
        if kinds and (degree or not size):
            first = [Token({"y": degree}, token.start, token.start)] if size else []
            return [*first, Token(dict(kinds), token.start, cut), than]
    return [Token({}, token.start, cut), than]


def _amount(tokens: list[Token], at: int, sentence: str) -> tuple[Token | None, int]:
    """Return the amount that begins at a token, hedges before it included, and where it ends."""
    if _is_rest(tokens, at, sentence):
        return None, at
    hedge, first = None, at
    while first < len(tokens) and "~" in tokens[first].kinds and hedge is None:
        hedge, first = tokens[first].kinds["~"], first + 1
    while hedge and first < len(tokens) - 1 and set(tokens[first].kinds) <= {"_"}:
        first += 1
    if first >= len(tokens):
        return None, at
    for rule in (_range, _fold, _fraction, _one_in, _to_one, _plain_number, _worded):
        kind, amount, end = rule(tokens, first, hedge, sentence)
        if amount is not None:
            text = sentence[tokens[at].start : tokens[end - 1].end]
            amount = replace(amount, text=text)
            kinds: Kinds = {kind: amount}
            if kind in ("of cells", "of tiles"):
                tiles = kind == "of tiles"
                kinds = {"R": Ratioed(amount, () if tiles else (amount.of or ALL_CELLS,), tiles=tiles)}
            if end == at + 1:
                kinds = {
                    name: value
                    for name, value in tokens[at].kinds.items()
                    if name not in ("#", "%", "sw", "nw")
                } | kinds
                # "a quarter" is an amount, not a filler; "few" may stand behind "to be" as well
            return Token(kinds, tokens[at].start, tokens[end - 1].end), end
    return None, at


def _is_rest(tokens: list[Token], at: int, sentence: str) -> bool:
    """Whether it is the "all but" of "all but 40 of the lymphocytes": all without them, not almost them."""
    if sentence[tokens[at].start : tokens[at].end].lower() != "all but" or at + 1 == len(tokens):
        return False
    return tokens[at + 1 + (set(tokens[at + 1].kinds) == {"_"} and at + 2 < len(tokens))].has("#^")


Parsed = tuple[str, Amount | None, int]


def _scaled(amount: Amount, dimension: str | None, factor: float) -> Amount:
    return amount.scaled(factor, dimension) if dimension else amount


def _range(tokens: list[Token], at: int, hedge: str | None, sentence: str) -> Parsed:
    """Read "between 20 and 30 %", "20-30 %", "from 20 to 30 %"."""
    start = at + 1 if tokens[at].has("2f") else at
    before = at - tokens[at - 1].has("f") if at > 0 and not tokens[at].has("f") else at
    climbs = before > 0 and tokens[before].has("f") and tokens[before - 1].has("G")  # "rises from 280 to 610"
    if len(tokens) < start + 3 or climbs:
        return "Q", None, at
    low, sep, high = _value(tokens[start]), tokens[start + 1], _value(tokens[start + 2])
    if low is None or high is None or not low[0] < high[0]:
        return _range_of_fractions(tokens, start) if start > at and not hedge else ("Q", None, at)
    joined = (
        sep.has("&") if "2" in tokens[at].kinds else (sep.has("-t") if start == at or sep.has("t") else False)
    )
    dash = sep.kinds.get(",") in ("\u2013", "\u2014")
    if not (joined or dash) or (low[0] == 1 and low[2] is None and high[2] is None and sep.has("t")):
        return "Q", None, at
    dimension, factor = (high[2], high[3]) if high[2] else (low[2], low[3])
    own = low[3] if low[2] else factor
    first = _scaled(number_amount(low[0], low[1], hedge, ""), dimension, own)
    second = _scaled(number_amount(high[0], high[1], hedge, ""), dimension, factor)
    return "Q", between(first, second, ""), start + 3


def _range_of_fractions(tokens: list[Token], start: int) -> Parsed:
    """Read "between a quarter and a third"."""
    low, sep, high = tokens[start], tokens[start + 1], tokens[start + 2]
    if "%" in low.kinds and "%" in high.kinds and sep.has("&t") and low.kinds["%"] < high.kinds["%"]:
        ends = [
            replace(number_amount(one.kinds["%"], 0.0, None, ""), dimension="share") for one in (low, high)
        ]
        return "Q", between(ends[0], ends[1], ""), start + 3
    return "Q", None, start


def _fold(tokens: list[Token], at: int, hedge: str | None, sentence: str) -> Parsed:
    """Read "twice", "3 times", "threefold", "2.5-fold"."""
    if "*" in tokens[at].kinds:
        value = tokens[at].kinds["*"]
        return "F", replace(number_amount(value, 0.0, hedge or "round", ""), dimension="ratio"), at + 1
    number = _value(tokens[at])
    if number is None or number[2] or at + 1 >= len(tokens) or "@" not in tokens[at + 1].kinds:
        return "F", None, at
    return "F", replace(number_amount(number[0], number[1], hedge, ""), dimension="ratio"), at + 2


def _fraction(tokens: list[Token], at: int, hedge: str | None, sentence: str) -> Parsed:
    """Read "half", "two thirds", "three quarters"."""
    number = _value(tokens[at])
    if number is not None and number[2] is None and at + 1 < len(tokens):
        words = sentence[tokens[at + 1].start : tokens[at + 1].end].lower()
        part = tokens[at + 1].kinds.get("%")
        if part and not words.startswith(("a ", "one ", "every ")) and number[0] * part < 1:
            return "Q", _share(number[0] * part, hedge), at + 2
    if "%" in tokens[at].kinds:
        words = sentence[tokens[at].start : tokens[at].end].lower()
        unit = at + 1 + (at + 1 < len(tokens) and set(tokens[at + 1].kinds) == {"_"})
        if unit < len(tokens) and "$" in tokens[unit].kinds and tokens[unit].kinds["$"][0] != "density":
            dimension, factor = tokens[unit].kinds["$"]
            return "Q", _share(tokens[at].kinds["%"], hedge).scaled(factor, dimension), unit + 1
        if " " in words or "-" in words or hedge or words in ("half", "quarter"):
            return "Q", _share(tokens[at].kinds["%"], hedge), at + 1
    return "Q", None, at


def _share(value: float, hedge: str | None) -> Amount:
    return replace(number_amount(value, 0.0, hedge or "fraction", ""), dimension="share", worded=True)


def _one_in(tokens: list[Token], at: int, hedge: str | None, sentence: str) -> Parsed:
    """Read "nine in ten", "one out of eight", "one cell in four", "1/8"."""
    first, end = _value(tokens[at]), at + 1
    if first is None or first[2]:
        return "Q", None, at
    kind = "Q"
    cells = ALL_CELLS
    if end + 1 < len(tokens) and tokens[end].has("WEI") and tokens[end + 1].has("io"):
        cells = tokens[end].kinds.get("E", ALL_CELLS)
        kind, end = "of cells", end + 1
    if end + 1 >= len(tokens):
        return "Q", None, at
    words = sentence[tokens[end].start : tokens[end].end].lower()
    every = sentence[tokens[end + 1].start : tokens[end + 1].end].lower() == "every"  # "one in every forty"
    end += (every or set(tokens[end + 1].kinds) <= {"_"}) and end + 2 < len(tokens)
    second = _value(tokens[end + 1])
    if second is None and "^" in tokens[end + 1].kinds:  # "three in a hundred"
        second = (tokens[end + 1].kinds["^"], 0.5, None, 1.0)
    joined = words in ("in", "out of", "of every", "in every", "out of every", "/") or (
        words == "of" and kind == "of cells"
    )
    if not joined or second is None or second[2] or not 0 < first[0] < second[0] <= 1000:
        return "Q", None, at
    amount = _share(first[0] / second[0], hedge or "round")
    if kind == "of cells" and (end + 2 < len(tokens) and tokens[end + 2].has("WE")):
        return "Q", None, at
    if kind == "of cells" and tokens[at + 1].has("I") and not tokens[at + 1].has("WE"):
        kind, cells = "of tiles", ALL_CELLS
    return (kind, amount if kind == "Q" else replace(amount, of=cells), end + 2)


def _to_one(tokens: list[Token], at: int, hedge: str | None, sentence: str) -> Parsed:
    """Read "two to one", "6 to 1", "2:1", "1:2"."""
    if at + 2 >= len(tokens):
        return "Q", None, at
    first, sep, second = _value(tokens[at]), tokens[at + 1], _value(tokens[at + 2])
    if first is None or second is None or first[2] or second[2] or not second[0]:
        return "Q", None, at
    if not (sep.has("t") or sep.kinds.get(",") == ":"):
        return "Q", None, at
    value, half = first[0] / second[0], first[1] / second[0]
    ratio = number_amount(value, min(half, 0.05 * value), hedge, "")
    if hedge is None:
        near = number_amount(value, 0.0, "round", "")
        ratio = replace(near, fails=(min(near.fails[0], value - half), max(near.fails[1], value + half)))
    return "Q", replace(ratio, dimension="ratio", worded=False), at + 3


def _plain_number(tokens: list[Token], at: int, hedge: str | None, sentence: str) -> Parsed:
    """Read a number with its unit, and "two hundred", "a dozen"."""
    number = _value(tokens[at])
    if number is None:
        if "^" not in tokens[at].kinds:
            return "Q", None, at
        number, end = (tokens[at].kinds["^"], 0.5, None, 1.0), at + 1
    else:
        end = at + 1
        if end < len(tokens) and "^" in tokens[end].kinds:
            times = tokens[end].kinds["^"]
            number, end = (number[0] * times, number[1] * times, None, 1.0), end + 1
            number, end = _and_more(tokens, number, times, end)
    value, half, dimension, factor = number
    if (
        dimension is None
        and end < len(tokens)
        and "$" in tokens[end].kinds
        and tokens[end].kinds["$"][0] != "density"
    ):
        (dimension, factor), end = tokens[end].kinds["$"], end + 1
    if hedge in ("about", "almost", "just_over") and dimension == "share":
        half = max(half, _half_point(value))
    amount = number_amount(value, half, hedge, "")
    if half > 0.5 and hedge is None:  # "two dozen": so many, or about so many
        rounded = number_amount(value, 0.0, "round", "")
        amount = replace(rounded, fails=(value - half, value + half), holds=(0.98 * value, 1.02 * value))
    return "Q", _scaled(amount, dimension, factor), end


def _and_more(
    tokens: list[Token], number: tuple[float, float, None, float], times: float, end: int
) -> tuple[tuple[float, float, None, float], int]:
    """Return the whole of "two thousand four hundred (and) fifty", and where it ends."""
    while end < len(tokens):
        first = end + ("&" in tokens[end].kinds and end + 1 < len(tokens))
        more = tokens[first].kinds.get("#")
        if not isinstance(more, float) or more != int(more) or not 0 < more < times:
            break
        scale = tokens[first + 1].kinds.get("^") if first + 1 < len(tokens) else None
        if (scale and scale >= times) or (first > end and scale):
            break
        times = scale or 1.0
        number, end = (number[0] + more * times, 0.5 * times, None, 1.0), first + 1 + bool(scale)
    return number, end


def _half_point(percent: float) -> float:
    return 0.5 if percent >= 3 else 0.1 * percent


def _worded(tokens: list[Token], at: int, hedge: str | None, sentence: str) -> Parsed:
    """Read "most", "hundreds": a hedge before them says nothing new."""
    kinds = tokens[at].kinds
    covers = hedge == "at_least" and sentence[tokens[at - 1].start : tokens[at - 1].end].lower() == "over"
    if covers and "sw" in kinds:  # "over a small part of the section"
        return "Q", kinds["sw"], at + 1
    if hedge in (None, "about", "almost"):
        for kind in ("sw", "nw"):
            if kind in kinds and not (kind == "sw" and hedge):
                return "Q", kinds[kind], at + 1
    return "Q", None, at


def _value(token: Token) -> tuple[float, float, str | None, float] | None:
    """Return value, half a digit, dimension and factor of a number."""
    number = token.kinds.get("#")
    if number is None:
        return None
    return (number, 0.5, None, 1.0) if isinstance(number, float) else tuple(number)


def units_shared(tokens: list[Token]) -> list[Token]:
    """Return tokens with the unit of "72.5 versus 28.1 um2" in both numbers."""
    found = list(tokens)
    for at in range(len(found) - 3, -1, -1):
        first, joined, second = found[at : at + 3]
        if joined.has("o") and set(second.kinds) == {"_"} and at + 3 < len(found):
            second = found[at + 3]
        if "Q" in first.kinds and "Q" in second.kinds and joined.has("a&o"):
            bare, known = first.kinds["Q"], second.kinds["Q"]
            worded = bare.worded or known.worded or (joined.has("o") and known.dimension != "area")
            if bare.dimension is None and not worded and known.dimension not in (None, "ratio", "count"):
                found[at] = replace(first, kinds={**first.kinds, "Q": in_unit_of(known, bare)})
    return found


def in_unit_of(other: Amount, bare: Amount) -> Amount:
    """Return a bare number in the unit of the one behind it: "62.4 vs 27.8 um2"."""
    units = (one.unit or (one.number and one.number[2:]) for one in lexemes(other.text))
    dimension, factor = next((unit for unit in units if unit and unit[0]), (None, 1.0))
    return bare.scaled(factor, dimension) if dimension else bare
