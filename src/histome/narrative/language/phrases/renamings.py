"""Other words for what has a name: "the excluded one", "cells called carcinoma", "of the benign kind"."""

from histome.narrative.language.lexicon import CellGroup
from histome.narrative.language.phrases.asides import are_at, is_at
from histome.narrative.language.pieces import Token


def ones(tokens: list[Token], at: int) -> tuple[dict, int] | None:
    """Read "the excluded one" as the excluded."""
    if are_at(tokens, at, "!k1", "K") and tokens[at + 1].has("Qu"):
        return dict(tokens[at].kinds), at + 2
    one = are_at(tokens, at, "J", "K") and tokens[at + 1].kinds["K"] == "one"
    if one and any(token.has("M") for token in tokens[:at]):  # "21 times the intratumoral one"
        return {"L": (tokens[at].kinds["J"],), "u": ""}, at + 2
    return None


def phenotype_share(tokens: list[Token], at: int) -> tuple[dict, int] | None:
    """Read "the share of excluded tiles", "that of the excluded ones" as the phenotype."""
    if are_at(tokens, at, "Mu", "o", "!") and set(tokens[at].kinds.get("M", ("share",))) & {"share", "count"}:
        return dict(tokens[at + 2].kinds), at + 3 + is_at(tokens, at + 3, "u")
    return None


def named(tokens: list[Token], at: int) -> tuple[dict, int] | None:
    """Read "12 cells were called carcinoma" as carcinoma cells."""
    carcinoma = CellGroup(("carcinoma_cell",), "carcinoma_cell")
    if are_at(tokens, at, "T", "u") and "K" in tokens[at + 1].kinds and tokens[at].kinds["T"] == "CARCINOMA":
        return {"E": carcinoma}, at + 2  # "rounder than the carcinoma ones"
    if is_at(tokens, at, "T") and tokens[at].kinds["T"] == "CARCINOMA":
        of_all = are_at(tokens, at, "T", "v", "Q", "o", "W") or are_at(tokens, at, "T", "v", "Q", "W")
        makes_up = (
            of_all and tokens[at + 1].kinds["v"] == "plain" and tokens[at + 2].kinds["Q"].dimension == "share"
        )
        verbs = at
        while is_at(tokens, verbs - 1, "v") and not is_at(tokens, verbs - 1, "i"):
            verbs -= 1
        are = 0 < verbs < at and is_at(tokens, verbs - 1, "WR") and tokens[at - 1].kinds["v"] == "plain"
        if (
            makes_up
            or (are and any(t.has("QR") for t in tokens[:at]))
            or are_at(tokens, at - 1, "U", "T", ",", "E")
        ):
            return {"E": carcinoma}, at + 1  # "half of the cells are carcinoma"
    both = are_at(tokens, at, "T", "&", "E") and tokens[at + 2].kinds["E"].nuclei
    if both and tokens[at].kinds["T"] == "CARCINOMA":  # "carcinoma and epithelial nuclei"
        return {"E": carcinoma._replace(nuclei=True)}, at + 1
    called = are_at(tokens, at - 1, "v", "T") and tokens[at - 1].kinds["v"] == "names"
    cells = any(token.has("WE") for token in tokens[max(0, at - 4) : at])
    if called and cells and tokens[at].kinds["T"] == "CARCINOMA":
        return {"E": carcinoma}, at + 1
    return None


def of_that_kind(tokens: list[Token], at: int) -> tuple[dict, int] | None:
    """Read "epithelial cells of the benign kind" as epithelial cells."""
    if are_at(tokens, at, "E", "o", "E", "K"):
        mine, kind = tokens[at].kinds["E"], tokens[at + 2].kinds["E"]
        if mine.members and set(mine.members) <= set(kind.members):
            return dict(tokens[at].kinds), at + 4
    return None
