"""From tokens to what a clause is made of: amounts, cells with their place, measured things."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, NamedTuple

from histome.narrative.language.amounts import Amount, between, number_amount
from histome.narrative.language.lexicon import CellGroup, Kinds, phrases, vocabulary
from histome.narrative.language.tokens import MOST_TOKENS, Lexeme, lexemes


@dataclass
class Token:
    """A word or phrase at a place of the sentence: its kinds with values, numbers in brackets behind it."""

    kinds: Kinds
    start: int
    end: int
    notes: list[Amount] = field(default_factory=list)

    def has(self, letters: str) -> bool:
        """Whether it is of one of these kinds."""
        return any(letter in self.kinds for letter in letters)


class Measured(NamedTuple):
    """A measure of something: "the density of lymphocytes in stroma", "the ratio of a to b"."""

    measures: tuple[str, ...]
    cells: tuple[CellGroup, ...] = ()
    tissues: tuple[str, ...] = ()
    place: tuple[str, ...] = ()


class Ratioed(NamedTuple):
    """An amount of something: "half of the lymphocytes", "25 % of the cells"."""

    amount: Amount
    cells: tuple[CellGroup, ...] = ()
    tissues: tuple[str, ...] = ()
    whole: bool = False
    tiles: bool = False
    checked: Amount | None = None


ALL_CELLS = CellGroup((), "all", everything=True)


class Unread(Exception):
    """A sentence that cannot be read; the message says why."""


@cache
def _refused() -> re.Pattern[str]:
    words = [re.escape(word).replace(r"\*", r"\w*") for word in vocabulary()["refused"]["words"]]
    return re.compile(rf"(?<!\w)(?:{'|'.join(words)})(?!\w)", re.I)


def refused_words(sentence: str) -> list[str]:
    """Return the words on treatment, prognosis, grade, stage or markers in a sentence."""
    return [match[0] for match in _refused().finditer(sentence)]


def read_tokens(sentence: str, subject: str) -> list[Token]:
    """Return the tokens of a sentence, amounts put together, numbers in brackets with what they stand behind.

    Raises Unread for a word that is not of the vocabulary, or too long a sentence.
    """
    tokens = _lookup(lexemes(sentence), subject)
    return _brackets(_amounts(tokens, sentence, subject))


def _lookup(found: list[Lexeme], subject: str) -> list[Token]:
    """Return tokens: at each place the longest phrase of the vocabulary."""
    if len(found) > MOST_TOKENS:
        raise Unread(f"a sentence of more than {MOST_TOKENS} words is not read")
    known, longest = phrases(subject)
    words = [one for one in found if not (one.text in "-/" and _joins(one, found))]
    tokens: list[Token] = []
    at = 0
    while at < len(words):
        lexeme = words[at]
        if lexeme.number or lexeme.unit or not lexeme.text[0].isalpha():
            tokens.append(_sign(lexeme))
            at += 1
            continue
        for size in range(min(longest, len(words) - at), 0, -1):
            kinds = known.get(tuple(word.text for word in words[at : at + size]))
            if kinds:
                break
        else:
            raise Unread(f"{lexeme.text!r} is no word of the vocabulary")
        tokens.append(Token(dict(kinds), lexeme.start, words[at + size - 1].end))
        at += size
    return tokens


def _joins(sign: Lexeme, found: list[Lexeme]) -> bool:
    """Whether a hyphen stands within a word, or between a number and a word."""
    at = found.index(sign)
    if not 0 < at < len(found) - 1:
        return False
    before, after = found[at - 1], found[at + 1]
    close = before.end == sign.start and after.start == sign.end
    return close and not (before.number and after.number)


def _sign(lexeme: Lexeme) -> Token:
    """Return the token of a number, a bare unit or a sign."""
    place = lexeme.start, lexeme.end
    if lexeme.number:
        return Token({"#": lexeme.number}, *place)
    if lexeme.unit:
        return Token({"$": lexeme.unit}, *place)
    if lexeme.text in ",;:\u2013\u2014":
        return Token({",": lexeme.text, "_": ""}, *place)
    if lexeme.text in ".!\"'\u201c\u201d":
        return Token({"_": ""}, *place)
    if lexeme.text in "()[]":
        return Token({{"[": "(", "]": ")"}.get(lexeme.text, lexeme.text): ""}, *place)
    if lexeme.text in "~\u2248<>\u2264\u2265":
        name = {"<": "under", "\u2264": "under", ">": "over", "\u2265": "over"}.get(lexeme.text, "about")
        return Token({"~": name}, *place)
    if lexeme.text in "-/=&+\u00d7":
        kinds = {"-": "-", "/": "/", "=": "b", "&": "&", "+": "&", "\u00d7": "@"}[lexeme.text]
        return Token({kinds: lexeme.text}, *place)
    raise Unread(f"the sign {lexeme.text!r} is not read")


def _value(token: Token) -> tuple[float, float, str | None, float] | None:
    """Return value, half a digit, dimension and factor of a number."""
    number = token.kinds.get("#")
    if number is None:
        return None
    return (number, 0.5, None, 1.0) if isinstance(number, float) else tuple(number)


def _amounts(tokens: list[Token], sentence: str, subject: str) -> list[Token]:
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


def _unhedged(token: Token, sentence: str, subject: str) -> list[Token]:
    """Return "larger than" as two words where no number follows."""
    words = sentence[token.start : token.end].lower().split()
    if "~" not in token.kinds or words[-1] != "than":
        return [token]
    kinds = phrases(subject)[0].get(tuple(words[:-1])) or {}
    cut = token.end - len("than")
    return [Token(dict(kinds), token.start, cut), Token({"a": "than"}, cut, token.end)]


def _amount(tokens: list[Token], at: int, sentence: str) -> tuple[Token | None, int]:
    """Return the amount that begins at a token, hedges before it included, and where it ends."""
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
            kinds: Kinds = {"R": Ratioed(amount, (ALL_CELLS,))} if kind == "of cells" else {kind: amount}
            if end == at + 1:
                kinds = {
                    name: value
                    for name, value in tokens[at].kinds.items()
                    if name not in ("#", "%", "sw", "nw")
                } | kinds
                # "a quarter" is an amount, not a filler; "few" may stand behind "to be" as well
            return Token(kinds, tokens[at].start, tokens[end - 1].end), end
    return None, at


Parsed = tuple[str, Amount | None, int]


def _scaled(amount: Amount, dimension: str | None, factor: float) -> Amount:
    return amount.scaled(factor, dimension) if dimension else amount


def _range(tokens: list[Token], at: int, hedge: str | None, sentence: str) -> Parsed:
    """Read "between 20 and 30 %", "20-30 %", "from 20 to 30 %"."""
    start = at + 1 if tokens[at].has("2f") else at
    if len(tokens) < start + 3:
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
        if " " in words or hedge or words in ("half", "quarter"):
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
    if end + 1 < len(tokens) and tokens[end].has("W") and tokens[end + 1].has("i"):
        kind, end = "of cells", end + 1
    if end + 1 >= len(tokens):
        return "Q", None, at
    words = sentence[tokens[end].start : tokens[end].end].lower()
    second = _value(tokens[end + 1])
    joined = words in ("in", "out of", "of every", "in every", "out of every", "/") or (
        words == "of" and kind == "of cells"
    )
    if not joined or second is None or second[2] or not 0 < first[0] < second[0] <= 1000:
        return "Q", None, at
    amount = _share(first[0] / second[0], hedge or "round")
    return kind, amount, end + 2


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


def _half_point(percent: float) -> float:
    return 0.5 if percent >= 3 else 0.1 * percent


def _worded(tokens: list[Token], at: int, hedge: str | None, sentence: str) -> Parsed:
    """Read "most", "hundreds": a hedge before them says nothing new."""
    kinds = tokens[at].kinds
    if hedge in (None, "about", "almost"):
        for kind in ("sw", "nw"):
            if kind in kinds and not (kind == "sw" and hedge):
                return "Q", kinds[kind], at + 1
    return "Q", None, at


def _brackets(tokens: list[Token]) -> list[Token]:
    """Return tokens without brackets: numbers go to what stands before, other words between commas."""
    found: list[Token] = []
    at = 0
    while at < len(tokens):
        if "(" not in tokens[at].kinds:
            if ")" in tokens[at].kinds:
                raise Unread("a bracket is not closed")
            found.append(tokens[at])
            at += 1
            continue
        end = next((k for k in range(at, len(tokens)) if ")" in tokens[k].kinds), None)
        if end is None:
            raise Unread("a bracket is not closed")
        inner = tokens[at + 1 : end]
        notes = [token.kinds["Q"] for token in inner if "Q" in token.kinds]
        plain = all(token.has("Qa_") or (token.has("b") and len(notes) == 1) for token in inner)
        if plain and len(notes) == 2 and any(token.has("a") for token in inner):
            first = next((t for t in found if t.has("ETL")), None)
            if first is not None and notes[0].dimension is None and notes[1].dimension:
                notes[0] = _in_unit_of(notes[1], notes[0])
            if first is not None:
                first.notes.append(notes.pop(0))
        behind = next((t for t in reversed(found) if t.has("ETLMHQAWJ")), None)
        if plain and notes and behind is not None:
            behind.notes.extend(notes)
        else:
            comma = Token({",": ",", "_": ""}, tokens[at].start, tokens[at].end)
            found += [comma, *inner, replace(comma, start=tokens[end].start, end=tokens[end].end)]
        at = end + 1
    return found


def _in_unit_of(other: Amount, bare: Amount) -> Amount:
    """Return a bare number in the unit of the one behind it: "62.4 vs 27.8 um2"."""
    number = next(one.number for one in lexemes(other.text) if one.number)
    return bare.scaled(number.factor, number.dimension)


def stripped(tokens: Sequence[Token]) -> list[Token]:
    """Return tokens without those that say nothing."""
    return [token for token in tokens if set(token.kinds) - {"_"}]


def first_of(token: Token, letters: str) -> Any:
    """Return the value of the first of these kinds that a token has."""
    return next(token.kinds[letter] for letter in letters if letter in token.kinds)
