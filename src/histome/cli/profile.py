"""histome profile: slides in, profiles out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from histome.cli import console
from histome.config import Config
from histome.errors import error_line
from histome.names import shown
from histome.pipeline import STAGES

if TYPE_CHECKING:
    from histome.cohort.local import Outcome
    from histome.store.profile import Profile

_TissueModel = Annotated[
    str | None, typer.Option(help="Model that maps the tissue: a name, or a card or its folder.")
]

_Edits = Annotated[
    Path | None, typer.Option(help="Corrections made in `histome view`; or a folder with a file a slide.")
]


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
    roi: Annotated[
        Path | None,
        typer.Option(
            help="Measure these regions alone: GeoJSON (QuPath), Aperio or ASAP XML, in px of level 0; or a "
            "folder with a file a slide."
        ),
    ] = None,
    roi_include: Annotated[
        list[str] | None, typer.Option(help="Only regions of this name or class; may be repeated.")
    ] = None,
    roi_exclude: Annotated[
        list[str] | None, typer.Option(help="Leave out regions of this name or class; may be repeated.")
    ] = None,
    nuclei: Annotated[
        Path | None,
        typer.Option(
            help="Classify and measure these nuclei and find none: GeoJSON (QuPath, CellViT), label image, "
            "points; or a folder with a file a slide."
        ),
    ] = None,
    cells_model: Annotated[
        str | None, typer.Option(help="Model that finds the cells: a name, or a card or its folder.")
    ] = None,
    tissue_model: _TissueModel = None,
    edits: _Edits = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the profile of another slide of the same name.")
    ] = False,
    organ: Annotated[
        str | None, typer.Option(help="Where the tissue was taken from; tells whether the models know it.")
    ] = None,
    site: Annotated[str | None, typer.Option(help="primary or metastasis.")] = None,
    specimen: Annotated[str | None, typer.Option(help="biopsy, resection or cytology.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON list, an entry a slide.")] = False,
) -> int:
    """Measure slides: quality, tissues, cells, metrics, narrative, report.

    What is there already and still holds is not made again: run the same line after an interruption. A slide
    that fails does not end the others; the exit code is that of the worst.
    """
    from histome.cohort.local import profile_slides, worst_exit_code

    settings = Config.from_toml(config) if config else Config()
    stated = {"organ": organ, "site": site, "specimen": specimen}
    chosen = {
        "slide": {"allow_estimated_mpp": allow_estimated_mpp or None, **stated},
        "tissue": {"model": tissue_model},
        "cells": {"model": cells_model, "nuclei": nuclei and str(nuclei)},
        "metrics": {"edits": edits and str(edits)},
        "roi": {"file": roi and str(roi), "include": _names(roi_include), "exclude": _names(roi_exclude)},
    }
    settings = settings.updated(**{name: _updated(settings, name, told) for name, told in chosen.items()})
    names = STAGES if stages is None else [name.strip() for name in stages.split(",")]
    ended = []
    options = {"config": settings, "stages": names, "workers": workers, "overwrite": overwrite}
    with console.bars(len(slides)) as watch:
        for outcome in profile_slides(slides, out, watch=watch, mpp=mpp, **options):
            ended.append(outcome)
            _tell(outcome, told=not json)
    if json:
        console.print_json([_document(outcome) for outcome in ended])
    return worst_exit_code([outcome.exit_code for outcome in ended])


def _names(given: list[str] | None) -> tuple[str, ...] | None:
    return tuple(given) if given else None


def _updated(settings: Config, group: str, told: dict[str, Any]) -> Any:
    """Return a group of settings with what options say of it."""
    return getattr(settings, group).updated(**{name: it for name, it in told.items() if it is not None})


def _document(outcome: "Outcome") -> dict[str, Any]:
    """Return how a slide ended, as JSON."""
    found, error = outcome.profile, outcome.error
    run = found.run if found else {}
    return {
        "slide": outcome.slide_path.name,
        "exit_code": outcome.exit_code,
        "error": None if error is None else error_line(error),
        "profile": found and str(found.path),
        "report": str(found.report) if found and "report" in run["stages"] else None,
        **{name: run.get(name) for name in ("quality", "tissue", "cells", "roi", "nuclei")},
        "warnings": [warning._asdict() for warning in found.warnings] if found else [],
    }


def _tell(outcome: "Outcome", *, told: bool) -> None:
    if outcome.error is not None:
        console.fail(outcome.error)
    if outcome.profile is not None:
        name = shown(outcome.slide_path.name)
        for warning in outcome.profile.warnings:
            if warning.severity != "note":
                console.warn(f"{name}: {warning.code}: {warning.title}. {warning.text}")
        if told:
            console.say(f"{name}: {summary(outcome.profile)}")


def summary(profile: "Profile") -> str:
    """Return a profile in one line: tissue, cells, warnings and where to look."""
    parts = []
    if roi := profile.run.get("roi"):
        count = len(roi["regions"])
        parts.append(f"{count} regions of interest" if count != 1 else "1 region of interest")
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
