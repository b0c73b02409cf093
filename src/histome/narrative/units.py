"""Units of facts: what each measures, and how a sentence prints a number that has it."""

from histome.metrics.format import MetricValue, format_count, format_metric, format_number

NO_BREAK = "\N{NO-BREAK SPACE}"  # between a number and its unit
# Dimension and factor to its base of the units that facts are stored in.
DIMENSIONS = {
    "%": ("share", 0.01),
    "1": ("share", 1.0),
    "": ("share", 1.0),
    **dict.fromkeys(("cells", "regions", "aggregates", "pieces", "classes"), ("count", 1.0)),
    "um2": ("area", 1.0),
    "mm2": ("area", 1e6),
    "px2": ("pixel area", 1.0),
    "um": ("length", 1.0),
    "mm": ("length", 1e3),
    "px": ("pixel length", 1.0),
    "cells/um2": ("density", 1e6),
    "cells/mm2": ("density", 1.0),
    "1/mm2": ("density", 1.0),
    "mm/mm2": ("border density", 1.0),
    "bits": ("bits", 1.0),
    "OD": ("OD", 1.0),
    "um/px": ("resolution", 1.0),
}
# Dimension of a computed value -> the unit that it is printed in, and the factor to it from the base.
_SHOWN_IN = {
    "share": ("%", 100.0),
    "ratio": ("1", 1.0),
    "count": ("cells", 1.0),
    "area": ("um2", 1.0),
    "density": ("cells/mm2", 1.0),
}
# Units of patch features as they are printed; those of metrics are printed by `metrics.format.show`.
_LABELS = {"px": "px", "px2": "px²", "um": "µm", "um2": "µm²", "bits": "bits", "cells": "", "1": "", "": ""}


def dimension(unit: str) -> tuple[str, float]:
    """Return what a unit measures and its factor to the base of that; one unknown measures itself."""
    return DIMENSIONS.get(unit, (unit, 1.0))


def print_share(value: float) -> str:
    """Return a share as a percentage."""
    return f"{format_number(100 * value)}{NO_BREAK}%"


def print_feature(name: str, value: float, unit: str) -> str:
    """Return a patch's feature with its unit as it is stored: px beside um."""
    text = format_count(value) if unit == "cells" else format_number(value)
    return _with_unit(text, _LABELS.get(unit, unit))


def print_metric(name: str, value: float, unit: str) -> str:
    """Return a slide's metric with its unit as the report shows it."""
    if dimension(unit)[0] == "count":
        return format_count(value)
    shown = format_metric(MetricValue(name, value, unit, None, None))
    return _with_unit(shown.text, shown.unit)


def print_computed(value: float, kind: str) -> str:
    """Return a computed value, in the base of its dimension, as a metric of that kind is shown."""
    unit, factor = _SHOWN_IN.get(kind, (kind, 1.0))
    return print_metric("", factor * value, unit)


def _with_unit(text: str, label: str) -> str:
    if not label:
        return text
    return f"{text}{NO_BREAK}{label.replace('/', 'per ', 1) if label.startswith('/') else label}"
