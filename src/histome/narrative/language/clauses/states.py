"""Clauses that say how things are: clustered, immune-excluded."""

from histome.narrative.language.amounts import Amount
from histome.narrative.language.judging import (
    Judged,
    judge_amount,
)
from histome.narrative.language.lexicon import vocabulary
from histome.narrative.language.patterns import ClauseMatch, Context, rule

_PATTERNS = {"clustered": (0.0, 0.9), "random": (0.9, 1.1), "even": (1.1, 9.0)}


@rule("E [bvhl]* c 7 b* c")
def _rather(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "clustered rather than random"."""
    first, second = m.all("c")
    mine = _pattern(ClauseMatch((m.parts[0], ("c", m.tokens("c")[0])), m.text), c)
    return mine if first != second else None


@rule(
    "E [bvhl]* O? c [iS]?",
    "E c",
    "j o E b* c",
    "E h c j?",
    "E h? j b c",
    "E l c",
    "E Y b* c",
    "E [hv] c",
    "E j b c",
)
def _pattern(m: ClauseMatch, c: Context) -> list[Judged] | None:
    cells = m.cells()[0]
    if any(each.members != ("lymphocyte",) or each.place for each in cells) or m.one("O"):
        return [Judged(None, "pattern", m.text, reason="the facts do not say")]
    low, high = _PATTERNS[m.one("c")]
    c.cells = cells
    return [
        judge_amount(
            [c.world.whole("clark_evans")], Amount((low, high), (low, high), None, m.text), "pattern"
        )
    ]


@rule(
    "[STEWPK]? [bhvl]* H",
    "X H",
    "H b* l",
    "[STEWPK] [bhv]* H [PSK]?",
    "X w H",
    "w H",
    "h H",
    "H",
    "[bv] H",
    "[TS] P b H",
    "P o [ST] b H",
    "H P",
    "H [ST] ",
    "H d",
    "P b O H",
    "T h H P",
    "b H P",
    "[ST] h H P",
    "X H P",
    "[STP] [bh]* 0? !",
    "P b !",
    "K b !",
    "k P b !",
    "k P b H",
    "[bv] T w? H",
    "[bh] ! ",
    "[TS] h !",
)
def _phenotype(m: ClauseMatch, c: Context) -> list[Judged] | None:
    label = m.one("H")
    if label is None:
        label = {"IMMUNE_INFLAMED_SHARE": "Immune Inflamed", "IMMUNE_DESERT_SHARE": "Immune Desert"}.get(
            m.one("!"), "Immune exclusion"
        )
    if any(
        token.kinds["E"].name not in ("immune", "carcinoma_cell", "Inflammatory", "Neoplastic")
        for token in m.tokens("E")
    ):
        return None
    facts = c.world.facts
    c.tile_metric = _TILE_METRICS.get(label)
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
    given = {name for name in (*facts.labels.values(), *facts.tokens) if name}
    allowed = given | {also[name] for name in given if name in also}
    if label in allowed:
        path = next((name for name in given if name == label or also.get(name) == label), label)
        return [Judged(True, "phenotype", m.text, (path,))]
    if not _axis_known(label, c):
        return [Judged(None, "phenotype", m.text, reason="the facts hold no such label")]
    return [Judged(False, "phenotype", m.text, reason="no label or token says so")]


_TILE_METRICS = {
    "Immune Inflamed": "IMMUNE_INFLAMED_SHARE",
    "Immune exclusion": "IMMUNE_EXCLUDED_SHARE",
    "Immune Desert": "IMMUNE_DESERT_SHARE",
}


_PATCH_ONLY = (
    "Solid tumour nest", "Hypercellular", "Immune-dominant", "Lymphocyte-rich", "Stroma-dominant",
    "Heavy infiltrate", "Pauci-immune", "Patchy infiltrate", "Moderate", "Non-desmoplastic", "Desmoplastic",
    "Fibrotic barrier", "Stroma-Free", "Lack of fibrosis", "Direct Contact", "Juxtaposed cells",
    "Restricted to stroma", "Peritumoral", "Proximal", "Bystander immune cells", "Highly Mixed",
    "Diffuse integration", "Segregated", "Homogeneous", "Compartmentalized", "Large/Pleomorphic",
    "Nuclear enlargement", "Anisocytosis", "Small/Monotonous", "Small cell morphology", "Immune Hot",
    "Immune Cold",
)  # fmt: skip


def _axis_known(label: str, c: Context) -> bool:
    """Whether facts of this kind could hold a label at all."""
    if c.world.is_patch:
        return label not in ("Immune Inflamed", "Stroma-rich", "Stroma-poor")
    return label not in _PATCH_ONLY
