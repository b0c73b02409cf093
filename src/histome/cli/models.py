"""histome models: which models there are and what is known of them."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from histome.cli import console

if TYPE_CHECKING:
    from histome.errors import ModelError
    from histome.models.card import Card

# The keys of `models.importers.IMPORTERS`, which are not read here: PyTorch would be loaded.
_KINDS = "hovernet, hovernext, cellvit, histoplus, stardist, instanseg, cellpose or tissue."
_MAPS = "pannuke, consep, monusac, lizard, lizard-mitosis, histoplus, nucleus"
models = typer.Typer(help="The models there are, and what is known of them.")


@models.command("list", epilog=console.examples("models list", "models list --remote", "models list --json"))
def list_(
    remote: Annotated[
        bool,
        typer.Option("--remote", help="Public models of others: license, where they are, how to import."),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """List the shipped models, your own (in HISTOME_MODELS) and those of installed packages."""
    from histome.errors import ModelError
    from histome.models.card import models_folder
    from histome.models.registry import list_models, plugin_models

    if remote:
        return _list_public(json)
    all_ = (*list_models(), *list_models(models_folder()), *plugin_models().values())
    if json:
        console.print_json([_summary(found) for found in all_])
        return
    for found in all_:
        if isinstance(found, ModelError):
            console.print_result(f"cannot be used: {found}")
        else:
            console.print_result(f"{found.name:<12}{found.task:<12}{found.mpp:g} um/px  {found.description}")


def _list_public(json: bool) -> None:
    from histome.models.public import public_models

    if json:
        console.print_json([model.model_dump(mode="json") for model in public_models()])
        return
    for model in public_models():
        console.print_result("\n".join(model.lines()))


def _summary(found: "Card | ModelError") -> dict[str, Any]:
    names = ("name", "task", "mpp", "version", "description")
    return {name: getattr(found, name) for name in names} if hasattr(found, "task") else {"error": str(found)}


@models.command(epilog=console.examples("models show nuclei", "models show my-models/nuclei --toml"))
def show(
    name: Annotated[str, typer.Argument(help="A model's name, or the path of its card.")],
    toml: Annotated[bool, typer.Option("--toml", help="Print the card itself.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the card as one JSON document.")] = False,
) -> None:
    """Print what is known of a model: training data, labels, limits, split, held-out scores."""
    from histome.models.card import card_to_toml
    from histome.models.describe import describe_card
    from histome.models.registry import find_model

    card = find_model(name)
    if json:
        console.print_json(card.model_dump(mode="json"))
        return
    console.print_result(card_to_toml(card) if toml else describe_card(card))


@models.command(epilog=console.examples("models check nuclei", "models check my-models/nuclei"))
def check(model: Annotated[str, typer.Argument(help="A model's name, or the path of its card.")]) -> int:
    """Hold a model against its card: shapes, ranges, repeatability, seams, a blank slide, its reference."""
    from histome.checks import check_model

    return console.say_findings(check_model(model))


@models.command(
    epilog=console.examples(
        "models compare nuclei my-models/hovernet --slide slide.svs -o compared",
        "models compare nuclei my-models/hovernet --fields consep --labels consep -o compared",
    )
)
def compare(
    one: Annotated[str, typer.Argument(help="A model of cells: its name, or the path of its card.")],
    other: Annotated[str, typer.Argument(help="Another one.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for tables, figures and index.html.")],
    fields: Annotated[Path | None, typer.Option(help="A folder of images, or of labeled fields.")] = None,
    slide: Annotated[Path | None, typer.Option(help="A slide: its part with the least white.")] = None,
    labels: Annotated[
        str | None,
        typer.Option(help="Score both against the labels of the fields: the name of their data set."),
    ] = None,
    mpp: Annotated[float | None, typer.Option(help="um/px of images and slides that do not say it.")] = None,
    side_um: Annotated[float, typer.Option(min=50, help="Of the part of the slide, um.")] = 2000.0,
    workers: Annotated[int, typer.Option(min=1, help="Threads.")] = 1,
) -> None:
    """Look at the same fields with two models: agreement of outlines, places and classes, and pictures."""
    from histome.checks.side_by_side import compare_models, fields_of_folder, fields_of_slide
    from histome.cli.validation.pages import write_sections
    from histome.errors import UsageError
    from histome.models.registry import find_model, open_model
    from histome.models.tasks import CELL_TASKS

    if (fields is None) == (slide is None) or (labels and slide):
        raise UsageError("give --fields (with --labels, if they are to judge) or --slide")
    cards = [find_model(name, task=CELL_TASKS) for name in (one, other)]
    if slide:
        seen = fields_of_slide(slide, mpp=mpp, side_um=side_um)
    else:
        to_mpp = min(card.mpp for card in cards)
        seen = fields_of_folder(Path(fields or ""), mpp=mpp, to_mpp=to_mpp, labels=labels)
    first, second = (open_model(card, threads=workers) for card in cards)
    sections = compare_models((first, second), seen, workers=workers)
    write_sections(out, f"{cards[0].name} and {cards[1].name}, side by side", sections)


@models.command(epilog=console.examples("models add hf:OWNER/NAME", "models add zenodo:1234567 --yes"))
def add(
    place: Annotated[str, typer.Argument(help="hf:OWNER/NAME, hf:OWNER/NAME@REVISION or zenodo:ID.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="The license was read; do not ask.")] = False,
) -> int:
    """Download a model that has a histome card into HISTOME_MODELS, after showing its license."""
    from histome.models.hub import download, look_up

    offer = look_up(place)
    console.print_result(f"{offer.place}  {offer.megabytes:.1f} MB")
    console.print_result(f"license: {offer.license}\naccess: {offer.access}")
    if not (yes or (sys.stdin.isatty() and typer.confirm("Download it?"))):
        console.print_result("nothing was downloaded; --yes does it without a question")
        return 2
    card = download(offer, told=console.say)
    console.print_result(f"{card.name}, a {card.task}, is in {card.weights_path.parent}")
    return 0


@models.command(
    "import",
    epilog=console.examples(
        "models import hovernet hovernet_fast_pannuke_type_tf2pytorch.tar -o my-models/hovernet "
        '--classes pannuke --license "CC BY-NC-SA 4.0"',
        "models import hovernet mine.tar -o my-models/mine --classes classes.toml --license MIT",
        "models import stardist 2D_versatile_he -o my-models/stardist --classes nucleus --license BSD-3",
        "models import instanseg instanseg.pt -o my-models/instanseg --classes nucleus --license Apache-2.0",
    ),
)
def import_(
    kind: Annotated[str, typer.Argument(help=_KINDS)],
    checkpoint: Annotated[Path, typer.Argument(help="The file of its weights, or its folder.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="A new folder; its name is the model's.")],
    classes: Annotated[str, typer.Option(help=f"{_MAPS}, or a TOML file of classes and cells.")],
    license_: Annotated[str, typer.Option("--license", help="Of the weights, as their authors state it.")],
    classifier: Annotated[Path | None, typer.Option(help="Of CellViT++: the file of its classifier.")] = None,
    mpp: Annotated[
        float | None, typer.Option(min=0.06, max=10, help="um/px that it learned at, if not the usual ones.")
    ] = None,
) -> int:
    """Make a checkpoint of somebody else's network a model of histome's, and check it."""
    from histome.checks import check_model
    from histome.models.importers import (
        import_model,
        import_tissue,
        read_classes_map,
        read_tissue_layout,
    )

    if kind == "tissue":
        layout = read_tissue_layout(Path(classes))
        card = import_tissue(checkpoint, out, layout=layout, license_=license_)
    else:
        told = {"classes": read_classes_map(classes), "license_": license_, "classifier": classifier}
        card = import_model(kind, checkpoint, out, mpp=mpp, **told)
        counted = zip(card.classes[1:], card.cell_classes, strict=False)
        for number, (name, ours) in enumerate(counted, start=1):
            console.print_result(f"class {number} of the network, {name}, is counted as {ours}")
    finds = "tissue" if kind == "tissue" else "cells"
    console.say(f"{card.name} is in {out}: histome profile SLIDE --{finds}-model {out}")
    return console.say_findings(check_model(out))
