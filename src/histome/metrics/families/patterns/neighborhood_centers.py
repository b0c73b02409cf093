"""What lies around the cells of one class in one tissue."""

from collections.abc import Mapping

from histome.metrics.declaration import Family, Template
from histome.metrics.results import Result, result
from histome.metrics.specimen import Specimen
from histome.metrics.surroundings import Surroundings, SurroundingsPerBlock, in_tissues, in_tissues_per_block
from histome.metrics.uncertainty.blocks import Blocks, BlockSums, expected


def center_templates(where: str, words: str, area_unit: str) -> tuple[Template, ...]:
    """Declare the surroundings of the centers that lie `where`."""
    tail = f"_AROUND_{{center}}_IN_{where}_{{radius}}"
    return (
        Template(
            f"AREA{tail}",
            area_unit,
            f"area of the union of the discs of {{radius}} um round all {{center}} in {words}, not clipped",
            counts=f"{{center}} in {words}",
        ),
        Template(
            f"TOTAL_NUMBER_OF_NEIGHBORS{tail}",
            "cells",
            f"number of cells of any class and place within {{radius}} um of another cell that is one of the "
            f"{{center}} in {words}; each cell counts once",
            counts=f"{{center}} in {words}",
        ),
    )


# Inside loops over radii, centers and tissues, which the catalogue holds.
TEMPLATES = center_templates("{nucleated}", "{nucleated}", "um2")


def neighborhood_centers(specimen: Specimen) -> Mapping[str, Result]:
    """Measure the surroundings in the nucleated tissues; areas in um2; n is the number of centers."""
    return center_results(in_tissues(specimen), "{nucleated}")


def _centers_per_block(specimen: Specimen, blocks: Blocks) -> Mapping[str, BlockSums]:
    return center_sums(in_tissues_per_block(specimen, blocks), "{nucleated}")


FAMILY = Family(
    "neighborhood-centers",
    "Surroundings of a class",
    "What lies within a radius of the cells of one class (the centers) in one tissue. Whole-slide: no "
    "cell near a tile border is lost, so every count grows with the radius.",
    TEMPLATES,
    neighborhood_centers,
    source="Union of discs: the exposed arcs, summed by Green's theorem (exact).",
    core=True,
    block_sums=_centers_per_block,
    no_interval="areas of unions of discs are no sums over blocks of tissue",
)


def center_results(around: Surroundings, where: str, *, um2_per_unit: float = 1.0) -> Mapping[str, Result]:
    """Return the results of `center_templates` from the surroundings in one kind of place."""
    tail = f"_AROUND_{{center}}_IN_{where}_{{radius}}"
    centers = around.centers[..., None]
    return {
        f"AREA{tail}": result(around.area_um2 / um2_per_unit, centers),
        f"TOTAL_NUMBER_OF_NEIGHBORS{tail}": result(around.touched.sum(axis=0), centers),
    }


def center_sums(around: SurroundingsPerBlock, where: str) -> Mapping[str, BlockSums]:
    """Return the sums over blocks of `center_templates` in one kind of place."""
    total = expected(around.touched.sum(axis=1), around.area_mm2[:, 0])
    return {f"TOTAL_NUMBER_OF_NEIGHBORS_AROUND_{{center}}_IN_{where}_{{radius}}": total}
