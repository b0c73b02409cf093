"""What stands beside a clause: a number between commas, "scant" before a tissue, "only" before an amount."""

from collections.abc import Sequence
from dataclasses import replace

from histome.narrative.language.amounts import Amount, word_amount
from histome.narrative.language.numerals import in_unit_of
from histome.narrative.language.pieces import ALL_CELLS, Ratioed, Token

_LACKING = ("lack", "without", "devoid", "free", "entirely without", "absence")
_LITTLE = 0.3  # of all: "few"
_TOTAL = 0.97  # from there on an adverb says "all"


def is_at(tokens: Sequence[Token], at: int, letters: str) -> bool:
    """Whether a token of one of these kinds stands at a place."""
    return 0 <= at < len(tokens) and tokens[at].has(letters)


def are_at(tokens: Sequence[Token], at: int, *letters: str) -> bool:
    """Whether tokens of these kinds stand one behind the other from a place on."""
    return all(is_at(tokens, at + k, each) for k, each in enumerate(letters))


def with_asides(tokens: list[Token]) -> list[Token]:
    """Return tokens with the number in "12 cells, 0.12 % of the total, are ..." behind what it tells of."""
    found: list[Token] = []
    at = 0
    while at < len(tokens):
        at_amount = at + 1 + is_at(tokens, at + 1, "i")
        ends = at_amount + 1 == len(tokens) or are_at(tokens, at_amount + 1, ",", "a")
        placed = bool(found) and found[-1].has("L") and at_amount == at + 2 and ends
        if (
            is_at(tokens, at, ",")
            and found
            and (
                (are_at(tokens, at_amount, "QR", ",", "v") and found[-1].has("EWTQRY!"))
                or (placed and is_at(tokens, at_amount, "Q") and any(t.has("mx") for t in found))
            )
        ):
            kinds = tokens[at_amount].kinds
            amount = kinds.get("Q") or (
                kinds["R"].amount if kinds["R"].whole or _of_all(kinds["R"]) else None
            )
            before = next((note for token in found for note in token.notes), None) if placed else None
            if amount is not None and before is not None and amount.dimension is None:
                amount = in_unit_of(before, amount)
            if amount is not None and (amount.dimension or amount.is_exact):
                found[-1] = replace(found[-1], notes=[*found[-1].notes, amount])
                at = at_amount + 1 + (not placed)
                continue
        found.append(tokens[at])
        at += 1
    return found


def restatements(tokens: list[Token]) -> tuple[list[Token], list[Token]]:
    """Return tokens without "24 of 30" in "most immune cells, 24 of 30, are ...", and with it instead."""
    if are_at(tokens, 0, "N", "ET", "&", "ET", "v") and tokens[2].kinds["&"] == "but":
        return tokens[3:], [tokens[1], tokens[0], *tokens[4:]]  # "not a but b are the most common"
    for at in range(1, len(tokens) - 3):
        if "R" in tokens[at - 1].kinds and are_at(tokens, at, ",", "&", "Q", ","):  # "or four in five"
            again = replace(
                tokens[at - 1],
                kinds={"R": tokens[at - 1].kinds["R"]._replace(amount=tokens[at + 2].kinds["Q"])},
            )
            return [*tokens[:at], *tokens[at + 4 :]], [*tokens[: at - 1], again, *tokens[at + 4 :]]
        if not (are_at(tokens, at, ",", "Q", "o", "Q", ",") and "R" in tokens[at - 1].kinds):
            continue
        part: Ratioed = tokens[at - 1].kinds["R"]
        few, every = tokens[at + 1].kinds["Q"], tokens[at + 3].kinds["Q"]
        if part.checked is None and few.dimension is None and every.dimension is None:
            kinds = {"R": part._replace(amount=few, checked=every)}
            again = Token(kinds, tokens[at - 1].start, tokens[at + 3].end)
            return [*tokens[:at], *tokens[at + 5 :]], [*tokens[: at - 1], again, *tokens[at + 5 :]]
    return tokens, []


def set_apart(tokens: list[Token]) -> tuple[list[Token], list[Token]] | None:
    """Return "a, which are few, lie there" as "a lie there" and "a are few"; None for any other sentence."""
    first = next((k for k, token in enumerate(tokens) if token.kinds.get(",") == ","), 0)
    again = first == len(tokens) - 3 and are_at(tokens, first + 1, "&", "ET") and tokens[0].has("ET")
    if again and tokens[first + 1].kinds["&"].startswith(("as ", "so ")):  # "..., as do endothelial cells"
        return tokens[:first], [tokens[-1], *tokens[1:first]]
    fronted = tokens[0].has("vxm") and not tokens[0].has("ETYLNiw") and first > 1
    fronted = fronted and not any(token.has("Li") for token in tokens[:first])
    if (
        fronted and is_at(tokens, first + 1, "ET!") and is_at(tokens, first + 2, "vxr")
    ):  # "spanning 1.5 mm2, ..."
        return tokens[first + 1 :], [tokens[first + 1], *tokens[:first]]
    named = [k for k in range(first) if tokens[k].has("ETYR")]
    if len(named) != 1 or any(token.has("vNQ") for token in tokens[: named[0]]) or named[0] + 1 != first:
        return None
    for end in range(first + 2, len(tokens) - 1):
        inner = tokens[first + 1 : end]
        if tokens[end].kinds.get(",") == "," and is_at(tokens, end + 1, "vxd") and not inner[0].has("N"):
            told = inner[1:] if inner[0].has("&u") else inner
            return [*tokens[:first], *tokens[end + 1 :]], [*tokens[:first], *told]
    return None


def modest(tokens: list[Token]) -> list[Token] | None:
    """Return "the few lymphocytes are ..." as lymphocytes, with "few" as a note."""
    part: Ratioed | None = tokens[0].kinds.get("R")
    few = part.amount if part and len(part.cells) == 1 and not part.checked else None
    if part and few is not None and few.worded and few.holds[1] < _LITTLE:
        return [replace(tokens[0], kinds={"E": part.cells[0]}, notes=[few]), *tokens[1:]]
    if are_at(tokens, 0, "A", "E") and not tokens[0].has("EQ") and len(tokens) > 2:
        return [replace(tokens[1], notes=[tokens[0].kinds["A"]]), *tokens[2:]]
    return None


def noted(tokens: list[Token]) -> list[Token] | None:
    """Return "double the density of lymphocytes of 280 per mm2" with the number as a note, the last such."""
    for at in range(1, len(tokens)):
        part: Ratioed | None = tokens[at].kinds.get("R") if is_at(tokens, at - 1, "F") else None
        if part and part.amount.is_exact and part.amount.dimension in ("area", "density", "pixel area"):
            thing = {"E": part.cells[0]} if part.cells else {"T": part.tissues[0]} if part.tissues else None
            if thing:  # "double the 1.5 mm2 of epithelium"
                return [
                    *tokens[:at],
                    replace(tokens[at], kinds=thing, notes=[part.amount]),
                    *tokens[at + 1 :],
                ]
    for at in range(len(tokens) - 3, 0, -1):
        named = tokens[at].has("Y") or (tokens[at].has("E") and is_at(tokens, at + 1, "i"))
        amount = tokens[at + 2].kinds.get("Q") if are_at(tokens, at + 1, "oi", "Q") else None
        if named and amount is not None and amount.is_exact and amount.dimension not in (None, "ratio"):
            return [*tokens[:at], replace(tokens[at], notes=[*tokens[at].notes, amount]), *tokens[at + 3 :]]
    return None


def reordered(tokens: list[Token]) -> list[Token] | None:
    """Return "without exception, a ..." as "a without exception ...", "so rare are a" as "a are so rare"."""
    first = tokens[0]
    if first.has("O") and not first.has("Q") and are_at(tokens, 1, ",", "E"):
        return [tokens[2], first, *tokens[3:]]
    if set(first.kinds) <= set("AQq_") and "A" in first.kinds and are_at(tokens, 1, "v", "ET"):
        return [tokens[2], tokens[1], first, *tokens[3:]]
    return None


def lacks(token: Token) -> bool:
    """Whether it denies by itself: "lacks", "free of", "without"; not "not"."""
    return "N" in token.kinds and token.kinds["N"].startswith(_LACKING)


def is_there(tokens: list[Token], at: int) -> bool:
    """Whether it is the "not free of" of "is not free of dead cells": there are some."""
    return are_at(tokens, at, "N", "N") and lacks(tokens[at + 1])


def is_total(token: Token) -> bool:
    """Whether it is an adverb that says "all": entirely."""
    return token.has("O") and isinstance(token.kinds["O"], Amount) and token.kinds["O"].holds[0] > _TOTAL


def _of_all(part: Ratioed) -> bool:
    return part.cells == (ALL_CELLS,)


def attributes(tokens: list[Token]) -> tuple[list[Token], list[Token]]:
    """Return tokens without "scant" in "in the scant stroma", and clauses that say it: "stroma scant"."""
    kept: list[Token] = []
    beside: list[Token] = []
    for at, token in enumerate(tokens):
        if token.has("AQ") and is_at(tokens, at - 1, "io") and is_at(tokens, at + 1, "ET"):
            amount = token.kinds.get("A") or token.kinds["Q"]
            if amount.worded and amount.dimension == "share" and amount.holds[0] < 0.99:
                comma = Token({",": ",", "_": ""}, token.start, token.start)
                beside += [comma, replace(tokens[at + 1], notes=[]), replace(token, kinds={"A": amount})]
                continue
        kept.append(token)
    return kept, beside


def without_participles(tokens: list[Token]) -> list[Token]:
    """Return tokens without "measured" in "of the measured surface"."""
    return [
        token
        for k, token in enumerate(tokens)
        if not (
            set(token.kinds) == {"_", "v"}
            and (
                (is_at(tokens, k + 1, "TWSM") and is_at(tokens, k - 1, "oi"))
                or (is_at(tokens, k + 1, "i") and set(tokens[k - 1].kinds) <= {"M", "u"})
            )
        )
    ]


def without_slide(tokens: list[Token]) -> list[Token]:
    """Return tokens without "the slide" in "for each lymphocyte the slide carries two carcinoma cells"."""
    return [
        token
        for k, token in enumerate(tokens)
        if not (
            token.has("S")
            and not token.has("TMK")
            and is_at(tokens, k - 1, "E,")
            and is_at(tokens, k + 1, "v")
            and are_at(tokens, 0, "p", "E")
        )
    ]


def without_reach(tokens: list[Token]) -> list[Token]:
    """Return tokens without "measured to the carcinoma" before a distance, which is to nothing else."""
    to_tumor = are_at(tokens, 0, "v", "t", "T", ",") and tokens[2].kinds["T"] == "CARCINOMA"
    far = any({"distance"} & set(token.kinds.get("M", ())) for token in tokens)
    return tokens[4:] if to_tumor and far else tokens


def without_only(tokens: list[Token]) -> list[Token]:
    """Return tokens without "only" before an amount, "between them" behind it: they say no more."""
    kept = [t for k, t in enumerate(tokens) if not (t.has("O") and _says_nothing(tokens, k))]
    kept = [t for k, t in enumerate(kept) if t.kinds.get("2") != "together" or not _any(kept[:k], "Q")]
    for k, token in enumerate(kept[1:]):  # "all but confined to"
        only = set(token.kinds) <= {"O", "_"} and isinstance(token.kinds.get("O"), Amount)
        if only and kept[k].kinds.get("~") == "almost" and token.kinds["O"].holds[0] > 0.97:
            kept[k] = replace(kept[k], kinds={"O": word_amount("adverbs", "overwhelmingly")})
    return [t for k, t in enumerate(kept) if not _confines(kept, k)]


def _any(tokens: list[Token], letters: str) -> bool:
    return any(token.has(letters) for token in tokens)


def _confines(tokens: list[Token], at: int) -> bool:
    """Whether it is the "confined to" of "overwhelmingly confined to": the adverb says how much."""
    if not are_at(tokens, at - 1, "O", "O") or not all(
        isinstance(t.kinds["O"], Amount) for t in tokens[at - 1 : at + 1]
    ):
        return False
    return tokens[at].kinds["O"].holds[0] > 0.97 and tokens[at - 1].kinds["O"].holds[0] >= 0.5


def _says_nothing(tokens: list[Token], at: int) -> bool:
    """Whether "only" stands before an amount, or "alone" behind who is spoken of."""
    if tokens[at].has("Q"):  # "all 200 plasma cells"
        return False
    if not tokens[at].has("_"):  # "limited to 16 %"
        only = isinstance(tokens[at].kinds["O"], Amount) and tokens[at].kinds["O"].holds[0] > 0.97
        return only and is_at(tokens, at + 1, "Q") and not tokens[at + 1].kinds["Q"].worded
    if are_at(tokens, at - 2, "Q", "EWTYM") and (at + 1 == len(tokens) or is_at(tokens, at + 1, ",")):
        return True  # "one region only"
    amount = any(token.has("QR") for token in tokens[at:])  # "alone make up half"
    return is_at(tokens, at + 1, "QAR") or (
        amount
        and is_at(tokens, at - 1, "ET")
        and not is_at(tokens, at - 2, "i")
        and not is_at(tokens, at + 1, "i")
    )
