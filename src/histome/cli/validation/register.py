"""histome validate register and transfer: two stains of one section, and places carried across."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histome.cli import console
from histome.errors import UsageError

if TYPE_CHECKING:
    from histome.slide import Slide
    from histome.validation.register.fit import RgbImage

# Longest side of what is laid over each other.
_FIT_PX = 1500


def register(
    he: Annotated[Path, typer.Argument(metavar="HE", help="The H&E slide or field.")],
    ihc: Annotated[Path, typer.Argument(metavar="IHC", help="The same section, restained with DAB.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for transform.npz, overlap.png, index.html.")
    ],
    mpp: Annotated[float | None, typer.Option(help="um/px of the H&E; overrides what the file says.")] = None,
    ihc_mpp: Annotated[float | None, typer.Option(help="um/px of the IHC; as --mpp if not given.")] = None,
    fit_mpp: Annotated[
        float | None,
        typer.Option(help="um/px of what is compared; 1,500 px along the longer side if not given."),
    ] = None,
    mesh: Annotated[int, typer.Option(min=1, max=64, help="Pieces of the B-spline along that side.")] = 8,
    landmarks: Annotated[
        tuple[Path, Path] | None, typer.Option(help="Two CSV, X and Y in px of the H&E and of the IHC.")
    ] = None,
) -> None:
    """Lay an IHC over the H&E of the same section: rigid (turned, mirrored), affine, B-spline."""
    with console.extra("register"):
        import SimpleITK  # noqa: F401
    from histome import open_slide
    from histome.store.disk import writing
    from histome.validation.raters.page import write_page
    from histome.validation.register import register_pair
    from histome.validation.register.landmarks import shared_landmarks
    from histome.validation.register.pictures import registration_sections, save_overlap, warped

    places = None if landmarks is None else shared_landmarks(*landmarks)
    with open_slide(he, mpp=mpp) as fixed, open_slide(ihc, mpp=ihc_mpp or mpp) as moving:
        at = fit_mpp or max(*fixed.extent_um, *moving.extent_um) / _FIT_PX
        at = max(at, fixed.mpp.x, moving.mpp.x)
        pictures, mpps = (_whole(fixed, at), _whole(moving, at)), (fixed.mpp.x, moving.mpp.x)
    found = register_pair(*pictures, at, mpps=mpps, mesh=mesh)
    um = None if places is None else (places[0] * mpps[0], places[1] * mpps[1])
    sections = registration_sections(found, um)
    for row in sections[0].rows:
        console.print_result(
            ", ".join(f"{name} {v:.3f}" if isinstance(v, float) else f"{name} {v}" for name, v in row.items())
        )
    with writing(out):
        page = write_page(out, "H&E and IHC of one section", sections)
        found.warp.save(out / "transform.npz")
        save_overlap(
            out / "overlap.png", pictures[0], warped(pictures[1], found.warp, at, pictures[0].shape[:2])
        )
    console.say(f"{page}")


def _whole(slide: "Slide", mpp: float) -> "RgbImage":
    height, width = slide.shape_at(mpp)
    if height * width > 2**28:
        raise UsageError(f"--fit-mpp {mpp:g}: {slide.id} has {width} x {height} px there; give a coarser one")
    return slide.read(0, 0, size=(width, height), mpp=mpp)


def transfer(
    transform: Annotated[Path, typer.Argument(help="The transform.npz of `validate register`.")],
    shapes: Annotated[Path, typer.Argument(help="GeoJSON or GeoParquet in px of the full resolution.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="GeoJSON of the same shapes on the other slide.")],
    back: Annotated[bool, typer.Option("--back", help="From the IHC to the H&E.")] = False,
) -> None:
    """Carry nuclei or regions from the H&E to the IHC, or back."""
    import shapely

    from histome.interop import read_shapes
    from histome.store.disk import write_json, writing
    from histome.validation.register import Warp

    warp, given = Warp.load(transform), read_shapes(shapes)
    moved = shapely.to_geojson(warp.carry(given.geometry, back=back))
    features = [
        {
            "type": "Feature",
            "geometry": json.loads(text),
            "properties": {"objectType": "annotation", "classification": {"name": str(label)}},
        }
        for text, label in zip(moved, given.label, strict=True)
    ]
    with writing(out.parent):
        write_json(out, {"type": "FeatureCollection", "features": features})
    console.say(f"{len(features):,} shapes in {out}")
