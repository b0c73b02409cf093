"""histome train: make models of your own labels; needs the `train` extra."""

import typer

train = typer.Typer(help="Train models on your own data (needs the `train` extra).")


@train.callback()
def train_group() -> None:
    """Train models on your own data (needs the `train` extra)."""
