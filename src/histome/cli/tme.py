"""histome tme: the tumor microenvironment of a patch or of a slide's tiles."""

import typer

tme = typer.Typer(help="Features, phenotype labels and tokens of a tumor's microenvironment.")


@tme.callback()
def tme_group() -> None:
    """Features, phenotype labels and tokens of a tumor's microenvironment."""
