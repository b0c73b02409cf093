"""Ratios and scores that pathologists use."""

from collections.abc import Mapping
from functools import partial

import numpy as np
from numba import njit
from numpy.typing import NDArray

from histome.classes import CELL_CLASSES, NUCLEATED_TISSUES, TISSUE_CLASSES
from histome.geometry.borders import border_length_px
from histome.geometry.grid import run_chunks
from histome.geometry.kdtree import build_tree, nearest_rows
from histome.metrics.declaration import SHARE, Family, Template
from histome.metrics.maps import TissueMaps
from histome.metrics.reasons import NO_CARCINOMA, NO_CELLS, NO_REGIONS, NO_STROMA, NO_TISSUE, NO_TUMOR
from histome.metrics.results import Result, all_null, quotient, result
from histome.metrics.specimen import Specimen
from histome.metrics.tiles import small_tiles, tile_of
from histome.metrics.uncertainty.ratio_sums import ratios_per_block

K_NEAREST = 6
# Lymphocytes and plasma cells per mm2 that separate the immune phenotypes, ours; the phenotypes are those of
# Chen and Mellman 2017, doi:10.1038/nature21349.
_IMMUNE_PER_MM2 = 250.0
_TUMOR_TILE_SHARE = 0.1
# In tiles where fewer of them than this are above the threshold, a cell more or less is another phenotype.
_FEWEST_IMMUNE = 5
_CLASS = {name.upper(): k for k, name in enumerate(CELL_CLASSES)}
_TISSUE = {name: k for k, name in enumerate(TISSUE_CLASSES)}
_NUCLEATED = {name: k for k, name in enumerate(NUCLEATED_TISSUES)}
_TIL = [_CLASS["LYMPHOCYTE"], _CLASS["PLASMA_CELL"]]
_COUNT_RATIOS = (
    ("LYMPHOCYTE", "CARCINOMA_CELL"),
    ("MACROPHAGE", "LYMPHOCYTE"),
    ("GRANULOCYTE", "LYMPHOCYTE"),
    ("PLASMA_CELL", "LYMPHOCYTE"),
    ("FIBROBLAST", "CARCINOMA_CELL"),
)
_CORE_TO_MARGIN = ("LYMPHOCYTE", "MACROPHAGE", "GRANULOCYTE", "PLASMA_CELL", "FIBROBLAST")
_COUNTS = "from CELL_COUNT"
_IMMUNE = "lymphocytes and plasma cells"
_NO_NECROSIS_OR_CARCINOMA = "there is neither necrosis nor carcinoma"
_NO_NUCLEATED = "there is no nucleated tissue"
_NO_TUMOR_CELLS = "there are no carcinoma cells in carcinoma"
_NO_LYMPHOCYTES = "there are no lymphocytes in carcinoma"
_NO_CORE = "there is no tumor core"
_NO_TILE = "no tile of 250 um is at least a tenth carcinoma"
_NO_AREA = "the nuclei have no area"
_FEW_CELLS = f"there are fewer than {K_NEAREST + 1} cells"


def _words(name: str) -> str:
    """Return the cells of a class in words: 'PLASMA_CELL' -> 'plasma cells'."""
    return f"{name.replace('_', ' ').lower()}s"


def _count_ratio(top: str, bottom: str) -> Template:
    """Declare the ratio of the numbers of two classes."""
    above, below = _words(top), _words(bottom)
    null = f"there are no {below}"
    return Template(
        f"{top}_TO_{bottom}_RATIO",
        "1",
        f"{above} / {below}, on the whole slide",
        (null,),
        derived=_COUNTS,
        counts=above,
    )


def _share_of_cells(name: str, words: str) -> Template:
    """Declare the share of some classes in all cells."""
    formula, n = f"{words} / all cells", "cells of all classes"
    return Template(name, "1", formula, (NO_CELLS,), SHARE, smallest_sample=1, derived=_COUNTS, counts=n)


def _core_to_margin_template(cell: str) -> Template:
    """Declare the ratio of a class's densities in the core and in the margins of the tumor."""
    words = _words(cell)
    return Template(
        f"{cell}_CORE_TO_MARGIN_RATIO",
        "1",
        f"density of {words} in the tumor core / in its inner and outer margin together",
        (NO_TUMOR, _NO_CORE, f"there are no {words} in the margins"),
        derived="from CELL_COUNT_(cell)_IN_(zone) and ABSOLUTE_AREA_(zone)",
        counts=f"{words} in the tumor core",
    )


def _immune_share(name: str, words: str) -> Template:
    """Declare the share of tumor tiles of one immune phenotype."""
    formula = f"share of tiles of 250 um, of which at least a tenth is carcinoma, with {words}"
    return Template(
        f"IMMUNE_{name}_SHARE",
        "1",
        formula,
        (_NO_TILE,),
        SHARE,
        smallest_sample=1,
        counts="tiles of 250 um that are at least a tenth carcinoma",
    )


TEMPLATES = (
    Template(
        "TUMOR_STROMA_RATIO",
        "1",
        "area of carcinoma / area of stroma",
        (NO_STROMA,),
        derived="ABSOLUTE_AREA_CARCINOMA / ABSOLUTE_AREA_STROMA",
        counts="pixels of carcinoma",
    ),
    Template(
        "STROMAL_TIL_PERCENT",
        "%",
        f"100 x summed nuclear area of {_IMMUNE} in stroma / area of stroma (Salgado et al. 2015, "
        "doi:10.1093/annonc/mdu450, judge the area that whole cells cover, by eye: this is lower by the "
        "cytoplasm, its cut-offs do not apply)",
        (NO_STROMA, _NO_AREA),
        counts=f"{_IMMUNE} in stroma with a nuclear area",
    ),
    Template(
        "INTRATUMORAL_TIL",
        "1",
        f"{_IMMUNE} in carcinoma per 100 carcinoma cells in carcinoma",
        (_NO_TUMOR_CELLS,),
        derived="from CELL_COUNT_(cell)_CARCINOMA",
        counts=f"{_IMMUNE} in carcinoma",
    ),
    _share_of_cells("TUMOR_PURITY", "carcinoma cells"),
    Template(
        "NECROSIS_FRACTION_OF_TUMOR",
        "1",
        "area of necrosis / area of necrosis and carcinoma",
        (_NO_NECROSIS_OR_CARCINOMA,),
        SHARE,
        derived="from ABSOLUTE_AREA",
        counts="pixels of necrosis",
    ),
    *(_count_ratio(top, bottom) for top, bottom in _COUNT_RATIOS),
    Template(
        "VESSEL_DENSITY",
        "1/mm2",
        "regions of vessel / area of all analyzed tissue",
        (NO_REGIONS, NO_TISSUE),
        derived="REGION_COUNT_VESSEL / ABSOLUTE_AREA",
        counts="regions of vessel",
    ),
    Template(
        "INVASIVE_FRONT_DENSITY",
        "mm/mm2",
        "length of the border between carcinoma and stroma / area of carcinoma; the length by Crofton's "
        "formula in 12 directions, within 0.7 % of a straight front of any direction",
        (NO_CARCINOMA,),
        counts="pixels of carcinoma",
    ),
    *(_core_to_margin_template(cell) for cell in _CORE_TO_MARGIN),
    _immune_share("INFLAMED", f"at least 250 {_IMMUNE} per mm2 of carcinoma"),
    _immune_share(
        "EXCLUDED", f"fewer than 250 {_IMMUNE} per mm2 of carcinoma and at least 250 per mm2 of stroma"
    ),
    _immune_share(
        "DESERT",
        f"fewer than 250 {_IMMUNE} per mm2 of carcinoma, and fewer than 250 per mm2 of stroma or no stroma",
    ),
    _immune_share("FEW_CELLS", f"so little carcinoma that fewer than {_FEWEST_IMMUNE} {_IMMUNE} inflame it"),
    Template(
        "MEAN_SPATIAL_ENTROPY",
        "1",
        "mean over cells of the Shannon entropy (natural logarithm) of the classes of the six nearest other "
        "cells",
        (_FEW_CELLS,),
        smallest_sample=K_NEAREST + 1,
        counts="cells of all classes",
    ),
    _share_of_cells("IMMUNE_CELL_FRACTION", "lymphocytes, plasma cells, macrophages and granulocytes"),
    Template(
        "STROMAL_TO_INTRATUMORAL_LYMPHOCYTE_RATIO",
        "1",
        "density of lymphocytes in stroma / in carcinoma",
        (NO_STROMA, _NO_LYMPHOCYTES),
        derived="CELL_DENSITY_LYMPHOCYTE_STROMA / CELL_DENSITY_LYMPHOCYTE_CARCINOMA",
        counts="lymphocytes in stroma",
    ),
    Template(
        "CELLULARITY",
        "1",
        "summed nuclear area of the cells in nucleated tissue / area of nucleated tissue",
        (_NO_NUCLEATED, _NO_AREA),
        counts="cells with a nuclear area",
    ),
)


def ratios(specimen: Specimen) -> Mapping[str, Result]:
    """Measure quotients of areas, counts and densities; n is the number of cells or pixels above the line."""
    return {
        **_area_ratios(specimen),
        **_count_ratios(specimen),
        **_core_to_margin(specimen),
        **_immune_phenotypes(specimen),
        **_nuclear_areas(specimen),
        "MEAN_SPATIAL_ENTROPY": _spatial_entropy(specimen),
    }


FAMILY = Family(
    "ratios",
    "Ratios and scores",
    "Quotients that pathologists use; null at a zero denominator. Tiles cover the upright bounding box of "
    "the analyzed tissue and are centered on it. The immune phenotypes are shares of tiles, not a verdict on "
    "the slide; their threshold is ours and was tuned on nothing.",
    TEMPLATES,
    ratios,
    alias="R1",
    block_sums=partial(ratios_per_block, pairs=_COUNT_RATIOS, in_zones=_CORE_TO_MARGIN),
)


def _area_ratios(specimen: Specimen) -> dict[str, Result]:
    """Return the ratios of tissue areas, and of vessels and the front to area."""
    maps = specimen.maps
    carcinoma, stroma, necrosis = (
        maps.tissue_px[_TISSUE[name]] for name in ("CARCINOMA", "STROMA", "NECROSIS")
    )
    carcinoma_mm2 = carcinoma * maps.um2_per_px / 1e6
    front_um = maps.once(_front_px) * maps.tissue.mpp
    tumor = necrosis + carcinoma
    return {
        "TUMOR_STROMA_RATIO": result(quotient(carcinoma, stroma), carcinoma, (stroma == 0, NO_STROMA)),
        "NECROSIS_FRACTION_OF_TUMOR": result(
            quotient(necrosis, tumor), necrosis, (tumor == 0, _NO_NECROSIS_OR_CARCINOMA)
        ),
        "VESSEL_DENSITY": _vessel_density(maps),
        "INVASIVE_FRONT_DENSITY": result(
            quotient(front_um / 1000, carcinoma_mm2), carcinoma, (carcinoma == 0, NO_CARCINOMA)
        ),
    }


def _vessel_density(maps: TissueMaps) -> Result:
    if maps.regions is None:
        return all_null((), NO_REGIONS)
    vessels = maps.regions["class"].to_pylist().count("VESSEL")
    tissue_mm2 = maps.tissue_um2.sum() / 1e6
    return result(quotient(vessels, tissue_mm2), vessels, (tissue_mm2 == 0, NO_TISSUE))


def _count_ratios(specimen: Specimen) -> dict[str, Result]:
    """Return the ratios of numbers of cells."""
    counts, total = specimen.class_counts, len(specimen.cells)
    in_stroma, in_carcinoma = (
        specimen.tissue_counts[:, _NUCLEATED[name]] for name in ("STROMA", "CARCINOMA")
    )
    areas = specimen.maps.nucleated_um2[[_NUCLEATED["STROMA"], _NUCLEATED["CARCINOMA"]]]
    tumor_cells, til = in_carcinoma[_CLASS["CARCINOMA_CELL"]], in_carcinoma[_TIL].sum()
    immune = counts[[*_TIL, _CLASS["MACROPHAGE"], _CLASS["GRANULOCYTE"]]].sum()
    lymphocytes = np.array([in_stroma[_CLASS["LYMPHOCYTE"]], in_carcinoma[_CLASS["LYMPHOCYTE"]]])
    density = quotient(lymphocytes, areas)
    found = {
        f"{top}_TO_{bottom}_RATIO": result(
            quotient(counts[_CLASS[top]], counts[_CLASS[bottom]]),
            counts[_CLASS[top]],
            (counts[_CLASS[bottom]] == 0, f"there are no {_words(bottom)}"),
        )
        for top, bottom in _COUNT_RATIOS
    }
    return found | {
        "INTRATUMORAL_TIL": result(
            quotient(til, tumor_cells, scale=100), til, (tumor_cells == 0, _NO_TUMOR_CELLS)
        ),
        "TUMOR_PURITY": result(
            quotient(counts[_CLASS["CARCINOMA_CELL"]], total), total, (total == 0, NO_CELLS)
        ),
        "IMMUNE_CELL_FRACTION": result(quotient(immune, total), total, (total == 0, NO_CELLS)),
        "STROMAL_TO_INTRATUMORAL_LYMPHOCYTE_RATIO": result(
            quotient(density[0], density[1]),
            lymphocytes[0],
            (areas[0] == 0, NO_STROMA),
            (lymphocytes[1] == 0, _NO_LYMPHOCYTES),
        ),
    }


def _core_to_margin(specimen: Specimen) -> dict[str, Result]:
    """Return the ratios of density in the tumor core to density in both margins."""
    counts = specimen.zone_counts
    area = specimen.maps.zone_px.sum(axis=0)
    found = {}
    for name in _CORE_TO_MARGIN:
        core, margin = counts[_CLASS[name], 0], counts[_CLASS[name], 1:3].sum()
        found[f"{name}_CORE_TO_MARGIN_RATIO"] = result(
            quotient(core * area[1:3].sum(), margin * area[0]),
            core,
            (not specimen.maps.has_tumor, NO_TUMOR),
            (area[0] == 0, _NO_CORE),
            (margin == 0, f"there are no {_words(name)} in the margins"),
        )
    return found


def _immune_phenotypes(specimen: Specimen) -> dict[str, Result]:
    """Return the shares of tumor tiles that are inflamed, excluded, desert."""
    tiles = specimen.once(small_tiles)
    tissue = [specimen.maps.tissue.code(name) for name in ("CARCINOMA", "STROMA")]
    tumor = tiles.tissue_mm2[..., tissue[0]] >= _TUMOR_TILE_SHARE * (tiles.lattice.size_um / 1000) ** 2
    density = [quotient(_til_per_tile(specimen, code), tiles.tissue_mm2[..., code])[tumor] for code in tissue]
    inflamed, around = (np.nan_to_num(each) >= _IMMUNE_PER_MM2 for each in density)
    few = tiles.tissue_mm2[..., tissue[0]][tumor] * _IMMUNE_PER_MM2 <= _FEWEST_IMMUNE - 1
    n = np.count_nonzero(tumor)
    none = (n == 0, _NO_TILE)
    return {
        "IMMUNE_INFLAMED_SHARE": result(quotient(inflamed.sum(), n), n, none),
        "IMMUNE_EXCLUDED_SHARE": result(quotient((~inflamed & around).sum(), n), n, none),
        "IMMUNE_DESERT_SHARE": result(quotient((~inflamed & ~around).sum(), n), n, none),
        "IMMUNE_FEW_CELLS_SHARE": result(quotient(few.sum(), n), n, none),
    }


def _til_per_tile(specimen: Specimen, code: int) -> NDArray[np.int64]:
    """Count the lymphocytes and plasma cells in one tissue per tile of 250 um."""
    lattice = specimen.once(small_tiles).lattice
    rows = np.isin(specimen.cells.label, _TIL) & (specimen.cells.tissue == code)
    row, column = tile_of(lattice, specimen.cells.x_um[rows], specimen.cells.y_um[rows])
    place = row * lattice.columns + column
    shape = lattice.rows, lattice.columns
    return np.bincount(place, minlength=shape[0] * shape[1]).reshape(shape)


def _nuclear_areas(specimen: Specimen) -> dict[str, Result]:
    """Return the shares of tissue covered by nuclei."""
    area = specimen.cells.features.get("area_um2")
    names = ("STROMAL_TIL_PERCENT", "CELLULARITY")
    if area is None or not np.isfinite(area).any():
        return {name: all_null((), _NO_AREA) for name in names}
    stroma_um2, nucleated_um2 = (
        specimen.maps.nucleated_um2[_NUCLEATED["STROMA"]],
        specimen.maps.nucleated_um2.sum(),
    )
    known = np.isfinite(area) & (specimen.nucleated >= 0)
    til = known & np.isin(specimen.cells.label, _TIL) & (specimen.nucleated == _NUCLEATED["STROMA"])
    return {
        names[0]: result(
            quotient(area[til].sum(), stroma_um2, scale=100),
            np.count_nonzero(til),
            (stroma_um2 == 0, NO_STROMA),
        ),
        names[1]: result(
            quotient(area[known].sum(), nucleated_um2),
            np.count_nonzero(known),
            (nucleated_um2 == 0, _NO_NUCLEATED),
        ),
    }


def _spatial_entropy(specimen: Specimen) -> Result:
    """Return the mean Shannon entropy (ln) of the classes of the six nearest; n is the number of cells."""
    cells = specimen.cells
    n = len(cells)
    if n <= K_NEAREST:
        return result(np.nan, n, (True, _FEW_CELLS))
    tree = build_tree(cells.x_um, cells.y_um)

    def entropy(lo: int, hi: int) -> float:  # the rows of all cells would be 100 bytes a cell
        rows = nearest_rows(tree, cells.x_um[lo:hi], cells.y_um[lo:hi], K_NEAREST, first=lo)
        return _entropy_sum(rows, cells.label)

    return result(np.sum(run_chunks(entropy, n, workers=specimen.maps.workers)) / n, n)


@njit(cache=True, nogil=True)
def _entropy_sum(rows, label):
    """Sum the entropy of the classes of the nearest cells."""
    k = rows.shape[1]
    counts = np.zeros(16, np.int64)
    total = 0.0
    for i in range(len(rows)):
        counts[:] = 0
        for m in range(k):
            counts[label[rows[i, m]]] += 1
        for count in counts:
            if count > 0:
                total -= count / k * np.log(count / k)
    return total


def _front_px(maps: TissueMaps) -> float:
    """Return the length of the border between carcinoma and stroma, px."""
    return border_length_px(maps.tissue.array, maps.tissue.code("CARCINOMA"), maps.tissue.code("STROMA"))
