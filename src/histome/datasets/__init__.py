"""Labeled data: what is known of each data set, said once; fields of view, label sets, splits.

A data set is a `DataSet` in `nuclei_sets.py` or `tissue_sets.py`; everything else looks it up by name.
`published` reads data as their publishers give them, `load_fields` and `load_tissue_fields` read folders in
our own layout.
"""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.datasets.declaration import DataSet, TissueLabels
    from histome.datasets.declared import DECLARED, PUBLISHED, declaration_of, set_of
    from histome.datasets.fields import Field, FieldId, instance_field, load_fields
    from histome.datasets.labelsets import label_set, members
    from histome.datasets.splits import Split, split_by_source, split_fields
    from histome.datasets.tissue_fields import TissueField, load_tissue_fields

__all__ = [
    "DECLARED",
    "PUBLISHED",
    "DataSet",
    "Field",
    "FieldId",
    "Split",
    "TissueField",
    "TissueLabels",
    "declaration_of",
    "instance_field",
    "label_set",
    "load_fields",
    "load_tissue_fields",
    "members",
    "set_of",
    "split_by_source",
    "split_fields",
]
__getattr__ = opened(__name__, __file__)
