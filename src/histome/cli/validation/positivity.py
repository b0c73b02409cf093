"""histome validate positivity: molecular labels of a profile's nuclei from restained pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histome.cli import console
from histome.cli.validation.pages import write_sections
from histome.errors import DataError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from histome.slide import Slide
    from histome.store.profile import Profile

# Pictures of one extent differ by rounding of their pixels and of stated resolutions.
_SAME_EXTENT = 0.02


def positivity(
    profile: Annotated[Path, typer.Argument(help="Folder of the H&E's profile.")],
    panel: Annotated[Path, typer.Option(help="TOML: markers and classes, see the documentation.")],
    stain: Annotated[
        list[str], typer.Option(help="NAME=FILE: a picture of the panel, as it lies on the H&E. Repeat.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for tables and index.html.")],
    mpp: Annotated[
        float | None, typer.Option(help="um/px of the pictures; overrides what the files say.")
    ] = None,
    he: Annotated[Path | None, typer.Option(help="The H&E; with it, fields to train on are written.")] = None,
    fields: Annotated[int, typer.Option(min=1, help="How many of those, of 256 um.")] = 40,
) -> None:
    """Which markers each nucleus has by immunostains, and the class that a panel's rules make of them."""
    from histome import load_profile, open_slide
    from histome.store.disk import writing
    from histome.validation.panel import call_classes, measure_markers, read_panel
    from histome.validation.panel.calls import panel_sections
    from histome.validation.panel.written import label_table, write_labels, write_training_fields

    asked, loaded = read_panel(panel), load_profile(profile)
    files = _files(stain, asked.stains)
    outlines_um, readings = outlines_of(loaded), {}
    for name, path in files.items():
        with open_slide(path, mpp=mpp) as picture:
            check_extent(picture, loaded.run["slide"], name)
            readings |= measure_markers(picture, outlines_um, asked, name)
    calls = call_classes(readings, asked)
    sections = panel_sections(calls, readings, asked)
    for row in sections[0].rows:
        console.print_result(f"{row['label']}: {row['nuclei']:,} of {row['of']:,}")
    slide = str(loaded.run["slide"]["id"])
    with writing(out):
        write_labels(out, label_table(loaded.cells["cell_id"].to_pylist(), calls, readings, slide=slide))
        if he is not None:
            size = loaded.run["slide"]["mpp"]["x"]
            with open_slide(he, mpp=size) as slide_of_he:
                made = write_training_fields(
                    out / "fields", slide_of_he, outlines_um, calls.label, fields=fields
                )
            console.print_result(f"{made} fields to train on: {out / 'fields'}")
    write_sections(out, "Molecular labels", sections)


def outlines_of(profile: "Profile") -> "NDArray[np.object_]":
    """The outlines of a profile's cells, um; raises DataError where it has none."""
    import numpy as np
    import shapely

    if not len(profile.cells):
        raise DataError(f"{profile.path}: the profile has no cell.")
    mpp = np.array([profile.run["slide"]["mpp"][axis] for axis in "xy"], float)
    shapes = shapely.from_wkb(profile.cells["geometry"].to_pylist())
    return shapely.transform(shapes, lambda xy: xy * mpp)  # type: ignore[return-value]


def check_extent(picture: "Slide", he: dict, name: str) -> None:
    """Refuse a picture that does not cover what the H&E covers: it was not laid over it."""
    size = he.get("size_px")
    if not size:
        return
    wanted = [number * he["mpp"][axis] for number, axis in zip(size, "xy", strict=True)]
    if any(abs(a / b - 1) > _SAME_EXTENT for a, b in zip(picture.extent_um, wanted, strict=True)):
        have, want = (f"{a:,.0f} x {b:,.0f} um" for a, b in (picture.extent_um, wanted))
        raise DataError(
            f"{name}: {picture.path.name} is {have}, the H&E {want}: lay it over the H&E first "
            "(histome validate register), or give its --mpp."
        )


def _files(given: Sequence[str], wanted: Sequence[str]) -> dict[str, Path]:
    """Picture -> file, all that the panel asks for and no other."""
    pairs = [text.partition("=") for text in given]
    if any(not sign or not path for _, sign, path in pairs):
        raise UsageError(f"--stain {', '.join(given)}: give NAME=FILE")
    files = {name: Path(path) for name, _, path in pairs}
    if set(files) != set(wanted) or len(files) < len(pairs):
        raise UsageError(f"--stain: give each of the panel's pictures once ({', '.join(wanted)})")
    return files
