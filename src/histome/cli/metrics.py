"""histome metrics: what is measured, in words."""

from typing import TYPE_CHECKING, Annotated

import typer

from histome.cli import console

if TYPE_CHECKING:
    from histome.metrics.declaration import Family, Metric

metrics = typer.Typer(help="What is measured, with definitions.")


@metrics.command("list")
def list_(
    families: Annotated[list[str] | None, typer.Argument(metavar="[FAMILY]...", help="Only these.")] = None,
) -> None:
    """List the metrics with unit and family."""
    from histome.metrics.catalogue import catalogue

    for metric in catalogue(families or ()):
        console.say(f"{metric.name}\t{metric.unit}\t{metric.family}")


@metrics.command()
def explain(name: Annotated[str, typer.Argument(help="A metric's exact name.")]) -> None:
    """Print a metric's definition: formula, unit, range, what makes it null."""
    from histome.metrics.catalogue import FAMILIES, find_metric

    metric = find_metric(name)
    for label, text in _definition(metric, FAMILIES[metric.family]):
        console.say(f"{label:<18}{text}")


def _definition(metric: "Metric", family: "Family") -> list[tuple[str, str]]:
    low, high = metric.template.range
    facts = [
        ("name", metric.name),
        ("unit", metric.unit),
        ("formula", metric.formula),
        ("range", f"{'any' if low is None else f'{low:g}'} to {'any' if high is None else f'{high:g}'}"),
        ("null", metric.null_when),
        ("smallest sample", str(metric.template.smallest_sample)),
        ("follows from", metric.derived),
        ("family", f"{family.id}: {family.title}"),
        ("defined as", family.definition),
        ("source", family.source),
        ("between scanners", family.scanners),
    ]
    return [(label, text) for label, text in facts if text]
