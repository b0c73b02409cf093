"""Neighbors of one class around the cells of another in one tissue."""

from collections.abc import Mapping
from typing import NamedTuple

from histome.metrics.declaration import SHARE, Family, Template
from histome.metrics.results import Result, quotient, result
from histome.metrics.specimen import Specimen
from histome.metrics.surroundings import Surroundings, SurroundingsPerBlock, in_tissues, in_tissues_per_block
from histome.metrics.uncertainty.blocks import Blocks, BlockSums, expected, ratio


class PairReasons(NamedTuple):
    """Why the neighbors in one kind of place are null."""

    no_center: str
    no_neighbor: str
    none_near: str


def pair_reasons(words: str) -> PairReasons:
    """Return the reasons for centers in the place that `words` say."""
    return PairReasons(
        f"there are no {{center}} in {words}",
        f"no cell lies within {{radius}} um of {{center}} in {words}",
        f"none of the {{center}} in {words} has one of the {{neighbor}} within {{radius}} um",
    )


def pair_templates(where: str, words: str, area_unit: str) -> tuple[Template, ...]:
    """Declare the neighbors of one class around the centers of another that lie `where`."""
    tail = f"_AROUND_{{center}}_IN_{where}_{{radius}}"
    plain_tail = tail.format(center="(center)", radius="(radius)", nucleated="(tissue)")
    number = f"NUMBER_OF_(neighbor)S{plain_tail}"
    around = f"{{center}} in {words}"
    why = pair_reasons(words)
    return (
        Template(
            f"NUMBER_OF_CELLS_WITH_{{neighbor}}_NEIGHBORS{tail}",
            "cells",
            f"number of {around} with another cell, one of the {{neighbor}}, within {{radius}} um",
            counts=around,
        ),
        Template(
            f"NUMBER_OF_{{neighbor}}S{tail}",
            "cells",
            f"number of {{neighbor}} within {{radius}} um of another cell that is one of the {around}; "
            "each cell counts once",
            counts=around,
        ),
        Template(
            f"DENSITY_OF_{{neighbor}}S{tail}",
            f"cells/{area_unit}",
            f"that number of {{neighbor}} / area of the discs of {{radius}} um round {around}",
            (why.no_center,),
            derived=f"{number} / AREA{plain_tail}",
            counts=around,
        ),
        Template(
            f"RATIO_OF_{{neighbor}}S{tail}",
            "1",
            f"that number of {{neighbor}} / number of all neighbors within {{radius}} um of {around}",
            (why.no_center, why.no_neighbor),
            SHARE,
            smallest_sample=1,
            derived=f"{number} / TOTAL_NUMBER_OF_NEIGHBORS{plain_tail}",
            counts=f"all neighbors, of any class, within {{radius}} um of {around}",
        ),
        Template(
            f"AVG_MIN_DISTANCE_OF_{{neighbor}}S{tail}",
            "um",
            f"mean distance to the nearest of the other {{neighbor}} over those {around} with one within "
            "{radius} um",
            (why.no_center, why.none_near),
            smallest_sample=1,
            counts=f"{around} with one of the other {{neighbor}} within {{radius}} um",
        ),
    )


# Inside loops over radii, neighbors, tissues and centers, which the catalogue holds.
TEMPLATES = pair_templates("{nucleated}", "{nucleated}", "um2")


def neighborhood_pairs(specimen: Specimen) -> Mapping[str, Result]:
    """Measure the neighbors in the nucleated tissues; areas in um2; n is the number of centers."""
    return pair_results(in_tissues(specimen), "{nucleated}", pair_reasons("{nucleated}"))


def _pairs_per_block(specimen: Specimen, blocks: Blocks) -> Mapping[str, BlockSums]:
    return pair_sums(in_tissues_per_block(specimen, blocks), "{nucleated}")


FAMILY = Family(
    "neighborhood-pairs",
    "Neighbors of one class around centers of another",
    "Neighbors of one class, in any tissue, within a radius of the centers in one tissue; a cell is not "
    "its own neighbor, a cell at exactly the radius is one.",
    TEMPLATES,
    neighborhood_pairs,
    core=True,
    block_sums=_pairs_per_block,
    no_interval="areas of unions of discs are no sums over blocks of tissue",
    beside="neighborhood-centers",
)


def pair_results(
    around: Surroundings, where: str, why: PairReasons, *, um2_per_unit: float = 1.0
) -> Mapping[str, Result]:
    """Return the results of `pair_templates` from the surroundings in one kind of place."""
    tail = f"_AROUND_{{center}}_IN_{where}_{{radius}}"
    centers = around.centers[..., None]
    area, total = around.area_um2 / um2_per_unit, around.touched.sum(axis=0)
    no_center = (around.area_um2 == 0, why.no_center)
    return {
        f"NUMBER_OF_CELLS_WITH_{{neighbor}}_NEIGHBORS{tail}": result(around.with_neighbor, centers),
        f"NUMBER_OF_{{neighbor}}S{tail}": result(around.touched, centers),
        f"DENSITY_OF_{{neighbor}}S{tail}": result(quotient(around.touched, area), centers, no_center),
        f"RATIO_OF_{{neighbor}}S{tail}": result(
            quotient(around.touched, total), total, no_center, (total == 0, why.no_neighbor)
        ),
        f"AVG_MIN_DISTANCE_OF_{{neighbor}}S{tail}": result(
            quotient(around.distance_um, around.with_neighbor),
            around.with_neighbor,
            no_center,
            (around.with_neighbor == 0, why.none_near),
        ),
    }


def pair_sums(around: SurroundingsPerBlock, where: str) -> Mapping[str, BlockSums]:
    """Return the sums over blocks of `pair_templates` in one kind of place."""
    tail = f"_AROUND_{{center}}_IN_{where}_{{radius}}"
    touched, near = around.touched, around.with_neighbor
    return {
        f"NUMBER_OF_CELLS_WITH_{{neighbor}}_NEIGHBORS{tail}": expected(near, around.area_mm2),
        f"NUMBER_OF_{{neighbor}}S{tail}": expected(touched, around.area_mm2),
        f"RATIO_OF_{{neighbor}}S{tail}": ratio(touched, touched.sum(axis=1, keepdims=True)),
        f"AVG_MIN_DISTANCE_OF_{{neighbor}}S{tail}": ratio(around.distance_um, near),
    }
