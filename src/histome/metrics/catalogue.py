"""The catalogue: the order of the families, and every metric that they declare.

A template such as `CELL_DENSITY_{cell}_IN_{zone}` declares a whole product of names; the catalogue is the
templates in their order, spelled out. Reports, `histome metrics explain` and the documentation print these
declarations and nothing else, and `measure` writes these names and no others.

A family stands here with its module in `histome.metrics.families`, whose `FAMILY` it is.
"""

import importlib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import lru_cache

from histome.errors import UsageError
from histome.metrics.declaration import Family, Items, Loop, Metric, spell_out, templates_of

_MODULES = (
    # The 4,544 core numbers, in the order and under the names of the published readouts. The published tables
    # spell SOLIDICITY and mean the circularity's complement by ECCENTRICITY; the names are kept so that
    # readouts compare, the true quantities are those of nuclei-per-class.
    "areas.total_area",
    "areas.qc_areas",
    "areas.tissue_areas",
    "areas.tissue_regions",
    "cells.all_cells",
    "cells.cells_per_class",
    "cells.cells_by_tissue",
    "patterns.neighborhood_centers",
    "patterns.neighborhood_pairs",
    # The extended numbers; areas in mm2, densities per mm2.
    "areas.tumor_zones",
    "areas.tissues_in_zones",
    "cells.cells_in_zones",
    "patterns.tumor_neighborhoods",
    "patterns.lymphoid_aggregates",
    "cells.nuclei_per_class",
    "cells.nuclei_by_tissue",
    "patterns.tumor_border",
    "patterns.distance_to_carcinoma",
    "patterns.nearest_distances",
    "patterns.cross_g",
    "patterns.cross_l",
    "patterns.enrichment",
    "patterns.contacts",
    "patterns.colocalization",
    "patterns.clustering",
    "cells.diversity",
    "patterns.heterogeneity",
    "cells.ratios",
    "cells.certainty",
    "cells.not_counted",
    "areas.scan",
    "nulls.enrichment_in_tissue",
    "nulls.contacts_in_tissue",
    "nulls.pairs_by_distance",
    "nulls.tile_dispersion",
    "nulls.tile_overlap",
    "areas.glands",
)


def _load(module: str) -> Family:
    """Return the family of a module."""
    return importlib.import_module(f"histome.metrics.families.{module}").FAMILY


FAMILIES: Mapping[str, Family] = {family.id: family for family in map(_load, _MODULES)}
_ALIASES = {family.alias: name for name, family in FAMILIES.items() if family.alias}


def _in_order() -> Items:
    """Return all templates in the order of the output, where some of the core turn with those of others."""
    core = {name: family.templates for name, family in FAMILIES.items() if family.core}
    per_class, by_tissue = core.pop("cells-per-class"), core.pop("cells-by-tissue")
    centers, pairs = core.pop("neighborhood-centers"), core.pop("neighborhood-pairs")
    extended = (family.templates for family in FAMILIES.values() if not family.core)
    around = Loop(("nucleated",), (*centers, Loop(("center",), pairs)))
    return (
        *(template for templates in core.values() for template in templates),
        Loop(("cell",), (*per_class, Loop(("nucleated",), by_tissue))),
        # The outer class is the center of its own surroundings and the neighbor in the pairs that follow.
        Loop(("radius",), (Loop(("neighbor", "center"), (around,)),)),
        *(template for templates in extended for template in templates),
    )


@lru_cache(maxsize=1)
def _everything() -> Mapping[str, Metric]:
    """Return every metric by name, in the order of the output."""
    family_of = {
        template.pattern: name
        for name, family in FAMILIES.items()
        for template in templates_of(family.templates)
    }
    return {metric.name: metric for metric in spell_out(_in_order(), family_of)}


def select_families(wanted: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the ids of the wanted families in catalogue order; nothing wanted means all of them.

    'core' and 'extended' stand for their families, a former id for the present one. Raises UsageError for
    an unknown id.
    """
    groups = {
        "core": [name for name, family in FAMILIES.items() if family.core],
        "extended": [name for name, family in FAMILIES.items() if not family.core],
    }
    chosen: set[str] = set()
    for name in wanted:
        known = _ALIASES.get(name, name)
        if known not in groups and known not in FAMILIES:
            raise UsageError(f"no metric family {name!r}; choose from {', '.join((*groups, *FAMILIES))}")
        chosen.update(groups.get(known, [known]))
    return tuple(name for name in FAMILIES if name in chosen or not chosen)


def measured_together(chosen: Iterable[str]) -> list[list[Family]]:
    """Return families by their ids, those that read the same arrays of cells together."""
    together: dict[str, list[Family]] = {}
    for family in map(FAMILIES.__getitem__, chosen):
        together.setdefault(family.beside or family.id, []).append(family)
    return list(together.values())


def list_metrics(wanted: Iterable[str] = ()) -> tuple[Metric, ...]:
    """Return every declared metric of the wanted families (all when none is named), in output order."""
    chosen = set(select_families(wanted))
    return tuple(metric for metric in _everything().values() if metric.family in chosen)


def find_metric(name: str) -> Metric:
    """Return one metric by its exact name; raises UsageError with the nearest names for an unknown one."""
    metrics = _everything()
    if name not in metrics:
        near = _near(name)
        hint = f"did you mean {' or '.join(near)}?" if near else "`histome metrics search` finds names."
        raise UsageError(f"no metric {name!r}; {hint}")
    return metrics[name]


def search_metrics(words: Iterable[str]) -> list[Metric]:
    """Return the metrics that every word is found in, those that people ask for first.

    Parameters
    ----------
    words : iterable of str
        A word is sought in the name, the formula, and the family's id, title and definition; one with *, ? or
        [ must match the whole name. Upper and lower case are one.
    """
    wanted = [word.upper() for word in words]
    found = [metric for metric in _everything().values() if all(_matches(word, metric) for word in wanted)]
    return sorted(found, key=lambda metric: (not _is_named(metric, wanted), *_plainness(metric)))


def _matches(word: str, metric: Metric) -> bool:
    if any(sign in word for sign in "*?["):
        return fnmatchcase(metric.name, word)
    family = FAMILIES[metric.family]
    texts = (metric.name, metric.formula, family.id, family.title, family.definition)
    return any(word in text.upper() for text in texts)


def _is_named(metric: Metric, words: Iterable[str]) -> bool:
    """Tell whether all plain words stand in the name."""
    return all(word in metric.name for word in words if not any(sign in word for sign in "*?["))


def _plainness(metric: Metric) -> tuple[bool, int, int]:
    """Order metrics: the core first, then those of few axes, then short names."""
    return not FAMILIES[metric.family].core, len(metric.template.axes), len(metric.name)


def _near(name: str) -> list[str]:
    """Return up to three names that hold all words of a name that is none, else such as are spelled alike."""
    words = name.upper().replace("_", " ").split()
    held = [metric for metric in _everything().values() if _is_named(metric, words)] if words else []
    plain = [metric.name for metric in sorted(held, key=_plainness)[:3]]
    return plain or get_close_matches(name.upper(), _everything(), n=3, cutoff=0.7)
