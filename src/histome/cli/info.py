"""histome info: what a slide's file says."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Print a slide's format, size, resolution and levels, and about how long a profile takes here."""
    from histome.cohort import estimate_cost
    from histome.slide import open_slide

    with open_slide(slide, mpp=mpp, allow_estimated_mpp=allow_estimated_mpp) as opened:
        cost = estimate_cost(opened)
        if json:
            console.print_json({**_document(opened), "estimate": cost._asdict()})
            return
        for name, value in [*_facts(opened), ("profile would take", cost.line())]:
            console.print_result(f"{name:<22}{value}")


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


def _document(slide: "Slide") -> dict[str, Any]:
    mpp, reader = slide.mpp, slide.reader
    return {
        "slide": slide.id,
        "format": reader.format,
        "size_px": list(slide.size_px),
        "extent_um": list(slide.extent_um),
        "mpp": {"x": mpp.x, "y": mpp.y, "source": mpp.source},
        "levels": [{"size_px": [it.width, it.height], "downsample": it.downsample} for it in reader.levels],
        "properties": {name: str(value) for name, value in reader.properties.items()},
        "notes": list(slide.notes),
        "fingerprint": slide.fingerprint(),
    }
