"""histome train: make models of your own labels; needs the `train` extra."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from histome.cli import console
from histome.config import LARGEST_SEED
from histome.datasets.declared import PUBLISHED
from histome.errors import UsageError
from histome.store.disk import writing
from histome.training.progress import hush, is_first

if TYPE_CHECKING:
    from histome.training.narrative.evaluate import Written
    from histome.training.tissue.from_labels import MapKind

_REASONS = 3  # that are listed
train = typer.Typer(help="Train models on your own data (needs the `train` extra).")

_Seed = Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="Of the split by source, and of training.")]


@train.callback()
def train_group() -> None:
    """Train models on your own data (needs the `train` extra)."""
    hush(console.is_quiet())


@train.command(epilog=console.examples("train nuclei --from nuclei --data mine=my-labels -o my-nuclei"))
def nuclei(
    data: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=FOLDER",
            help=f"Labeled data; may be repeated. NAME: {', '.join(PUBLISHED)}, or any for a folder with "
            "images.csv.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for checkpoints and the model.")],
    start: Annotated[
        str | None, typer.Option("--from", help="Begin with this model: a name, or a card or its folder.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Batches of 8 crops of 256 px at 0.5 um/px.")] = 7600,
    recipe: Annotated[
        Path | None, typer.Option(help="TOML file with widths, mix, steps, rates ..., in place of --steps.")
    ] = None,
    seed: _Seed = 0,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; cuda where there is one.")] = None,
) -> None:
    """Train a nuclei model on your labels: split by source, train, choose thresholds, score, write the card.

    Run the same line again after an interruption. Then: histome profile SLIDE --cells-model OUT.
    """
    with console.extra("train"):
        from histome.models.describe import describe_card
        from histome.training.nuclei.from_labels import Plan, read_recipe, train_nuclei

        given = read_recipe(recipe) if recipe else None
        plan = Plan(steps=steps, start=start, seed=seed, device=device, recipe=given)
        card = train_nuclei([_pair(text) for text in data], out, plan)
    console.print_result(describe_card(card))


_Encoder = typer.Option(
    metavar="NAME[=WEIGHTS]",
    help="A head is trained on its maps: of `histome encoders list`, timm:MODEL, or a pretraining's folder.",
)

_Lora = Annotated[
    int, typer.Option(min=0, help="With --encoder: rank of LoRA beside its layers; 0: it stays as it is.")
]


@train.command(
    epilog=console.examples(
        "train cells --encoder imagenet-efficientnet-lite0 --data mine=my-labels -o my-cells",
        "train cells --encoder uni=pytorch_model.bin --data consep=consep --data mine=my-labels -o my-cells",
    )
)
def cells(
    data: Annotated[
        list[str], typer.Option(metavar="NAME=FOLDER", help="Labeled data; as of `train nuclei`.")
    ],
    encoder: Annotated[str, _Encoder],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for checkpoints and the model.")],
    start: Annotated[str, typer.Option("--from", help="The cells model that makes the outlines.")] = "nuclei",
    lora: _Lora = 0,
    steps: Annotated[int, typer.Option(min=1, help="Batches of 8 crops of 256 px at 0.5 um/px.")] = 1000,
    seed: _Seed = 0,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; cuda where there is one.")] = None,
) -> None:
    """Train a cell classifier on an encoder's features; the outlines are those of another cells model.

    Run the same line again after an interruption. Then: histome profile SLIDE --cells-model OUT.
    """
    with console.extra("train"):
        from histome.models.describe import describe_card
        from histome.training.heads import HeadPlan, train_cells

        name, _, weights = encoder.partition("=")
        plan = HeadPlan(name, weights or None, lora, start=start, steps=steps, seed=seed, device=device)
        card = train_cells([_pair(text) for text in data], out, plan)
    console.print_result(describe_card(card))


_Labeled = Annotated[
    list[str],
    typer.Option(
        metavar="NAME=FOLDER",
        help="Labeled data; may be repeated. A folder with images.csv (mask, polygons or label of each "
        "image), or of folders of tiles that are labels: NAME nct, starc9, or any for our classes.",
    ),
]
_Mpp = Annotated[float | None, typer.Option(help="um/px of images whose resolution nothing else says.")]


@train.command(
    epilog=console.examples("train tissue --data nct=NCT-CRC-HE-100K --data mine=my-masks -o my-tissue")
)
def tissue(
    data: _Labeled,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for checkpoints and the model.")],
    start: Annotated[str | None, typer.Option("--from", help="Begin with this tissue model.")] = None,
    encoder: Annotated[str | None, _Encoder] = None,
    lora: _Lora = 0,
    mpp: _Mpp = None,
    steps: Annotated[int, typer.Option(min=1, help="Batches of 8 crops of 256 px at 1 um/px.")] = 3000,
    seed: _Seed = 0,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; cuda where there is one.")] = None,
) -> None:
    """Train a tissue model on masks, polygons or labeled tiles: split by source, train, score, write a card.

    Run the same line again after an interruption. Then: histome profile SLIDE --tissue-model OUT.
    """
    name, _, weights = (encoder or "").partition("=")
    plan = {"steps": steps, "start": start, "mpp": mpp, "seed": seed, "device": device}
    _train_maps(
        "tissue", data, out, plan | {"encoder": name or None, "weights": weights or None, "lora": lora}
    )


@train.command(epilog=console.examples("train qc --data mine=my-artifacts --mpp 0.5 -o my-qc"))
def qc(
    data: _Labeled,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for checkpoints and the model.")],
    mpp: _Mpp = None,
    steps: Annotated[int, typer.Option(min=1, help="Batches of 8 crops of 256 px at 1 um/px.")] = 3000,
    seed: _Seed = 0,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; cuda where there is one.")] = None,
) -> None:
    """Train a quality model on masks, polygons or labeled tiles; it excludes besides what the rules do.

    Run the same line again after an interruption. Then set model = "OUT" under [qc] in a settings file.
    """
    _train_maps("qc", data, out, {"steps": steps, "mpp": mpp, "seed": seed, "device": device})


def _train_maps(kind: "MapKind", data: list[str], out: Path, plan: dict[str, Any]) -> None:
    with console.extra("train"):
        from histome.models.describe import describe_card
        from histome.training.tissue.from_labels import MapPlan, train_maps

        card = train_maps(kind, [_pair(text) for text in data], out, MapPlan(**plan))
    console.print_result(describe_card(card))


@train.command(
    epilog=console.examples(
        "train curriculum -c curriculum.toml -o out", "train curriculum -c curriculum.toml -o out --check"
    )
)
def curriculum(
    config: Annotated[Path, typer.Option("--config", "-c", help="TOML file; see docs/curriculum.md.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the stages and the model.")],
    check: Annotated[
        bool,
        typer.Option("--check", help="Train nothing: refuse what a run would, print memory, steps, hours."),
    ] = False,
) -> None:
    """Train a UperHoVer in stages on human labels, then on its own, each scored on the same held-out fields.

    Run the same line again after an interruption, or with torchrun for several devices. The best stage is
    OUT/model at the end; then: histome profile SLIDE --cells-model OUT/model.
    """
    with console.extra("train"):
        from histome.training.uperhover.config import CurriculumConfig
        from histome.training.uperhover.curriculum import run_curriculum, table

        if check:
            from histome.training.uperhover.check import check_curriculum

            for line in check_curriculum(CurriculumConfig.from_toml(config), out).lines():
                console.print_result(line)
            return
        results = run_curriculum(CurriculumConfig.from_toml(config), out)
    if is_first():
        for result in results:
            console.print_result(result.verdict())
        console.print_result(table(results))


@train.command(
    epilog=console.examples(
        "train encoder slides/*.svs -o my-encoder",
        "train encoder center-a/*.svs center-b/*.svs my-fields -o my-encoder",
    )
)
def encoder(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="SLIDES", help="Slides, fields, and folders of fields with images.csv."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for checkpoint, log and encoder.")],
    method: Annotated[
        Literal["dino", "dinov2"], typer.Option(help="dinov2 asks of hidden patches too.")
    ] = "dinov2",
    model: Annotated[str, typer.Option(help="A vision transformer of timm.")] = "vit_small_patch16_224",
    weights: Annotated[Path | None, typer.Option("--from", help="Begin with these weights of it.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Batches.")] = 10_000,
    batch: Annotated[int, typer.Option(min=2, help="Tiles at once, of each process.")] = 32,
    finest: Annotated[float, typer.Option(min=0.1, help="um/px of the finest tiles.")] = 0.25,
    coarsest: Annotated[float, typer.Option(min=0.1, help="um/px of the coarsest tiles.")] = 2.0,
    mpp: Annotated[
        float | None, typer.Option(help="um/px of the files given; overrides what they say.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="Of weights, tiles and views.")] = 1,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; cuda where there is one.")] = None,
) -> None:
    """Pretrain an encoder without labels on tiles of your slides, by DINO or DINOv2.

    Run the same line again after an interruption, or with torchrun for several devices. Then: histome embed
    SLIDE --encoder OUT/encoder.toml, or train cells --encoder OUT.
    """
    with console.extra("pretrain"):
        from histome.training.encoders import PretrainRecipe, find_sources, pretrain

        shown = {"model": model, "batch": batch, "mpp": (finest, coarsest)}
        recipe = PretrainRecipe(steps=steps, method=method, seed=seed, **shown)
        card = pretrain(find_sources(sources, mpp), out, recipe, weights=weights, device=device)
    if is_first():
        console.say(str(card))


@train.command(
    epilog=console.examples("train distill slides/*.svs --teacher uni=pytorch_model.bin -o student")
)
def distill(
    sources: Annotated[
        list[Path], typer.Argument(metavar="SLIDES", help="Slides, fields, folders with images.csv.")
    ],
    teacher: Annotated[
        str, typer.Option(metavar="NAME[=WEIGHTS]", help="Whom to imitate; see `histome encoders list`.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for checkpoint, log and encoder.")],
    steps: Annotated[int, typer.Option(min=1, help="Batches of tiles, at the teacher's um/px.")] = 4000,
    batch: Annotated[int, typer.Option(min=2, help="Tiles at once.")] = 16,
    mpp: Annotated[
        float | None, typer.Option(help="um/px of the sources; overrides what their files say.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; cuda where there is one.")] = None,
) -> None:
    """Teach a small encoder (4 M parameters) what a large one says of tiles: vectors and maps.

    Run the same line again after an interruption. Then: histome embed SLIDE --encoder OUT/encoder.toml.
    """
    with console.extra("encoders"):
        from histome.training.encoders.distill import DistillRecipe, distill_slides

        recipe = DistillRecipe(steps=steps, decay_steps=max(1, steps // 3), batch=batch)
        card = distill_slides(sources, out, teacher=teacher, recipe=recipe, mpp=mpp, device=device)
    console.say(str(card))


@train.command(
    epilog=console.examples(
        "train narrative out --model my-models/smol -o taught --lora 16 --checked 8",
        "train narrative pairs.jsonl --model my-models/smol -o taught",
    )
)
def narrative(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="PAIRS",
            help="JSONL: prompt or facts, and narrative, on each line; or a folder of profiles.",
        ),
    ],
    model: Annotated[Path, typer.Option(help="Folder of a causal language model (safetensors).")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for checkpoint, log and model.")],
    epochs: Annotated[int, typer.Option(min=1)] = 3,
    batch: Annotated[int, typer.Option(min=1, help="Pairs at once; fewer take less memory.")] = 4,
    learning_rate: Annotated[
        float, typer.Option(min=0.0, help="With --lora 10 times as much is usual.")
    ] = 2e-5,
    lora: Annotated[int, typer.Option(min=0, help="Rank of LoRA; 0: all weights are taught.")] = 0,
    most_tokens: Annotated[
        int | None,
        typer.Option(min=1, help="Of a pair; longer ones are left out. As the model reads if not given."),
    ] = None,
    checked: Annotated[
        int,
        typer.Option(
            min=0,
            help="Slides and patches, of profiles kept back whole: the verifier reads what is written of "
            "them.",
        ),
    ] = 0,
    ways: Annotated[
        int, typer.Option(min=1, help="Texts of each slide and tile, of a folder of profiles.")
    ] = 4,
    seed: Annotated[
        int, typer.Option(min=0, max=LARGEST_SEED, help="Of the order of the pairs and of dropout.")
    ] = 1,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Teach a language model to write narratives; a line without one takes the grounded writer's.

    Run the same line again after an interruption. Then set narrative.writer to "transformers" and
    narrative.model to OUT/model.
    """
    with console.extra("train"):
        from histome.training.narrative.pairs import make_pairs, read_pairs, write_pairs
        from histome.training.narrative.train import NarrativeRecipe, train_narrative

        made = data.is_dir()
        pairs, damaged = make_pairs(data, ways=ways, seed=seed) if made else (read_pairs(data), [])
        if damaged:
            more = f"; and {len(damaged) - 5} more" if len(damaged) > 5 else ""
            console.warn(f"profiles left out: {len(damaged)} ({'; '.join(damaged[:5])}{more})")
        recipe = NarrativeRecipe(
            epochs=epochs,
            batch=batch,
            learning_rate=learning_rate,
            lora_rank=lora,
            most_tokens=most_tokens,
            checked=checked,
            seed=seed,
        )
        taught = train_narrative(pairs, model, out, recipe=recipe, device=device)
        if made:
            with writing(out):
                write_pairs(pairs, out / "pairs.jsonl")
    console.say(f"{taught.folder}: taught with {taught.pairs} pairs, last loss {taught.loss:.4f}")
    if taught.written is not None:
        _tell_written(taught.written)


def _tell_written(written: "Written") -> None:
    tally, silent = written.tally, written.silent
    if silent:
        why = "; ".join([*dict.fromkeys(silent)][:_REASONS])
        console.warn(f"{len(silent)} of {written.asked} that were asked gave no text: {why}")
    if not tally.sentences:
        console.warn("no sentence was written of what was kept back: how true the model writes is unknown")
        return
    console.say(
        f"of {written.asked} kept back: {tally.supported} of {tally.sentences} sentences supported, "
        f"{tally.contradicted} contradicted, {tally.not_checkable} not checkable"
    )


@train.command(epilog=console.examples("train curves out/curriculum -o curves.svg"))
def curves(
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of a training, or of several.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write: .svg, .pdf or .png.")],
) -> None:
    """Draw losses and scores of a training over its steps, from the log.csv of every stage."""
    from histome.exports.tme_figures import draw_training_curves
    from histome.store.ownership import refuse_overwriting

    refuse_overwriting(out)
    draw_training_curves(folder, out)
    console.say(str(out))


def _pair(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise UsageError(f"--data {text}: give NAME=FOLDER")
    return name, Path(folder)
