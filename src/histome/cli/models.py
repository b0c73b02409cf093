"""histome models: which models there are and what is known of them."""

from typing import Annotated

import typer

from histome.cli import console

models = typer.Typer(help="The models that are shipped, and what is known of them.")


@models.command("list")
def list_() -> None:
    """List the shipped models."""
    from histome.models.registry import list_models

    for card in list_models():
        console.say(f"{card.name:<12}{card.task:<12}{card.mpp:g} um/px  {card.description}")


@models.command()
def show(name: Annotated[str, typer.Argument(help="A model's name, or the path of its card.")]) -> None:
    """Print a model's card: classes, thresholds, training data, held-out scores."""
    from histome.models.card import card_to_toml, load_card

    console.say(card_to_toml(load_card(name)))
