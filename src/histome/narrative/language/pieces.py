"""What a sentence is made of: words with their kinds, amounts of things, measures of things."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from histome.narrative.language.amounts import Amount
from histome.narrative.language.lexicon import CellGroup, Kinds


class Unfit(Exception):
    """A rule asked a word for a kind that it does not have: the rule does not apply."""


class _Kinds(dict[str, Any]):
    def __missing__(self, kind: str) -> Any:
        raise Unfit(kind)


@dataclass
class Token:
    """A word or phrase at a place of the sentence: its kinds with values, numbers in brackets behind it."""

    kinds: Kinds
    start: int
    end: int
    notes: list[Amount] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.kinds = _Kinds(self.kinds)

    @property
    def is_joined(self) -> bool:
        """Whether it is several cells or tissues: "a and b"."""
        return "E+" in self.kinds or "T+" in self.kinds

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
AREA = CellGroup((), "area", everything=True)  # of which cells are no part: "of the tissue, 25 % are a"
_AREA = re.compile(r"\b(?:tissue|area|surface|ground|territory)\b")  # half of it is no half of the cells


class Unread(Exception):
    """A sentence that cannot be read; the message says why."""


def stripped(tokens: Sequence[Token]) -> list[Token]:
    """Return tokens without those that say nothing."""
    return [token for token in tokens if set(token.kinds) - {"_"}]


def is_area(token: Token) -> bool:
    """Whether it is the tissue or its area as a whole, of which a share is no share of the cells."""
    return "S" in token.kinds and bool(_AREA.search(token.kinds["S"]))


def first_of(token: Token, letters: str) -> Any:
    """Return the value of the first of these kinds that a token has."""
    return next(token.kinds[letter] for letter in letters if letter in token.kinds)
