"""histome info: what a slide's file says."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histome.cli import console

if TYPE_CHECKING:
    from histome.slide import Level, Slide


def info(
    slide: Annotated[Path, typer.Argument(metavar="SLIDE", help="A slide or field of view.")],
    mpp: Annotated[float | None, typer.Option(help="um/px; overrides what the file says.")] = None,
    allow_estimated_mpp: Annotated[
        bool, typer.Option("--allow-estimated-mpp", help="Take 10 / magnification where um/px is not stated.")
    ] = False,
) -> None:
    """Print a slide's format, size, resolution and levels."""
    from histome.slide import open_slide

    with open_slide(slide, mpp=mpp, allow_estimated_mpp=allow_estimated_mpp) as opened:
        for name, value in _facts(opened):
            console.say(f"{name:<22}{value}")


def _facts(slide: "Slide") -> list[tuple[str, str]]:
    mpp, (width_um, height_um) = slide.mpp, slide.extent_um
    facts = [
        ("slide", slide.id),
        ("format", slide.reader.format),
        ("size", f"{slide.size_px[0]} x {slide.size_px[1]} px"),
        ("extent", f"{width_um / 1000:.3f} x {height_um / 1000:.3f} mm"),
        ("resolution", f"{mpp.x:.5g} x {mpp.y:.5g} um/px ({mpp.source})"),
    ]
    facts += [(f"level {number}", _level(level)) for number, level in enumerate(slide.reader.levels)]
    facts += [(name, value) for name, value in slide.reader.properties.items()]
    return [*facts, *(("note", note) for note in slide.notes), ("fingerprint", slide.fingerprint())]


def _level(level: "Level") -> str:
    return f"{level.width} x {level.height} px, downsample {level.downsample:.6g}"
