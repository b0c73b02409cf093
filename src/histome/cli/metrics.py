"""histome metrics: what is measured, in words, and measuring what other programs found."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histome.cli import console
from histome.config import MetricsConfig, TissueConfig
from histome.errors import UsageError

if TYPE_CHECKING:
    from histome.metrics.declaration import Family, Metric

# What fits on a screen.
_FIRST = 40

metrics = typer.Typer(help="What is measured, with definitions.")


@metrics.command("list", epilog=console.examples("metrics list", "metrics list all-cells --long"))
def list_(
    families: Annotated[list[str] | None, typer.Argument(metavar="[FAMILY]...", help="Only these.")] = None,
    long: Annotated[bool, typer.Option("--long", help="Print unit and family too, after tabs.")] = False,
) -> None:
    """Print the names of the metrics, one a line, in the order of the output.

    A family is one of those that `histome metrics families` prints, or core, or extended.
    """
    from histome.metrics.catalogue import list_metrics

    for metric in list_metrics(families or ()):
        console.print_result(f"{metric.name}\t{metric.unit}\t{metric.family}" if long else metric.name)


@metrics.command("families", epilog=console.examples("metrics families"))
def families_() -> None:
    """List the families with the number of their metrics."""
    from histome.metrics.catalogue import FAMILIES, list_metrics

    for family in FAMILIES.values():
        console.print_result(f"{family.id:<22}{len(list_metrics([family.id])):>6}  {family.title}")


@metrics.command(epilog=console.examples("metrics schema --format markdown"))
def schema(
    format_: Annotated[str, typer.Option("--format", help="json or markdown.")] = "json",
) -> None:
    """Print the whole catalogue: axes, names as formatter strings, definitions."""
    from histome.metrics.schema import FORMATS

    if format_ not in FORMATS:
        raise UsageError(f"no format {format_!r}; choose from {', '.join(FORMATS)}")
    console.print_result(FORMATS[format_]().rstrip("\n"))


@metrics.command(
    epilog=console.examples("metrics run --cells cells.geojson --tissue tissue.geojson --mpp 0.25 -o out")
)
def run(
    cells: Annotated[
        Path, typer.Option(help="GeoParquet, QuPath GeoJSON, CellViT or HoVer-Net JSON, CSV, TSV.")
    ],
    tissue: Annotated[Path, typer.Option(help="Polygons (GeoJSON, GeoParquet) or a label image (TIFF).")],
    mpp: Annotated[float, typer.Option(help="um per px of the coordinates in these files.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write to.")],
    classes: Annotated[
        Path | None, typer.Option(help="TOML: tables [cells] and [tissue], their label = ours.")
    ] = None,
    per: Annotated[
        str | None, typer.Option(help="Also each piece, tile:<size>um or region:<polygons.geojson>.")
    ] = None,
    confident_only: Annotated[
        bool, typer.Option("--confident-only", help="Leave out the cells that the model abstained from.")
    ] = False,
    any_frame: Annotated[
        bool, typer.Option("--any-frame", help="Measure even if the cells seem drawn at another resolution.")
    ] = False,
    largest_hole: Annotated[
        float, typer.Option(min=0.0, help="mm2 of other tissue in a hole of the tumor that is filled.")
    ] = TissueConfig().largest_hole_mm2,
) -> None:
    """Measure cells and tissue that another program found.

    Of overlapping polygons of tissue the smallest counts.
    """
    from histome.interop.foreign_files import ForeignFiles, measure_files
    from histome.metrics.format import MetricTable
    from histome.metrics.measuring import count_metrics
    from histome.report.tables import headline
    from histome.store.files import METRICS_TABLE, PARTS_TABLE
    from histome.store.ownership import refuse_overwriting
    from histome.store.slide_row import SLIDE_ROW
    from histome.tissue.zones import zone_rule

    for name in (METRICS_TABLE, PARTS_TABLE, SLIDE_ROW):
        refuse_overwriting(out / name, cells, tissue, classes)
    config = MetricsConfig(confident_only=confident_only)
    rule = zone_rule(TissueConfig().updated(largest_hole_mm2=largest_hole))
    files = ForeignFiles(cells, tissue, mpp, classes)
    table = measure_files(files, out, config=config, per=per, any_frame=any_frame, rule=rule)
    counts, told = count_metrics(table), json.loads((out / "run.json").read_bytes())
    for warning in told["warnings"]:
        console.warn(warning)
    if told["cells_on_tissue"] is not None:
        console.say(
            f"{told['cells_on_tissue']:.1%} of {told['metrics']['cells']:,} cells lie on analyzed tissue"
        )
    console.say(
        f"{out}: {counts.declared:,} metrics, {counts.non_redundant:,} not a function of others, "
        f"{counts.finite:,} with a value"
    )
    for each in headline(MetricTable(table)):
        number = each["shown"]
        interval = f"(95 % interval {number.interval})" if number.interval else ""
        console.say(" ".join(filter(None, (f"{each['label']}:", number.text, number.unit, interval))))
    if marked := len(table) - table["evidence"].null_count:
        console.say(
            f"{marked:,} of them are of classes that the model hardly learned: see the column evidence"
        )


@metrics.command(epilog=console.examples("metrics search lymphocyte stroma", "metrics search '*_RATIO'"))
def search(
    words: Annotated[
        list[str], typer.Argument(metavar="WORD...", help="A word, or a glob such as '*_RATIO'.")
    ],
    all_: Annotated[bool, typer.Option("--all", help=f"Print more than the first {_FIRST}.")] = False,
) -> None:
    """Find metrics by words in name, formula, title or definition; all words must be found.

    A word with *, ? or [ must match the whole name. Those that people ask for most come first.
    """
    from histome.metrics.catalogue import search_metrics

    found = search_metrics(words)
    if not found:
        raise UsageError(
            f"no metric with {' '.join(map(repr, words))}; `histome metrics list` prints all names"
        )
    for metric in found if all_ else found[:_FIRST]:
        console.print_result(f"{metric.name}\t{metric.unit}\t{metric.formula}")
    if not all_ and len(found) > _FIRST:
        console.warn(f"{len(found) - _FIRST:,} more: add a word, or --all")


@metrics.command(epilog=console.examples("metrics explain CELL_DENSITY_LYMPHOCYTE"))
def explain(name: Annotated[str, typer.Argument(help="A metric's exact name.")]) -> None:
    """Print a metric's definition: formula, unit, range, n, estimator, null model, interval, nulls."""
    from histome.metrics.catalogue import FAMILIES, find_metric

    metric = find_metric(name)
    for label, text in _definition(metric, FAMILIES[metric.family]):
        console.print_result(f"{label:<18}{text}")


def _definition(metric: "Metric", family: "Family") -> list[tuple[str, str]]:
    from histome.metrics.schema import TEST_WORDS, interval_words, since_of

    low, high = metric.template.range
    facts = [
        ("name", metric.name),
        ("unit", metric.unit),
        ("formula", metric.formula),
        ("n counts", metric.counts),
        ("range", f"{'any' if low is None else f'{low:g}'} to {'any' if high is None else f'{high:g}'}"),
        ("null", "; ".join(metric.nulls) or "never"),
        ("smallest sample", str(metric.template.smallest_sample)),
        ("follows from", metric.derived),
        ("family", f"{family.id}: {family.title}"),
        ("defined as", family.definition),
        ("source", family.source),
        ("compared with", family.null_model),
        ("interval", interval_words(family)),
        ("tested", TEST_WORDS if family.tests else ""),
        ("function of", metric.template.along and "distance: bands hold it as a whole"),
        ("since", since_of(family.id, metric.template.pattern)),
        ("between scanners", family.scanners),
    ]
    return [(label, text) for label, text in facts if text]
