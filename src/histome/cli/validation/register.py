"""histome validate register and transfer: two stains of one section, and places carried across."""

import json
from pathlib import Path
from typing import Annotated

import typer

from histome.cli import console


def register(
    he: Annotated[Path, typer.Argument(metavar="HE", help="The H&E slide or field.")],
    ihc: Annotated[Path, typer.Argument(metavar="IHC", help="The same section, restained with DAB.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="Folder for transform.npz, warped.ome.tif, overlap.png, index.html."
        ),
    ],
    mpp: Annotated[float | None, typer.Option(help="um/px of the H&E; overrides what the file says.")] = None,
    ihc_mpp: Annotated[float | None, typer.Option(help="um/px of the IHC; as --mpp if not given.")] = None,
    fit_mpp: Annotated[
        float | None,
        typer.Option(help="um/px of what is compared; 1,500 px along the longer side if not given."),
    ] = None,
    landmarks: Annotated[
        tuple[Path, Path] | None, typer.Option(help="Two CSV, X and Y in px of the H&E and of the IHC.")
    ] = None,
    restained: Annotated[
        bool, typer.Option("--warped/--no-warped", help="Write warped.ome.tif: the IHC on the H&E's pixels.")
    ] = True,
    warped_mpp: Annotated[float | None, typer.Option(help="Its um/px; the H&E's if not given.")] = None,
) -> None:
    """Lay an IHC over the H&E of the same section: rigid (turned, mirrored), affine, flow."""
    with console.extra("register"):
        import SimpleITK  # noqa: F401
    from histome import open_slide
    from histome.store.disk import writing
    from histome.store.ownership import refuse_overwriting
    from histome.validation.raters.page import write_page
    from histome.validation.register.landmarks import shared_landmarks
    from histome.validation.register.pictures import registration_sections
    from histome.validation.register.warped_slide import lay_over, write_warped

    refuse_overwriting(out / "warped.ome.tif", he, ihc)
    places = None if landmarks is None else shared_landmarks(*landmarks)
    with open_slide(he, mpp=mpp) as fixed, open_slide(ihc, mpp=ihc_mpp or mpp) as moving:
        laid = lay_over(fixed, moving, fit_mpp=fit_mpp)
        um = None if places is None else (places[0] * fixed.mpp.x, places[1] * moving.mpp.x)
        sections = registration_sections(laid.found, um)
        for row in sections[0].rows:
            console.print_result(
                ", ".join(f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items())
            )
        with writing(out):
            page = write_page(out, "H&E and IHC of one section", sections)
            laid.save(out)
            if restained:
                write_warped(
                    out / "warped.ome.tif",
                    moving,
                    laid.found.warp,
                    fixed.extent_um,
                    warped_mpp or fixed.mpp.x,
                )
    console.say(f"{page}")


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
    from histome.store.ownership import refuse_overwriting
    from histome.validation.register import Warp

    refuse_overwriting(out, transform, shapes)
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
