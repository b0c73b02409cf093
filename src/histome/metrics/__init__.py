"""The numbers: from the maps and the cells of a slide to its table of metrics.

`measure` makes the table, `measure_subregions` one for parts of a slide; `list_metrics`, `find_metric` and
`FAMILIES` say what the numbers mean; a `MetricTable` is read by name, `format_metric` words it for a page.
The numbers themselves come from `families`, a module each.
"""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.metrics.catalogue import FAMILIES, find_metric, list_metrics, select_families
    from histome.metrics.declaration import Family, Metric, Template
    from histome.metrics.format import MetricTable, MetricValue, format_metric
    from histome.metrics.measuring import METRIC_SCHEMA, count_metrics, measure
    from histome.metrics.subregions import measure_subregions

__all__ = [
    "FAMILIES",
    "METRIC_SCHEMA",
    "Family",
    "Metric",
    "MetricTable",
    "MetricValue",
    "Template",
    "count_metrics",
    "find_metric",
    "format_metric",
    "list_metrics",
    "measure",
    "measure_subregions",
    "select_families",
]
__getattr__ = opened(__name__, __file__)
