"""histome encoders: which foundation models there are, what is known of them, how they compare."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from histome.cli import console
from histome.errors import UsageError

if TYPE_CHECKING:
    from histome.embedding.compare import Compared

encoders = typer.Typer(help="Foundation models: encoders that turn tiles into vectors.")

_Name = Annotated[
    str, typer.Argument(help="An encoder's name, timm:MODEL, or the .toml of a card of your own.")
]
_Weights = Annotated[
    Path | None, typer.Option(help="Its weights: a file, or a folder as its publisher's repository is.")
]
_Hub = Annotated[
    bool, typer.Option("--hub", help="Download the weights with your own login of the Hugging Face hub.")
]


@encoders.command("list", epilog=console.examples("encoders list", "encoders list --json"))
def list_(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """List the encoders of tiles and of slides: vector, um/px, license, how they run here."""
    from histome.encoders import list_encoders
    from histome.encoders.card import standing

    cards = list_encoders()
    if json:
        console.print_json([card.facts() for card in cards])
        return
    for card in cards:
        facts = (card.level, card.dimension or "unknown", card.mpp or "unknown", card.license or "unknown")
        level, dimension, mpp, license_ = map(str, facts)
        asked = " (ask its publisher)" if card.gated else ""
        console.print_result(
            f"{card.name:<28}{level:<6}{dimension:>8}  {mpp:>7} um/px  {license_}{asked}; {standing(card)}"
        )


@encoders.command(epilog=console.examples("encoders show uni2-h", "encoders show virchow2 --json"))
def show(
    name: _Name,
    json: Annotated[bool, typer.Option("--json", help="Print the card as one JSON document.")] = False,
) -> None:
    """Print what is known of an encoder: vector, um/px, normalization, license, where you get it."""
    from histome.encoders import describe_encoder, find_encoder

    card = find_encoder(name)
    if json:
        console.print_json(card.facts())
        return
    console.print_result(describe_encoder(card))


@encoders.command(
    epilog=console.examples(
        "encoders check color-histogram",
        "encoders check uni --weights pytorch_model.bin",
        "encoders check kaiko-vits16 --random",
    )
)
def check(
    name: _Name,
    weights: _Weights = None,
    hub: _Hub = False,
    random: Annotated[
        bool, typer.Option("--random", help="Leave the weights random: is the network built?")
    ] = False,
) -> int:
    """Hold an encoder against its card: vector, batches, repeatability, parameters."""
    from histome.checks import check_encoder

    return console.say_findings(check_encoder(name, weights, hub=hub, random=random, told=console.say))


_Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the table, the figure and the vectors.")]
_Encoders = Annotated[
    list[str] | None,
    typer.Option("--encoder", "-e", metavar="NAME[=WEIGHTS]", help="An encoder; may be repeated."),
]
_Tasks = Annotated[Path | None, typer.Option(help="Tasks: a TOML file, see docs/encoders.md.")]
_Data = Annotated[
    Path | None, typer.Option(help="Folder that the tasks' folders are in; by default that of --tasks.")
]
_Tiles = Annotated[
    Path | None, typer.Option(help="One task: a folder with images.csv, or of folders that are labels.")
]
_Vectors = Annotated[
    list[Path] | None, typer.Option(help="Vectors in place of encoders: .h5, .npz, .zarr, .parquet, .pt.")
]
_Manifest = Annotated[
    Path | None, typer.Option(help="Of --vectors, a row each: label, group and perhaps confounder.")
]
_Stain = Annotated[
    Literal["none", "macenko", "reinhard"], typer.Option(help="Stain normalization of each image.")
]
_AtMpp = Annotated[float | None, typer.Option(help="um/px of tiles; by default each encoder's own.")]


@encoders.command(
    epilog=console.examples(
        "encoders compare -e color-histogram -e random-vit-tiny --tasks tasks.toml --data data -o comparison",
        "encoders compare -e uni=pytorch_model.bin -e my/encoder.toml --tiles tiles -o comparison",
        "encoders compare --vectors uni.h5 --vectors mine.parquet --manifest rows.csv -o comparison",
        "encoders compare -e uni=pytorch_model.bin --tasks public.toml -o comparison",
    )
)
def compare(
    out: _Out,
    encoder: _Encoders = None,
    tasks: _Tasks = None,
    data: _Data = None,
    tiles: _Tiles = None,
    vectors: _Vectors = None,
    manifest: _Manifest = None,
    stain: _Stain = "none",
    at_mpp: _AtMpp = None,
    cost: Annotated[bool, typer.Option(help="Measure time, memory and arithmetic too.")] = True,
    eva: Annotated[bool, typer.Option("--eva", help="Write the vectors as eva reads them, too.")] = False,
) -> None:
    """Compare encoders: k-NN, linear and attention probes by group, robustness, cost: a table, a figure.

    Tasks of eva, HEST-bench and Patho-Bench that the file of tasks lists are scored on their own folds.
    """
    with console.extra("encoders"):
        from histome.embedding import read_public_tasks, write_comparison
        from histome.embedding.figure import as_markdown

        asked = _Asked(encoder, tasks, data, tiles, vectors, manifest)
        if tasks is not None and read_public_tasks(tasks):
            _compare_public(asked, out)
        compared = _compared(asked, out, stain=stain, at_mpp=at_mpp, cost=cost, eva=eva)
        if compared:
            for path in write_comparison(compared, out):
                console.say(str(path))
            console.print_result(as_markdown(compared))


@encoders.command(
    epilog=console.examples(
        "encoders robustness --vectors uni.h5 --vectors mine.parquet --manifest rows.csv -o robustness",
        "encoders robustness -e color-histogram --tasks tasks.toml --data data -o robustness",
    )
)
def robustness(
    out: _Out,
    encoder: _Encoders = None,
    tasks: _Tasks = None,
    data: _Data = None,
    tiles: _Tiles = None,
    vectors: _Vectors = None,
    manifest: _Manifest = None,
    stain: _Stain = "none",
) -> None:
    """Whom do vectors follow? RI, MaRI, CRoMa, APD, nIPD, clusters, slide identity, stain conditions."""
    with console.extra("encoders"):
        from histome.embedding.robustness import robustness_markdown, write_robustness

        asked = _Asked(encoder, tasks, data, tiles, vectors, manifest)
        compared = _compared(asked, out, stain=stain, cost=False, probes=False)
        for path in write_robustness(compared, out):
            console.say(str(path))
        console.print_result(robustness_markdown(compared))


class _Asked(NamedTuple):
    """Encoders on tasks, or files of vectors with what is known of their rows."""

    encoder: list[str] | None
    tasks: Path | None
    data: Path | None
    tiles: Path | None
    vectors: list[Path] | None
    manifest: Path | None


def _compared(asked: _Asked, out: Path, **how: Any) -> "list[Compared]":
    from histome.embedding import compare_encoders, compare_files, read_tasks
    from histome.embedding.compare import Comparison
    from histome.embedding.tasks import folder_task

    if asked.vectors and asked.manifest:
        return compare_files(asked.vectors, asked.manifest, probes=how.get("probes", True))
    if not (asked.encoder and (asked.tasks or asked.tiles)):
        raise UsageError("give -e NAME with --tasks FILE or --tiles FOLDER, or --vectors with --manifest")
    read = read_tasks(asked.tasks) if asked.tasks else [folder_task((asked.tiles or out).resolve())]
    if not read:
        return []
    pairs = [_with_weights(text) for text in asked.encoder]
    comparison = Comparison(pairs, read, asked.data or (asked.tasks or out).parent, **how)
    return compare_encoders(comparison, out, told=lambda name, task: console.say(f"{name}: {task}"))


def _compare_public(asked: _Asked, out: Path) -> None:
    from histome.embedding import read_public_tasks, score_public
    from histome.embedding.public_tasks import public_markdown, write_public

    if not (asked.encoder and asked.tasks):
        raise UsageError("give -e NAME for the public tasks of --tasks")
    pairs = [_with_weights(text) for text in asked.encoder]
    scores = score_public(read_public_tasks(asked.tasks), pairs, asked.data or asked.tasks.parent, out)
    for path in write_public(scores, out):
        console.say(str(path))
    console.print_result(public_markdown(scores))


def _with_weights(text: str) -> tuple[str, Path | None]:
    name, _, weights = text.partition("=")
    return name, Path(weights) if weights else None
