"""Files of other programs: one module a format, for what reads it and what will write it; a table of them."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.interop.foreign_cells import ForeignCells
    from histome.interop.foreign_files import ForeignFiles, measure_files
    from histome.interop.formats import read_foreign_cells, read_shapes, read_tissue
    from histome.interop.labels import Labels, read_labels
    from histome.interop.readouts import read_slide_readouts

__all__ = [
    "ForeignCells",
    "ForeignFiles",
    "Labels",
    "measure_files",
    "read_foreign_cells",
    "read_labels",
    "read_shapes",
    "read_slide_readouts",
    "read_tissue",
]
__getattr__ = opened(__name__, __file__)
