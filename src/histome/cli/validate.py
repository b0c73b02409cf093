"""histome validate: compare with what people said."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histome.cli import console
from histome.cli.validation.narrative import narrative
from histome.cli.validation.pages import compared, print_rows, write_sections
from histome.cli.validation.positivity import positivity
from histome.cli.validation.register import register, transfer
from histome.cli.validation.robustness import metamorphic, staining
from histome.cli.validation.study import study
from histome.errors import UsageError

if TYPE_CHECKING:
    from pyarrow import Table
    from shapely import Geometry

    from histome.validation.raters import Votes
    from histome.validation.raters.accuracy import Drawing, Judge
    from histome.validation.raters.match import Placed
    from histome.validation.raters.page import Section
    from histome.validation.raters.votes import Answers

_Votes = Annotated[
    Path,
    typer.Argument(
        metavar="VOTES", help="CSV or Parquet: cell_id, rater, label and, if any, condition and more."
    ),
]
_Model = Annotated[
    Path,
    typer.Option("--model", help="The model's answers: cell_id, label and, if any, confidence, abstained."),
]
_Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for tables, figures and index.html.")]
_Truth = Annotated[str | None, typer.Option(help="The condition whose consensus is the truth.")]
_Rated = Annotated[
    str | None, typer.Option(help="The condition whose votes are scored; --truth if not given.")
]
_Classes = Annotated[
    str | None, typer.Option(help="The classes that are scored, with commas; all if not given.")
]
_Units = Annotated[
    str | None, typer.Option(help="A column drawn whole: slide or patient. Cells if not given.")
]
_Strata = Annotated[str | None, typer.Option(help="A column within whose values is drawn.")]
_Draws = Annotated[int, typer.Option(min=1, help="Of the bootstrap.")]
_Seed = Annotated[int, typer.Option(min=0, help="Of the bootstrap.")]

validate = typer.Typer(help="Compare results with what people said.")
validate.add_typer(study, name="study")
validate.command(epilog=console.examples("validate staining slide.svs -o staining"))(staining)
validate.command(epilog=console.examples("validate metamorphic slide.svs -o metamorphic --shift-um 100,50"))(
    metamorphic
)
validate.command(epilog=console.examples("validate register he.svs ihc.svs -o registered"))(register)
validate.command(
    epilog=console.examples("validate transfer registered/transform.npz nuclei.geojson -o on_ihc.geojson")
)(transfer)
validate.command(
    epilog=console.examples(
        "validate positivity out/slide --panel panel.toml --stain cd3=cd3/warped.ome.tif -o labels"
    )
)(positivity)


validate.command(
    epilog=console.examples("validate narrative cases.jsonl", "validate narrative --raters labels.csv")
)(narrative)


@validate.callback()
def validate_group() -> None:
    """Compare results with what people said."""


@validate.command(epilog=console.examples("validate agreement votes.csv -o agreement --units slide"))
def agreement(
    votes: _Votes,
    out: _Out,
    ordinal: Annotated[
        str | None, typer.Option(help="The labels in their order, with commas: alpha counts distances.")
    ] = None,
    units: _Units = None,
    draws: _Draws = 10_000,
    seed: _Seed = 0,
) -> None:
    """Agreement of raters: Krippendorff's alpha, Fleiss' and Cohen's kappa, per class and condition."""
    from histome.validation.raters.sections import agreement_sections

    read = _votes(votes, labels=_list(ordinal))
    drawing = _drawing(read, units=units, draws=draws, seed=seed)
    sections = agreement_sections(read, drawing, "ordinal" if ordinal else "nominal")
    _write(out, "Agreement of raters", [compared(read, None, units), *sections])


@validate.command(epilog=console.examples("validate consensus votes.csv -o consensus --at-least 3"))
def consensus(
    votes: _Votes,
    out: _Out,
    at_least: Annotated[int, typer.Option(min=1, help="Votes that a cell needs.")] = 2,
) -> None:
    """The label of each cell that most votes name, and how many cells have none, and why."""
    from histome.validation.raters.sections import consensus_sections

    read = _votes(votes)
    sections = consensus_sections(read, at_least)
    print_rows(sections[0].rows)
    _write(out, "Consensus", [compared(read), *sections])


@validate.command(
    epilog=console.examples("validate score votes.csv -o score --model model.csv --truth HE_IHC --rated HE")
)
def score(
    votes: _Votes,
    out: _Out,
    model: Annotated[
        Path | None,
        typer.Option(help="The answers of a model: cell_id, label; confidence, abstained if any."),
    ] = None,
    truth: _Truth = None,
    rated: _Rated = None,
    classes: _Classes = None,
    units: _Units = None,
    strata: _Strata = None,
    draws: _Draws = 10_000,
    seed: _Seed = 0,
) -> None:
    """A model and each rater against the consensus, on the same cells, and their differences."""
    from histome.validation.raters.sections import condition_of, score_sections

    read = _votes(votes)
    against, answers = condition_of(read, truth), None if model is None else _answers(model)
    sections = score_sections(
        read,
        None if answers is None else _judge(read, answers),
        _drawing(read, units=units, strata=strata, draws=draws, seed=seed),
        truth=against,
        rated=condition_of(read, rated or against),
        classes=_list(classes),
    )
    _write(out, "A model and raters against the consensus", [compared(read, answers, units), *sections])


@validate.command(epilog=console.examples("validate abstention votes.csv --model model.csv -o abstention"))
def abstention(
    votes: _Votes,
    model: _Model,
    out: _Out,
    truth: _Truth = None,
    rated: _Rated = None,
    classes: _Classes = None,
    units: _Units = None,
    draws: _Draws = 10_000,
    seed: _Seed = 0,
) -> None:
    """What leaving out the unsure buys: F1 against coverage, matched with the raters', and calibration."""
    from histome.validation.raters.sections import abstention_sections, condition_of

    read = _votes(votes)
    against, answers = condition_of(read, truth), _answers(model)
    sections = abstention_sections(
        read,
        _judge(read, answers),
        _drawing(read, units=units, draws=draws, seed=seed),
        truth=against,
        rated=condition_of(read, rated or against),
        classes=_list(classes),
    )
    _write(out, "Abstention and calibration", [compared(read, answers, units), *sections])


@validate.command(
    epilog=console.examples("validate strata votes.csv --model model.csv --by cancer,scanner -o strata")
)
def strata(
    votes: _Votes,
    model: _Model,
    by: Annotated[str, typer.Option(help="Columns of the votes, with commas: their values are crossed.")],
    out: _Out,
    truth: _Truth = None,
    classes: _Classes = None,
    units: _Units = None,
    draws: _Draws = 10_000,
    seed: _Seed = 0,
) -> None:
    """A model's scores by cancer, site, scanner or any columns: the worst first, the small ones marked."""
    from histome.validation.raters.sections import condition_of, strata_sections

    read, answers = _votes(votes), _answers(model)
    sections = strata_sections(
        read,
        _judge(read, answers),
        _drawing(read, units=units, draws=draws, seed=seed),
        truth=condition_of(read, truth),
        by=_list(by) or (),
        classes=_list(classes),
    )
    _write(out, "Scores by stratum", [compared(read, answers, units), *sections])


@validate.command(epilog=console.examples("validate match out/slide ann.geojson ben.geojson -o matched"))
def match(
    profile: Annotated[Path, typer.Argument(help="Folder of a profile.")],
    labels: Annotated[
        list[Path],
        typer.Argument(help="One file a rater, labels in level-0 px: QuPath GeoJSON, GeoParquet, CSV."),
    ],
    out: _Out,
    classes: Annotated[
        Path | None, typer.Option(help="TOML: a table [cells], their label = one of ours.")
    ] = None,
    area: Annotated[
        Path | None, typer.Option(help="GeoJSON: where all nuclei are labeled; then detection is scored too.")
    ] = None,
    within_um: Annotated[float, typer.Option(min=0.0, help="Largest distance of a pair.")] = 3.0,
) -> None:
    """Labels given at places, set beside the cells of a profile: votes.csv and model.csv for the others."""
    from histome.validation.raters.match import match_votes
    from histome.validation.raters.sections import match_sections

    cells, placed, area_um = _placed(profile, labels, classes, area)
    matched = match_votes(cells, placed, area_um=area_um, within_um=within_um)
    print_rows(matched.counts)
    for doubt in matched.doubts:
        console.warn(doubt)
    _write(out, "Labels beside cells", match_sections(matched, within_um))


@validate.command(epilog=console.examples("validate segmentation true.png found.png --mpp 0.25 -o scores"))
def segmentation(
    true: Annotated[
        Path, typer.Argument(help="Label image (PNG, TIFF, NPY), outlines (GeoJSON), or a folder.")
    ],
    found: Annotated[
        Path, typer.Argument(help="The same of the model; in folders, files of the same names.")
    ],
    out: _Out,
    mpp: Annotated[float, typer.Option(help="um/px of both.")],
    maps: Annotated[
        str | None,
        typer.Option(help="Class maps, not nuclei: the classes of the values 1, 2 ..., with commas."),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="CSV: image (the files' names) and columns to split by.")
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="Columns of --images, with commas: tissue, scanner ...")
    ] = None,
    draws: _Draws = 10_000,
    seed: _Seed = 0,
) -> None:
    """Outlines against outlines (Dice, AJI, PQ, detection F1), or class maps against class maps."""
    from histome.cli.validation.segmentation import paired, read_maps, read_pair, read_strata
    from histome.validation import segmentation as scores

    if not 0 < mpp < 100:
        raise UsageError(f"--mpp {mpp:g}: um/px of an image is between 0 and 100")
    names = _classes_of(maps)
    files, alone = paired(true, found)
    strata = read_strata(images, list(files), _list(by))
    if names:
        pairs = {name: read_maps(*two, names, mpp) for name, two in files.items()}
        sections = scores.map_sections(pairs, names, seed=seed, draws=draws, strata=strata)
        doubts = scores.map_doubts(pairs)
    else:
        shown = {name: read_pair(*two) for name, two in files.items()}
        sections = scores.segmentation_sections(shown, mpp, seed=seed, draws=draws, strata=strata)
        doubts = scores.segmentation_doubts(shown, mpp)
    for doubt in [*alone, *doubts]:
        console.warn(doubt)
    _write(out, "Class maps" if names else "Segmentation of nuclei", sections)


def _classes_of(maps: str | None) -> tuple[str, ...] | None:
    """The classes of the values 1, 2 ... in their order, each with a name of its own."""
    if maps is None:
        return None
    names = tuple(word.strip() for word in maps.split(","))
    if not any(names):
        raise UsageError("--maps names no class; give those of the values 1, 2 ..., with commas")
    if "" in names:
        raise UsageError(f"--maps {maps}: the value {names.index('') + 1} has no name; give each one")
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"--maps {maps}: {twice[0]} is named twice; give each value a name of its own")
    return names


def _placed(
    folder: Path, labels: list[Path], classes: Path | None, area: Path | None
) -> "tuple[Table, dict[str, Placed], Geometry | None]":
    """The cells of a profile, what each rater said where, and the area in which all is labeled, in um."""
    import numpy as np
    import shapely

    from histome import load_profile
    from histome.interop import read_foreign_cells, read_labels, read_shapes
    from histome.validation.raters.match import Placed

    names = [path.name.split(".")[0] for path in labels]
    if len(set(names)) < len(names):
        raise UsageError("two files have one name: the names of the files are the names of the raters")
    profile = load_profile(folder)
    mpp, mapping = float(profile.run["slide"]["mpp"]["x"]), read_labels(classes).cells if classes else {}
    placed = {}
    for name, path in zip(names, labels, strict=True):
        table = read_foreign_cells(path, mapping, mpp=mpp)
        centers = np.stack([table["x_um"].to_numpy(), table["y_um"].to_numpy()], axis=1)
        placed[name] = Placed(centers, np.asarray(table["class"].to_pylist(), object))
    if area is None:
        return profile.cells, placed, None
    whole = shapely.union_all(read_shapes(area).geometry)
    return profile.cells, placed, shapely.transform(whole, lambda xy: xy * mpp)


def _list(words: str | None) -> tuple[str, ...] | None:
    return None if words is None else tuple(word.strip() for word in words.split(",") if word.strip())


def _votes(path: Path, labels: tuple[str, ...] | None = None) -> "Votes":
    from histome.validation.raters import read_votes

    return read_votes(path, labels=labels)


def _answers(path: Path) -> "Answers":
    from histome.validation.raters import read_answers

    return read_answers(path)


def _judge(votes: "Votes", answers: "Answers") -> "Judge":
    from histome.validation.raters.accuracy import answers_of_model

    return answers_of_model(votes, answers)


def _drawing(
    votes: "Votes", *, units: str | None, draws: int, seed: int, strata: str | None = None
) -> "Drawing":
    from histome.validation.raters.sections import drawing_of

    return drawing_of(votes, seed=seed, draws=draws, units=units, strata=strata)


def _write(out: Path, title: str, sections: "list[Section]") -> None:
    for section in sections:
        for row in section.rows if section.figure == "intervals" else ():
            said = row if "truth" not in row else {**row, "judge": f"{row['judge']} against {row['truth']}"}
            name = ", ".join(
                str(said[k]) for k in ("judge", "measure", "condition", "stratum", "label") if k in row
            )
            drawn = row["n"] > 1 and row["low"] == row["low"]  # drawn from one, all draws are the same
            known = f"95 % {row['low']:.3f} to {row['high']:.3f}, " if drawn else ""
            value = f"{row['value']:.3f}" if row["value"] == row["value"] else "not known"
            console.print_result(f"{name}: {value} ({known}n = {row['n']:,})")
    write_sections(out, title, sections)
