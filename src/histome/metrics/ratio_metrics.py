"""Declarations of the ratios and scores (R1) and of what is known about the slide itself (Q1)."""

from histome.metrics.declaration import Loop, Template, declare, in_family

_UNIT = (0.0, 1.0)
_COUNTS = "from CELL_COUNT"
_IMMUNE = "lymphocytes and plasma cells"
_NO_TILE = "no tile of 250 um is at least a tenth carcinoma"


def _count_ratio(top: str, bottom: str) -> Template:
    """Declare the ratio of the numbers of two classes."""
    above, below = (f"{name.replace('_', ' ').lower()}s" for name in (top, bottom))
    null = f"there are no {below}"
    return declare(
        f"{top}_TO_{bottom}_RATIO", "1", f"{above} / {below}, on the whole slide", null, derived=_COUNTS
    )


def _core_to_margin(cell: str) -> Template:
    """Declare the ratio of a class's densities in the core and in the margins of the tumor."""
    words = f"{cell.replace('_', ' ').lower()}s"
    return declare(
        f"{cell}_CORE_TO_MARGIN_RATIO",
        "1",
        f"density of {words} in the tumor core / in its inner and outer margin together",
        f"there is no tumor core; there are no {words} in the margins",
        derived="from CELL_COUNT_(cell)_IN_(zone) and ABSOLUTE_AREA_(zone)",
    )


def _immune_share(name: str, words: str) -> Template:
    """Declare the share of tumor tiles of one immune phenotype."""
    formula = f"share of tiles of 250 um, at least a tenth carcinoma, with {words}"
    return declare(f"IMMUNE_{name}_SHARE", "1", formula, _NO_TILE, _UNIT, n=1)


RATIOS: tuple[Template | Loop, ...] = in_family(
    "R1",
    (),
    declare(
        "TUMOR_STROMA_RATIO",
        "1",
        "area of carcinoma / area of stroma",
        "there is no stroma",
        derived="ABSOLUTE_AREA_CARCINOMA / ABSOLUTE_AREA_STROMA",
    ),
    declare(
        "STROMAL_TIL_PERCENT",
        "%",
        f"100 x summed nuclear area of {_IMMUNE} in stroma / area of stroma (Salgado et al. 2015, "
        "doi:10.1093/annonc/mdu450, by area of nuclei instead of by eye)",
        "there is no stroma; the nuclei have no area",
    ),
    declare(
        "INTRATUMORAL_TIL",
        "1",
        f"{_IMMUNE} in carcinoma per 100 carcinoma cells in carcinoma",
        "there are no carcinoma cells in carcinoma",
        derived="from CELL_COUNT_(cell)_CARCINOMA",
    ),
    declare(
        "TUMOR_PURITY", "1", "carcinoma cells / all cells", "there are no cells", _UNIT, n=1, derived=_COUNTS
    ),
    declare(
        "NECROSIS_FRACTION_OF_TUMOR",
        "1",
        "area of necrosis / area of necrosis and carcinoma",
        "there is neither necrosis nor carcinoma",
        _UNIT,
        derived="from ABSOLUTE_AREA",
    ),
    _count_ratio("LYMPHOCYTE", "CARCINOMA_CELL"),
    _count_ratio("MACROPHAGE", "LYMPHOCYTE"),
    _count_ratio("GRANULOCYTE", "LYMPHOCYTE"),
    _count_ratio("PLASMA_CELL", "LYMPHOCYTE"),
    _count_ratio("FIBROBLAST", "CARCINOMA_CELL"),
    declare(
        "VESSEL_DENSITY",
        "1/mm2",
        "regions of vessel / area of all analyzed tissue",
        "no regions were given; there is no analyzed tissue",
        derived="REGION_COUNT_VESSEL / ABSOLUTE_AREA",
    ),
    declare(
        "INVASIVE_FRONT_DENSITY",
        "mm/mm2",
        "length of the border between carcinoma and stroma / area of carcinoma; the length is that of the "
        "pixel "
        "edges x pi / 4, right on average over directions",
        "there is no carcinoma",
    ),
    *(
        _core_to_margin(cell)
        for cell in ("LYMPHOCYTE", "MACROPHAGE", "GRANULOCYTE", "PLASMA_CELL", "FIBROBLAST")
    ),
    _immune_share("INFLAMED", f"at least 250 {_IMMUNE} per mm2 of carcinoma"),
    _immune_share(
        "EXCLUDED", f"fewer than 250 {_IMMUNE} per mm2 of carcinoma and at least 250 per mm2 of stroma"
    ),
    _immune_share("DESERT", f"fewer than 250 {_IMMUNE} per mm2 of carcinoma and of stroma"),
    declare(
        "MEAN_SPATIAL_ENTROPY",
        "1",
        "mean over cells of the Shannon entropy (natural logarithm) of the classes of the six nearest other "
        "cells",
        "there are fewer than 7 cells",
        n=7,
    ),
    declare(
        "IMMUNE_CELL_FRACTION",
        "1",
        "lymphocytes, plasma cells, macrophages and granulocytes / all cells",
        "there are no cells",
        _UNIT,
        n=1,
        derived=_COUNTS,
    ),
    declare(
        "STROMAL_TO_INTRATUMORAL_LYMPHOCYTE_RATIO",
        "1",
        "density of lymphocytes in stroma / in carcinoma",
        "there is no stroma; there are no lymphocytes in carcinoma",
        derived="CELL_DENSITY_LYMPHOCYTE_STROMA / CELL_DENSITY_LYMPHOCYTE_CARCINOMA",
    ),
    declare(
        "CELLULARITY",
        "1",
        "summed nuclear area of the cells in nucleated tissue / area of nucleated tissue",
        "there is no nucleated tissue; the nuclei have no area",
    ),
)

_NOT_TOLD = "the slide's pixels were not measured"


def _channel(stain: str, channel: str) -> Template:
    """Declare one component of a stain vector."""
    return declare(
        f"{stain}_VECTOR_{channel}",
        "1",
        f"{channel} component of the unit optical density vector of {stain.lower()}, estimated on this slide "
        "(Macenko et al. 2009, doi:10.1109/ISBI.2009.5193250)",
        f"{_NOT_TOLD}; too little stained tissue",
        (-1.0, 1.0),
    )


SLIDE: tuple[Template | Loop, ...] = in_family(
    "Q1",
    (),
    declare("MPP_USED", "um/px", "resolution of level 0 that every length was computed with", _NOT_TOLD),
    declare("VALID_AREA", "mm2", "area of valid tissue in the quality map", "no quality map was given"),
    declare("TISSUE_FRAGMENT_COUNT", "pieces", "number of separate pieces of tissue", _NOT_TOLD),
    declare("SCAN_AREA", "mm2", "area of the whole scan, tissue or not", _NOT_TOLD),
    declare(
        "FOCUS_SCORE",
        "1",
        "median over valid tissue of the sharpness that quality control judges focus by",
        f"{_NOT_TOLD}; nowhere was there enough structure to judge",
        (None, None),
    ),
    declare("BACKGROUND_LEVEL", "1", "mean of R, G and B of the empty glass, 0-255", _NOT_TOLD, (0.0, 255.0)),
    *(_channel("HEMATOXYLIN", channel) for channel in "RGB"),
    *(_channel("EOSIN", channel) for channel in "RGB"),
    declare(
        "HEMATOXYLIN_OD_MEAN",
        "OD",
        "mean hematoxylin optical density of valid tissue",
        _NOT_TOLD,
        (None, None),
    ),
    declare("EOSIN_OD_MEAN", "OD", "mean eosin optical density of valid tissue", _NOT_TOLD, (None, None)),
)
