"""From a sentence to what it claims: clauses found, matched with the rules, each with what came before it."""

from dataclasses import replace

from histome.narrative.language.chunks import chunked
from histome.narrative.language.clauses import (
    comparisons,
    gradients,
    measures,
    mentions,
    places,
    ranks,
    states,
    values,
)
from histome.narrative.language.judging import Judged
from histome.narrative.language.patterns import RULES, ClauseMatch, Context, match
from histome.narrative.language.quantities import World
from histome.narrative.language.reading import Token, Unread, read_tokens, stripped

# Each of these makes its functions rules: the modules that come first are asked first.
_MODULES = (values, measures, mentions, comparisons, gradients, ranks, places, states)
_RULES = [one for module in _MODULES for one in RULES if one[1].__module__ == module.__name__]
_MOST_PIECES = 30
_MOST_TRIES = 400  # of segments a sentence
_SPAN = 6  # pieces between commas that one clause may have


def claims_of(sentence: str, world: World) -> list[Judged]:
    """Return what a sentence claims, judged.

    Raises Unread for a sentence with anything that is not understood.
    """
    tokens = read_tokens(sentence, world.facts.kind.name)
    for joined in (True, False):
        found = _Sentence(chunked(tokens, joined=joined), world, sentence).claims()
        if found:
            return found
    raise Unread("the sentence is not understood")


class _Sentence:
    """One sentence cut at its commas and conjunctions."""

    def __init__(self, tokens: list[Token], world: World, text: str) -> None:
        self.tokens, self.world, self.text = tokens, world, text
        cuts = [
            k
            for k, token in enumerate(tokens)
            if token.has(",&w") or (token.has("i") and k + 1 < len(tokens) and tokens[k + 1].has("Q"))
        ]
        self.starts = sorted({0, *(k for k in cuts)})
        self.tries = 0

    def claims(self) -> list[Judged] | None:
        if len(self.starts) > _MOST_PIECES:
            return None
        paired = self._respectively()
        return paired if paired is not None else self._from(0, Context(self.world))

    def _from(self, piece: int, context: Context) -> list[Judged] | None:
        """Return the claims from a piece on: the longest clause that is understood first."""
        ends = [*self.starts[1:], len(self.tokens)]
        if piece == len(self.starts):
            return [] if not context.pending and not context.beside else None
        for last in range(min(len(ends), piece + _SPAN) - 1, piece - 1, -1):
            tokens = _trimmed(self.tokens[self.starts[piece] : ends[last]])
            self.tries += 1
            if self.tries > _MOST_TRIES:
                return None
            if not tokens:
                rest = self._from(last + 1, context)
                if rest is not None:
                    return rest
                continue
            for claims, after in self._clause(tokens, context):
                rest = self._from(last + 1, after)
                if rest is not None:
                    return [*claims, *rest]
        return None

    def _clause(self, tokens: list[Token], context: Context) -> list[tuple[list[Judged], Context]]:
        """Return the first reading of a clause, as a list of one or none."""
        for variant, changed in _variants(tokens, context):
            found = self._matched(variant, changed)
            if found is not None:
                claims, after = found
                if variant[0] is not tokens[0] and variant[0].start == variant[0].end == 0:
                    claims = [_unsure(claim) for claim in claims]
                return [(claims, after)]
        return []

    def _matched(self, tokens: list[Token], context: Context) -> tuple[list[Judged], Context] | None:
        text = self.text[tokens[0].start : tokens[-1].end] if tokens else ""
        for elements, action in _RULES:
            parts = match(elements, tokens)
            if parts is None:
                continue
            after = replace(context, pending=list(context.pending))
            found = action(ClauseMatch(parts, text), after)
            if found is None:
                continue
            if after.negated:
                found = _denied(found)
            found += self._pending(parts, context, after)
            for token in dict.fromkeys(id(t) for _, t in parts):
                one = next(t for _, t in parts if id(t) == token)
                found += values.notes_on(one, after) if one.notes else []
            after.negated = False
            return found, after
        return None

    @staticmethod
    def _pending(parts: tuple, before: Context, after: Context) -> list[Judged]:
        """Return the claims of "with 45 %, ..." once it is known who is meant."""
        if not before.pending or after.pending is before.pending:
            return []
        token = next((t for letter, t in parts if letter in "ET"), None)
        if token is None:
            return []
        after.pending = []
        return values.notes_on(replace(token, notes=list(before.pending)), after)

    def _side_by_side(self) -> bool:
        """Whether it goes "a and b are 1 and 2": as many amounts in a row as things before."""
        named = [k for k, t in enumerate(self.tokens) if "E+" in t.kinds or "T+" in t.kinds]
        amounts = [k for k, t in enumerate(self.tokens) if t.has("QR")]
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
        tokens = [t for t in self.tokens if not t.has("z") and set(t.kinds) - {"_", ","}]
        named = [t for t in tokens if "E+" in t.kinds or "T+" in t.kinds]
        amounts = [t for t in tokens if "Q" in t.kinds or "R" in t.kinds]
        if len(named) != 1:
            return []
        things = named[0].kinds.get("E+") or named[0].kinds["T+"]
        letter = "E" if "E+" in named[0].kinds else "T"
        if len(things) != len(amounts):
            return []
        last = amounts[-1]
        claims: list[Judged] = []
        for thing, amount in zip(things, amounts, strict=True):
            kept = [
                t
                for t in tokens
                if (t not in amounts or t is last) and not ("&" in t.kinds and set(t.kinds) <= {"&", "_"})
            ]
            made = [
                _as(t, letter, thing) if t is named[0] else _with_amount(last, amount) if t is last else t
                for t in kept
            ]
            found = self._clause(_trimmed(made), Context(self.world))
            if not found:
                return []
            claims += found[0][0]
        return claims


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


def _trimmed(tokens: list[Token]) -> list[Token]:
    """Return tokens without commas and conjunctions at their ends."""
    first, last = 0, len(tokens)
    while first < last and tokens[first].has(",&") and not tokens[first].has("N"):
        first += 1
    while last > first and tokens[last - 1].has(",&"):
        last -= 1
    return stripped(tokens[first:last])


def _unsure(claim: Judged) -> Judged:
    """Return a claim about someone who is not named again: it may be of someone else."""
    return claim if claim.true else claim._replace(true=None, reason="of whom this is said is not clear")


def _denied(found: list[Judged]) -> list[Judged]:
    return [claim.denied() for claim in found]


def _variants(tokens: list[Token], context: Context) -> list[tuple[list[Token], Context]]:
    """Return the ways to read a clause: as it stands, placed, denied, with the subject of the one before."""
    found = [(tokens, context)]
    if "L" in tokens[0].kinds and len(tokens) > 1:
        found.append((_trimmed(tokens[1:]), replace(context, place=tokens[0].kinds["L"])))
    if "L" in tokens[-1].kinds and len(tokens) > 1 and not tokens[-1].notes:
        found.append((tokens[:-1], replace(context, place=tokens[-1].kinds["L"])))
    if "w" in tokens[0].kinds and len(tokens) > 1 and tokens[1].has("ET"):
        found.append((tokens[1:], context))
    for kept, changed in list(found):
        deniers = [k for k, token in enumerate(kept) if token.has("N")]
        if len(deniers) == 1 and len(kept) > 1:
            at = deniers[0]
            found.append(([*kept[:at], *kept[at + 1 :]], replace(changed, negated=True)))
    subject = _subject(context)
    if subject is not None and not tokens[0].has("ETYRWS"):
        for kept, changed in list(found):
            if kept and not kept[0].has("ETYR"):
                found.append(([subject, *kept], changed))
    return [(kept, changed) for kept, changed in found if kept]


def _subject(context: Context) -> Token | None:
    if context.cells:
        kinds: dict = {"E": context.cells[0]} if len(context.cells) == 1 else {"E+": context.cells}
        return Token(kinds, 0, 0)
    if context.tissues:
        return Token({"T": context.tissues[0]}, 0, 0)
    return None
