"""What a narrative of a slide rests on: some hundred metrics, and the labels that follow from them."""

from collections.abc import Callable, Iterator, Mapping

from histome.caveats import models_disagree
from histome.caveats.enough import FEWEST_CELLS, FEWEST_TILES
from histome.classes import CELL_CLASSES, TISSUE_CLASSES
from histome.metrics.axes import ZONES

# Label -> the metric whose share of the tumor-bearing tiles it names.
PHENOTYPE_SHARES = {
    "Immune Inflamed": "IMMUNE_INFLAMED_SHARE",
    "Immune Excluded": "IMMUNE_EXCLUDED_SHARE",
    "Immune Desert": "IMMUNE_DESERT_SHARE",
}
# Stroma over half of carcinoma and stroma together is "stroma-rich": the usual cut of the tumor-stroma
# ratio (Mesker et al. 2007, doi:10.1155/2007/175276).
_EVEN_RATIO = 1.0
_CLUSTERED_BELOW, _EVEN_ABOVE = 0.9, 1.1  # Clark-Evans; 1 for a random pattern
_PURITY = (0.30, 0.60)  # as for patches, arXiv:2606.17702
FEWEST_IN_ALL = 100  # cells, for a share of all to be worth a word
_MOSTLY_UNFAMILIAR = 0.5

Get = Callable[[str], float | None]


def narrated_metrics() -> Iterator[str]:
    """Yield the metrics that a narrative may use."""
    yield from ("ABSOLUTE_AREA", "RELATIVE_AREA_VALID_TISSUE", "VALID_AREA", "CELL_N_TOTAL")
    yield from ("CELL_N_NOT_COUNTED", "CELL_FRACTION_NOT_COUNTED")
    for tissue in TISSUE_CLASSES:
        yield from (f"ABSOLUTE_AREA_{tissue}", f"RELATIVE_AREA_{tissue}")
    yield from ("REGION_COUNT_CARCINOMA", "LARGEST_FILLED_AREA_CARCINOMA")
    for cell in map(str.upper, CELL_CLASSES):
        yield from (f"CELL_COUNT_{cell}", f"CELL_PERCENTAGE_{cell}", f"CONFIDENCE_MEAN_{cell}")
        for tissue in ("CARCINOMA", "STROMA"):
            yield from (f"CELL_COUNT_{cell}_{tissue}", f"CELL_DENSITY_{cell}_{tissue}")
    yield "CELL_PERCENTAGE_FIBROBLAST_STROMA"
    for zone in ZONES:
        yield from (f"RELATIVE_AREA_{zone}", f"CELL_DENSITY_LYMPHOCYTE_IN_{zone}")
    yield from ("TUMOR_PURITY", "IMMUNE_CELL_FRACTION", *PHENOTYPE_SHARES.values())
    yield from ("STROMAL_TIL_PERCENT", "INTRATUMORAL_TIL", "STROMAL_TO_INTRATUMORAL_LYMPHOCYTE_RATIO")
    yield from (
        "DISTANCE_TO_CARCINOMA_MEDIAN_LYMPHOCYTE",
        "LYMPHOID_AGGREGATE_COUNT",
        "LYMPHOID_AGGREGATE_AREA",
    )
    yield from ("TUMOR_STROMA_RATIO", "NECROSIS_FRACTION_OF_TUMOR", "MEAN_SPATIAL_ENTROPY", "SHANNON")
    yield from ("CLARK_EVANS_LYMPHOCYTE", "NUCLEUS_CV_AREA_CARCINOMA_CELL")
    for cell in ("CARCINOMA_CELL", "EPITHELIAL_CELL", "LYMPHOCYTE"):
        yield from (f"NUCLEUS_AVG_AREA_{cell}", f"NUCLEUS_AVG_ROUNDNESS_{cell}")
    yield from (
        "CONFIDENCE_MEAN_ALL",
        "ABSTAINED_COUNT_ALL",
        "ABSTAINED_FRACTION_ALL",
        "UNFAMILIAR_FRACTION_ALL",
    )


def untrusted(get: Get) -> bool:
    """Whether most cells lie in surroundings that the model does not know; `get` gives a metric by name."""
    unfamiliar = get("UNFAMILIAR_FRACTION_ALL")
    return unfamiliar is not None and unfamiliar > _MOSTLY_UNFAMILIAR


def disagree(get: Get) -> bool:
    """Whether cells and tissue disagree on the carcinoma, as `caveats.models_disagree` has it."""
    every, inside = get("CELL_COUNT_CARCINOMA_CELL"), get("CELL_COUNT_CARCINOMA_CELL_CARCINOMA")
    if every is None or inside is None:
        return False
    there = sum(get(f"CELL_COUNT_{name.upper()}_CARCINOMA") or 0.0 for name in CELL_CLASSES)
    benign, fibroblasts = (
        get(f"CELL_COUNT_{name}_CARCINOMA") or 0.0 for name in ("EPITHELIAL_CELL", "FIBROBLAST")
    )
    return models_disagree(
        every, inside, cells_in_carcinoma=there, epithelial=benign, fibroblasts=fibroblasts
    )


def has_carcinoma(get: Get) -> bool:
    """Whether carcinoma was segmented."""
    return bool(get("ABSOLUTE_AREA_CARCINOMA")) and get("REGION_COUNT_CARCINOMA") != 0


def slide_labels(
    raw: Mapping[str, float | None], samples: Mapping[str, int]
) -> Iterator[tuple[str, str | None]]:
    """Yield each axis with its label, from metrics and their n by name; None where its metric is null.

    Nor has the tumor a label where there is none, the models disagree on it or types are not to be trusted,
    nor its purity and stroma of fewer than 20 carcinoma cells, its purity of fewer than 100 cells, its immune
    phenotype on fewer than ten tiles, the pattern of fewer than 20 lymphocytes.
    """
    placed = has_carcinoma(raw.get) and not untrusted(raw.get) and not disagree(raw.get)
    tumor = placed and (raw.get("CELL_COUNT_CARCINOMA_CELL") or 0) >= FEWEST_CELLS
    many = (raw.get("CELL_N_TOTAL") or 0) >= FEWEST_IN_ALL
    purity = raw.get("TUMOR_PURITY") if tumor and many else None
    low, high = _PURITY
    yield (
        "composition",
        _three(purity, low, high, ("Low Tumour Purity", "Intermediate", "High Tumour Purity")),
    )
    shares = {label: raw.get(name) for label, name in PHENOTYPE_SHARES.items()}
    enough = placed and samples.get("IMMUNE_INFLAMED_SHARE", 0) >= FEWEST_TILES
    known = {label: share for label, share in shares.items() if share is not None and enough}
    leading = max(known, key=lambda label: known[label], default=None)
    yield "immune", leading if leading is None or known[leading] > 0.5 else "Intermediate"
    ratio = raw.get("TUMOR_STROMA_RATIO") if tumor else None
    yield "stroma", None if not ratio else "Stroma-rich" if ratio < _EVEN_RATIO else "Stroma-poor"
    lymphocytes = raw.get("CELL_COUNT_LYMPHOCYTE") or 0
    spread = raw.get("CLARK_EVANS_LYMPHOCYTE") if lymphocytes >= FEWEST_CELLS else None
    words = ("Clustered lymphocytes", "Intermediate", "Evenly spaced lymphocytes")
    yield "architecture", _three(spread, _CLUSTERED_BELOW, _EVEN_ABOVE, words)


def _three(value: float | None, low: float, high: float, words: tuple[str, str, str]) -> str | None:
    if value is None:
        return None
    return words[0] if value < low else words[2] if value > high else words[1]
