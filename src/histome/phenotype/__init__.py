"""Which phenotype? Six axes of a patch or tile: features of its nuclei, labels and tokens from them."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.phenotype.axes import PANNUKE_CLASSES, Axis, PhenotypeLabel, phenotypes
    from histome.phenotype.features import PatchCells, patch_features
    from histome.phenotype.patch import describe_file, describe_image
    from histome.phenotype.tiles import tile_phenotypes, write_profile_tiles
    from histome.phenotype.tokens import Interpretation, interpret

__all__ = [
    "PANNUKE_CLASSES",
    "Axis",
    "Interpretation",
    "PatchCells",
    "PhenotypeLabel",
    "describe_file",
    "describe_image",
    "interpret",
    "patch_features",
    "phenotypes",
    "tile_phenotypes",
    "write_profile_tiles",
]
__getattr__ = opened(__name__, __file__)
