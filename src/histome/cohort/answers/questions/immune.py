"""Inflamed, excluded or desert? By stated densities of lymphocytes and plasma cells in tumor and stroma."""

from collections import Counter
from typing import Any

import numpy as np

from histome.cohort.answers.page.answer import Answer, counted
from histome.cohort.answers.page.figures import stacked_shares
from histome.cohort.answers.tables.measured import CohortNumbers, Floats
from histome.errors import DataError, UsageError

# Lymphocytes and plasma cells per mm2, ours, as of the tiles of the family ratios: tuned on nothing.
PER_MM2 = 250.0
_KINDS = ("inflamed", "excluded", "desert")
_NONE = "not told"
_FACTORS = (0.5, 1.0, 2.0)


def immune_phenotypes(
    measured: CohortNumbers, *, tumor_per_mm2: float = PER_MM2, stroma_per_mm2: float = PER_MM2, by: str = ""
) -> Answer:
    """Return the immune phenotype of each row, and how many change with the cut-offs.

    Inflamed: at least `tumor_per_mm2` lymphocytes and plasma cells in carcinoma. Excluded: fewer there, and
    at least `stroma_per_mm2` in stroma. Desert: fewer in both, or fewer in carcinoma and no stroma. Not told
    where there is no carcinoma. `by` counts them for each group of a column.

    Raises UsageError for a cut-off that is not above 0, DataError where no row has carcinoma.
    """
    if not (tumor_per_mm2 > 0 and stroma_per_mm2 > 0):
        raise UsageError("cut-offs are lymphocytes and plasma cells per mm2: give numbers above 0")
    inside, outside = (_density(measured, tissue) for tissue in ("CARCINOMA", "STROMA"))
    if not np.isfinite(inside).any():
        raise DataError(f"no {measured.each} has carcinoma: there is no immune phenotype to tell")
    kinds = _kinds(inside, outside, tumor_per_mm2, stroma_per_mm2)
    table = _table(measured, kinds, (inside, outside), (tumor_per_mm2, stroma_per_mm2), by)
    moved = _moved(inside, outside, tumor_per_mm2, stroma_per_mm2)
    shares = _by_group(measured, kinds, by)
    return Answer(
        "immune",
        "Inflamed, excluded or desert?",
        _said(kinds, moved, measured.each),
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
            "The names are those of Chen and Mellman 2017 (doi:10.1038/nature21349). One word for a whole "
            "tumor: "
            "IMMUNE_INFLAMED_SHARE and its fellows say how much of it is of each kind.",
        ),
    )


def _density(measured: CohortNumbers, tissue: str) -> Floats:
    """Return lymphocytes and plasma cells per mm2 of a tissue, NaN where there is none of it."""
    counts = [measured.metric(f"CELL_COUNT_{name}_{tissue}") for name in ("LYMPHOCYTE", "PLASMA_CELL")]
    area = measured.metric(f"ABSOLUTE_AREA_{tissue}") / 1e6
    return np.divide(sum(counts), area, out=np.full(len(area), np.nan), where=area > 0)


def _kinds(inside: Floats, outside: Floats, tumor: float, stroma: float) -> list[str]:
    around = np.nan_to_num(outside) >= stroma
    names = np.select([~np.isfinite(inside), inside >= tumor, around], [_NONE, *_KINDS[:2]], _KINDS[2])
    return names.tolist()


def _table(
    measured: CohortNumbers,
    kinds: list[str],
    densities: tuple[Floats, Floats],
    cut_offs: tuple[float, float],
    by: str,
) -> list[dict[str, Any]]:
    groups = measured.column(by).tolist() if by else [""] * len(measured)
    return [
        {
            measured.each: measured.ids[k],
            **({by: groups[k]} if by else {}),
            "immune_phenotype": kind,
            "in_carcinoma_per_mm2": float(densities[0][k]),
            "in_stroma_per_mm2": float(densities[1][k]),
            "cut_off_carcinoma_per_mm2": cut_offs[0],
            "cut_off_stroma_per_mm2": cut_offs[1],
            **({"harmonized": measured.harmonized} if measured.harmonized else {}),
        }
        for k, kind in enumerate(kinds)
    ]


def _moved(inside: Floats, outside: Floats, tumor: float, stroma: float) -> list[dict[str, Any]]:
    """Return the counts at half and double the cut-offs, and how many rows differ from the stated ones."""
    stated = _kinds(inside, outside, tumor, stroma)
    rows = []
    for factor in _FACTORS:
        kinds = _kinds(inside, outside, factor * tumor, factor * stroma)
        counts = Counter(kinds)
        changed = sum(a != b for a, b in zip(kinds, stated, strict=True))
        row = {"per_mm2_carcinoma": factor * tumor, "per_mm2_stroma": factor * stroma}
        rows.append(row | {kind: counts[kind] for kind in (*_KINDS, _NONE)} | {"changed": changed})
    return rows


def _by_group(measured: CohortNumbers, kinds: list[str], by: str) -> dict[str, dict[str, int]]:
    groups = measured.column(by).tolist() if by else ["all"] * len(measured)
    order = {
        name: Counter(kind for kind, group in zip(kinds, groups, strict=True) if group == name)
        for name in sorted(set(groups) - {""})
    }
    return {name: {kind: row[kind] for kind in (*_KINDS, _NONE)} for name, row in order.items()}


def _said(kinds: list[str], moved: list[dict[str, Any]], each: str) -> tuple[str, ...]:
    counts, told = Counter(kinds), len(kinds) - Counter(kinds)[_NONE]
    parts = ", ".join(f"{counts[kind]} {kind} ({100 * counts[kind] / told:.0f} %)" for kind in _KINDS)
    none = f"; {counted(counts[_NONE], each)} without carcinoma, not told" if counts[_NONE] else ""
    half, double = (row["changed"] for row in (moved[0], moved[-1]))
    return (
        f"Of {counted(told, each)}: {parts}{none}.",
        f"With half the cut-offs {half} would be called otherwise, with double {double}: where that is many, "
        "report the densities and not the names.",
    )
