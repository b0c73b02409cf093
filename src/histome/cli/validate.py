"""histome validate: compare with what people said."""

import typer

validate = typer.Typer(help="Compare results with what people said.")


@validate.callback()
def validate_group() -> None:
    """Compare results with what people said."""
