"""histome validate study: what is shown to whom, and what came back."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histome.cli import console
from histome.cli.validation.pages import write_sections
from histome.errors import DataError, UsageError

if TYPE_CHECKING:
    from histome.validation.study import StudySlide
    from histome.validation.study.restained import Restained

study = typer.Typer(help="A reader study: its folder, and the answers read back.")


@study.callback()
def study_group() -> None:
    """Make a reader study, and read its answers back."""


@study.command(epilog=console.examples("validate study init out/* -o study --raters ann,ben"))
def init(
    profiles: Annotated[list[Path], typer.Argument(help="Folders of profiles, one a slide.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="A new folder for the study.")],
    raters: Annotated[str, typer.Option(help="Their names, with commas.")],
    conditions: Annotated[str, typer.Option(help="What is shown, in this order, with commas.")] = "HE,HE_IHC",
    classes: Annotated[
        str | None, typer.Option(help="The choices, with commas; our classes if none.")
    ] = None,
    slides: Annotated[
        Path | None, typer.Option(help="CSV: slide and columns to split by: cancer, scanner ...")
    ] = None,
    unbiased: Annotated[int, typer.Option(min=1, help="Regions of a slide that are drawn as any.")] = 4,
    enriched: Annotated[int, typer.Option(min=0, help="Regions of a slide drawn for each class.")] = 1,
    nuclei: Annotated[int, typer.Option(min=1, help="Of a region.")] = 30,
    start: Annotated[str | None, typer.Option(help="First day, as 2026-01-31; today if not given.")] = None,
    washout_days: Annotated[int, typer.Option(min=0, help="Between two conditions.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Of regions, nuclei and orders.")] = 0,
    panel: Annotated[
        Path | None, typer.Option(help="TOML: markers and classes of restained pictures.")
    ] = None,
    stains: Annotated[
        Path | None, typer.Option(help="CSV: slide, he and a column for each picture of the panel.")
    ] = None,
    mpp: Annotated[float | None, typer.Option(help="um/px of restained pictures that state none.")] = None,
) -> None:
    """Make the folder of a reader study: regions, nuclei, and blinded files for each rater and condition."""
    from datetime import date

    from histome.classes import CELL_CLASSES
    from histome.datasets.fields import read_rows
    from histome.store.disk import writing
    from histome.validation.study import StudyPlan, write_study
    from histome.validation.study.kit import LEFT_OUT
    from histome.validation.study.regions import Sizes

    try:
        first = date.fromisoformat(start) if start else date.today()
    except ValueError as error:
        raise UsageError(f"--start {start}: {error}") from error
    who, shown = (tuple(word.strip() for word in words.split(",")) for words in (raters, conditions))
    labels = tuple(word.strip() for word in classes.split(",")) if classes else CELL_CLASSES
    plan = StudyPlan(who, shown, labels, first, washout_days, Sizes(unbiased, enriched, nuclei), seed)
    with writing(out):
        made = write_study(out, plan, _slides(profiles, slides), _restained(panel, stains, mpp))
    for row in read_rows(out / LEFT_OUT) if (out / LEFT_OUT).exists() else ():
        console.warn(f"{row['slide']} is left out of the study. {row['why']}")
    console.print_result(", ".join(f"{name} {number:,}" for name, number in made.items()))
    console.say(f"{out / 'README.md'}")


def _restained(panel: Path | None, stains: Path | None, mpp: float | None) -> "Restained | None":
    from histome.datasets.fields import read_rows
    from histome.validation.panel import read_panel
    from histome.validation.study.restained import restained_of

    if (panel is None) != (stains is None):
        raise UsageError("--panel and --stains go together")
    if panel is None or stains is None:
        return None
    with console.extra("register"):
        import SimpleITK  # noqa: F401
    asked = read_panel(panel)
    try:
        rows = read_rows(stains)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{stains}: no table of stains ({error}).") from error
    return restained_of(asked, rows, stains.parent, mpp)


def _slides(profiles: list[Path], table: Path | None) -> "list[StudySlide]":
    import histome
    from histome.datasets.fields import read_rows
    from histome.validation.study import StudySlide

    rows = {}
    if table is not None:
        try:
            rows = {row.pop("slide"): row for row in read_rows(table)}
        except (OSError, KeyError, UnicodeDecodeError) as error:
            raise DataError(f"{table}: no table with a column slide ({error}).") from error
    loaded = [(folder.resolve().name, histome.load_profile(folder)) for folder in profiles]
    absent = [name for name, _ in loaded if rows and name not in rows]
    if absent:
        raise DataError(f"{table}: no row for {', '.join(absent)}.")
    return [
        StudySlide(name, profile.cells, float(profile.run["slide"]["mpp"]["x"]), rows.get(name, {}))
        for name, profile in loaded
    ]


@study.command(epilog=console.examples("validate study collect study -o answers"))
def collect(
    folder: Annotated[Path, typer.Argument(help="Of the study, with the filled files in raters/.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the tables and index.html.")],
    draws: Annotated[int, typer.Option(min=1, help="Of the bootstrap.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
) -> None:
    """Read the filled files back and tell what they say; its tables are for the other commands."""
    from histome.interop.qupath import read_annotations
    from histome.validation.study.collected import Drawn, collect_study
    from histome.validation.study.outcome import collected_sections

    found = collect_study(folder, lambda path: (Drawn(*each) for each in read_annotations(path)))
    for row in found.counts:
        console.print_result(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in row.items()))
    write_sections(out, "What came back", collected_sections(found, draws=draws, seed=seed))
