"""The neighborhoods of the core for centers in the whole tumor region."""

from collections.abc import Mapping
from dataclasses import replace

from histome.metrics.declaration import Family, Loop, Template
from histome.metrics.families.patterns.neighborhood_centers import (
    center_results,
    center_sums,
    center_templates,
)
from histome.metrics.families.patterns.neighborhood_pairs import (
    pair_reasons,
    pair_results,
    pair_sums,
    pair_templates,
)
from histome.metrics.reasons import NO_TUMOR
from histome.metrics.results import Result, all_null
from histome.metrics.specimen import Specimen
from histome.metrics.surroundings import in_tumor_region, in_tumor_region_per_block
from histome.metrics.uncertainty.blocks import Blocks, BlockSums

_WHERE, _WORDS = "WHOLE_TUMOR_REGION", "the whole tumor region"
_UM2_PER_MM2 = 1e6


def _of_tumor(templates: tuple[Template, ...]) -> tuple[Template, ...]:
    """Return the templates as they are of a place that a slide may not have."""
    return tuple(replace(template, nulls=(NO_TUMOR, *template.nulls)) for template in templates)


TEMPLATES = (
    Loop(
        ("radius",),
        (
            Loop(
                ("neighbor", "center"),
                (
                    *_of_tumor(center_templates(_WHERE, _WORDS, "mm2")),
                    Loop(("center",), _of_tumor(pair_templates(_WHERE, _WORDS, "mm2"))),
                ),
            ),
        ),
    ),
)


def tumor_neighborhoods(specimen: Specimen) -> Mapping[str, Result]:
    """Measure surroundings in the whole tumor region; areas in mm2; n is the number of centers."""
    around = in_tumor_region(specimen)
    found = {
        **center_results(around, _WHERE, um2_per_unit=_UM2_PER_MM2),
        **pair_results(around, _WHERE, pair_reasons(_WORDS), um2_per_unit=_UM2_PER_MM2),
    }
    if specimen.maps.has_tumor:
        return found
    return {name: all_null(each.value.shape, NO_TUMOR) for name, each in found.items()}


def _tumor_per_block(specimen: Specimen, blocks: Blocks) -> Mapping[str, BlockSums]:
    around = in_tumor_region_per_block(specimen, blocks)
    return {**center_sums(around, _WHERE), **pair_sums(around, _WHERE)}


FAMILY = Family(
    "tumor-neighborhoods",
    "Neighborhoods in the whole tumor region",
    "The core neighborhood metrics for centers in the whole tumor region; neighbors may lie anywhere.",
    TEMPLATES,
    tumor_neighborhoods,
    source="As the core neighborhoods",
    alias="W4",
    block_sums=_tumor_per_block,
    no_interval="areas of unions of discs are no sums over blocks of tissue",
    beside="neighborhood-centers",
)
