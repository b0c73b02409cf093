"""How many cells of one class have one of another near them."""

from collections.abc import Mapping

import numpy as np

from histome.metrics.axes import RADII_UM
from histome.metrics.declaration import SHARE, Family, Template, in_loops
from histome.metrics.reasons import NO_CENTER
from histome.metrics.results import Result, quotient, result
from histome.metrics.specimen import N_CELL_CLASSES, Specimen
from histome.metrics.uncertainty.blocks import Blocks, BlockSums, ratio

TEMPLATES = in_loops(
    ("neighbor", "center", "radius"),
    Template(
        "CROSS_G_{neighbor}_FROM_{center}_{radius}",
        "1",
        "share of {center} with another cell, one of the {neighbor}, within {radius} um",
        (NO_CENTER,),
        SHARE,
        smallest_sample=1,
        derived="NUMBER_OF_CELLS_WITH_(neighbor)_NEIGHBORS_AROUND_(center) over the tissues / "
        "CELL_COUNT_(center), where all centers lie in nucleated tissue",
        counts="{center}",
    ),
)


def cross_g(specimen: Specimen) -> Mapping[str, Result]:
    """Measure the share of centers with a neighbor within a radius; n is the number of centers.

    The cross-type G function without border correction (Diggle 2013).
    """
    limits = np.asarray(RADII_UM, float) ** 2
    counts = np.zeros((N_CELL_CLASSES, N_CELL_CLASSES, len(RADII_UM)), np.int64)
    for neighbor, squared in enumerate(specimen.nearest_squared):
        for q, limit in enumerate(limits):
            near = specimen.cells.label[squared <= limit]
            counts[neighbor, :, q] = np.bincount(near, minlength=N_CELL_CLASSES)
    n = np.broadcast_to(specimen.class_counts[None, :, None], counts.shape)
    return {"CROSS_G_{neighbor}_FROM_{center}_{radius}": result(quotient(counts, n), n, (n == 0, NO_CENTER))}


def _near_per_block(specimen: Specimen, blocks: Blocks) -> Mapping[str, BlockSums]:
    near = [
        [
            blocks.count(np.where(squared <= radius**2, specimen.cells.label, -1), (N_CELL_CLASSES,))
            for radius in RADII_UM
        ]
        for squared in specimen.nearest_squared
    ]
    counts = np.moveaxis(np.array(near), (0, 1, 2, 3), (1, 3, 0, 2))
    centers = blocks.per_class(specimen)[:, None, :, None]
    return {"CROSS_G_{neighbor}_FROM_{center}_{radius}": ratio(counts, centers)}


FAMILY = Family(
    "cross-g",
    "Cross G",
    "Share of the centers with a neighbor of the class within a radius: the cross-type nearest-neighbor "
    "distribution, without border correction.",
    TEMPLATES,
    cross_g,
    source="Diggle 2013, Statistical Analysis of Spatial and Spatio-Temporal Point Patterns, 3rd ed.",
    null_model="none: at random the share is about 1 - exp(-density x pi radius^2), so it grows with the "
    "number of neighbors",
    alias="S2",
    block_sums=_near_per_block,
    beside="neighborhood-centers",
)
