"""Clauses that say how things are: clustered, immune-excluded."""

import re
from functools import cache

from histome.caveats.enough import FEWEST_CELLS
from histome.narrative.language.amounts import Amount, word_amount
from histome.narrative.language.clauses.tiles import TILE_METRICS
from histome.narrative.language.judging import (
    Judged,
    judge_amount,
)
from histome.narrative.language.lexicon import CellGroup, vocabulary
from histome.narrative.language.patterns import ClauseMatch, Context, rule
from histome.narrative.language.pieces import Measured
from histome.phenotype.axes import phenotypes

_WHOLE = re.compile(
    r"\b(entire|whole|all\b|each\b|every\b|always|throughout|uniform|complete|wholly|exclusive|solely|only|purely|fully)",
    re.I,
)
_NOT = re.compile(r"\b(not|neither|nor)\b|n't\b", re.I)
_NO_SUCH_PLACE = re.compile(r"(the )?(infiltrate|infiltration|stroma)\b(?!-)", re.I)
_TUMOR = re.compile(r"\b(?:tumou?r|carcinoma|neoplasm|cancer)\b", re.I)
_ALL = 0.995  # of the tiles
PATTERNS = {"clustered": (0.0, 0.9), "random": (0.9, 1.1), "even": (1.1, 9.0)}


_LEVELS = {
    ("purity", True): "High Tumour Purity",
    ("purity", False): "Low Tumour Purity",
    ("entropy", True): "Highly Mixed",
    ("entropy", False): "Segregated",
}


@rule("Y [qA]", "[qA] Y", "[qA] Y o? Q", "Y o S [qA]", "[ST] [qA] Y")
def _level(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "tumor purity is high" and "a low entropy of 0.27": as the label of the measure says."""
    measured: Measured = m.one("Y")
    little = m.one("A") is not None and m.one("A").holds[1] < 0.5
    told = m.one("A") is not None or "high" in (m.one("q") or ())
    whose = m.tissues() in ([], [("CARCINOMA",)])
    if len(measured.measures) != 1 or measured.cells or not told or not whose:
        return None
    label = _LEVELS.get((measured.measures[0], not little))
    c.measured = measured
    if measured.measures[0] in ("immune_share", "infiltration"):
        level = word_amount("levels", "low" if little else "high")
        if m.one("A") is not None and not little:  # "substantial immune infiltration"
            level = m.one("A")
        amounts = [level, m.one("Q")] if m.one("Q") else [level]
        return [judge_amount([c.world.whole(measured.measures[0])], each) for each in amounts]
    axis = None if label is None else _axis_path(label, c)
    if label is None or axis is None or (m.one("A") is not None and not little):
        return None
    value = c.world.whole(measured.measures[0])
    told = [judge_amount([value], m.one("Q"))] if m.one("Q") else []
    sources = c.world.label_sources(label)
    reason = "" if sources else "no label or token says so"
    rests = (*(sources or (axis,)), *(value.sources if value else ()))
    return [*told, Judged(bool(sources), "phenotype", m.text, rests, reason)]


@rule("E i? c 7 c")
def _rather(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "clustered rather than random"."""
    first, second = m.all("c")
    mine = _pattern(ClauseMatch((m.parts[0], ("c", m.tokens("c")[0])), m.text), c)
    return mine if first != second else None


@rule("A? Y c o E")
def _index_says(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "the low Clark-Evans index points to clustering of the lymphocytes": under 1."""
    low = m.one("A")
    if m.one("Y").measures != ("clark_evans",) or (low is not None and low.holds[1] > 0.5):
        return None
    under = Amount((0.0, 0.9), (0.0, 1.0), None, m.text)
    parts = (("E", m.tokens("E")[0]), ("c", m.tokens("c")[0]))
    mine = _pattern(ClauseMatch(parts, m.text), c)
    c.measured = m.one("Y")
    return mine and [*mine, judge_amount([c.world.whole("clark_evans")], under)] if low else mine


@rule(
    "E [O~y]? i? c [iS]?",
    "j o E c",
    "c [oi] E",
    "E c j?",
    "E j c",
    "E Y c",
    "Y c",
    "c j o E",
    "c E j",
    "E c y",
)
def _pattern(m: ClauseMatch, c: Context) -> list[Judged] | None:
    cells = m.cells()[0] if m.cells() else m.one("Y").cells
    if not m.cells() and m.one("Y").measures != ("clark_evans",):
        return None
    if any(each.members != ("lymphocyte",) or each.place for each in cells) or m.one("O"):
        return [Judged(None, "pattern", m.text, reason="the facts do not say")]
    n = c.world.count(CellGroup(("lymphocyte",), "lymphocyte"))
    if n is not None and n.amount < FEWEST_CELLS:
        return [Judged(None, "pattern", m.text, reason="too few cells for a pattern")]
    if m.one("y") and not m.one("y").holds[0] > 1.0:  # "slightly clustered"
        return [Judged(None, "pattern", m.text, reason="how much is not said")]
    low, high = PATTERNS[m.one("c")]
    c.cells = cells
    return [
        judge_amount(
            [c.world.whole("clark_evans")], Amount((low, high), (low, high), None, m.text), "pattern"
        )
    ]


@rule(
    "P 2? E? s? H",
    "[STEWPK]? [sit]? H [PSK]?",
    "H",
    "[STEWPK] H [PSK]?",
    "w H",
    "[TS] P H",
    "P o [ST] H",
    "H P",
    "H [ST]",
    "H d",
    "P O H",
    "T H P",
    "[ST] H P",
    "[STP] 0? !",
    "P !",
    "K !",
    "k P !",
    "k P H",
    "T w? H",
    "!",
    "[TS] !",
)
def _phenotype(m: ClauseMatch, c: Context) -> list[Judged] | None:
    label = m.one("H")
    if label is None:
        label = {"IMMUNE_INFLAMED_SHARE": "Immune Inflamed", "IMMUNE_DESERT_SHARE": "Immune Desert"}.get(
            m.one("!"), "Immune exclusion"
        )
    tokens = [token for _, token in m.parts]
    named = [
        token.kinds.get("E+") or (token.kinds["E"],) for token in tokens if token.has("E") or token.is_joined
    ]
    may_be = _who_may_be(label)  # of "immune and tumor cells" one of them
    if not all(any(each.everything or each.name in may_be for each in group) for group in named if group):
        return None
    if label in _OF_MEANS and c.negated and not _NOT.search(m.text):  # "no enlarged nuclei"
        return [Judged(None, "phenotype", m.text, reason="the label is of their mean, not of each")]
    if label in ("Stroma-rich", "Stroma-poor", "Stroma-Free") and _NO_SUCH_PLACE.match(m.text):
        return None
    own_tissue = ("STROMA",) if _axes().get(label) == "stroma" else ("CARCINOMA",)
    tissues = (tissue for token in tokens for tissue in token.kinds.get("T+") or (token.kinds.get("T"),))
    if any(tissue not in (None, "CARCINOMA", *own_tissue) for tissue in tissues):
        return None  # "the stroma is immune cold"
    facts = c.world.facts
    of_tumor = _axes().get(label) == "composition" or label in _OF_A_TUMOR or _TUMOR.search(m.text)
    if c.world.is_patch and of_tumor and facts.few("Neoplastic"):
        return [Judged(None, "phenotype", m.text, reason="too few neoplastic cells to speak of a tumor")]
    c.tile_metric = TILE_METRICS.get(label)
    own = _measured_by(label)
    c.measured = own or c.measured
    if ":" in label:
        axis, level = label.split(":")
        known = facts.labels.get(axis)
        true = None if known is None else known == level
        return [
            Judged(
                true, "phenotype", m.text, (f"interpretation.{axis}",), "" if true else "the label is another"
            )
        ]
    also = vocabulary()["phenotypes_also"]
    same = [label, *(name for name in also if also[name] == label)]
    if sources := c.world.label_sources(*same):
        share = facts.get(c.tile_metric) if c.tile_metric else None
        if share is None and _WHOLE.search(m.text):
            return [Judged(None, "phenotype", m.text, reason="a label does not say of how much of it")]
        if share is not None and share < _ALL and _WHOLE.search(m.text):
            return [Judged(False, "phenotype", m.text, (c.tile_metric or "",), "not all tiles are")]
        value = c.world.whole(own.measures[0]) if own else c.world.named(c.tile_metric)
        return [Judged(True, "phenotype", m.text, (*sources, *(value.sources if value else ())))]
    axis = _axis_path(label, c)
    if axis is None:
        return [Judged(None, "phenotype", m.text, reason="the facts hold no such label")]
    return [Judged(False, "phenotype", m.text, (axis,), "no label or token says so")]


def _who_may_be(label: str) -> tuple[str, ...]:
    """Return the cells that a label may be of: tumor nuclei are pleomorphic, immune infiltrates heavy."""
    if label in _OF_NUCLEI:
        return ("carcinoma_cell", "Neoplastic")
    both = ("immune", "Inflammatory")
    of_both = label != "Immune exclusion" and _axes().get(label) in _OF_BOTH
    return (*both, "carcinoma_cell", "Neoplastic") if of_both else both


_OF_BOTH = ("interaction", "architecture", "composition")
_OF_NUCLEI = (
    "Large/Pleomorphic",
    "Nuclear enlargement",
    "Anisocytosis",
    "Small/Monotonous",
    "Small cell morphology",
)


_OF_A_TUMOR = ("Desmoplastic", "Fibrotic barrier")
_OF_MEANS = (*_OF_NUCLEI, "Bystander immune cells", "Juxtaposed cells", "Desmoplastic", "Fibrotic barrier")


def _measured_by(label: str) -> Measured | None:
    """Return the measure that a label is of: "tumor purity is high, at 0.9"."""
    measures = vocabulary()["phenotype_measures"]
    name = next((name for name, labels in measures.items() if label in labels), None)
    return Measured((name,)) if name else None


@cache
def _axes() -> dict[str, str]:
    """Return the axis of each label and token."""
    known = phenotypes()
    found = {label: "stroma" for label in ("Stroma-rich", "Stroma-poor")}
    found |= {label: "immune" for label in TILE_METRICS if label != "Immune exclusion"}
    for name, axis in known.axes.items():
        for level in (axis.low, axis.high, axis.intermediate):
            found |= {each: name for each in (level.label, *level.tokens) if each != "Intermediate"}
    found |= {token: "composition" for token in (*known.low_purity.immune, *known.low_purity.stroma)}
    return found | {token: "interaction" for token in known.bystander.tokens}


def _axis_path(label: str, c: Context) -> str | None:
    """Return the path of the label of the axis that a label is of; None where that axis has none."""
    axis = _axes().get(label)
    if label == "Immune exclusion" and not c.world.is_patch:
        axis = "immune"
    fits = (label not in _OF_SLIDES_ALONE) if c.world.is_patch else label in _OF_SLIDES
    return f"interpretation.{axis}" if axis and fits and c.world.facts.labels.get(axis) else None


_OF_SLIDES_ALONE = ("Immune Inflamed", "Stroma-rich", "Stroma-poor")
_OF_SLIDES = (
    *_OF_SLIDES_ALONE,
    "High Tumour Purity",
    "Low Tumour Purity",
    "Immune exclusion",
    "Immune Desert",
)
