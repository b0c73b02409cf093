"""The catalogue: every metric that histome can write, declared once.

A template such as `CELL_DENSITY_{cell}_IN_{zone}` declares a whole product of names; the catalogue is the
templates in their order, spelled out. Reports, `histome metrics explain` and the documentation print these
declarations and nothing else, and `measure` writes these names and no others.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import lru_cache

from histome.errors import UsageError
from histome.metrics.core_metrics import CORE, CORE_FAMILIES
from histome.metrics.declaration import Family, Metric, Template, spell_out, templates_of
from histome.metrics.extended_families import EXTENDED_FAMILIES
from histome.metrics.extended_metrics import EXTENDED

FAMILIES: Mapping[str, Family] = {family.id: family for family in (*CORE_FAMILIES, *EXTENDED_FAMILIES)}


@lru_cache(maxsize=1)
def _everything() -> Mapping[str, Metric]:
    """Return every metric by name, in the order of the output."""
    return {metric.name: metric for metric in spell_out((*CORE, *EXTENDED))}


def templates(family: str) -> tuple[Template, ...]:
    """Return the templates of one family, in order."""
    return tuple(template for template in templates_of((*CORE, *EXTENDED)) if template.family == family)


def select_families(wanted: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the ids of the wanted families in catalogue order; nothing wanted means all of them.

    'core' and 'extended' stand for their families. Raises UsageError for an unknown id.
    """
    groups = {
        "core": [family.id for family in CORE_FAMILIES],
        "extended": [family.id for family in EXTENDED_FAMILIES],
    }
    chosen: set[str] = set()
    for name in wanted:
        if name not in groups and name not in FAMILIES:
            raise UsageError(f"no metric family {name!r}; choose from {', '.join((*groups, *FAMILIES))}")
        chosen.update(groups.get(name, [name]))
    return tuple(name for name in FAMILIES if name in chosen or not chosen)


def catalogue(wanted: Iterable[str] = ()) -> tuple[Metric, ...]:
    """Return every declared metric of the wanted families (all when none is named), in output order."""
    chosen = set(select_families(wanted))
    return tuple(metric for metric in _everything().values() if metric.family in chosen)


def find_metric(name: str) -> Metric:
    """Return one metric by its exact name; raises UsageError with the nearest names for an unknown one."""
    metrics = _everything()
    if name not in metrics:
        near = get_close_matches(name.upper(), metrics, n=3, cutoff=0.7)
        hint = f"did you mean {' or '.join(near)}?" if near else "`histome metrics list` prints all names."
        raise UsageError(f"no metric {name!r}; {hint}")
    return metrics[name]
