"""The catalogue for other programs and for readers: JSON, YAML and the reference page."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import histome
from histome.metrics.axes import AXES
from histome.metrics.catalogue import FAMILIES, catalogue, templates
from histome.metrics.declaration import Family, Template


def schema() -> dict[str, Any]:
    """Return the whole catalogue: axes with their values, families, templates with formatter strings.

    `pattern.format(**values)` with a value for each axis gives the names; `histome metrics list` their order.
    """
    metrics = catalogue()
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
        "title": family.title,
        "core": family.core,
        "metrics": len(catalogue([family.id])),
        "definition": family.definition,
        "source": family.source,
        "between_scanners": family.scanners,
        "changes_with_abstained_cells": family.of_cells,
        "templates": [_template(template) for template in templates(family.id)],
    }


def _template(template: Template) -> dict[str, Any]:
    return {
        "pattern": template.pattern,
        "axes": list(template.axes),
        "unit": template.unit,
        "formula": template.formula,
        "range": list(template.range),
        "null_when": template.null_when,
        "smallest_sample": template.smallest_sample,
        "derived": template.derived,
        "symmetric": template.symmetric,
    }


def schema_json() -> str:
    """Return the schema as JSON."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def schema_yaml() -> str:
    """Return the schema as YAML."""
    return "\n".join(_yaml(schema(), 0)) + "\n"


def _yaml(value: Mapping[str, Any], depth: int) -> Iterator[str]:
    """Yield the lines of a mapping; texts are quoted as in JSON, which YAML reads alike."""
    pad = "  " * depth
    for key, item in value.items():
        if isinstance(item, dict):
            yield f"{pad}{key}:"
            yield from _yaml(item, depth + 1)
        elif isinstance(item, list) and item and isinstance(item[0], dict):
            yield f"{pad}{key}:"
            for each in item:
                first, *rest = _yaml(each, depth + 2)
                yield f"{pad}  - {first.lstrip()}"
                yield from rest
        else:
            yield f"{pad}{key}: {json.dumps(item, ensure_ascii=False)}"


def reference_page() -> str:
    """Return the reference page of all metrics as Markdown, made from the catalogue."""
    metrics = catalogue()
    own = sum(not metric.derived for metric in metrics)
    lines = [
        "# Metrics",
        "",
        "<!-- Made by `histome metrics schema --format markdown`; edit the declarations, not this page. -->",
        "",
        f"{len(metrics):,} metrics are declared; {own:,} of them are not a function of other declared ones. "
        "Names in braces are axes, listed at the end. Every null has a reason in the table.",
        "",
    ]
    for family in FAMILIES.values():
        lines += _section(family)
    lines += ["## Axes", "", *(f"- `{name}`: {', '.join(values)}" for name, values in AXES.items())]
    return "\n".join(lines) + "\n"


def _section(family: Family) -> list[str]:
    """Return the lines of one family."""
    count = len(catalogue([family.id]))
    lines = [
        f"## {family.id}: {family.title}",
        "",
        f"{count:,} metric{'s' * (count != 1)}. {family.definition}",
        "",
    ]
    lines += [f"Source: {family.source}.", ""] if family.source else []
    lines += [f"Comparable between scanners: {family.scanners}.", ""]
    lines += [
        "| name | unit | range | formula | null when | smallest sample | follows from |",
        "|" + "---|" * 7,
    ]
    return [*lines, *(_row(template) for template in templates(family.id)), ""]


def _row(template: Template) -> str:
    follows = template.derived or ("its mirror image, for half of the pairs" if template.symmetric else "")
    cells = (
        f"`{template.pattern}`",
        template.unit,
        _range(*template.range),
        template.formula,
        template.null_when,
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
    "yaml": schema_yaml,
    "markdown": reference_page,
}
