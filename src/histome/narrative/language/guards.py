"""What a clause names must be in what its claims rest on: a place, the right statistic."""

import re
from collections.abc import Iterable, Sequence

from histome.narrative.language.judging import Judged
from histome.narrative.language.lexicon import CellGroup
from histome.narrative.language.patterns import Context
from histome.narrative.language.pieces import Token

# What is measured of the carcinoma or the stroma although the place is not in its name's end.
_THERE = {
    "CARCINOMA": re.compile(r"REGION_COUNT|LARGEST_FILLED|IMMUNE_\w+_SHARE|INTRATUMORAL|_CARCINOMA_CELL$"),
    "STROMA": re.compile(r"STROMAL_TIL"),
}
_MEDIAN, _MEAN = re.compile(r"\bmedian\b", re.I), re.compile(r"\b(?:mean|averages?d?|averaging)\b", re.I)
_TOTAL = re.compile(r"\b(?:total|summed|combined|cumulative)\b", re.I)
_PIECES = re.compile(
    r"\b(?:nests|islands|regions|areas|masses|tissues|compartments|components|zones|foci)\b", re.I
)
_HALF = 0.5
_MEDIANS = re.compile(r"DISTANCE_TO_CARCINOMA_MEDIAN")
_MEANS = re.compile(r"NUCLEUS_AVG_|mean_area_|mean_dist")


_SIZED = re.compile(
    r"(?!.*\b(?:number|count)\b).*\bmeasur(?:es?|ed|ing) (?:(?:about|around|approximately|roughly|only) )?\d",
    re.I | re.S,
)
_EXTREME = re.compile(r"\b(?:extreme|exceeding|excessive|utter|overwhelming)ly\b", re.I)
_THIS_GROUP = re.compile(
    r"\bof (?:this|that) (?:compartment|population|group|infiltrate|fraction|subset|pool|component)\b", re.I
)


def guarded(claims: list[Judged], tokens: Sequence[Token], text: str, context: Context) -> list[Judged]:
    """Return the claims of a clause, open where they leave out its place or rest on another statistic."""
    sources = {source for claim in claims for source in claim.sources}
    nowhere = context.negated and all(claim.kind == "finding" for claim in claims)  # then not there either
    lost = (
        sources and not nowhere and not all(_is_there(place, sources) for place in _places(tokens, context))
    )
    wrong = any(_other_statistic(source, text) for source in sources)
    varies = any(
        token.kinds.get("v") == "varies" for token in tokens
    )  # how much it varies, not how much it is
    wrong = wrong or (varies and not all("_CV_" in source for source in sources))
    random = any(token.kinds.get("c") == "random" for token in tokens)  # "more or less at random": about 1
    if any(
        ("~" in token.kinds and not random) or ("O" in token.kinds and token.kinds["O"].holds[1] < _HALF)
        for token in tokens
    ):
        claims = [_of_some_degree(claim) for claim in claims]
    if _EXTREME.search(text):  # of tiles there is a share: "overwhelmingly an immune desert"
        shared = any(source.endswith("_SHARE") for source in sources)
        claims = claims if shared else [_of_some_degree(claim) for claim in claims]
    if _THIS_GROUP.search(text):  # "immune cells ..., with lymphocytes forming the bulk of this compartment"
        reason = "of whom it is a part is not clear"
        claims = [claim._replace(true=None, reason=reason) for claim in claims]
    if _counts_pieces(tokens, text, sources):
        reason = "how many of them there are is not measured"
        return [claim._replace(true=None, reason=reason) for claim in claims]
    if sizes := _bare_sizes(tokens, text, context):
        reason = "a size without a unit"
        claims = [each._replace(true=None, reason=reason) if each.text in sizes else each for each in claims]
    if not lost and not wrong:
        return claims
    reason = "it is not measured of that place" if lost else "it is another statistic"
    return [claim._replace(true=None, reason=reason) if claim.true else claim for claim in claims]


def _counts_pieces(tokens: Sequence[Token], text: str, sources: Iterable[str]) -> bool:
    """Whether it gives a number of pieces of a tissue: "the tumor nests number 6,000"."""
    counted = any("Q" in token.kinds and token.kinds["Q"].dimension is None for token in tokens)
    if not counted or any(token.has("EW") for token in tokens):
        return False
    start, cells = tokens[0].start, any("CELL_COUNT" in source for source in sources)
    named = (token for token in tokens if token.has("T") and (cells or not token.has("Y")))
    return any(_PIECES.search(text[token.start - start : token.end - start]) for token in named)


def _bare_sizes(tokens: Sequence[Token], text: str, context: Context) -> set[str]:
    """Return the numbers that are said to be a size of cells: "carcinoma nuclei measure 22" is no count."""
    numbers = [token for token in tokens if "Q" in token.kinds and token.kinds["Q"].dimension is None]
    if not numbers or context.measured is not None or not _SIZED.match(text):
        return set()
    if not any(token.has("EW") and token.start < numbers[0].start for token in tokens):
        return set()
    return {token.kinds["Q"].text for token in numbers}


def _of_some_degree(claim: Judged) -> Judged:
    """Return a claim on a label as open: "hardly immune-inflamed", "almost clustered"."""
    if claim.kind not in ("phenotype", "pattern"):
        return claim
    return claim._replace(true=None, reason="a label says nothing of how much")


def _is_there(place: str, sources: Iterable[str]) -> bool:
    known = _THERE.get(place)
    sources = [source.replace("DISTANCE_TO_CARCINOMA", "") for source in sources]
    return any(place in source or (known is not None and known.search(source)) for source in sources)


def _places(tokens: Sequence[Token], context: Context) -> set[str]:
    """Return the tissues and zones in which a clause says that something is."""
    found = set(context.place) if context.fronted else set()
    for token in tokens:
        kinds = token.kinds
        groups: list[CellGroup] = [*kinds.get("E+", ())]
        groups += [kinds["E"]] if "E" in kinds else []
        groups += kinds["R"].cells if "R" in kinds else ()
        if "Y" in kinds and "T" not in kinds:
            groups += kinds["Y"].cells
            found |= set(kinds["Y"].place)
        found |= {each.place for each in groups if each.place} | set(kinds.get("L", ()))
    return found


def _other_statistic(source: str, text: str) -> bool:
    """Whether a mean is called a median or a sum, or a median a mean."""
    if _MEANS.search(source):
        return bool(_MEDIAN.search(text) or _TOTAL.search(text))
    return bool(_MEDIANS.search(source) and _MEAN.search(text) and not _MEDIAN.search(text))
