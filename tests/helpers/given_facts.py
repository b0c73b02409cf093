"""Facts that tests are given: the paper's worked example, and a slide's metrics made up."""

from typing import Any

from histome.metrics.format import MetricValue
from histome.narrative.facts import ModelNotes
from histome.phenotype.patch import describe

COUNTS = {"Neoplastic": 1290, "Inflammatory": 3133, "Connective": 71, "Dead": 7, "Epithelial": 0}
EXAMPLE: dict[str, Any] = {
    "total_cell_count": 4501,
    **{f"count_{name}": count for name, count in COUNTS.items()},
    **{f"ratio_{name}": count / 4501 for name, count in COUNTS.items()},
    "mean_area_Neoplastic": 3216.37,
    "mean_area_Inflammatory": 1970.64,
    "mean_area_Connective": 2133.23,
    "tumor_stroma_fraction": 1290 / (1290 + 71),
    "immune_infiltration_fraction": 3133 / (1290 + 3133),
    "min_dist_Inflammatory_to_Neoplastic": 30.94,
    "mean_dist_Inflammatory_to_Neoplastic": 136.14,
    "count_engaged_immune": 257,
    "mean_spatial_entropy": 0.2678,
}
CARDS = {
    "nuclei": ModelNotes(
        {"carcinoma_cell": "direct, n = 3326", "macrophage": "direct, n = 55", "plasma_cell": "indirect"},
        ("never saw: brain, skin", "never saw: 3 other organs"),
    ),
    "tissue": ModelNotes({}, ("blood is indirect: red cells found by color in 6 tiles",)),
}


def example() -> dict[str, Any]:
    """The JSON of the worked example of SegTME-UNI2, paper-compatible."""
    return describe(EXAMPLE, unit="px", compatible=True)


def metrics(**changes: float | None) -> dict[str, MetricValue]:
    """Metrics of a made slide, by name; a change to None takes a value away and gives a reason."""
    values: dict[str, tuple[float | None, str, int]] = {
        "ABSOLUTE_AREA": (2.5e6, "um2", 1000),
        "RELATIVE_AREA_VALID_TISSUE": (61.25, "%", 1000),
        "VALID_AREA": (2.5, "mm2", 1000),
        "RELATIVE_AREA_CARCINOMA": (40.0, "%", 1000),
        "RELATIVE_AREA_STROMA": (60.0, "%", 1000),
        "ABSOLUTE_AREA_CARCINOMA": (1e6, "um2", 1000),
        "ABSOLUTE_AREA_STROMA": (1.5e6, "um2", 1000),
        "ABSOLUTE_AREA_BLOOD": (0.0, "um2", 0),
        "REGION_COUNT_CARCINOMA": (3.0, "regions", 3),
        "LARGEST_FILLED_AREA_CARCINOMA": (7.5e5, "um2", 3),
        "CELL_N_TOTAL": (12_000.0, "cells", 12_000),
        "CELL_COUNT_CARCINOMA_CELL": (6000.0, "cells", 6000),
        "CELL_COUNT_LYMPHOCYTE": (4500.0, "cells", 4500),
        "CELL_COUNT_MACROPHAGE": (1500.0, "cells", 1500),
        "CELL_COUNT_PLASMA_CELL": (0.0, "cells", 0),
        "CELL_COUNT_CARCINOMA_CELL_CARCINOMA": (5500.0, "cells", 5500),
        "CELL_PERCENTAGE_CARCINOMA_CELL": (50.0, "%", 12_000),
        "CELL_PERCENTAGE_LYMPHOCYTE": (37.5, "%", 12_000),
        "CELL_PERCENTAGE_MACROPHAGE": (12.5, "%", 12_000),
        "CELL_DENSITY_LYMPHOCYTE_CARCINOMA": (4e-4, "cells/um2", 400),
        "CELL_DENSITY_LYMPHOCYTE_STROMA": (2.7e-3, "cells/um2", 4100),
        "CELL_DENSITY_MACROPHAGE_STROMA": (1e-3, "cells/um2", 1500),
        "TUMOR_PURITY": (0.5, "1", 12_000),
        "IMMUNE_CELL_FRACTION": (0.5, "1", 12_000),
        "IMMUNE_INFLAMED_SHARE": (0.25, "1", 24),
        "IMMUNE_EXCLUDED_SHARE": (0.625, "1", 24),
        "IMMUNE_DESERT_SHARE": (0.125, "1", 24),
        "STROMAL_TIL_PERCENT": (8.4, "%", 4100),
        "INTRATUMORAL_TIL": (7.27, "1", 400),
        "TUMOR_STROMA_RATIO": (0.667, "1", 1000),
        "CLARK_EVANS_LYMPHOCYTE": (0.71, "1", 4400),
        "NUCLEUS_AVG_AREA_CARCINOMA_CELL": (61.5, "um2", 6000),
        "NUCLEUS_AVG_AREA_LYMPHOCYTE": (29.25, "um2", 4500),
        "ABSTAINED_COUNT_ALL": (900.0, "cells", 12_000),
        "ABSTAINED_FRACTION_ALL": (0.075, "1", 12_000),
        "CONFIDENCE_MEAN_ALL": (0.81, "1", 12_000),
        "LYMPHOID_AGGREGATE_COUNT": (0.0, "aggregates", 0),
    }
    for name, value in changes.items():
        _, unit, n = values.get(name, (None, "1", 10))
        values[name] = (value, unit, n)
    return {
        name: MetricValue(name, value, unit, n, None if value is not None else f"there is no {name.lower()}")
        for name, (value, unit, n) in values.items()
    }
