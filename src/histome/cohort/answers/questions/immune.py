"""Inflamed, excluded or desert? By stated densities of lymphocytes and plasma cells in tumor and stroma."""

from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from histome.caveats.enough import ENOUGH_UM2, FEWEST_CELLS, FEWEST_TILES, few_in_little, fewer_than
from histome.cohort.answers.page.answer import Answer, counted
from histome.cohort.answers.page.figures import stacked_shares
from histome.cohort.answers.tables.measured import CohortNumbers
from histome.errors import DataError, UsageError

# Lymphocytes and plasma cells per mm2, ours, as of the tiles of the family ratios: tuned on nothing.
PER_MM2 = 250.0
_KINDS = ("inflamed", "excluded", "desert")
_NONE, _NO_TUMOR = "not told", "no carcinoma"
_FACTORS = (0.5, 1.0, 2.0)


def immune_phenotypes(
    measured: CohortNumbers, *, tumor_per_mm2: float = PER_MM2, stroma_per_mm2: float = PER_MM2, by: str = ""
) -> Answer:
    """Return the immune phenotype of each row, and how many change with the cut-offs.

    Inflamed: at least `tumor_per_mm2` lymphocytes and plasma cells in carcinoma. Excluded: fewer there, and
    at least `stroma_per_mm2` in stroma. Desert: fewer in both, or fewer in carcinoma and no stroma. Not told
    where there is no carcinoma, or too little for the report of a slide to show what the name rests on: ten
    tiles with tumor, and 20 cells or 0.5 mm2 behind a density that gives the name. `by` counts them for each
    group of a column.

    Raises UsageError for a cut-off that is not above 0, DataError where no row has carcinoma.
    """
    if not (tumor_per_mm2 > 0 and stroma_per_mm2 > 0):
        raise UsageError("cut-offs are lymphocytes and plasma cells per mm2: give numbers above 0")
    tumors = _tumors(measured)
    if not any(tumor.inside.area_um2 > 0 for tumor in tumors):
        raise DataError(f"no {measured.each} has carcinoma: there is no immune phenotype to tell")
    cut_offs = tumor_per_mm2, stroma_per_mm2
    named = [_named(tumor, *cut_offs) for tumor in tumors]
    kinds = [name.kind for name in named]
    table = _table(measured, tumors, named, cut_offs, by)
    moved = _moved(tumors, cut_offs)
    shares = _by_group(measured, kinds, by)
    return Answer(
        "immune",
        "Inflamed, excluded or desert?",
        _said(named, moved, measured.each),
        {"immune": table, "immune_cut_offs": moved},
        moved,
        stacked_shares(shares, f"share of {measured.each}s"),
        "Number of each immune phenotype" + (f" by {by}." if by else "."),
        (
            f"Cut-offs: {tumor_per_mm2:g} lymphocytes and plasma cells per mm2 of carcinoma, "
            f"{stroma_per_mm2:g} per "
            "mm2 of stroma. They were chosen before any outcome was seen and tuned on nothing; no cut-off is "
            "agreed on in the field. immune_cut_offs.csv says how many change where they are halved or "
            "doubled.",
            "Not told is what the report of a slide does not show: a phenotype of fewer than "
            f"{FEWEST_TILES} tiles of 250 um that are at least a tenth carcinoma, or one that fewer than "
            f"{FEWEST_CELLS} lymphocytes and plasma cells in less than {ENOUGH_UM2 / 1e6:g} mm2 of a tissue "
            f"would give. immune.csv says why, and what each {measured.each} rests on.",
            "The names are those of Chen and Mellman 2017 (doi:10.1038/nature21349). One word for a whole "
            "tumor: "
            "IMMUNE_INFLAMED_SHARE and its fellows say how much of it is of each kind.",
        ),
    )


class _Tissue(NamedTuple):
    """Lymphocytes and plasma cells in a tissue, and its area; NaN where one was not measured."""

    cells: float
    area_um2: float

    @property
    def per_mm2(self) -> float:
        return self.cells / self.area_um2 * 1e6 if self.area_um2 > 0 else np.nan


class _Tumor(NamedTuple):
    """What a name rests on: carcinoma, stroma and the tiles that hold tumor."""

    inside: _Tissue
    outside: _Tissue
    tiles: int


class _Name(NamedTuple):
    """An immune phenotype, or why there is none."""

    kind: str
    why: str = ""


def _tumors(measured: CohortNumbers) -> list[_Tumor]:
    tissues = []
    for tissue in ("CARCINOMA", "STROMA"):
        counts = [measured.metric(f"CELL_COUNT_{name}_{tissue}") for name in ("LYMPHOCYTE", "PLASMA_CELL")]
        area = measured.metric(f"ABSOLUTE_AREA_{tissue}")
        tissues.append(list(map(_Tissue, np.add(*counts).tolist(), area.tolist())))
    tiles = measured.n[:, measured.place("IMMUNE_INFLAMED_SHARE")]
    return list(map(_Tumor, *tissues, tiles.tolist()))


def _named(tumor: _Tumor, tumor_per_mm2: float, stroma_per_mm2: float) -> _Name:
    if not np.isfinite(tumor.inside.per_mm2):
        return _Name(_NONE, _NO_TUMOR)
    if few := fewer_than(FEWEST_TILES, "tiles with tumor", tumor.tiles):
        return _Name(_NONE, few)
    tissues = (tumor.inside, tumor_per_mm2, "carcinoma"), (tumor.outside, stroma_per_mm2, "stroma")
    for kind, (tissue, cut_off, words) in zip(_KINDS[:2], tissues, strict=True):
        if tissue.per_mm2 >= cut_off:
            few = few_in_little(round(tissue.cells), tissue.area_um2)
            return _Name(_NONE, f"{few} of {words}") if few else _Name(kind)
    return _Name(_KINDS[-1])


def _table(
    measured: CohortNumbers,
    tumors: list[_Tumor],
    named: list[_Name],
    cut_offs: tuple[float, float],
    by: str,
) -> list[dict[str, Any]]:
    groups = measured.column(by).tolist() if by else [""] * len(measured)
    return [
        {
            measured.each: measured.ids[k],
            **({by: groups[k]} if by else {}),
            "immune_phenotype": name.kind,
            "not_told_because": name.why,
            "in_carcinoma_per_mm2": tumor.inside.per_mm2,
            "in_stroma_per_mm2": tumor.outside.per_mm2,
            "n_in_carcinoma": tumor.inside.cells,
            "n_in_stroma": tumor.outside.cells,
            "carcinoma_mm2": tumor.inside.area_um2 / 1e6,
            "stroma_mm2": tumor.outside.area_um2 / 1e6,
            "tiles_with_tumor": tumor.tiles,
            "cut_off_carcinoma_per_mm2": cut_offs[0],
            "cut_off_stroma_per_mm2": cut_offs[1],
            **({"harmonized": measured.harmonized} if measured.harmonized else {}),
        }
        for k, (name, tumor) in enumerate(zip(named, tumors, strict=True))
    ]


def _moved(tumors: list[_Tumor], cut_offs: tuple[float, float]) -> list[dict[str, Any]]:
    """Return the counts at half and double the cut-offs, and how many rows differ from the stated ones."""
    rows = []
    stated = [_named(tumor, *cut_offs).kind for tumor in tumors]
    for factor in _FACTORS:
        inside, outside = (factor * cut_off for cut_off in cut_offs)
        kinds = [_named(tumor, inside, outside).kind for tumor in tumors]
        counts = Counter(kinds)
        changed = sum(a != b for a, b in zip(kinds, stated, strict=True))
        row = {"per_mm2_carcinoma": inside, "per_mm2_stroma": outside}
        rows.append(row | {kind: counts[kind] for kind in (*_KINDS, _NONE)} | {"changed": changed})
    return rows


def _by_group(measured: CohortNumbers, kinds: list[str], by: str) -> dict[str, dict[str, int]]:
    groups = measured.column(by).tolist() if by else ["all"] * len(measured)
    order = {
        name: Counter(kind for kind, group in zip(kinds, groups, strict=True) if group == name)
        for name in sorted(set(groups) - {""})
    }
    return {name: {kind: row[kind] for kind in (*_KINDS, _NONE)} for name, row in order.items()}


def _said(named: list[_Name], moved: list[dict[str, Any]], each: str) -> tuple[str, ...]:
    counts, whys = Counter(name.kind for name in named), Counter(name.why for name in named if name.why)
    told, without = len(named) - whys.total(), whys.pop(_NO_TUMOR, 0)
    words = ((without, "without carcinoma"), (whys.total(), "with too little to tell"))
    none = " and ".join(f"{counted(number, each)} {why}" for number, why in words if number)
    if not told:
        return (f"Not told: {none}.",)
    parts = ", ".join(f"{counts[kind]} {kind} ({100 * counts[kind] / told:.0f} %)" for kind in _KINDS)
    half, double = (row["changed"] for row in (moved[0], moved[-1]))
    return (
        f"Of {counted(told, each)}: {parts}{f'; not told: {none}' if none else ''}.",
        f"With half the cut-offs {half} would be called otherwise, with double {double}: where that is many, "
        "report the densities and not the names.",
    )
