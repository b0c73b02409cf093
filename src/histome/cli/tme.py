"""histome tme: the tumor microenvironment of a patch or of a slide's tiles."""

from pathlib import Path
from typing import Annotated

import typer

from histome.cli import console

tme = typer.Typer(help="Features, phenotype labels and tokens of a tumor's microenvironment.")


@tme.callback()
def tme_group() -> None:
    """Features, phenotype labels and tokens of a tumor's microenvironment."""


@tme.command(epilog=console.examples("tme patch patch.npz --mpp 0.25", "tme patch field.png --mpp 0.5"))
def patch(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=".npz of two masks, or an image.")],
    mpp: Annotated[float | None, typer.Option(help="um/px of the masks or the image.")] = None,
    compatible: Annotated[
        bool, typer.Option("--compatible", help="Pixels, labels and tokens exactly as SegTME-UNI2 has them.")
    ] = False,
    cells_model: Annotated[
        str, typer.Option(help="Model that finds the nuclei of an image: a name, or a card or its folder.")
    ] = "nuclei",
) -> None:
    """Print the features, labels and tokens of a patch as JSON.

    Without --mpp the masks of an .npz are measured in pixels, taken as 0.25 um.
    """
    from histome.phenotype.patch import describe_file

    document = describe_file(file, mpp=mpp, compatible=compatible, model=cells_model)
    for line in document["warnings"]:
        console.warn(f"{file}: {line}")
    console.print_json(document)


@tme.command(epilog=console.examples("tme tiles out/slide --tiles 500um -o tiles.parquet"))
def tiles(
    profile: Annotated[Path, typer.Argument(metavar="PROFILE", help="A folder that histome profile wrote.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write, .parquet or .csv.")],
    size: Annotated[str, typer.Option("--tiles", help="Side of a tile.")] = "250um",
) -> None:
    """Write the features, labels and tokens of every tile of a profiled slide, one row a tile."""
    from histome.phenotype.tiles import write_profile_tiles

    table = write_profile_tiles(profile, out, tiles=size)
    console.say(f"{out}: {len(table):,} tiles of {size}")
