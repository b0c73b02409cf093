"""A profile for other programs: one module a format, each with the affine from px to um; a table of them."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.exports.formats import EXPORTS, export_profile
    from histome.exports.frames import to_geopandas, to_pandas, to_polars
    from histome.exports.plot import plot_profile
    from histome.exports.scverse import to_anndata, to_spatialdata

__all__ = [
    "EXPORTS",
    "export_profile",
    "plot_profile",
    "to_anndata",
    "to_geopandas",
    "to_pandas",
    "to_polars",
    "to_spatialdata",
]
__getattr__ = opened(__name__, __file__)
