"""The ways to read a clause: as it stands, placed, denied, with the subject of the one before."""

from collections.abc import Iterator
from dataclasses import replace

from histome.narrative.language.patterns import Context
from histome.narrative.language.phrases import asides
from histome.narrative.language.pieces import Token, stripped


def variants(tokens: list[Token], context: Context) -> list[tuple[list[Token], Context]]:
    """Return the ways to read a clause: as it stands, placed, denied, with the subject of the one before."""
    found = [(tokens, context)]
    if "L" in tokens[0].kinds and len(tokens) > 1:
        place = tokens[0].kinds["L"]
        kept = trimmed(tokens[1:])
        if "u" in tokens[0].kinds and len(context.cells) == len(place) == 1 and kept:
            kept = [Token({"E": context.cells[0].at(place[0])}, 0, 0), *kept]  # "intratumoral ones 600"
        found.append((kept, replace(context, place=place, fronted=True)))
    if "L" in tokens[-1].kinds and len(tokens) > 1 and not tokens[-1].notes:
        found.append((tokens[:-1], replace(context, place=tokens[-1].kinds["L"], fronted=True)))
    if tokens[0].has("S") and not tokens[0].has("ETYR") and len(tokens) > 1:
        found.append((trimmed(tokens[1:]), context))
    if "w" in tokens[0].kinds and len(tokens) > 1 and tokens[1].has("ET"):
        found.append((tokens[1:], context))
    if "R" in tokens[0].kinds and len(tokens) > 1:
        part = tokens[0].kinds["R"]
        if part.tissues and part.amount.dimension == "area" and part.amount.is_exact and not part.checked:
            own = replace(tokens[0], kinds={"T": part.tissues[0]}, notes=[part.amount])
            found.append(([own, *tokens[1:]], context))  # "the 3.2 mm2 of carcinoma hold 8,800 cells"
    if (modest := asides.modest(tokens)) is not None:
        found.append((modest, context))
    if (noted := asides.noted(tokens)) is not None:
        found.append((noted, context))
    moved = asides.reordered(tokens)
    if moved is not None:
        found.append((moved, context))
    for kept, changed in list(found):
        deniers = [k for k, token in enumerate(kept) if token.has("N")]
        if len(deniers) == 1 and len(kept) > 1:
            at = deniers[0]
            if any(token.has("Z") for token in kept[:at]):  # "is absent, with no area in this class"
                continue
            if at and kept[at - 1].has("O") and not kept[at].has("v"):  # "wholly without", "mostly without"
                if kept[at - 1].kinds["O"].holds[0] < 0.97:
                    continue
                kept, at = [*kept[: at - 1], *kept[at:]], at - 1
            one = at + 1 + (asides.are_at(kept, at + 1, "v", "Q") and not kept[at + 1].has("Q"))
            single = asides.are_at(kept, one, "Q", "ETYW") and kept[one].kinds["Q"].middle == 1
            single = single and kept[one].kinds["Q"].dimension is None
            left = [*kept[:at], *kept[at + 1 : one], *kept[one + single :]]
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


def trimmed(tokens: list[Token]) -> list[Token]:
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
        asides.is_at(tokens, at + 1, "MYRETW") or asides.are_at(tokens, at + 1, "Q", "vWE")
    ):  # "as the index of 0.72 says", "as nine in ten cells are malignant"
        return any(token.has("v") for token in tokens[at:]) or tokens[at + 1].has("MY")
    return (
        "u" in tokens[at].kinds
        and not tokens[at].has("ETYL")
        and (set(tokens[at + 1].kinds) <= set("v_i") or tokens[at + 1].has("Q"))
    )
