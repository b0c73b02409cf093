"""Label sets: each label of a public data set is a SET of the nine cell classes (spec: label-set training).

A set is a bit mask over `CELL_CLASSES`: bit k is class k. 0 means "no type known".
"""

from histome.config import CELL_CLASSES

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
}


def members(mask: int) -> tuple[str, ...]:
    """Class names of a bit mask."""
    return tuple(name for name, bit in _BIT.items() if mask & bit)
