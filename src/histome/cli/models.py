"""histome models: which models there are and what is known of them."""

from typing import Annotated

import typer

from histome.cli import console

models = typer.Typer(help="The models there are, and what is known of them.")


@models.command("list")
def list_() -> None:
    """List the shipped models and those of installed packages."""
    from histome.errors import ModelError
    from histome.models.registry import list_models, plugin_models

    for found in (*list_models(), *plugin_models().values()):
        if isinstance(found, ModelError):
            console.say(f"cannot be used: {found}")
        else:
            console.say(f"{found.name:<12}{found.task:<12}{found.mpp:g} um/px  {found.description}")


@models.command()
def show(
    name: Annotated[str, typer.Argument(help="A model's name, or the path of its card.")],
    toml: Annotated[bool, typer.Option("--toml", help="Print the card itself.")] = False,
) -> None:
    """Print what is known of a model: training data, labels, limits, split, held-out scores."""
    from histome.models.card import card_to_toml
    from histome.models.describe import describe_card
    from histome.models.registry import find_model

    card = find_model(name)
    console.say(card_to_toml(card) if toml else describe_card(card))


@models.command()
def check(model: Annotated[str, typer.Argument(help="A model's name, or the path of its card.")]) -> int:
    """Hold a model against its card: shapes, ranges, repeatability, seams, a blank slide, its reference."""
    from histome.checks import check_model

    return console.say_findings(check_model(model))
