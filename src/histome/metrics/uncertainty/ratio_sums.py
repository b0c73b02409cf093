"""The sums over blocks of tissue behind the ratios and scores."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from histome.classes import CELL_CLASSES, NUCLEATED_TISSUES
from histome.metrics.results import quotient
from histome.metrics.specimen import Specimen
from histome.metrics.uncertainty.blocks import Blocks, BlockSums, ratio

_CLASS = {name.upper(): k for k, name in enumerate(CELL_CLASSES)}
_TIL = [_CLASS["LYMPHOCYTE"], _CLASS["PLASMA_CELL"]]
_IMMUNE = [*_TIL, _CLASS["MACROPHAGE"], _CLASS["GRANULOCYTE"]]
_STROMA, _CARCINOMA = (NUCLEATED_TISSUES.index(name) for name in ("STROMA", "CARCINOMA"))


def ratios_per_block(
    specimen: Specimen, blocks: Blocks, *, pairs: Sequence[tuple[str, str]], in_zones: Sequence[str]
) -> Mapping[str, BlockSums]:
    """Return the sums of the ratios that are functions of sums.

    `pairs` are the classes (above, below) the line of the ratios of numbers, `in_zones` the classes whose
    density in the tumor core is set against that in the margins.
    """
    return {
        **_area_ratios(specimen, blocks),
        **_count_ratios(specimen, blocks, pairs),
        **_core_to_margin(specimen, blocks, in_zones),
        **_nuclear_areas(specimen, blocks),
    }


def _count_ratios(
    specimen: Specimen, blocks: Blocks, pairs: Sequence[tuple[str, str]]
) -> Mapping[str, BlockSums]:
    """Return the sums of the ratios of numbers of cells."""
    counts, by_tissue = blocks.per_class(specimen), blocks.per_tissue(specimen)
    total, tumor_cell = counts.sum(axis=1), _CLASS["CARCINOMA_CELL"]
    found = {
        f"{top}_TO_{bottom}_RATIO": ratio(counts[:, _CLASS[top]], counts[:, _CLASS[bottom]])
        for top, bottom in pairs
    }
    return found | {
        "TUMOR_PURITY": ratio(counts[:, tumor_cell], total),
        "IMMUNE_CELL_FRACTION": ratio(counts[:, _IMMUNE].sum(axis=1), total),
        "INTRATUMORAL_TIL": ratio(
            by_tissue[:, _TIL, _CARCINOMA].sum(axis=1), by_tissue[:, tumor_cell, _CARCINOMA], scale=100
        ),
        "STROMAL_TO_INTRATUMORAL_LYMPHOCYTE_RATIO": _density_ratio(
            by_tissue[:, _CLASS["LYMPHOCYTE"]][:, [_STROMA, _CARCINOMA]],
            blocks.tissue_mm2[:, [specimen.maps.nucleated_codes[k] for k in (_STROMA, _CARCINOMA)]],
        ),
    }


def _area_ratios(specimen: Specimen, blocks: Blocks) -> Mapping[str, BlockSums]:
    """Return the sums of the ratios of tissue areas."""
    carcinoma, stroma, necrosis = (
        blocks.tissue_mm2[:, specimen.maps.tissue.code(name)] for name in ("CARCINOMA", "STROMA", "NECROSIS")
    )
    return {
        "TUMOR_STROMA_RATIO": ratio(carcinoma, stroma),
        "NECROSIS_FRACTION_OF_TUMOR": ratio(necrosis, necrosis + carcinoma),
    }


def _core_to_margin(specimen: Specimen, blocks: Blocks, names: Sequence[str]) -> Mapping[str, BlockSums]:
    """Return the sums of the ratios of density in the tumor core to density in both margins."""
    core, margin = slice(0, 1), slice(1, 3)
    counts, area = (
        np.stack([each[..., side].sum(axis=-1) for side in (core, margin)], axis=-1)
        for each in (blocks.per_zone(specimen), blocks.zones_mm2())
    )
    return {f"{name}_CORE_TO_MARGIN_RATIO": _density_ratio(counts[:, _CLASS[name]], area) for name in names}


def _nuclear_areas(specimen: Specimen, blocks: Blocks) -> Mapping[str, BlockSums]:
    """Return the sums of the shares of tissue covered by nuclei; none where the nuclei have no area."""
    area = specimen.cells.features.get("area_um2")
    if area is None:
        return {}
    known = np.isfinite(area) & (specimen.nucleated >= 0)
    til = known & np.isin(specimen.cells.label, _TIL) & (specimen.nucleated == _STROMA)
    in_til, in_all = (blocks.count(np.where(rows, 0, -1), (), area) for rows in (til, known))
    on = blocks.tissue_mm2[:, list(specimen.maps.nucleated_codes)] * 1e6
    return {
        "STROMAL_TIL_PERCENT": ratio(in_til, on[:, _STROMA], scale=100),
        "CELLULARITY": ratio(in_all, on.sum(axis=1)),
    }


def _density_ratio(counts: NDArray[np.int64], area: NDArray[np.float64]) -> BlockSums:
    """Return the sums of the ratio of two densities, from counts and areas (blocks, 2)."""
    return BlockSums(
        lambda n, on: quotient(n[..., 0] * on[..., 1], n[..., 1] * on[..., 0]),
        (counts, area),
    )
