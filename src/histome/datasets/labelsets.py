"""Label sets: each label of a public data set is a SET of the nine cell classes (spec: label-set training).

A set is a bit mask over `CELL_CLASSES`: bit k is class k. 0 means "no type known".
"""

from histome.classes import CELL_CLASSES
from histome.errors import DataError

_BIT = {name: 1 << k for k, name in enumerate(CELL_CLASSES)}


def label_set(*names: str) -> int:
    """Bit mask of the named classes."""
    return sum(_BIT[name] for name in names)


_LEUKOCYTES = label_set("lymphocyte", "plasma_cell", "macrophage", "granulocyte")
_EPITHELIAL = label_set("carcinoma_cell", "epithelial_cell")

NUCLEUS_LABEL_SETS: dict[str, dict[str, int]] = {
    "consep": {
        "healthy epithelial": label_set("epithelial_cell"),
        "malignant epithelial": label_set("carcinoma_cell"),
        "fibroblast": label_set("fibroblast"),
        "endothelial": label_set("endothelial_cell"),
        "inflammatory": _LEUKOCYTES,
        "muscle": label_set("other"),
        "other": label_set("other"),
    },
    "crchistophenotypes": {
        "epithelial": _EPITHELIAL,
        "inflammatory": _LEUKOCYTES,
        "fibroblast": label_set("fibroblast", "endothelial_cell"),
        "others": label_set("other", "endothelial_cell", "granulocyte"),
        "untyped": 0,
    },
    "monusac": {
        "epithelial": _EPITHELIAL,
        "lymphocyte": label_set("lymphocyte"),
        "neutrophil": label_set("granulocyte"),
        "macrophage": label_set("macrophage"),
    },
    "pannuke": {
        "neoplastic": label_set("carcinoma_cell"),
        "inflammatory": _LEUKOCYTES,
        "connective": label_set("fibroblast", "endothelial_cell", "other"),
        "dead": 0,
        "epithelial": label_set("epithelial_cell"),
    },
    # Lizard and CoNIC call every epithelial nucleus so, benign or not; endothelium and muscle are connective.
    "lizard": {
        "neutrophil": label_set("granulocyte"),
        "epithelial": _EPITHELIAL,
        "lymphocyte": label_set("lymphocyte"),
        "plasma": label_set("plasma_cell"),
        "eosinophil": label_set("granulocyte"),
        "connective": label_set("fibroblast", "endothelial_cell", "other"),
    },
    # The raw classes, and the main classes for tables that have no raw ones.
    "nucls": {
        "tumor": label_set("carcinoma_cell"),
        "mitotic_figure": label_set("carcinoma_cell"),
        "fibroblast": label_set("fibroblast"),
        "lymphocyte": label_set("lymphocyte"),
        "plasma_cell": label_set("plasma_cell"),
        "macrophage": label_set("macrophage"),
        "neutrophil": label_set("granulocyte"),
        "eosinophil": label_set("granulocyte"),
        "vascular_endothelium": label_set("endothelial_cell"),
        "ductal_epithelium": label_set("epithelial_cell"),
        "myoepithelium": label_set("epithelial_cell", "other"),
        "apoptotic_body": 0,
        "unlabeled": 0,
        "tumor_nonMitotic": label_set("carcinoma_cell"),
        "tumor_mitotic": label_set("carcinoma_cell"),
        "nonTILnonMQ_stromal": label_set("fibroblast", "endothelial_cell"),
        "other_nucleus": label_set("endothelial_cell", "epithelial_cell", "granulocyte", "other"),
        "AMBIGUOUS": 0,
    },
    # Melanoma: its tumor cells are the malignant cells of our nine classes, though no carcinoma.
    "puma": {
        "tumor": label_set("carcinoma_cell"),
        "lymphocyte": label_set("lymphocyte"),
        "plasma_cell": label_set("plasma_cell"),
        "histiocyte": label_set("macrophage"),
        "melanophage": label_set("macrophage"),
        "neutrophil": label_set("granulocyte"),
        "stroma": label_set("fibroblast", "other"),
        "endothelium": label_set("endothelial_cell"),
        "epithelium": label_set("epithelial_cell"),
        "apoptosis": 0,
    },
}
NUCLEUS_LABEL_SETS["conic"] = NUCLEUS_LABEL_SETS["lizard"]


def set_of(data_set: str, label: str) -> int:
    """Label set of one label of a data set.

    A data set without a table above names our classes: `lymphocyte`, or `lymphocyte|plasma_cell` for either;
    an empty label is "no type known". Raises DataError for a label that is none of these.
    """
    table = NUCLEUS_LABEL_SETS.get(data_set)
    if table is not None and label in table:
        return table[label]
    names = label.split("|") if label else []
    if table is None and all(name in _BIT for name in names):
        return label_set(*names)
    known = ", ".join(CELL_CLASSES if table is None else table)
    raise DataError(f"{data_set}: unknown label {label!r}; known are {known}")


def members(mask: int) -> tuple[str, ...]:
    """Class names of a bit mask."""
    return tuple(name for name, bit in _BIT.items() if mask & bit)
