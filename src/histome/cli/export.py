"""histome export: a profile for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from histome.cli import console
from histome.exports.formats import EXPORTS, export_profile
from histome.store.ownership import refuse_overwriting


def export(
    profile: Annotated[Path, typer.Argument(metavar="PROFILE", help="Folder that histome profile wrote.")],
    to: Annotated[
        str,
        typer.Option(
            metavar="FORMAT", help="; ".join(f"{name} ({each.about})" for name, each in EXPORTS.items()) + "."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File or folder; by default in PROFILE/exports.")
    ] = None,
) -> None:
    """Write a profile for another program. Coordinates are level-0 px; each export has the affine to um.

    Cells, tissue and quality for QuPath, scverse (AnnData, SpatialData), Excel, R, GIS; anndata, spatialdata,
    xlsx and some methods in Python need libraries: pip install 'histome[exports]' or 'histome[scverse]'.
    """
    if out is not None:
        refuse_overwriting(out)
    console.say(str(export_profile(profile, to, out)))
