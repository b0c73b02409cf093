"""Every data set that histome learns from or is scored on, declared once; all else looks it up here.

Adding one is a declaration in `nuclei_sets.py` or `tissue_sets.py`, and a reader where its files lie as no
other's do.
"""

from collections.abc import Mapping

from histome.classes import CELL_CLASSES
from histome.datasets.declaration import DataSet
from histome.datasets.labelsets import BITS, label_set
from histome.datasets.nuclei_sets import NUCLEI_SETS
from histome.datasets.tissue_sets import TISSUE_SETS
from histome.errors import DataError

DECLARED: Mapping[str, DataSet] = {each.name: each for each in (*NUCLEI_SETS, *TISSUE_SETS)}
# Those that `datasets.published` reads as their publishers give them.
PUBLISHED = tuple(each.name for each in DECLARED.values() if each.published)


def declaration_of(name: str) -> DataSet:
    """The declaration of a data set; of one that has none, that its labels name our classes."""
    return DECLARED.get(name) or DataSet(name=name)


def in_folder(folder: str) -> tuple[DataSet, ...]:
    """The data sets that a folder of this name holds."""
    return tuple(each for each in DECLARED.values() if (each.folder or each.name) == folder)


def of_row(folder: str, row: Mapping[str, str]) -> DataSet | None:
    """The data set that a row of a folder's images.csv belongs to; None where it is not declared."""
    return next((each for each in in_folder(folder) if not each.sets or row["set"] in each.sets), None)


def set_of(data_set: str, label: str) -> int:
    """Label set of one label of a data set.

    A data set that declares no labels names our classes: `lymphocyte`, or `lymphocyte|plasma_cell` for
    either; an empty label is "no type known". Raises DataError for a label that is none of these.
    """
    table = declaration_of(data_set).labels
    if table is not None and label in table:
        return table[label]
    names = label.split("|") if label else []
    if table is None and all(name in BITS for name in names):
        return label_set(*names)
    known = ", ".join(CELL_CLASSES if table is None else table)
    raise DataError(f"{data_set}: unknown label {label!r}; known are {known}")
