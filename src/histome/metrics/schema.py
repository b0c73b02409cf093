"""The catalogue for other programs and for readers: JSON and the reference page."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import histome
from histome.metrics.axes import AXES
from histome.metrics.catalogue import FAMILIES, list_metrics
from histome.metrics.declaration import Family, Template, templates_of

# Numbers whose definition changed: the version that brought the present one, and what it was before.
_VERSION = "0.1.0"
_COUNTED = (
    f"{_VERSION}, of the cells in nucleated tissue; before, those in necrosis, in blood and beyond the "
    "tissue counted too"
)
_ZONES = (
    f"{_VERSION}, holes of the tumor filled up to 0.8 mm2 of other living tissue; before, holes of any size"
)
_BOTH = f"{_COUNTED}; and {_ZONES.removeprefix(f'{_VERSION}, ')}"

# By family, or by the pattern of a template where it alone changed.
SINCE: Mapping[str, str] = {
    "tissue-regions": f"{_VERSION}, lengths by Crofton's formula, given polygons measured exactly; before, "
    "lengths of pixel edges",
    "INVASIVE_FRONT_DENSITY": f"{_VERSION}, length of the front by Crofton's formula; before, pixel edges x "
    "pi / 4",
    "tumor-zones": _ZONES,
    "tissues-in-zones": _ZONES,
    "cells-in-zones": _BOTH,
    "tumor-neighborhoods": f"{_BOTH}; null without a tumor, where some were 0",
    "lymphoid-aggregates": _BOTH,
    "distance-to-carcinoma": f"{_VERSION}, of the cells in nucleated tissue; before, of all in its box",
    **dict.fromkeys(
        (
            "all-cells",
            "cells-per-class",
            "neighborhood-centers",
            "neighborhood-pairs",
            "nuclei-per-class",
            "nearest-distances",
            "cross-g",
            "enrichment",
            "contacts",
            "diversity",
            "ratios",
            "certainty",
        ),
        _COUNTED,
    ),
}


def whole_catalogue() -> dict[str, Any]:
    """Return the whole catalogue: axes with their values, families, templates with formatter strings.

    `pattern.format(**values)` with a value for each axis gives the names; `histome metrics list` their order.
    """
    metrics = list_metrics()
    return {
        "histome": histome.__version__,
        "metrics": len(metrics),
        "non_redundant": sum(not metric.derived for metric in metrics),
        "axes": {name: list(values) for name, values in AXES.items()},
        "families": [_family(family) for family in FAMILIES.values()],
    }


def _family(family: Family) -> dict[str, Any]:
    return {
        "id": family.id,
        "alias": family.alias,
        "title": family.title,
        "core": family.core,
        "metrics": len(list_metrics([family.id])),
        "definition": family.definition,
        "source": family.source,
        "null_model": family.null_model,
        "between_scanners": family.scanners,
        "changes_with_abstained_cells": family.of_cells,
        "intervals": family.block_sums is not None,
        "no_interval": family.no_interval,
        "tests": family.tests is not None,
        "templates": [
            _template(template) | {"since": since_of(family.id, template.pattern)}
            for template in templates_of(family.templates)
        ],
    }


def _template(template: Template) -> dict[str, Any]:
    return {
        "pattern": template.pattern,
        "axes": list(template.axes),
        "unit": template.unit,
        "formula": template.formula,
        "n_counts": template.counts,
        "range": list(template.range),
        "nulls": list(template.nulls),
        "smallest_sample": template.smallest_sample,
        "derived": template.derived,
        "symmetric": template.symmetric,
        "function_of": template.along,
    }


def schema_json() -> str:
    """Return the whole catalogue as JSON."""
    return json.dumps(whole_catalogue(), indent=1, ensure_ascii=False) + "\n"


def reference_page() -> str:
    """Return the reference page of all metrics as Markdown, made from the catalogue."""
    metrics = list_metrics()
    own = sum(not metric.derived for metric in metrics)
    lines = [
        "# Metrics",
        "",
        "<!-- Made by `histome metrics schema --format markdown`; edit the declarations, not this page. -->",
        "",
        f"{len(metrics):,} metrics are declared; {own:,} of them are not a function of other declared ones. "
        "Names in braces are axes, listed at the end. Every null has a reason in the table; n counts what "
        "its column says. [Which number for which question](../questions.md); [what is certain and what is "
        "not](../statistics.md).",
        "",
    ]
    for family in FAMILIES.values():
        lines += _section(family)
    lines += ["## Axes", "", *(f"- `{name}`: {', '.join(values)}" for name, values in AXES.items())]
    return "\n".join(lines) + "\n"


def _section(family: Family) -> list[str]:
    """Return the lines of one family."""
    count = len(list_metrics([family.id]))
    lines = [
        f"## {family.id}: {family.title}",
        "",
        f"{count:,} metric{'s' * (count != 1)}. {family.definition}",
        "",
    ]
    lines += [f"Source: {family.source}.", ""] if family.source else []
    lines += [f"Compared with: {family.null_model}.", ""] if family.null_model else []
    lines += [f"Comparable between scanners: {family.scanners}.", ""]
    lines += [f"{_capital(interval_words(family))}.", ""]
    lines += [f"{_capital(TEST_WORDS)}.", ""] if family.tests else []
    lines += [f"Defined so since {SINCE[family.id]}.", ""] if family.id in SINCE else []
    lines += [
        "| name | unit | range | formula | n counts | null when | smallest sample | follows from |",
        "|" + "---|" * 8,
    ]
    return [*lines, *(_row(template) for template in templates_of(family.templates)), ""]


def interval_words(family: Family) -> str:
    """Return how the intervals of a family are made, or why it has none."""
    if family.block_sums is None:
        return f"no interval: {family.no_interval}"
    bands = any(template.along for template in templates_of(family.templates))
    band = "; band_low and band_high hold the function at all distances at once (sup-t)" if bands else ""
    return (
        f"95 % intervals by bootstrap of blocks of tissue (BCa with quantiles of t){band}; "
        f"a metric of these that has none: {family.no_interval}"
    )


TEST_WORDS = (
    "tests of the null model: columns p (two-sided, normal) and q over the tests of the family "
    "(Benjamini-Hochberg); cells that come in clusters make both too small"
)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _row(template: Template) -> str:
    follows = template.derived or ("its mirror image, for half of the pairs" if template.symmetric else "")
    cells = (
        f"`{template.pattern}`",
        template.unit,
        _range(*template.range),
        template.formula,
        template.counts,
        "; ".join(template.nulls) or "never",
        str(template.smallest_sample),
        follows,
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _range(low: float | None, high: float | None) -> str:
    if low is None:
        return "any" if high is None else f"up to {high:g}"
    return f"from {low:g}" if high is None else f"{low:g} to {high:g}"


FORMATS: Mapping[str, Callable[[], str]] = {
    "json": schema_json,
    "markdown": reference_page,
}


def since_of(family: str, pattern: str) -> str:
    """Return since when a number is defined so, and what it was before; empty where it never changed."""
    return SINCE.get(pattern, SINCE.get(family, ""))
