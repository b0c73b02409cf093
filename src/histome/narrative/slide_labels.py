"""What a narrative of a slide rests on: some hundred metrics, and the labels that follow from them."""

from collections.abc import Iterator, Mapping

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


def slide_labels(raw: Mapping[str, float | None]) -> Iterator[tuple[str, str | None]]:
    """Yield each axis with its label, from metrics by name; None where its metric is null."""
    purity = raw.get("TUMOR_PURITY")
    low, high = _PURITY
    yield (
        "composition",
        _three(purity, low, high, ("Low Tumour Purity", "Intermediate", "High Tumour Purity")),
    )
    shares = {label: raw.get(name) for label, name in PHENOTYPE_SHARES.items()}
    known = {label: share for label, share in shares.items() if share is not None}
    leading = max(known, key=lambda label: known[label], default=None)
    yield "immune", leading if leading is None or known[leading] > 0.5 else "Intermediate"
    ratio = raw.get("TUMOR_STROMA_RATIO")
    yield "stroma", None if not ratio else "Stroma-rich" if ratio < _EVEN_RATIO else "Stroma-poor"
    spread = raw.get("CLARK_EVANS_LYMPHOCYTE")
    words = ("Clustered lymphocytes", "Intermediate", "Evenly spaced lymphocytes")
    yield "architecture", _three(spread, _CLUSTERED_BELOW, _EVEN_ABOVE, words)


def _three(value: float | None, low: float, high: float, words: tuple[str, str, str]) -> str | None:
    if value is None:
        return None
    return words[0] if value < low else words[2] if value > high else words[1]
