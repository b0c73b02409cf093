"""Ratios and scores that pathologists use (family R1)."""

from collections.abc import Mapping

import numpy as np
from numba import njit
from numpy.typing import NDArray

from histome.classes import CELL_CLASSES, NUCLEATED_TISSUES, TISSUE_CLASSES
from histome.geometry.grid import run_chunks
from histome.geometry.kdtree import build_tree, nearest_rows
from histome.metrics.families.heterogeneity import small_tiles
from histome.metrics.families.zones import NO_TUMOR, zone_counts
from histome.metrics.maps import Ground
from histome.metrics.results import Values, nothing, quotient, values
from histome.metrics.specimen import Scene
from histome.metrics.tiles import tile_of

K_NEAREST = 6
# Lymphocytes and plasma cells per mm2 that separate the immune phenotypes, ours; the phenotypes are those of
# Chen and Mellman 2017, doi:10.1038/nature21349.
_IMMUNE_PER_MM2 = 250.0
_TUMOR_TILE_SHARE = 0.1
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


def ratios(scene: Scene) -> Mapping[str, Values]:
    """Measure quotients of areas, counts and densities; n is the number of cells or pixels above the line."""
    return {
        **_area_ratios(scene),
        **_count_ratios(scene),
        **_core_to_margin(scene),
        **_immune_phenotypes(scene),
        **_nuclear_areas(scene),
        "MEAN_SPATIAL_ENTROPY": _spatial_entropy(scene),
    }


def _area_ratios(scene: Scene) -> dict[str, Values]:
    """Return the ratios of tissue areas, and of vessels and the front to area."""
    ground = scene.ground
    carcinoma, stroma, necrosis = (
        ground.tissue_px[_TISSUE[name]] for name in ("CARCINOMA", "STROMA", "NECROSIS")
    )
    carcinoma_mm2 = carcinoma * ground.um2_per_px / 1e6
    front_um = ground.once(_front_edges) * ground.tissue.mpp * np.pi / 4
    tumor = necrosis + carcinoma
    return {
        "TUMOR_STROMA_RATIO": values(
            quotient(carcinoma, stroma), carcinoma, (stroma == 0, "there is no stroma")
        ),
        "NECROSIS_FRACTION_OF_TUMOR": values(
            quotient(necrosis, tumor), necrosis, (tumor == 0, "there is neither necrosis nor carcinoma")
        ),
        "VESSEL_DENSITY": _vessel_density(ground),
        "INVASIVE_FRONT_DENSITY": values(
            quotient(front_um / 1000, carcinoma_mm2), carcinoma, (carcinoma == 0, "there is no carcinoma")
        ),
    }


def _vessel_density(ground: Ground) -> Values:
    if ground.regions is None:
        return nothing((), "no regions were given")
    vessels = ground.regions["class"].to_pylist().count("VESSEL")
    tissue_mm2 = ground.tissue_um2.sum() / 1e6
    return values(quotient(vessels, tissue_mm2), vessels, (tissue_mm2 == 0, "there is no analyzed tissue"))


def _count_ratios(scene: Scene) -> dict[str, Values]:
    """Return the ratios of numbers of cells."""
    counts, total = scene.class_counts, len(scene.cells)
    in_stroma, in_carcinoma = (scene.tissue_counts[:, _NUCLEATED[name]] for name in ("STROMA", "CARCINOMA"))
    areas = scene.ground.nucleated_um2[[_NUCLEATED["STROMA"], _NUCLEATED["CARCINOMA"]]]
    tumor_cells, til = in_carcinoma[_CLASS["CARCINOMA_CELL"]], in_carcinoma[_TIL].sum()
    immune = counts[[*_TIL, _CLASS["MACROPHAGE"], _CLASS["GRANULOCYTE"]]].sum()
    lymphocytes = np.array([in_stroma[_CLASS["LYMPHOCYTE"]], in_carcinoma[_CLASS["LYMPHOCYTE"]]])
    density = quotient(lymphocytes, areas)
    found = {
        f"{top}_TO_{bottom}_RATIO": values(
            quotient(counts[_CLASS[top]], counts[_CLASS[bottom]]),
            counts[_CLASS[top]],
            (counts[_CLASS[bottom]] == 0, f"there are no {bottom.replace('_', ' ').lower()}s"),
        )
        for top, bottom in _COUNT_RATIOS
    }
    return found | {
        "INTRATUMORAL_TIL": values(
            quotient(til, tumor_cells, scale=100),
            til,
            (tumor_cells == 0, "there are no carcinoma cells in carcinoma"),
        ),
        "TUMOR_PURITY": values(
            quotient(counts[_CLASS["CARCINOMA_CELL"]], total), total, (total == 0, "there are no cells")
        ),
        "IMMUNE_CELL_FRACTION": values(quotient(immune, total), total, (total == 0, "there are no cells")),
        "STROMAL_TO_INTRATUMORAL_LYMPHOCYTE_RATIO": values(
            quotient(density[0], density[1]),
            lymphocytes[0],
            (areas[0] == 0, "there is no stroma"),
            (lymphocytes[1] == 0, "there are no lymphocytes in carcinoma"),
        ),
    }


def _core_to_margin(scene: Scene) -> dict[str, Values]:
    """Return the ratios of density in the tumor core to density in both margins."""
    counts = scene.once(zone_counts)
    area = scene.ground.zone_px.sum(axis=0)
    found = {}
    for name in _CORE_TO_MARGIN:
        core, margin = counts[_CLASS[name], 0], counts[_CLASS[name], 1:3].sum()
        words = f"{name.replace('_', ' ').lower()}s"
        found[f"{name}_CORE_TO_MARGIN_RATIO"] = values(
            quotient(core * area[1:3].sum(), margin * area[0]),
            core,
            (not scene.ground.has_tumor, NO_TUMOR),
            (area[0] == 0, "there is no tumor core"),
            (margin == 0, f"there are no {words} in the margins"),
        )
    return found


def _immune_phenotypes(scene: Scene) -> dict[str, Values]:
    """Return the shares of tumor tiles that are inflamed, excluded, desert."""
    tiles = scene.once(small_tiles)
    tissue = [scene.ground.tissue.code(name) for name in ("CARCINOMA", "STROMA")]
    tumor = tiles.tissue_mm2[..., tissue[0]] >= _TUMOR_TILE_SHARE * (tiles.lattice.size_um / 1000) ** 2
    density = [quotient(_til_per_tile(scene, code), tiles.tissue_mm2[..., code])[tumor] for code in tissue]
    inflamed, around = (np.nan_to_num(each) >= _IMMUNE_PER_MM2 for each in density)
    n = np.count_nonzero(tumor)
    none = (n == 0, "no tile of 250 um is at least a tenth carcinoma")
    return {
        "IMMUNE_INFLAMED_SHARE": values(quotient(inflamed.sum(), n), n, none),
        "IMMUNE_EXCLUDED_SHARE": values(quotient((~inflamed & around).sum(), n), n, none),
        "IMMUNE_DESERT_SHARE": values(quotient((~inflamed & ~around).sum(), n), n, none),
    }


def _til_per_tile(scene: Scene, code: int) -> NDArray[np.int64]:
    """Count the lymphocytes and plasma cells in one tissue per tile of 250 um."""
    lattice = scene.once(small_tiles).lattice
    rows = np.isin(scene.cells.label, _TIL) & (scene.cells.tissue == code)
    row, column = tile_of(lattice, scene.cells.x_um[rows], scene.cells.y_um[rows])
    place = row * lattice.columns + column
    shape = lattice.rows, lattice.columns
    return np.bincount(place, minlength=shape[0] * shape[1]).reshape(shape)


def _nuclear_areas(scene: Scene) -> dict[str, Values]:
    """Return the shares of tissue covered by nuclei."""
    area = scene.cells.features.get("area_um2")
    names = ("STROMAL_TIL_PERCENT", "CELLULARITY")
    if area is None or not np.isfinite(area).any():
        return {name: nothing((), "the nuclei have no area") for name in names}
    stroma_um2, nucleated_um2 = (
        scene.ground.nucleated_um2[_NUCLEATED["STROMA"]],
        scene.ground.nucleated_um2.sum(),
    )
    known = np.isfinite(area) & (scene.nucleated >= 0)
    til = known & np.isin(scene.cells.label, _TIL) & (scene.nucleated == _NUCLEATED["STROMA"])
    return {
        names[0]: values(
            quotient(area[til].sum(), stroma_um2, scale=100),
            np.count_nonzero(til),
            (stroma_um2 == 0, "there is no stroma"),
        ),
        names[1]: values(
            quotient(area[known].sum(), nucleated_um2),
            np.count_nonzero(known),
            (nucleated_um2 == 0, "there is no nucleated tissue"),
        ),
    }


def _spatial_entropy(scene: Scene) -> Values:
    """Return the mean Shannon entropy (ln) of the classes of the six nearest; n is the number of cells."""
    cells = scene.cells
    n = len(cells)
    if n <= K_NEAREST:
        return values(np.nan, n, (True, "there are fewer than 7 cells"))
    tree = build_tree(cells.x_um, cells.y_um)
    rows = nearest_rows(tree, cells.x_um, cells.y_um, K_NEAREST, workers=scene.ground.workers)
    sums = run_chunks(
        lambda lo, hi: _entropy_sum(rows, cells.label, (lo, hi)), n, workers=scene.ground.workers
    )
    return values(np.sum(sums) / n, n)


@njit(cache=True, nogil=True)
def _entropy_sum(rows, label, span):
    """Sum the entropy of the classes of the nearest cells over `span`."""
    k = rows.shape[1]
    counts = np.zeros(16, np.int64)
    total = 0.0
    for i in range(span[0], span[1]):
        counts[:] = 0
        for m in range(k):
            counts[label[rows[i, m]]] += 1
        for count in counts:
            if count > 0:
                total -= count / k * np.log(count / k)
    return total


def _front_edges(ground: Ground) -> int:
    """Count the pixel edges between carcinoma and stroma."""
    carcinoma, stroma = ground.tissue.code("CARCINOMA"), ground.tissue.code("STROMA")
    return int(_count_edges(ground.tissue.array, carcinoma, stroma))


@njit(cache=True, nogil=True)
def _count_edges(codes, a, b):
    """Count the pairs of side-by-side pixels of which one is a and the other b."""
    height, width = codes.shape
    edges = 0
    for r in range(height):
        for c in range(width):
            here = codes[r, c]
            if here != a and here != b:
                continue
            other = b if here == a else a
            if c + 1 < width and codes[r, c + 1] == other:
                edges += 1
            if r + 1 < height and codes[r + 1, c] == other:
                edges += 1
    return edges
