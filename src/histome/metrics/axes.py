"""The axes that metric names are products of, and the words and units that go with their values."""

from collections.abc import Mapping
from itertools import combinations, combinations_with_replacement

from histome.classes import CELL_CLASSES, NUCLEATED_TISSUES, QC_CLASSES, TISSUE_CLASSES
from histome.tissue.glands import LININGS

CELL_NAMES = tuple(name.upper() for name in CELL_CLASSES)
ZONES = ("TUMOR_CORE", "INNER_INVASIVE_MARGIN", "OUTER_INVASIVE_MARGIN", "EXTRATUMORAL_TISSUE")
# The last zone is the union of the first two; the first four do not overlap.
ALL_ZONES = (*ZONES, "WHOLE_TUMOR_REGION")

RADII_UM = (20, 40)
L_RADII_UM = (20, 40, 60, 80, 100)
BORDER_BANDS_UM = ((0, 20), (20, 50), (50, 100), (100, 200), (200, 500))
TILE_SIZES_UM = (250, 500, 1000)
# Radii of pairs against null models of the tissue, and the rings between them.
FAR_RADII_UM = (20, 50, 100, 200, 350, 500)
RINGS_UM = tuple(zip((0, *FAR_RADII_UM), FAR_RADII_UM, strict=False))

# Feature of a nucleus -> (column of the cells table, words, unit).
NUCLEUS_FEATURES = {
    "AREA": ("area_um2", "area", "um2"),
    "PERIMETER": ("perimeter_um", "perimeter of the outline", "um"),
    "MAJOR_AXIS": ("major_axis_um", "major axis of the equal-moment ellipse", "um"),
    "MINOR_AXIS": ("minor_axis_um", "minor axis of the equal-moment ellipse", "um"),
    "CIRCULARITY": ("roundness", "circularity 4 pi area / perimeter^2", "1"),
    "ELLIPSE_ECCENTRICITY": ("eccentricity", "eccentricity of the equal-moment ellipse", "1"),
    "SOLIDITY": ("solidity", "area / area of the convex hull", "1"),
    "ASPECT_RATIO": ("aspect_ratio", "major axis / minor axis", "1"),
    "HEMATOXYLIN_OD_MEAN": ("hematoxylin_od_mean", "mean hematoxylin optical density", "OD"),
    "HEMATOXYLIN_OD_SD": ("hematoxylin_od_sd", "SD of the hematoxylin optical density", "OD"),
    "EOSIN_OD_MEAN": ("eosin_od_mean", "mean eosin optical density", "OD"),
}
TISSUE_FEATURES = ("AREA", "CIRCULARITY", "ELLIPSE_ECCENTRICITY", "HEMATOXYLIN_OD_MEAN")

PAIR_OF = {f"{a}_{b}": (a, b) for a, b in combinations_with_replacement(CELL_NAMES, 2)}
# The pairs that are looked at as functions of distance.
READ_PAIRS = (
    "CARCINOMA_CELL_CARCINOMA_CELL",
    "CARCINOMA_CELL_ENDOTHELIAL_CELL",
    "CARCINOMA_CELL_FIBROBLAST",
    "CARCINOMA_CELL_GRANULOCYTE",
    "CARCINOMA_CELL_LYMPHOCYTE",
    "CARCINOMA_CELL_MACROPHAGE",
    "CARCINOMA_CELL_PLASMA_CELL",
    "ENDOTHELIAL_CELL_LYMPHOCYTE",
    "FIBROBLAST_LYMPHOCYTE",
    "LYMPHOCYTE_LYMPHOCYTE",
    "LYMPHOCYTE_MACROPHAGE",
    "LYMPHOCYTE_PLASMA_CELL",
)

# Places of the two classes of a pair in CELL_NAMES.
PAIR_CODES = {pair: (CELL_NAMES.index(a), CELL_NAMES.index(b)) for pair, (a, b) in PAIR_OF.items()}

AXES: Mapping[str, tuple[str, ...]] = {
    "qc": QC_CLASSES,
    "tissue": TISSUE_CLASSES,
    "nucleated": NUCLEATED_TISSUES,
    "cell": CELL_NAMES,
    "neighbor": CELL_NAMES,
    "center": CELL_NAMES,
    "radius": tuple(str(radius) for radius in RADII_UM),
    "l_radius": tuple(str(radius) for radius in L_RADII_UM),
    "zone": ALL_ZONES,
    "group": (*CELL_NAMES, "ALL"),
    "feature": tuple(NUCLEUS_FEATURES),
    "tissue_feature": TISSUE_FEATURES,
    "side": ("IN", "OUT"),
    "band": tuple(f"{low}_{high}" for low, high in BORDER_BANDS_UM),
    "touching": tuple(PAIR_OF),
    "pair": tuple(f"{a}_{b}" for a, b in combinations(CELL_NAMES, 2)),
    "tile": tuple(str(size) for size in TILE_SIZES_UM),
    "read_pair": READ_PAIRS,
    "far_radius": tuple(str(radius) for radius in FAR_RADII_UM),
    "lining": LININGS,
    "ring": tuple(f"{low}_{high}" for low, high in RINGS_UM),
}


# Words that do not follow from the name.
_WORDS = {"OTHER": "other tissue", "ALL": "cells of all classes", "IN": "inside", "OUT": "outside"}


def words_of(values: Mapping[str, str]) -> dict[str, str]:
    """Return axis values as words for formulas: {'cell': 'PLASMA_CELL'} -> {'cell': 'plasma cells'}.

    A feature of the nucleus also brings its unit, as '<axis>_unit'.
    """
    words = {axis: _word(axis, value) for axis, value in values.items()}
    for axis in {"feature", "tissue_feature"} & values.keys():
        _, words[axis], words[f"{axis}_unit"] = NUCLEUS_FEATURES[values[axis]]
    return words


def _word(axis: str, value: str) -> str:
    """Words for one value of an axis."""
    if axis in ("pair", "touching", "read_pair"):
        return " and ".join(_word("cell", name) for name in PAIR_OF[value])
    if value in CELL_NAMES and AXES[axis][: len(CELL_NAMES)] == CELL_NAMES:
        return "other cells" if value == "OTHER" else f"{value.replace('_', ' ').lower()}s"
    if axis in ("band", "ring"):
        return value.replace("_", " to ")
    return _WORDS.get(value, value.replace("_", " ").lower())
