"""Amounts: numbers, hedged or not, and words for an amount, as intervals (`amounts.toml`)."""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any, Literal

Span = tuple[float, float]
# A printed digit is kept to a billionth: 162.5 is 162 to the printed digits.
_LOOSE = 1e-9
_LEAST_SHARE = 0.005  # "about 3 %": half a point at least, however small the share


@dataclass(frozen=True)
class Amount:
    """An amount as a sentence says it.

    Attributes
    ----------
    holds, fails : (low, high)
        A value in `holds` makes it true, one outside of `fails` false, one between the two neither.
    dimension : str or None
        share, count, density, area, length, ratio ...; None for a bare number.
    factor : float
        Of its unit to the base of the dimension; the intervals are in the base.
    text : str
        As it stands in the sentence.
    worded : bool
        Whether it is a word rather than a number.
    of : cells, "area", "there" or None
        Of whom it is a share, where that stands inside: "one lymphocyte in five"; "area" of tissue; "there"
        of the cells of a place, if one is named: "abundant lymphocytes in the stroma".
    """

    holds: Span
    fails: Span
    dimension: str | None
    text: str
    worded: bool = False
    middle: float = math.nan
    of: Any = None

    @property
    def is_exact(self) -> bool:
        """Whether it is a number rather than a word or a limit."""
        return not self.worded and math.isfinite(self.holds[0]) and math.isfinite(self.holds[1])

    @property
    def is_number(self) -> bool:
        """Whether it is a number or a fraction rather than a word or a limit."""
        return math.isfinite(self.middle) and all(map(math.isfinite, self.holds))

    def test(self, value: float) -> bool | None:
        """Whether a value is this amount; None where words leave it open."""
        loose = _LOOSE * max(1.0, abs(value))
        low, high = self.holds
        if low - loose <= value <= high + loose:
            return True
        low, high = self.fails
        return None if low - loose <= value <= high + loose else False

    def scaled(self, factor: float, dimension: str | None) -> "Amount":
        """Return the amount in another unit."""
        low, high = self.holds
        least, most = self.fails
        return replace(
            self,
            holds=(low * factor, high * factor),
            fails=(least * factor, most * factor),
            dimension=dimension,
            middle=self.middle * factor,
        )


@cache
def amount_words() -> Mapping[str, Any]:
    """Return the tables of `amounts.toml`."""
    return tomllib.loads(
        files("histome.narrative.language").joinpath("amounts.toml").read_text(encoding="utf-8")
    )


def number_amount(value: float, half: float, hedge: str | None, text: str) -> Amount:
    """Return the amount of a number with half a unit of its last digit, hedged or to the letter."""
    if hedge is None:
        spread = (value - half, value + half)
        return Amount(spread, spread, None, text, middle=value)
    if hedge == "exactly":  # a digit more than is said
        spread = (value - 0.1 * half, value + 0.1 * half)
        return Amount(spread, spread, None, text, middle=value)
    rule = amount_words()["hedges"][hedge]
    holds, fails = _times(rule["is"], value, half), _times(rule["not"], value, half)
    return Amount(holds, fails, None, text, worded=hedge == "fraction", middle=value)


def _times(factors: Span, value: float, half: float) -> Span:
    """Return an interval of factors as one of values; what is said to the digit is always inside."""
    low, high = factors[0] * value, factors[1] * value
    if factors[0] < 1.0 < factors[1]:
        low, high = min(low, value - half), max(high, value + half if factors[1] > 1.05 else value)
    elif factors[0] == 1.0:
        low -= half if factors[1] < math.inf else 0.0
    elif math.isfinite(factors[0]) and factors[1] < 1.1:
        high = max(high, value)
    return low, high


def word_amount(
    kind: Literal["shares", "adjectives", "adverbs", "numbers", "degrees", "levels"], name: str
) -> Amount:
    """Return the amount of a word."""
    rule = amount_words()[kind][name]
    dimension = {"numbers": "count", "degrees": "ratio"}.get(kind, "share")
    return Amount(tuple(rule["is"]), tuple(rule["not"]), dimension, name, worded=True, of=rule.get("of"))


def between(first: Amount, second: Amount, text: str) -> Amount:
    """Return the amount of "between a and b"."""
    spread = (first.holds[0], second.holds[1])
    return Amount(spread, spread, second.dimension or first.dimension, text)
