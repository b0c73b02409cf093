"""What stands behind each class and each organ: how many nuclei of it were scored, and how well."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histome.classes import CELL_CLASSES
from histome.datasets.declared import declaration_of
from histome.datasets.organs import organ_of
from histome.validation.nuclei import FieldScore
from histome.validation.resampling import bootstrap, f1, ratio

Table = dict[str, dict[str, Any]]


def class_evidence(scores: Sequence[FieldScore]) -> Table:
    """Return what is known of each of the nine classes on held-out fields, all data sets together.

    `n_scored` counts matched nuclei that are labeled as the class alone. Of a class that has any, `f1`: a
    nucleus labeled as it alone is a hit or a miss, one called so against its label a false alarm; sources are
    resampled.
    """
    rng = np.random.default_rng(0)
    known = [score for score in scores if score.answers is not None]
    sources = [f"{score.data_set}: {score.source}" for score in known]
    table = {}
    for k, name in enumerate(CELL_CLASSES):
        parts = np.array([_hits(score, k) for score in known]).reshape(-1, 3)
        hits, _, misses = parts.sum(axis=0)
        table[name] = {"n_scored": int(hits + misses)}
        if hits + misses:
            table[name]["f1"] = bootstrap(parts, sources, f1, rng=rng).as_dict()
    return table


def organ_evidence(scores: Sequence[FieldScore]) -> Table:
    """Return what is known of each organ and of primary tumors and metastases, on held-out fields.

    Detection F1 where every nucleus is labeled, and the share of matched nuclei whose class their label
    allows; n of fields, of sources and of nuclei.
    """
    groups: dict[str, list[FieldScore]] = {}
    for score in scores:
        site = declaration_of(score.data_set).site
        for name in (organ_of(score.data_set, score.source), site):
            if name:
                groups.setdefault(name, []).append(score)
    rng = np.random.default_rng(0)
    return {name: _of_group(groups[name], rng) for name in sorted(groups)}


def _hits(score: FieldScore, k: int) -> NDArray[np.float64]:
    """Hits, false alarms and misses of class k."""
    assert score.answers is not None
    sets, said = score.answers.sets, score.answers.said == k
    alone = sets == 1 << k
    return np.array(
        [(alone & said).sum(), (said & (sets & (1 << k) == 0)).sum(), (alone & ~said).sum()], float
    )


def _of_group(scores: Sequence[FieldScore], rng: np.random.Generator) -> dict[str, Any]:
    sources = [score.source for score in scores]
    # Fields where there are fewer than five sources, as in `validation.nuclei`.
    names = sources if len(set(sources)) >= 5 else [score.name for score in scores]
    nuclei = int(sum(score.detection[0] + score.detection[2] for score in scores))
    table: dict[str, Any] = {"fields": len(scores), "sources": len(set(sources)), "nuclei": nuclei}
    complete = [(s, n) for s, n in zip(scores, names, strict=True) if not _partly(s)]
    if complete:
        parts = np.stack([score.detection for score, _ in complete]).astype(float)
        table["detection_f1"] = bootstrap(parts, [name for _, name in complete], f1, rng=rng).as_dict()
    typed = [(s, n) for s, n in zip(scores, names, strict=True) if s.answers is not None]
    right = np.array([_allowed(score) for score, _ in typed]).reshape(-1, 2)
    if right[:, 1].sum():
        table["type_allowed"] = bootstrap(right, [name for _, name in typed], ratio, rng=rng).as_dict()
    return table


def _partly(score: FieldScore) -> bool:
    return declaration_of(score.data_set).partly_labeled


def _allowed(score: FieldScore) -> tuple[float, float]:
    """Matched nuclei of known type whose class the label allows, and all of them."""
    assert score.answers is not None
    allowed = (score.answers.sets >> score.answers.said) & 1
    return float(allowed.sum()), float(len(allowed))


def evidence(scores: Sequence[FieldScore], support: Mapping[str, str]) -> dict[str, Table]:
    """Return both tables as a card holds them under `scores`; `support` says what each class learned from."""
    classes = class_evidence(scores)
    return {
        "classes": {name: {"trained": support.get(name, "not known")} | row for name, row in classes.items()},
        "organs": organ_evidence(scores),
    }
