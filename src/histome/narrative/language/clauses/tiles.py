"""Clauses on the immune phenotypes of tumor tiles: which share of them is inflamed, excluded, desert."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from histome.narrative.language.amounts import Amount
from histome.narrative.language.clauses.comparisons import directions, is_little
from histome.narrative.language.judging import Judged, judge_amount, judge_rank, judge_ratio
from histome.narrative.language.patterns import ClauseMatch, Context, is_silent, rule
from histome.narrative.language.pieces import Ratioed, Token, first_of

_METRICS = ("IMMUNE_INFLAMED_SHARE", "IMMUNE_EXCLUDED_SHARE", "IMMUNE_DESERT_SHARE")
TILE_METRICS = {
    "Immune Inflamed": "IMMUNE_INFLAMED_SHARE",
    "Immune exclusion": "IMMUNE_EXCLUDED_SHARE",
    "Immune Desert": "IMMUNE_DESERT_SHARE",
}
_JOINING = "PSIKMiowgursytp"


@dataclass
class _Told:
    """What a clause says of phenotypes: which, how much, at which rank, more or less than the one before."""

    metrics: list[str] = field(default_factory=list)
    amounts: list[tuple[Amount, Amount | None]] = field(default_factory=list)
    ranks: list[int] = field(default_factory=list)
    signs: list[int] = field(default_factory=list)


def _told(tokens: Sequence[Token], c: Context) -> _Told | None:
    """Return the parts of a clause on phenotypes; None where it holds anything else."""
    found = _Told()
    for token in tokens:
        kinds = token.kinds
        if "!" in kinds:
            found.metrics.append(kinds["!"])
        elif "Y" in kinds and not {"share", "count"} & set(kinds["Y"].measures):
            return None  # "a low immune fraction and a desert phenotype"
        elif "R" in kinds:
            part: Ratioed = kinds["R"]
            if not (part.tiles or part.tissues == ("CARCINOMA",)):
                return None
            found.amounts.append((part.amount, part.checked))
        elif "Q" in kinds and found.ranks and kinds["Q"].dimension is None:
            if kinds["Q"].middle != len(_METRICS):  # "the largest of the three"
                return None
        elif token.has("QOA"):
            amount = first_of(
                token, "QOA"
            )  # of three phenotypes a twelfth is rare, where of nine classes it is not
            found.amounts.append(
                (amount.scaled(2.5, "share") if "A" in kinds and amount.holds[1] < 0.5 else amount, None)
            )
        elif "m" in kinds and c.tile_metric:
            found.signs.append(directions(kinds["m"])[1])
        elif token.has("kdDV"):
            found.ranks.append(kinds["k"] if "k" in kinds else c.rank + 1 if "V" in kinds else 1)
        elif token.has("LT"):
            if kinds.get("L", ("CARCINOMA",)) != ("CARCINOMA",) or kinds.get("T", "CARCINOMA") != "CARCINOMA":
                return None
        elif not token.has(_JOINING + "&") and not is_silent(token):
            return None
    return found


def _apart(tokens: Sequence[Token]) -> bool:
    """Whether more than "and" stands between the phenotypes of a clause."""
    at = [k for k, token in enumerate(tokens) if "!" in token.kinds]
    return not all(token.has("!&PK") for token in tokens[at[0] : at[-1]])


def tiled(tokens: Sequence[Token], text: str, c: Context) -> list[Judged] | None:
    """Return the claim of a clause on phenotypes: how many tiles have them, or the rank of one."""
    told = _told(tokens, c)
    if told is None or not told.metrics or max(map(len, (told.amounts, told.ranks, told.signs))) != 1:
        return None
    if _apart(tokens) or (len(set(told.metrics)) > 1 and (told.ranks or told.signs)):
        return None
    metric = told.metrics[-1]
    value = c.world.summed([c.world.named(each) for each in dict.fromkeys(told.metrics)])
    before = c.world.named(c.tile_metric or metric)
    if value is None or any(amount.dimension not in ("share", "count", None) for amount, _ in told.amounts):
        return None
    c.tile_metric, c.cells, c.tissues = metric, (), ()
    found = [judge_ratio(value, before, None, sign, text) for sign in told.signs]
    for rank in told.ranks:
        c.rank, c.ranked_by = rank, "tiles"
        found.append(judge_rank({name: c.world.named(name) for name in _METRICS}, metric, rank, text))
    for amount, checked in told.amounts:
        found += [judge_amount([c.world.sample(metric)], checked)] if checked else []
        found.append(judge_amount([value], amount))
    return found


@rule("i? R", "i? Q")
def _that_many_tiles(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "(75 % of the tumor tiles)" behind a phenotype."""
    part: Ratioed | None = m.one("R")
    if (part and not (part.tiles or part.tissues == ("CARCINOMA",))) or c.tile_metric is None or c.cells:
        return None
    told = part.amount if part else m.one("Q")
    return [judge_amount([*c.pair] or [c.world.named(c.tile_metric)], told)]


@rule("[SPT]? D H", "H d")
def _tiles_dominate(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "the immune landscape is dominated by an excluded phenotype": most tiles have it."""
    metric = TILE_METRICS.get(m.one("H"))
    if metric is None or c.world.named(metric) is None or m.tissues() not in ([], [("CARCINOMA",)]):
        return None
    c.tile_metric, c.cells, c.tissues = metric, (), ()
    return [judge_rank({name: c.world.named(name) for name in _METRICS}, metric, 1, m.text)]


@rule("! r? [k1] U !")
def _tiles_behind(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "desert came second after excluded"."""
    rank = m.one("k") or m.one("1")
    if rank < 2:
        return None
    values = {name: c.world.named(name) for name in _METRICS}
    mine, before = m.all("!")
    return [judge_rank(values, mine, rank, m.text), judge_rank(values, before, rank - 1, m.text)]


@rule(
    "! y? m a ! [uK]?",
    "! ! Q",
    "! [FQ] s? [qA]? [sao]? ! [uK]?",
    "[FQ] s [qA] I? ! s !",
    "! y? x g? ! g? [FQ]?",
    "! x ! y",
    "! y? V !",
    "! [FQ] m a ! [uK]?",
    "! x ! & ! K?",
    "! y? m a B? ! & ! K?",
)
def _tiles_compared(m: ClauseMatch, c: Context) -> list[Judged] | None:
    """Read "the excluded share is three times the desert share"."""
    first, *others = (c.world.named(metric) for metric in m.all("!"))
    factor = m.one("F") or m.one("Q") or m.one("y")
    sign = directions(m.one("m"))[1] if m.one("m") else m.one("x") or 0
    if m.one("V"):
        if m.one("V") != "ahead":
            return None
        sign = 1
    if is_little(m) or (factor and factor.dimension not in (None, "ratio", "share")):
        return None
    c.cells, c.tissues, c.tile_metric = (), (), m.all("!")[-1]
    c.pair = (first, others[0]) if first and others[0] else ()
    return [judge_ratio(first, other, factor, sign, m.text) for other in others]
