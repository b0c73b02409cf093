"""histome validate staining and metamorphic: the same picture, stained or changed otherwise."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histome.cli import console
from histome.cli.validation.pages import write_sections
from histome.errors import UsageError

if TYPE_CHECKING:
    from histome.checks.robustness import Method, RgbPicture
    from histome.config import Config
    from histome.models.runtime import Predictor

_Mpp = Annotated[float | None, typer.Option(help="um/px of the slide; overrides what the file says.")]
_Config = Annotated[Path | None, typer.Option(help="TOML file with settings that differ.")]
_Side = Annotated[float, typer.Option(min=50, help="Of the square of the slide that is looked at, um.")]
_Workers = Annotated[int, typer.Option(min=1, help="Threads.")]
_Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for tables, figures and index.html.")]


def staining(
    source: Annotated[Path, typer.Argument(help="A slide, or a folder of labeled fields.")],
    out: _Out,
    data_set: Annotated[
        str | None, typer.Option("--as", help="The data set of the folder; its name if not given.")
    ] = None,
    mpp: _Mpp = None,
    config: _Config = None,
    side_um: _Side = 2000.0,
    workers: _Workers = 1,
) -> None:
    """Scores of labeled fields, or counts on a slide, under four simulated stain conditions."""
    from histome.checks.robustness import stained_counts, stained_scores, staining_sections
    from histome.datasets.published import load_labeled

    settings = _settings(config)
    if source.is_dir():
        fields = load_labeled(data_set or source.resolve().name, source)
        rows = stained_scores(fields, _network("cells", settings, workers), settings)
    else:
        pixels, of_slide = _square(source, mpp, side_um, settings)
        rows = stained_counts(pixels, of_slide, _method(settings, workers))
        for row in rows:
            console.print_result(f"{row['figure']}: {row['as_scanned']:.4g}, spread {row['spread']:.4g}")
    write_sections(out, "Under stain conditions", staining_sections(rows))


def metamorphic(
    slide: Annotated[Path, typer.Argument(help="A slide or a field of view.")],
    out: _Out,
    mpp: _Mpp = None,
    config: _Config = None,
    side_um: _Side = 2000.0,
    shift_um: Annotated[str, typer.Option(help="X,Y by which the picture is shifted, um.")] = "137.5,91",
    workers: _Workers = 1,
) -> int:
    """Hold cells and tissue of a slide against the same slide turned, mirrored, shifted, framed, coarser.

    Ends with 1 where a figure leaves its tolerance: counts 2 %, shares 2 points, tissue agreement 0.95.
    """
    from histome.checks import Finding
    from histome.checks.robustness import metamorphic_rows, metamorphic_sections

    settings = _settings(config)
    shift = _offset(shift_um)
    pixels, of_slide = _square(slide, mpp, side_um, settings)
    rows = metamorphic_rows(pixels, of_slide, _method(settings, workers), shift)
    write_sections(out, "What a change of the picture changes", metamorphic_sections(rows))
    found = [
        Finding(row["change"], row["holds"], f"{row['figure']}: {row['before']:.4g} and {row['after']:.4g}")
        for row in rows
    ]
    return console.say_findings(found)


def _offset(words: str) -> tuple[float, float]:
    try:
        x, y = (float(word) for word in words.split(","))
    except ValueError as error:
        raise UsageError(f"--shift-um {words}: give X,Y in um, as 137.5,91") from error
    if not (0 <= x <= 10_000 and 0 <= y <= 10_000):
        raise UsageError(f"--shift-um {words}: 0 to 10,000 um")
    return x, y


def _settings(path: Path | None) -> "Config":
    from histome.config import Config

    return Config.from_toml(path) if path else Config()


def _square(slide: Path, mpp: float | None, side_um: float, settings: "Config") -> "tuple[RgbPicture, float]":
    from histome import open_slide
    from histome.checks.robustness import read_square

    with open_slide(slide, mpp=mpp, allow_estimated_mpp=settings.slide.allow_estimated_mpp) as opened:
        return read_square(opened, side_um), opened.mpp.x


def _method(settings: "Config", workers: int) -> "Method":
    from histome.checks.robustness import Method

    tissue, cells = (_network(stage, settings, workers) for stage in ("tissue", "cells"))
    return Method(tissue, cells, settings, workers)


def _network(stage: str, settings: "Config", workers: int) -> "Predictor":
    from histome.models.registry import find_model, open_model

    card = find_model(getattr(settings, stage).model)
    return open_model(card, settings.runtime, threads=workers)
