"""histome tme: the tumor microenvironment of a patch or of a slide's tiles."""

from pathlib import Path
from typing import Annotated

import typer

from histome.cli import console
from histome.errors import UsageError

tme = typer.Typer(help="Features, phenotype labels and tokens of a tumor's microenvironment.")


@tme.callback()
def tme_group() -> None:
    """Features, phenotype labels and tokens of a tumor's microenvironment."""


_Cuts = Annotated[
    Path | None, typer.Option(help="TOML file of your own limits: [morphology] below = 30.0, above = 45.0.")
]


@tme.command(
    epilog=console.examples("tme patch patch.npz --mpp 0.25", "tme patch field.png --mpp 0.5 --narrative")
)
def patch(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=".npz of two masks, or an image.")],
    mpp: Annotated[float | None, typer.Option(help="um/px of the masks or the image.")] = None,
    compatible: Annotated[
        bool, typer.Option("--compatible", help="Pixels, labels and tokens exactly as SegTME-UNI2 has them.")
    ] = False,
    cells_model: Annotated[
        str | None,
        typer.Option(help="Model that finds the nuclei of an image: a name, or a card or its folder."),
    ] = None,
    cuts: _Cuts = None,
    narrative: Annotated[bool, typer.Option("--narrative", help="Print the text in place of JSON.")] = False,
    figure: Annotated[
        Path | None, typer.Option(help="Draw image, nuclei, features and text: .svg, .pdf or .png.")
    ] = None,
) -> None:
    """Print the features, labels and tokens of a patch as JSON, or in words.

    Without --mpp the masks of an .npz are measured in pixels, and labels are by the paper's thresholds. Fewer
    than 20 nuclei get no labels, fewer than 20 of a class none that speaks of them, but with --compatible.
    """
    from histome.exports.tme_figures import check_ending, draw_patch
    from histome.narrative import Facts, write
    from histome.phenotype.patch import see_file
    from histome.store.ownership import refuse_overwriting

    if figure:
        check_ending(figure)
        refuse_overwriting(figure, file, cuts, cells_model)
    seen = see_file(file, mpp=mpp, compatible=compatible, model=cells_model, cuts=cuts)
    warnings, notes = seen.document["warnings"], seen.document["notes"]
    for line in warnings if narrative else [*warnings, *notes]:
        console.warn(f"{file}: {line}")
    own = notes[seen.document["cells_left_out"] > 0 :]  # the text has the first: what was left out
    told = [write(Facts.of_patch(seen.document)).text, *own] if narrative or figure else []
    console.print_result("\n".join(told)) if narrative else console.print_json(seen.document)
    if figure:
        draw_patch(file, seen, told, figure)
        console.say(str(figure), aside=True)


@tme.command(epilog=console.examples("tme tiles out/slide --tiles 500um -o tiles.parquet"))
def tiles(
    profile: Annotated[Path, typer.Argument(metavar="PROFILE", help="A folder that histome profile wrote.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write, .parquet or .csv.")],
    size: Annotated[str, typer.Option("--tiles", help="Side of a tile.")] = "250um",
    cuts: _Cuts = None,
) -> None:
    """Write the features, labels and tokens of every tile of a profiled slide, one row a tile."""
    from histome.phenotype.tiles import tiles_line, write_profile_tiles
    from histome.store.ownership import refuse_overwriting

    refuse_overwriting(out, cuts)
    table = write_profile_tiles(profile, out, tiles=size, cuts=cuts)
    console.say(f"{out}: {tiles_line(table, size)}")


@tme.command("map", epilog=console.examples("tme map out/slide -o axes.svg"))
def axis_maps(
    profile: Annotated[Path, typer.Argument(metavar="PROFILE", help="A folder that histome profile wrote.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write: .svg, .pdf or .png.")],
    size: Annotated[str, typer.Option("--tiles", help="Side of a tile.")] = "250um",
    cuts: _Cuts = None,
) -> None:
    """Draw the six axes of a profiled slide: maps of their values, and of the labels that they get."""
    from histome.exports.tme_figures import check_ending, draw_axis_maps
    from histome.metrics.subregions import tile_size_um
    from histome.phenotype.axes import phenotypes_of
    from histome.phenotype.tiles import tile_phenotypes, tiles_line
    from histome.store.ownership import refuse_overwriting
    from histome.store.profile import load_profile

    check_ending(out)
    refuse_overwriting(out, cuts)
    tiles = tile_phenotypes(load_profile(profile).cells, tile_size_um(size), known=phenotypes_of(cuts))
    draw_axis_maps(tiles, out, title=profile.resolve().name)
    console.say(f"{out}: {tiles_line(tiles, size)}")


@tme.command(
    "cuts", epilog=console.examples("tme cuts tiles.csv --outcome response --patient patient -o cuts.toml")
)
def outcome_limits(
    table: Annotated[
        Path, typer.Argument(metavar="TABLE", help=".csv or .parquet: rows of tme tiles, patient, outcome.")
    ],
    outcome: Annotated[str, typer.Option(help="Column of the outcome, 0 or 1.")],
    patient: Annotated[str, typer.Option(help="Column of the patient.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="TOML file to write, for --cuts.")],
    seed: Annotated[int, typer.Option(min=0, help="Of the folds.")] = 0,
) -> None:
    """Choose a limit for each axis by an outcome: on some patients, tested on others. Research use only."""
    from histome.store.disk import writing
    from histome.store.ownership import refuse_overwriting
    from histome.validation.axis_cuts import cut_doubts, cuts_to_toml, outcome_cuts, read_outcome_table

    if out.suffix.lower() != ".toml":
        raise UsageError(f"{out}: name a file that ends in .toml")
    refuse_overwriting(out, table)
    rows = read_outcome_table(table, outcome=outcome, patient=patient)
    for line in rows.left_out:
        console.warn(f"{table}: {line}")
    try:
        found = outcome_cuts(rows.values, rows.outcome, rows.patients, seed=seed)
    except UsageError as error:
        raise UsageError(f"{table}: {error}") from error
    for line in cut_doubts(found, rows.values):
        console.warn(f"{table}: {line}")
    for cut in found:
        use = "" if cut.holds else "; not surely better than chance, so not in use"
        console.print_result(f"{cut.line()}{use}")
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(cuts_to_toml(found), encoding="utf-8")
