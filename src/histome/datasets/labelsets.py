"""Label sets: a label of a data set is a SET of the nine cell classes, those that it may be.

A set is a bit mask over `CELL_CLASSES`: bit k is class k. 0 means "no type known". What each label of a data
set means is in its declaration (`declared.py`).
"""

from histome.classes import CELL_CLASSES

BITS = {name: 1 << k for k, name in enumerate(CELL_CLASSES)}
LEUKOCYTES = ("lymphocyte", "plasma_cell", "macrophage", "granulocyte")
EPITHELIAL = ("carcinoma_cell", "epithelial_cell")


def label_set(*names: str) -> int:
    """Bit mask of the named classes."""
    return sum(BITS[name] for name in names)


def members(mask: int) -> tuple[str, ...]:
    """Class names of a bit mask."""
    return tuple(name for name, bit in BITS.items() if mask & bit)
