"""From a sentence to what it claims: clauses found, matched with the rules, each with what came before it."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from itertools import pairwise

from histome.narrative.language.clauses import (
    beside,
    comparisons,
    continued,
    frames,
    gradients,
    measures,
    mentions,
    places,
    ranks,
    ratios,
    states,
    structures,
    tiles,
    values,
)
from histome.narrative.language.guards import guarded
from histome.narrative.language.judging import Judged
from histome.narrative.language.lexicon import vocabulary
from histome.narrative.language.patterns import RULES, ClauseMatch, Context, match
from histome.narrative.language.phrases import asides, chunked
from histome.narrative.language.pieces import Token, Unfit, Unread, stripped
from histome.narrative.language.quantities import World
from histome.narrative.language.reading import read_tokens
from histome.narrative.language.variants import trimmed, variants

# Each of these makes its functions rules: the modules that come first are asked first.
_MODULES = (
    continued,
    values,
    structures,
    measures,
    mentions,
    tiles,
    comparisons,
    beside,
    ratios,
    gradients,
    ranks,
    places,
    states,
)
_RULES = [
    (elements, action, [element.letters for element in elements if element.least])
    for module in _MODULES
    for elements, action in RULES
    if action.__module__ == module.__name__
]
_FRAMES = (frames.valued, ranks.ranking, tiles.tiled)
Reading = Callable[[Context], list[Judged] | None]
_MOST_PIECES = 30
_MOST_TRIES = 400  # of segments a sentence
_CONTENT = "".join(sorted(set(map(chr, range(33, 127))) - set("v_&,snBz")))
_RELATIVE = ("which", "who", "whose", "of which", "of whom", "where")
_SPAN = 6  # pieces between commas that one clause may have


def claims_of(sentence: str, world: World) -> list[Judged]:
    """Return what a sentence claims, judged.

    Raises Unread for a sentence with anything that is not understood.
    """
    tokens = read_tokens(sentence, world.facts.kind.name)
    if any(
        token.kinds.get("&") in _beside() and after.has("T") for token, after in pairwise(stripped(tokens))
    ):
        raise Unread("what lies next to a tissue is not measured")
    for joined in (True, False):
        read = chunked(tokens, joined=joined)
        if not read:  # "Overall."
            break
        for parts in (asides.restatements(read), asides.set_apart(read) or ()):
            told = [_Sentence(part, world, sentence).claims() for part in parts if part]
            if told and all(told):
                return [claim for claims in told for claim in claims or ()]
    raise Unread("the sentence is not understood")


@cache
def _beside() -> frozenset[str]:
    return frozenset(vocabulary()["words"]["next_to"])


class _Sentence:
    """One sentence cut at its commas and conjunctions."""

    def __init__(self, tokens: list[Token], world: World, text: str) -> None:
        if sum(token.has("QR") for token in tokens) < 2:  # "in that order"
            tokens = [token for token in tokens if not token.has("z")]
        self.tokens, self.world, self.text = tokens, world, text
        self.ordered = "order" in text.lower()
        self.starts = _cuts(tokens)
        self.tries = 0

    def claims(self) -> list[Judged] | None:
        if len(self.starts) > _MOST_PIECES:
            return None
        paired = self._respectively()
        if not paired and any(
            token.has("z") for token in self.tokens
        ):  # "are alike, 48 and 51 um2 respectively"
            self.tokens = [t for t in self.tokens if not t.has("z")]
            self.starts, paired = _cuts(self.tokens), None
        return paired if paired is not None else self._from(0, Context(self.world, ordered=self.ordered))

    def _from(self, piece: int, context: Context) -> list[Judged] | None:
        """Return the claims from a piece on: the longest clause that is understood first."""
        ends = [*self.starts[1:], len(self.tokens)]
        if piece == len(self.starts):
            return [] if not context.pending and not context.beside else None
        for last in range(min(len(ends), piece + _SPAN) - 1, piece - 1, -1):
            spanned = self.tokens[self.starts[piece] : ends[last]]
            if any(token.kinds.get(",") == ";" for token in spanned[1:-1]):  # ends a clause
                continue
            tokens = trimmed(spanned)
            self.tries += 1
            if self.tries > _MOST_TRIES:
                return None
            if not any(token.has(_CONTENT) or token.is_joined for token in tokens):  # "we found that"
                rest = self._from(last + 1, _in_respect(tokens, context))
                if rest is not None:
                    return rest
                continue
            told = [
                found
                for meant in self._meant(spanned, piece, context)
                for found in self._clause(tokens, meant)
            ]
            told.sort(key=lambda found: not all(claim.true for claim in found[0]))
            for claims, after in told[:1]:
                rest = self._from(last + 1, after)
                if rest is not None:
                    return [*claims, *rest]
        return None

    def _meant(self, spanned: list[Token], piece: int, context: Context) -> Iterator[Context]:
        """Yield what "which" may stand for: what was named last, or who was spoken of."""
        before = self.tokens[: self.starts[piece]]
        said = next((t.kinds["&"] for t in spanned[:2] if t.kinds.get("&") in _RELATIVE), None)
        titled = context.against and spanned[0].has(",") and any(token.has("k") for token in spanned)
        if said is None and titled and not any(t.has("L") or set(t.kinds) <= {"v", "_"} for t in spanned[1:]):
            said = "which"  # "a outnumber b, the most common class"
        named = next((t for t in reversed(before) if t.has("ETLY")), None) if said else None
        if named is None or (said in ("of which", "of whom") and not context.against):
            yield context
            return
        cells, tissues, places = _named_by(named)
        there = replace(context, cells=(), tissues=(), place=(), measured=None, against=(), pair=())
        if said == "where":
            yield replace(context, place=places or tissues, fronted=True) if places or tissues else context
        elif cells and not named.has("L"):
            yield replace(there, cells=cells)
        elif tissues:
            yield replace(there, tissues=tissues)
        else:
            if places and "rather" not in named.kinds:
                yield replace(there, tissues=places)
            yield context

    def _clause(self, tokens: list[Token], context: Context) -> list[tuple[list[Judged], Context]]:
        """Return the first reading of a clause, as a list of one or none; open if another is not false."""
        first: tuple[list[Judged], Context] | None = None
        for variant, changed in variants(tokens, context):
            for claims, after in self._matched(variant, changed):
                if variant[0] is not tokens[0] and variant[0].start == variant[0].end == 0:
                    claims = [_unsure(claim) for claim in claims]
                states = {claim.true for claim in claims}
                if False not in states and first and _is_false(first[0]):
                    return [([_either(claim) for claim in first[0]], first[1])]
                if states <= {True}:
                    return [(claims, after)]
                first = first or (claims, after)
        return [first] if first else []

    def _matched(self, tokens: list[Token], context: Context) -> Iterator[tuple[list[Judged], Context]]:
        """Yield the claims of a clause by each rule that fits, and what it leaves for the next."""
        text = self.text[tokens[0].start : tokens[-1].end]
        for reading, named in _readings(tokens, text):
            after = _in_respect(tokens, replace(context, pending=list(context.pending)))
            found: list[Judged] | None = None
            with suppress(Unfit):
                found = reading(after)
                if found is not None:
                    found = self._with_asides(found, named, text, context, after)
            if found is not None:
                after.negated = after.fronted = False
                yield guarded(found, tokens, text, context), after

    def _with_asides(
        self, found: list[Judged], named: list[Token], text: str, before: Context, after: Context
    ) -> list[Judged]:
        """Return the claims of a clause, denied if they are, with those of numbers in brackets."""
        told = [claim.denied() for claim in found] if after.negated else list(found)
        told += self._pending(named, before, after)
        for token in {id(one): one for one in named}.values():
            told += values.notes_on(token, after) if token.notes else []
            told += values.part_checked(token.kinds["R"], after) if "R" in token.kinds else []
            told += places.rather(token, after, text) if "rather" in token.kinds else []
        return told

    @staticmethod
    def _pending(named: list[Token], before: Context, after: Context) -> list[Judged]:
        """Return the claims of "with 45 %, ..." once it is known who is meant."""
        if not before.pending or after.pending is before.pending:
            return []
        token = next((one for one in named if one.has("ETY!")), None)
        if token is None:
            return []
        after.pending = []
        return values.notes_on(replace(token, notes=list(before.pending)), after)

    def _side_by_side(self) -> bool:
        """Whether it goes "a and b are 1 and 2": as many amounts in a row as things before."""
        named = [k for k, t in enumerate(self.tokens) if t.is_joined]
        amounts = [k for k, t in enumerate(self.tokens) if t.has("QR")]
        if not named and len(amounts) == 2 and _both_tiles(self.tokens, 0):
            return amounts[1] == amounts[0] + 2 and self.tokens[amounts[0] + 1].has("&")
        if len(named) != 1 or len(amounts) < 2 or named[0] > amounts[0]:
            return False
        things = self.tokens[named[0]].kinds
        between = self.tokens[amounts[0] : amounts[-1]]
        return len(things.get("E+") or things["T+"]) == len(amounts) and all(t.has("QR&,") for t in between)

    def _respectively(self) -> list[Judged] | None:
        """Return the claims of "a and b are 1 and 2, respectively"; None where it is no such sentence."""
        said = any(token.has("z") for token in self.tokens)
        if not said and not self._side_by_side():
            return None
        end = next((k for k, t in enumerate(self.tokens) if t.has("z")), len(self.tokens))
        listed = [k for k in range(end) if self.tokens[k].is_joined or _both_tiles(self.tokens, k)]
        if not listed:
            self.tokens = [t for t in self.tokens if not t.has("z")]
            self.starts = _cuts(self.tokens)
            return None
        at = listed[-1]
        start = max((k for k in self.starts if k <= at), default=0) if said else 0
        if any(t.has("QR") for t in self.tokens[:at]) and not any(t.has("QR") for t in self.tokens[at:end]):
            start = 0  # "are 72.5, 40.2 and 28.1 um2 for a, b and c"
        head, tail = trimmed(self.tokens[:start]), trimmed(self.tokens[end + 1 :])
        first = self.tokens[at]
        things = _listed(first) or [first, self.tokens[at + 2]]
        tokens = [t for t in self.tokens[start:end] if set(t.kinds) - {"_", ","}]
        if not first.is_joined:
            tokens = [t for t in tokens if t not in self.tokens[at + 1 : at + 3]]
        amounts = [t for t in tokens if "Q" in t.kinds or "R" in t.kinds]
        if len(things) != len(amounts) or len([t for t in tokens if t.is_joined]) > 1:
            return []
        last = amounts[-1]
        kept = [t for t in tokens if t is last or (t not in amounts and not set(t.kinds) <= {"&", "_"})]
        parts = [head] if head else []
        for thing, amount in zip(things, amounts, strict=True):
            own = _with_amount(last, amount)
            parts.append([thing if t is first else own if t is last else t for t in kept])
        parts += [[first, *tail]] if tail and first.is_joined else [tail] if tail else []
        claims: list[Judged] = []
        for part in parts:
            found = _Sentence(trimmed(part), self.world, self.text).claims()
            if not found:
                return []
            claims += found
        return claims


def _listed(token: Token) -> list[Token]:
    """Return a token of each of the cells or tissues of "a and b"."""
    letter = "E" if "E+" in token.kinds else "T"
    return [Token({letter: each}, token.start, token.end) for each in token.kinds.get(f"{letter}+", ())]


def _both_tiles(tokens: list[Token], at: int) -> bool:
    """Whether it goes "excluded and desert tiles" from here on."""
    return asides.are_at(tokens, at, "!", "&", "!") and not asides.are_at(tokens, at - 2, "!", "&")


def _named_by(token: Token) -> tuple[tuple, tuple, tuple]:
    """Return the cells, tissues or places that a token names."""
    kinds = token.kinds
    measured = kinds["Y"] if "Y" in kinds and not token.has("ETL") else None
    cells = kinds.get("E+") or ((kinds["E"],) if "E" in kinds else measured.cells if measured else ())
    tissue = kinds.get("T+") or ((kinds["T"],) if "T" in kinds else measured.tissues if measured else ())
    return cells, () if cells else tissue, kinds.get("L", ())


def _readings(tokens: list[Token], text: str) -> Iterator[tuple[Reading, list[Token]]]:
    """Yield how a clause may be read: by rules of a fixed order, then by those that only need the parts."""
    said = frozenset(token.kinds["v"] for token in tokens if "v" in token.kinds)
    letters = {kind[0] for token in tokens for kind in token.kinds}
    for elements, action, needed in _RULES:
        if any(letters.isdisjoint(each) for each in needed):
            continue
        parts = match(elements, tokens)
        if parts is not None:
            yield partial(action, ClauseMatch(parts, text, said)), [token for _, token in parts]
    for frame in _FRAMES:
        yield partial(frame, tokens, text), tokens


def _cuts(tokens: list[Token]) -> list[int]:
    """Return where a clause may begin."""
    return sorted({0, *(k for k in range(len(tokens)) if _begins(tokens, k))})


def _begins(tokens: list[Token], at: int) -> bool:
    """Whether a clause may begin here: behind a comma or a conjunction, with "at 25 %", "versus 28.1"."""
    token = tokens[at]
    if token.has(",&wV") or _relates(tokens, at):
        return True
    if "v" in token.kinds and (
        asides.are_at(tokens, at - 3, "Y", "o", "Q") or asides.are_at(tokens, at - 2, "Y", "Q")
    ):  # "an index of 0.72 indicates clustering"
        return any(t.has("cH!") for t in tokens[at:])
    behind = at + 1 < len(tokens) and tokens[at + 1].has("QR")
    return (token.has("ia=") and behind) or (token.has("a=") and at > 0 and tokens[at - 1].has("Q"))


def _relates(tokens: list[Token], at: int) -> bool:
    """Whether it is the "that" of "a minor component that takes up 5 %"."""
    if not tokens[at].has("u") or not at or at + 1 == len(tokens):
        return False
    if (
        tokens[at + 1].has("Q")
        and (tokens[0].has("A") or asides.are_at(tokens, 0, "&", "A"))
        and tokens[at].kinds["u"] == "that"
    ):  # "so rare that 7"
        return True
    if not tokens[at - 1].has("AkK"):
        return False
    return set(tokens[at + 1].kinds) <= set("v_i")


def _as(token: Token, letter: str, thing: object) -> Token:
    return Token({letter: thing}, token.start, token.end)


def _with_amount(last: Token, own: Token) -> Token:
    """Return the last amount's phrase with another amount in it, in the last one's unit if it has none."""
    amount = own.kinds.get("Q") or own.kinds["R"].amount
    final = last.kinds.get("Q") or last.kinds["R"].amount
    if amount.dimension is None and final.dimension:
        factor = {"share": 0.01}.get(final.dimension, 1.0)
        amount = amount.scaled(factor, final.dimension)
    if "R" in last.kinds:
        return Token({"R": last.kinds["R"]._replace(amount=amount)}, own.start, own.end)
    return Token({"Q": amount}, own.start, own.end)


def _unsure(claim: Judged) -> Judged:
    """Return a claim about someone who is not named again: it may be of someone else."""
    return claim if claim.true else claim._replace(true=None, reason="of whom this is said is not clear")


def _in_respect(tokens: list[Token], context: Context) -> Context:
    """Return the context with what the clause says of its aspect ("in size") and of "both", "each"."""
    aspect = next((token.kinds["n"] for token in tokens if "n" in token.kinds), context.aspect)
    return replace(
        context,
        aspect=aspect,
        carried=context.place,
        each=_each(tokens),
    )


def _each(tokens: list[Token]) -> bool:
    """Whether it is said of each; "are either a or b" is not, but "fewer than either a or b" is."""
    if any("each" in token.kinds for token in tokens):  # "in both carcinoma and stroma"
        return True
    compares = any(token.has("amx") for token in tokens)
    return any(token.has("B") and (compares or token.kinds["B"] != "either") for token in tokens)


def _is_false(claims: list[Judged]) -> bool:
    return any(claim.true is False for claim in claims)


def _either(claim: Judged) -> Judged:
    """Return a claim of a clause that may be read in another way."""
    return claim._replace(true=None, reason="it can be read in two ways") if claim.true is False else claim
