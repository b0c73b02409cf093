"""Slides and patches drawn by number: cells by class and tissue, and every narrated metric that follows."""

import math
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from helpers.given_facts import example

from histome.classes import CELL_CLASSES, TISSUE_CLASSES
from histome.metrics.format import MetricValue
from histome.narrative.facts import Facts
from histome.phenotype.patch import describe

_IMMUNE = ("lymphocyte", "plasma_cell", "macrophage", "granulocyte")
Cells = Mapping[str, tuple[int, int, int]]


class Drawn(NamedTuple):
    """A slide: cells of each class in carcinoma, in stroma, elsewhere; mm2 of each tissue; more metrics."""

    cells: Cells
    mm2: Mapping[str, float]
    more: Mapping[str, tuple[float | None, str, int]]

    def metrics(self) -> dict[str, MetricValue]:
        """Every metric of the slide that a narrative may use."""
        rows = {**self._areas(), **self._cells(), **self._scores(), **self.more}
        return {
            name: MetricValue(name, value, unit, n, None if value is not None else "there is none")
            for name, (value, unit, n) in rows.items()
        }

    def _areas(self) -> dict[str, tuple[float | None, str, int]]:
        whole = sum(self.mm2.values())
        rows: dict[str, tuple[float | None, str, int]] = {"ABSOLUTE_AREA": (whole * 1e6, "um2", 9000)}
        for name in TISSUE_CLASSES:
            area = self.mm2.get(name, 0.0)
            rows[f"ABSOLUTE_AREA_{name}"] = (area * 1e6, "um2", 900)
            rows[f"RELATIVE_AREA_{name}"] = (100 * area / whole, "%", 900)
        rows["VALID_AREA"] = (whole, "mm2", 9000)
        rows["RELATIVE_AREA_VALID_TISSUE"] = (93.0, "%", 9000)
        return rows

    def _cells(self) -> dict[str, tuple[float | None, str, int]]:
        total = sum(map(sum, self.cells.values()))
        rows: dict[str, tuple[float | None, str, int]] = {"CELL_N_TOTAL": (float(total), "cells", total)}
        for name in CELL_CLASSES:
            cell, places = name.upper(), self.cells.get(name, (0, 0, 0))
            count = sum(places)
            rows[f"CELL_COUNT_{cell}"] = (float(count), "cells", count)
            rows[f"CELL_PERCENTAGE_{cell}"] = (100 * count / total, "%", total)
            for tissue, inside in zip(("CARCINOMA", "STROMA"), places, strict=False):
                area = self.mm2.get(tissue, 0.0) * 1e6
                rows[f"CELL_COUNT_{cell}_{tissue}"] = (float(inside), "cells", inside)
                rows[f"CELL_DENSITY_{cell}_{tissue}"] = (inside / area if area else None, "cells/um2", inside)
        in_stroma = sum(places[1] for places in self.cells.values())
        share = 100 * self.cells["fibroblast"][1] / in_stroma
        rows["CELL_PERCENTAGE_FIBROBLAST_STROMA"] = (share, "%", in_stroma)
        return rows

    def _scores(self) -> dict[str, tuple[float | None, str, int]]:
        counts = {name: sum(places) for name, places in self.cells.items()}
        total = sum(counts.values())
        carcinoma, stroma = self.mm2.get("CARCINOMA", 0.0), self.mm2.get("STROMA", 0.0)
        necrosis = self.mm2.get("NECROSIS", 0.0)
        inside = self.cells["lymphocyte"][0] + self.cells["plasma_cell"][0]
        tumor = self.cells["carcinoma_cell"][0]
        shares = [count / total for count in counts.values() if count]
        both = carcinoma + necrosis
        return {
            "TUMOR_PURITY": (counts["carcinoma_cell"] / total, "1", total),
            "IMMUNE_CELL_FRACTION": (sum(counts.get(n, 0) for n in _IMMUNE) / total, "1", total),
            "TUMOR_STROMA_RATIO": (carcinoma / stroma, "1", 900),
            "INTRATUMORAL_TIL": (100 * inside / tumor if tumor else None, "1", inside),
            "NECROSIS_FRACTION_OF_TUMOR": (necrosis / both if both else None, "1", 900),
            "SHANNON": (-sum(p * math.log(p) for p in shares), "1", total),
            "MEAN_SPATIAL_ENTROPY": (0.61, "1", total),
        }


def _of(
    shares: tuple[float, float, float] | None, tiles: int, clark_evans: float, **more: float | None
) -> dict[str, tuple[float | None, str, int]]:
    """Return the metrics that do not follow from counts and areas."""
    units = {"AREA": "um2", "DISTANCE": "um", "COUNT": "cells", "DENSITY": "cells/mm2", "PERCENT": "%"}
    rows: dict[str, tuple[float | None, str, int]] = {
        f"IMMUNE_{name}_SHARE": (value, "1", tiles)
        for name, value in zip(("INFLAMED", "EXCLUDED", "DESERT"), shares or (None, None, None), strict=True)
    }
    rows["CLARK_EVANS_LYMPHOCYTE"] = (clark_evans, "1", 150)
    for name, value in more.items():
        unit = next((u for word, u in units.items() if word in name and "CV_" not in name), "1")
        rows[name] = (value, {"LYMPHOID_AGGREGATE_AREA": "mm2"}.get(name, unit), 150)
    return rows


_INFLAMED = Drawn(
    {
        "carcinoma_cell": (5400, 300, 300),
        "lymphocyte": (600, 2100, 300),
        "macrophage": (250, 450, 100),
        "fibroblast": (50, 1300, 50),
        "plasma_cell": (20, 380, 0),
        "endothelial_cell": (10, 180, 10),
        "epithelial_cell": (0, 40, 60),
        "other": (40, 40, 20),
    },
    {
        "CARCINOMA": 2.0,
        "STROMA": 4.0,
        "EPITHELIAL_TISSUE": 0.5,
        "NECROSIS": 0.2,
        "VESSEL": 0.1,
        "OTHER": 0.2,
    },
    _of(
        (0.6, 0.3, 0.1),
        40,
        0.72,
        REGION_COUNT_CARCINOMA=5.0,
        LARGEST_FILLED_AREA_CARCINOMA=1.2e6,
        CELL_DENSITY_LYMPHOCYTE_IN_TUMOR_CORE=280.0,
        CELL_DENSITY_LYMPHOCYTE_IN_INNER_INVASIVE_MARGIN=340.0,
        CELL_DENSITY_LYMPHOCYTE_IN_OUTER_INVASIVE_MARGIN=610.0,
        STROMAL_TIL_PERCENT=2.4,
        STROMAL_TO_INTRATUMORAL_LYMPHOCYTE_RATIO=1.75,
        DISTANCE_TO_CARCINOMA_MEDIAN_LYMPHOCYTE=42.0,
        LYMPHOID_AGGREGATE_COUNT=2.0,
        LYMPHOID_AGGREGATE_AREA=0.08,
        NUCLEUS_AVG_AREA_CARCINOMA_CELL=62.4,
        NUCLEUS_CV_AREA_CARCINOMA_CELL=0.41,
        NUCLEUS_AVG_AREA_LYMPHOCYTE=27.8,
        NUCLEUS_AVG_AREA_EPITHELIAL_CELL=45.1,
        NUCLEUS_AVG_ROUNDNESS_CARCINOMA_CELL=0.78,
        NUCLEUS_AVG_ROUNDNESS_LYMPHOCYTE=0.91,
        CONFIDENCE_MEAN_ALL=0.82,
        ABSTAINED_COUNT_ALL=600.0,
        ABSTAINED_FRACTION_ALL=0.05,
    ),
)
_DESERT = Drawn(
    {
        "carcinoma_cell": (8800, 100, 100),
        "lymphocyte": (20, 130, 30),
        "macrophage": (40, 45, 5),
        "fibroblast": (30, 560, 10),
        "plasma_cell": (0, 0, 0),
        "endothelial_cell": (5, 50, 5),
        "granulocyte": (15, 30, 0),
        "other": (5, 10, 10),
    },
    {"CARCINOMA": 3.2, "STROMA": 0.8, "NECROSIS": 0.8, "BLOOD": 0.16, "OTHER": 0.04},
    _of(
        (0.05, 0.1, 0.85),
        60,
        1.02,
        REGION_COUNT_CARCINOMA=1.0,
        LARGEST_FILLED_AREA_CARCINOMA=3.9e6,
        STROMAL_TIL_PERCENT=0.4,
        STROMAL_TO_INTRATUMORAL_LYMPHOCYTE_RATIO=26.0,
        DISTANCE_TO_CARCINOMA_MEDIAN_LYMPHOCYTE=65.0,
        LYMPHOID_AGGREGATE_COUNT=0.0,
        LYMPHOID_AGGREGATE_AREA=0.0,
        NUCLEUS_AVG_AREA_CARCINOMA_CELL=88.0,
        NUCLEUS_CV_AREA_CARCINOMA_CELL=0.35,
        NUCLEUS_AVG_AREA_LYMPHOCYTE=26.0,
        CONFIDENCE_MEAN_ALL=0.9,
        ABSTAINED_COUNT_ALL=200.0,
        ABSTAINED_FRACTION_ALL=0.02,
    ),
)
_NO_CARCINOMA = Drawn(
    {
        "carcinoma_cell": (0, 4, 8),
        "lymphocyte": (0, 3000, 600),
        "macrophage": (0, 270, 30),
        "fibroblast": (0, 1100, 100),
        "plasma_cell": (0, 1700, 100),
        "endothelial_cell": (0, 200, 40),
        "granulocyte": (0, 330, 30),
        "epithelial_cell": (0, 200, 2200),
        "other": (0, 60, 28),
    },
    {"STROMA": 3.0, "EPITHELIAL_TISSUE": 1.5, "VESSEL": 0.3, "OTHER": 0.2},
    _of(
        None,
        0,
        0.55,
        REGION_COUNT_CARCINOMA=0.0,
        LARGEST_FILLED_AREA_CARCINOMA=None,
        STROMAL_TIL_PERCENT=4.2,
        DISTANCE_TO_CARCINOMA_MEDIAN_LYMPHOCYTE=None,
        LYMPHOID_AGGREGATE_COUNT=4.0,
        LYMPHOID_AGGREGATE_AREA=0.36,
        NUCLEUS_AVG_AREA_CARCINOMA_CELL=51.0,
        NUCLEUS_AVG_AREA_EPITHELIAL_CELL=48.0,
        NUCLEUS_AVG_AREA_LYMPHOCYTE=25.5,
        CONFIDENCE_MEAN_ALL=0.75,
        ABSTAINED_COUNT_ALL=1500.0,
        ABSTAINED_FRACTION_ALL=0.15,
    ),
)
_EXCLUDED = Drawn(
    {
        "carcinoma_cell": (4000, 300, 200),
        "lymphocyte": (40, 1700, 60),
        "macrophage": (100, 400, 0),
        "fibroblast": (60, 2400, 40),
        "plasma_cell": (0, 200, 0),
        "endothelial_cell": (0, 290, 10),
        "granulocyte": (10, 80, 10),
        "other": (30, 60, 10),
    },
    {"CARCINOMA": 1.5, "STROMA": 3.0, "VESSEL": 0.5},
    _of(
        (0.05, 0.75, 0.2),
        32,
        1.15,
        REGION_COUNT_CARCINOMA=12.0,
        LARGEST_FILLED_AREA_CARCINOMA=4.1e5,
        STROMAL_TIL_PERCENT=1.8,
        STROMAL_TO_INTRATUMORAL_LYMPHOCYTE_RATIO=21.25,
        DISTANCE_TO_CARCINOMA_MEDIAN_LYMPHOCYTE=85.0,
        LYMPHOID_AGGREGATE_COUNT=0.0,
        LYMPHOID_AGGREGATE_AREA=0.0,
        NUCLEUS_AVG_AREA_CARCINOMA_CELL=71.3,
        NUCLEUS_CV_AREA_CARCINOMA_CELL=0.5,
        NUCLEUS_AVG_AREA_LYMPHOCYTE=26.6,
        CONFIDENCE_MEAN_ALL=0.8,
        ABSTAINED_COUNT_ALL=400.0,
        ABSTAINED_FRACTION_ALL=0.04,
    ),
)
_COLD = {
    "total_cell_count": 400,
    **{"count_Neoplastic": 320, "count_Inflammatory": 30, "count_Connective": 40, "count_Dead": 10},
    "count_Epithelial": 0,
    **{"ratio_Neoplastic": 0.8, "ratio_Inflammatory": 0.075, "ratio_Connective": 0.1, "ratio_Dead": 0.025},
    "ratio_Epithelial": 0.0,
    "mean_area_Neoplastic": 72.5,
    "mean_area_Inflammatory": 28.1,
    "mean_area_Connective": 40.2,
    "tumor_stroma_fraction": 320 / 360,
    "immune_infiltration_fraction": 30 / 350,
    "min_dist_Inflammatory_to_Neoplastic": 5.2,
    "mean_dist_Inflammatory_to_Neoplastic": 9.8,
    "count_engaged_immune": 24,
    "mean_spatial_entropy": 0.55,
}
SLIDES = {"A": _INFLAMED, "B": _DESERT, "C": _NO_CARCINOMA, "D": _EXCLUDED}


@cache
def facts_of(profile: str) -> Facts:
    """Facts: A inflamed, B desert, C without carcinoma, D excluded; E the paper's patch, F a cold one."""
    if profile in SLIDES:
        return Facts.of_slide(SLIDES[profile].metrics(), {})
    return Facts.of_patch(example() if profile == "E" else describe(_COLD, unit="um"))
