"""Checkpoints of the field's own models, made models of ours; one module a kind. Needs the [train] extra."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.models.importers.classes import ForeignClasses, known_classes, read_classes_map
    from histome.models.importers.tissue import TissueLayout, import_tissue, read_tissue_layout
    from histome.models.importers.write import IMPORTERS, import_model

__all__ = [
    "IMPORTERS",
    "ForeignClasses",
    "TissueLayout",
    "import_model",
    "import_tissue",
    "known_classes",
    "read_classes_map",
    "read_tissue_layout",
]
__getattr__ = opened(__name__, __file__)
