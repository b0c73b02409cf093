"""From a sentence to what it claims: clauses found, matched with the rules, each with what came before it."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial

from histome.narrative.language import asides
from histome.narrative.language.chunks import chunked
from histome.narrative.language.clauses import (
    comparisons,
    frames,
    gradients,
    measures,
    mentions,
    places,
    ranks,
    ratios,
    states,
    tiles,
    values,
)
from histome.narrative.language.judging import Judged
from histome.narrative.language.patterns import RULES, ClauseMatch, Context, match
from histome.narrative.language.pieces import Token, Unfit, Unread, stripped
from histome.narrative.language.quantities import World
from histome.narrative.language.reading import read_tokens

# Each of these makes its functions rules: the modules that come first are asked first.
_MODULES = (values, measures, mentions, tiles, comparisons, ratios, gradients, ranks, places, states)
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
_SPAN = 6  # pieces between commas that one clause may have


def claims_of(sentence: str, world: World) -> list[Judged]:
    """Return what a sentence claims, judged.

    Raises Unread for a sentence with anything that is not understood.
    """
    tokens = read_tokens(sentence, world.facts.kind.name)
    for joined in (True, False):
        plain, restated = asides.restatements(chunked(tokens, joined=joined))
        found = _Sentence(plain, world, sentence).claims()
        if found and restated:
            again = _Sentence(restated, world, sentence).claims()
            found = again and [*found, *again]
        if found:
            return found
    raise Unread("the sentence is not understood")


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
            tokens = _trimmed(spanned)
            self.tries += 1
            if self.tries > _MOST_TRIES:
                return None
            if not any(token.has(_CONTENT) or token.is_joined for token in tokens):  # "we found that"
                rest = self._from(last + 1, _in_respect(tokens, context))
                if rest is not None:
                    return rest
                continue
            for claims, after in self._clause(tokens, context):
                rest = self._from(last + 1, after)
                if rest is not None:
                    return [*claims, *rest]
        return None

    def _clause(self, tokens: list[Token], context: Context) -> list[tuple[list[Judged], Context]]:
        """Return the first reading of a clause, as a list of one or none; open if another is not false."""
        first: tuple[list[Judged], Context] | None = None
        for variant, changed in _variants(tokens, context):
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
                yield found, after

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
        if said and not any(t.is_joined for t in self.tokens):
            self.tokens = [t for t in self.tokens if not t.has("z")]
            self.starts = _cuts(self.tokens)
            return None
        end = next((k for k, t in enumerate(self.tokens) if t.has("z")), len(self.tokens))
        tail = _trimmed(self.tokens[end + 1 :])
        tokens = [t for t in self.tokens[:end] if set(t.kinds) - {"_", ","}]
        named = [t for t in tokens if t.is_joined]
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
                Token({letter: thing}, t.start, t.end)
                if t is named[0]
                else _with_amount(last, amount)
                if t is last
                else t
                for t in kept
            ]
            found = self._clause(_trimmed(made), Context(self.world))
            if not found:
                return []
            claims += found[0][0]
        rest = self._clause([named[0], *tail], Context(self.world)) if tail else [([], None)]
        return [*claims, *rest[0][0]] if rest else []


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


def _trimmed(tokens: list[Token]) -> list[Token]:
    """Return tokens without commas and conjunctions at their ends."""
    first, last = 0, len(tokens)
    while first < last and _leads(tokens, first):
        first += 1
    while last > first and tokens[last - 1].has(",&"):
        last -= 1
    return stripped(tokens[first:last])


def _leads(tokens: list[Token], at: int) -> bool:
    """Whether a token only begins a clause: a comma, "and", the "that" of "that takes up"."""
    if tokens[at].has(",&") and not tokens[at].has("N"):
        return True
    if at + 1 == len(tokens):
        return False
    if "s" in tokens[at].kinds and (
        asides.is_at(tokens, at + 1, "MY") or asides.are_at(tokens, at + 1, "Q", "v")
    ):  # "as the index of 0.72 says"
        return True
    return "u" in tokens[at].kinds and (set(tokens[at + 1].kinds) <= set("v_i") or tokens[at + 1].has("Q"))


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
    compares = any(token.has("amx") for token in tokens)
    return any(token.has("B") and (compares or token.kinds["B"] != "either") for token in tokens)


def _is_false(claims: list[Judged]) -> bool:
    return any(claim.true is False for claim in claims)


def _either(claim: Judged) -> Judged:
    """Return a claim of a clause that may be read in another way."""
    return claim._replace(true=None, reason="it can be read in two ways") if claim.true is False else claim


def _variants(tokens: list[Token], context: Context) -> list[tuple[list[Token], Context]]:
    """Return the ways to read a clause: as it stands, placed, denied, with the subject of the one before."""
    found = [(tokens, context)]
    if "L" in tokens[0].kinds and len(tokens) > 1:
        place = tokens[0].kinds["L"]
        kept = _trimmed(tokens[1:])
        if "u" in tokens[0].kinds and len(context.cells) == len(place) == 1 and kept:
            kept = [Token({"E": context.cells[0].at(place[0])}, 0, 0), *kept]  # "intratumoral ones 600"
        found.append((kept, replace(context, place=place, fronted=True)))
    if "L" in tokens[-1].kinds and len(tokens) > 1 and not tokens[-1].notes:
        found.append((tokens[:-1], replace(context, place=tokens[-1].kinds["L"], fronted=True)))
    if tokens[0].has("S") and not tokens[0].has("ETYR") and len(tokens) > 1:
        found.append((_trimmed(tokens[1:]), context))
    if "w" in tokens[0].kinds and len(tokens) > 1 and tokens[1].has("ET"):
        found.append((tokens[1:], context))
    if "R" in tokens[0].kinds and len(tokens) > 1:
        part = tokens[0].kinds["R"]
        if part.tissues and part.amount.dimension == "area" and part.amount.is_exact and not part.checked:
            own = replace(tokens[0], kinds={"T": part.tissues[0]}, notes=[part.amount])
            found.append(([own, *tokens[1:]], context))  # "the 3.2 mm2 of carcinoma hold 8,800 cells"
    moved = asides.reordered(tokens)
    if moved is not None:
        found.append((moved, context))
    for kept, changed in list(found):
        deniers = [k for k, token in enumerate(kept) if token.has("N")]
        if len(deniers) == 1 and len(kept) > 1:
            at = deniers[0]
            if at and kept[at - 1].has("O") and not kept[at].has("v"):  # "wholly without", "mostly without"
                if kept[at - 1].kinds["O"].holds[0] < 0.97:
                    continue
                kept, at = [*kept[: at - 1], *kept[at:]], at - 1
            one = at + 2 < len(kept) and "Q" in kept[at + 1].kinds and kept[at + 1].kinds["Q"].middle == 1
            single = one and kept[at + 2].has("ETYW") and kept[at + 1].kinds["Q"].dimension is None
            left = [*kept[:at], *kept[at + 1 + single :]]
            if asides.is_total(left[-1]) and asides.lacks(kept[at]):  # "lacks necrosis entirely"
                left = left[:-1]
            found.append((left, replace(changed, negated=True)))
        elif len(deniers) == 2 and asides.is_there(kept, deniers[0]):
            said = Token({"v": "seen"}, kept[deniers[0]].start, kept[deniers[1]].end)
            found.append(([*kept[: deniers[0]], said, *kept[deniers[1] + 1 :]], changed))
    if not tokens[0].has("ETYWS"):
        subjects = list(_subjects(context))
        if tokens[0].kinds.get("v") == "holds" and not tokens[0].has("w") and context.tissues:
            found = [([subjects[0], *tokens], context), *found]  # "..., and holds most of the lymphocytes"
        for subject in subjects:
            found += [
                ([subject, *kept], changed)
                for kept, changed in list(found)
                if kept and not kept[0].has("ETY")
            ]
    return [(kept, changed) for kept, changed in found if kept]


def _subjects(context: Context) -> Iterator[Token]:
    """Yield who may be meant where a clause names nobody."""
    if context.cells:
        kinds: dict = {"E": context.cells[0]} if len(context.cells) == 1 else {"E+": context.cells}
        yield Token(kinds, 0, 0)
    elif context.tissues:
        several = len(context.tissues) > 1
        yield Token({"T+": context.tissues} if several else {"T": context.tissues[0]}, 0, 0)
    elif context.tile_metric:
        yield Token({"!": context.tile_metric}, 0, 0)
    if context.measured is not None:
        yield Token({"Y": context.measured}, 0, 0)
