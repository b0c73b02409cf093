"""Plain names of metrics, and what the words on the page mean."""

import re

from histome.metrics.axes import CELL_NAMES
from histome.metrics.format import TIMES
from histome.render.palette import CELL_LABELS, TISSUE_LABELS

# The key metrics in the order of the page, each with what a reader calls it.
KEY_METRICS = {
    "ABSOLUTE_AREA": "Tissue measured",
    "RELATIVE_AREA_VALID_TISSUE": "Passed quality control, share of all tissue",
    "RELATIVE_AREA_CARCINOMA": "Carcinoma, share of tissue",
    "RELATIVE_AREA_STROMA": "Stroma, share of tissue",
    "RELATIVE_AREA_NECROSIS": "Necrosis, share of tissue",
    "NECROSIS_FRACTION_OF_TUMOR": "Necrosis, share of carcinoma and necrosis",
    "TUMOR_STROMA_RATIO": "Carcinoma area over stroma area",
    "REGION_COUNT_CARCINOMA": "Pieces of carcinoma",
    "LARGEST_FILLED_AREA_CARCINOMA": "Largest piece of carcinoma",
    "CELL_N_TOTAL": "Cells counted",
    "CELL_N_NOT_COUNTED": "Cells not counted, in necrosis or blood",
    "TUMOR_PURITY": "Carcinoma cells, share of all cells",
    "IMMUNE_CELL_FRACTION": "Immune cells, share of all cells",
    "CELL_DENSITY_CARCINOMA_CELL_CARCINOMA": "",
    "CELL_PERCENTAGE_LYMPHOCYTE": "",
    "CELL_DENSITY_LYMPHOCYTE_CARCINOMA": "",
    "CELL_DENSITY_LYMPHOCYTE_STROMA": "",
    "STROMAL_TIL_PERCENT": "Stroma covered by lymphocytes and plasma cells (stromal TILs)",
    "INTRATUMORAL_TIL": "Lymphocytes and plasma cells per hundred carcinoma cells",
    "IMMUNE_INFLAMED_SHARE": "Tumor tiles that are immune-inflamed",
    "IMMUNE_EXCLUDED_SHARE": "Tumor tiles that are immune-excluded",
    "IMMUNE_DESERT_SHARE": "Tumor tiles that are immune desert",
    "CELL_DENSITY_PLASMA_CELL_STROMA": "",
    "CELL_DENSITY_MACROPHAGE_STROMA": "",
    "CELL_DENSITY_GRANULOCYTE_STROMA": "",
    "CELL_DENSITY_FIBROBLAST_STROMA": "",
    "NUCLEUS_AVG_AREA_CARCINOMA_CELL": "Mean area of carcinoma nuclei",
    "NUCLEUS_AVG_ROUNDNESS_CARCINOMA_CELL": "Mean roundness of carcinoma nuclei, 1 for a circle",
    "NUCLEUS_CV_AREA_CARCINOMA_CELL": "Variation in size of carcinoma nuclei (SD / mean)",
    "TISSUE_FRAGMENT_COUNT": "Pieces of tissue on the slide",
    "FOCUS_SCORE": "Sharpness of the scan",
    "HEMATOXYLIN_OD_MEAN": "Strength of hematoxylin (optical density)",
    "EOSIN_OD_MEAN": "Strength of eosin (optical density)",
}
GLOSSARY = {
    "Abstained": "The model's confidence in the class is under the threshold in its card. Such cells count "
    "under their most likely class and have dashed outlines.",
    "Confidence": "The calibrated probability that the class of a cell is right, on tissue like that which "
    "the model learned from.",
    "Density": "Cells of a class in a tissue divided by the area of that tissue, per mm².",
    "F1, IoU": "How well a model agreed with labels that it did not learn from: 1 is full agreement, 0 none. "
    "F1 is for cells that were found, IoU for areas. Group: the labels do not tell this class apart. "
    "n: of so few fields or slides.",
    "95 % interval": "Where the number would lie if other blocks of the same tissue had been measured. It "
    "knows nothing of errors of the models, nor of other slides of the patient.",
    "n": "How many cells, tiles or map pixels stand behind a number. It is no sample size for a test.",
    "n/a": "There is no number, with the reason: what it refers to is not there, or too little of it.",
    "Neighbors, enrichment": "How often two classes lie within 40 µm of each other, against the same cells "
    "with their classes exchanged within each tissue: +1 is twice as often, \N{MINUS SIGN}1 half as often.",
    "Optical density": "How much light a stain takes away. It differs between scanners and laboratories.",
    "Passed quality control": "Not out of focus, folded, inked, damaged or bare glass.",
    "TILs": "Tumor-infiltrating lymphocytes; here lymphocytes and plasma cells.",
    "Tile": "A square of the slide that is looked at by itself.",
    "Tumor border": "The line between carcinoma and stroma on the tissue map. Inside is carcinoma, outside "
    "stroma.",
}
_BY_CLASS = re.compile(rf"CELL_DENSITY_({'|'.join(CELL_NAMES)})_({'|'.join(TISSUE_LABELS)})")
_SHARES = re.compile(rf"CELL_PERCENTAGE_({'|'.join(CELL_NAMES)})")

_SIGNS = (
    (re.compile(r"\bum(?=\b|2)"), "µm"),
    (re.compile(r"(?<=m)2\b"), "²"),
    (re.compile(r"\b4 pi\b"), "4π"),
    (re.compile(r"\^2\b"), "²"),
    (re.compile(r"(?<=\d) x (?=[a-z])"), TIMES),
)


def in_signs(text: str) -> str:
    """Return a definition of the catalogue, plain ASCII, with the signs that people write: µm, mm², π."""
    for written, sign in _SIGNS:
        text = written.sub(sign, text)
    return text


def plain_name_of(metric: str) -> str:
    """Return what a reader calls a metric: its plain name, else the metric's own."""
    if found := _BY_CLASS.fullmatch(metric):
        cells, tissue = CELL_LABELS[found[1].lower()], TISSUE_LABELS[found[2]].lower()
        return f"{cells}s per mm² of {tissue}"
    if found := _SHARES.fullmatch(metric):
        return f"{CELL_LABELS[found[1].lower()]}s, share of all cells"
    return KEY_METRICS.get(metric) or metric
