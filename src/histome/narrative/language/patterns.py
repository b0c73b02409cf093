"""Patterns over the kinds of tokens, and what a matching clause holds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from histome.narrative.language.amounts import Amount
from histome.narrative.language.judging import Judged
from histome.narrative.language.lexicon import CellGroup
from histome.narrative.language.pieces import Measured, Token
from histome.narrative.language.quantities import Value, World


class Element(NamedTuple):
    """One place of a pattern: letters of which a token must have one, and how often."""

    letters: str
    least: int
    most: int


@dataclass
class Context:
    """What the clauses before left: who was spoken of, where, in what measure."""

    world: World
    cells: tuple[CellGroup, ...] = ()
    tissues: tuple[str, ...] = ()
    place: tuple[str, ...] = ()
    carried: tuple[str, ...] = ()
    ordered: bool = False  # "in that order", "in descending order"
    fronted: bool = False  # the clause itself names the place: "in the stroma, ..."
    within: CellGroup | None = None
    pending: list[Amount] = field(default_factory=list)
    beside: tuple[CellGroup, ...] = ()
    rank: int = 0
    ranked_by: str = ""
    ranked_within: CellGroup | None = None
    behind: int = 0
    aspect: str = ""
    each: bool = False
    against: tuple[CellGroup, ...] = ()
    pair: tuple[Value, ...] = ()
    measured: Measured | None = None
    unit: str | None = None
    tile_metric: str | None = None
    negated: bool = False
    outside: tuple[str, ...] = ()


class ClauseMatch(NamedTuple):
    """A clause that matched: its tokens with the letters that they matched as, and what its verbs say."""

    parts: tuple[tuple[str, Token], ...]
    text: str
    said: frozenset[str] = frozenset()

    def tokens(self, letter: str) -> list[Token]:
        """Return the tokens that matched as a letter, in order."""
        return [token for name, token in self.parts if name == letter]

    def all(self, letter: str) -> list[Any]:
        """Return their values."""
        return [token.kinds[letter] for token in self.tokens(letter)]

    def one(self, letter: str) -> Any:
        """Return the first of these values, None if there is none."""
        return next(iter(self.all(letter)), None)

    def cells(self) -> list[tuple[CellGroup, ...]]:
        """Return the cells that are named, each time one or several kinds."""
        return [
            _several(token, "E") if name == "E" else (token.kinds["W"],)
            for name, token in self.parts
            if name in "EW"
        ]

    def tissues(self) -> list[tuple[str, ...]]:
        """Return the tissues that are named, each time one or several."""
        return [_several(token, "T") for name, token in self.parts if name == "T"]

    def places(self) -> tuple[str, ...]:
        """Return the tissues in which something is said to lie."""
        return tuple(place for token in self.tokens("L") for place in token.kinds["L"])


def _several(token: Token, letter: str) -> tuple[Any, ...]:
    return token.kinds[f"{letter}+"] if f"{letter}+" in token.kinds else (token.kinds[letter],)


def is_silent(token: Token) -> bool:
    """Whether a token asserts nothing beside what it joins; "only" and "not" always do."""
    return token.has("_vBn") and not token.has("ON") and not (token.has("n") and token.has("k"))


Action = Callable[[ClauseMatch, Context], list[Judged] | None]
RULES: list[tuple[tuple[Element, ...], Action]] = []


def rule(*patterns: str) -> Callable[[Action], Action]:
    """Make a function the meaning of clauses of these patterns; earlier rules go first."""

    def added(action: Action) -> Action:
        RULES.extend((compiled(pattern), action) for pattern in patterns)
        return action

    return added


@cache
def compiled(pattern: str) -> tuple[Element, ...]:
    """Return the elements of a pattern: `X`, `[XY]`, `X?`, `X*`."""
    found = []
    for word in pattern.split():
        most = 3 if word.endswith("*") else 1
        found.append(Element(word.strip("[]?*"), 0 if word[-1] in "?*" else 1, most))
    return tuple(found)


def match(elements: Sequence[Element], tokens: Sequence[Token]) -> tuple[tuple[str, Token], ...] | None:
    """Return the letters as which tokens match a pattern, all of it; None where they do not."""

    def go(at: int, element: int, count: int) -> list[tuple[str, Token]] | None:
        if element < len(elements):
            letters, least, most = elements[element]
            if at < len(tokens) and count < most:
                token = tokens[at]
                for letter in letters:
                    if letter in token.kinds or f"{letter}+" in token.kinds:
                        rest = go(at + 1, element, count + 1)
                        if rest is not None:
                            return [(letter, token), *rest]
                        break
            if count >= least:
                rest = go(at, element + 1, 0)
                if rest is not None:
                    return rest
        elif at == len(tokens):
            return []
        return go(at + 1, element, count) if at < len(tokens) and is_silent(tokens[at]) else None

    found = go(0, 0, 0)
    return None if found is None else tuple(found)
