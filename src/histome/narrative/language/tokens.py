"""From a sentence to tokens: words, numbers with their units, signs."""

import re
from typing import NamedTuple

from histome.narrative.language.inflection import american
from histome.narrative.language.pieces import Unread

_SPACES = "\u202f\u00a0\u2009"
_DIGITS_UP = str.maketrans(
    "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079", "-0123456789"
)
_NUMBER = (
    rf"(?P<digits>\d+(?:[,{_SPACES}]\d{{3}})+(?!\d)|\d+|(?=\.\d))(?P<decimals>\.\d+)?"
    r"(?:\s?[x\u00d7]\s?10(?:\^(?P<caret>-?\d+)|(?P<power>[\u207b\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+))|e(?P<exponent>[-+]?\d+)\b)?"
)
_MICRO = r"(?:\u00b5|\u03bc|u)m"
_SQUARE = r"(?:\u00b2|\^?2)"
_PER = r"(?:/ ?|per )"
_INVERSE = r"(?: ?\u207b\u00b2| ?\^?-2|\^\(-2\)|\^\{-2\})"
_COUNTED = r"(?:(?:cells?|nuclei) ?)?"
_SQUARE_MICROMETER = (
    rf"(?:{_MICRO}{_SQUARE}|(?:square|sq\.?) ?(?:micro\w+|{_MICRO}\b)|(?:{_MICRO}|micro\w+) squared)"
)
_SQUARE_MILLIMETER = rf"(?:mm{_SQUARE}|(?:square|sq\.?) ?(?:milli\w+|mm\b)|(?:mm|milli\w+) squared)"
# Unit -> (dimension, factor to its base); the first that matches wins.
_UNITS: tuple[tuple[str, str, float], ...] = (
    (r"%|(?:per ?cent|percentage points?|pct|percents)\b|p\.c\.", "share", 0.01),
    (rf"{_COUNTED}(?:{_PER}{_SQUARE_MICROMETER}|{_MICRO}{_INVERSE})", "density", 1e6),
    (rf"{_COUNTED}(?:{_PER}{_SQUARE_MILLIMETER}|mm{_INVERSE})", "density", 1.0),
    (_SQUARE_MICROMETER, "area", 1.0),
    (_SQUARE_MILLIMETER, "area", 1e6),
    (rf"cm{_SQUARE}|square centi\w+", "area", 1e8),
    (rf"(?:px|pixels?){_SQUARE}|(?:square|sq\.?) ?(?:pixels?|px)|(?:pixels?|px) squared", "pixel area", 1.0),
    (rf"{_MICRO}\b|micro(?:n|meter|metre)s?\b", "length", 1.0),
    (r"nm\b|nanomet(?:er|re)s?\b", "length", 1e-3),
    (r"mm\b|milli(?:meter|metre)s?\b", "length", 1e3),
    (r"cm\b|centi(?:meter|metre)s?\b", "length", 1e4),
    (r"px\b|pixels?\b", "pixel length", 1.0),
    (r"bits?\b", "bits", 1.0),
    (r"nats?\b", "nats", 1.0),
)
_UNIT = re.compile("|".join(f"(?P<u{k}>{pattern})" for k, (pattern, _, _) in enumerate(_UNITS)))
_LEX = re.compile(
    rf"(?P<number>(?<![\w.]){_NUMBER})|(?P<word>[a-z\u00c0-\u024f](?:[^\W_]|[\u00c0-\u024f])*(?:['.][a-z]+)*)|(?P<sign>\S)"
)
_POWER, _MOST_DIGITS = re.compile(r"[-+]?\d{1,2}"), 40
_ABBREVIATION = re.compile(r"\b(?:approx|ca|vs|e\.g|i\.e|resp|cf|no|fig|incl)\.$", re.I)
_NO_UNITS = ("bit", "nat")  # words as well, unless a number stands before them
MOST_TOKENS = 120  # of a sentence; a longer one is not read, so that time stays linear in the text's length


class Number(NamedTuple):
    """A number: its value, half a unit of its last digit, dimension and factor of its unit if it has one."""

    value: float
    half: float
    dimension: str | None = None
    factor: float = 1.0


class Lexeme(NamedTuple):
    """A word in lower case, a sign, a number or a bare unit, at a place of the sentence."""

    text: str
    start: int
    end: int
    number: Number | None = None
    unit: tuple[str, float] | None = None


def split_sentences(text: str) -> list[str]:
    """Return the sentences of a text; a decimal point or an abbreviation ends none, a line break does."""
    found: list[str] = []
    for line in text.splitlines():
        start = 0
        for end in re.finditer(r"[.!?][\"')\]]*\s+(?=[\"'(\[*]*[A-Z\d])", line):
            if not _ABBREVIATION.search(line, max(start, end.start() - 12), end.start() + 1):
                found.append(line[start : end.end()])
                start = end.end()
        found.append(line[start:])
    stripped = (re.sub(r"^[\s*#>\-\u2022]+(?=\D)", "", sentence).strip() for sentence in found)
    return [sentence for sentence in stripped if re.search(r"\w", sentence)]


def lexemes(sentence: str) -> list[Lexeme]:
    """Return the words, numbers and signs of a sentence; one more than `MOST_TOKENS` at most."""
    text = sentence.lower().translate({0x2019: "'", 0x2212: "-"})
    found: list[Lexeme] = []
    at = 0
    while len(found) <= MOST_TOKENS and (match := _LEX.search(text, at)):
        at = match.end()
        if match["number"]:
            found.append(_number(text, match))
        elif (
            (unit := _UNIT.match(text, match.start()))
            and unit.end() >= match.end()
            and match[0][:3] not in _NO_UNITS
            and not unit[0].startswith(("cell", "nucle"))
        ):
            found.append(Lexeme(unit[0], unit.start(), unit.end(), unit=_unit(unit)))
        else:
            found.append(Lexeme(american(match[0]), match.start(), match.end()))
        at = max(at, found[-1].end)
    return found


def _unit(match: re.Match[str]) -> tuple[str, float]:
    _, dimension, factor = _UNITS[next(k for k in range(len(_UNITS)) if match[f"u{k}"])]
    return dimension, factor


def _number(text: str, match: re.Match[str]) -> Lexeme:
    digits = re.sub(rf"[,{_SPACES}]", "", match["digits"])
    decimals = match["decimals"] or ""
    raised = (match["power"] or match["caret"] or match["exponent"] or "0").translate(_DIGITS_UP)
    if not _POWER.fullmatch(raised) or len(digits) > _MOST_DIGITS:
        raise Unread("a number that is not read")
    power = int(raised)
    value = float(f"{digits}{decimals}") * 10.0**power
    half = 0.5 * 10.0 ** (power - max(0, len(decimals) - 1))
    space = re.compile(rf"[\s{_SPACES}-]*").match(text, match.end())
    start = space.end() if space else match.end()
    unit = _UNIT.match(text, start)
    if unit is None or unit.end() == start:
        return Lexeme(match[0], match.start(), match.end(), Number(value, half))
    return Lexeme(
        text[match.start() : unit.end()], match.start(), unit.end(), Number(value, half, *_unit(unit))
    )
