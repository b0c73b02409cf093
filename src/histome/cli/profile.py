"""histome profile: slides in, profiles out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histome.cli import console
from histome.config import Config
from histome.names import shown
from histome.pipeline import STAGES

if TYPE_CHECKING:
    from histome.cohort.local import Outcome
    from histome.store.profile import Profile


def profile(
    slides: Annotated[list[Path], typer.Argument(metavar="SLIDE", help="Slides or fields of view.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the profiles, one folder a slide.")
    ] = Path("histome-out"),
    mpp: Annotated[
        float | None, typer.Option(help="um/px of the slides; overrides what the files say.")
    ] = None,
    allow_estimated_mpp: Annotated[
        bool, typer.Option("--allow-estimated-mpp", help="Take 10 / magnification where um/px is not stated.")
    ] = False,
    stages: Annotated[
        str | None,
        typer.Option(help=f"Bring only these, and those they need, up to date: {','.join(STAGES)}."),
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Threads; by default all CPUs allowed.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with settings that differ.")] = None,
    cells_model: Annotated[
        str | None, typer.Option(help="Model that finds the cells: a name, or a card or its folder.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the profile of another slide of the same name.")
    ] = False,
    organ: Annotated[
        str | None, typer.Option(help="Where the tissue was taken from; tells whether the models know it.")
    ] = None,
    site: Annotated[str | None, typer.Option(help="primary or metastasis.")] = None,
    specimen: Annotated[str | None, typer.Option(help="biopsy, resection or cytology.")] = None,
) -> int:
    """Measure slides: quality, tissues, cells, metrics, narrative, report.

    What is there already and still holds is not made again: run the same line after an interruption. A slide
    that fails does not end the others; the exit code is that of the worst.
    """
    from histome.cohort.local import profile_slides, worst_exit_code

    settings = Config.from_toml(config) if config else Config()
    estimated = allow_estimated_mpp or None
    stated = {"allow_estimated_mpp": estimated, "organ": organ, "site": site, "specimen": specimen}
    settings = settings.updated(
        slide=settings.slide.updated(**{name: value for name, value in stated.items() if value is not None}),
        cells=settings.cells.updated(model=cells_model or settings.cells.model),
    )
    names = STAGES if stages is None else [name.strip() for name in stages.split(",")]
    codes = []
    options = {"config": settings, "stages": names, "workers": workers, "overwrite": overwrite}
    with console.bars(len(slides)) as watch:
        for outcome in profile_slides(slides, out, watch=watch, mpp=mpp, **options):
            codes.append(outcome.exit_code)
            _tell(outcome)
    return worst_exit_code(codes)


def _tell(outcome: "Outcome") -> None:
    if outcome.error is not None:
        console.fail(outcome.error)
    if outcome.profile is not None:
        name = shown(outcome.slide_path.name)
        for warning in outcome.profile.warnings:
            if warning.severity != "note":
                console.warn(f"{name}: {warning.code}: {warning.title}. {warning.text}")
        console.say(f"{name}: {summary(outcome.profile)}")


def summary(profile: "Profile") -> str:
    """Return a profile in one line: tissue, cells, warnings and where to look."""
    parts = []
    if quality := profile.run.get("quality"):
        parts.append(f"{quality['valid_mm2']:.4g} mm2 of valid tissue")
    if cells := profile.run.get("cells"):
        parts.append(f"{cells['counted']:,} cells")
    codes = [warning.code for warning in profile.warnings if warning.severity != "note"]
    many = "warning" if len(codes) == 1 else "warnings"
    parts.append(f"{len(codes)} {many} ({', '.join(codes)})" if codes else "no warnings")
    has_report = "report" in profile.run["stages"]
    parts.append(f"report {profile.report}" if has_report else f"stages in {profile.path}")
    return "; ".join(parts)
