"""histome embed: vectors of a slide's tiles or nuclei, in files that other programs read."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from histome.cli import console


def embed(
    slide: Annotated[Path, typer.Argument(metavar="SLIDE", help="A slide or field of view.")],
    encoder: Annotated[
        str, typer.Option(metavar="NAME", help="See `histome encoders list`; timm:MODEL, or a card (.toml).")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the vectors.")],
    weights: Annotated[Path | None, typer.Option(help="The encoder's weights: a file or a folder.")] = None,
    hub: Annotated[
        bool, typer.Option("--hub", help="Download them with your login of the Hugging Face hub.")
    ] = False,
    profile: Annotated[
        Path | None, typer.Option(help="The slide's profile: its quality and its nuclei.")
    ] = None,
    nuclei: Annotated[
        bool, typer.Option("--nuclei", help="A patch round each nucleus of --profile, in place of tiles.")
    ] = False,
    at_mpp: Annotated[
        float | None, typer.Option(help="um/px of the tiles; by default the encoder's.")
    ] = None,
    stain: Annotated[
        Literal["none", "macenko", "reinhard"], typer.Option(help="Stain normalization, fitted to the slide.")
    ] = "none",
    least_tissue: Annotated[
        float, typer.Option(min=0, max=1, help="Share of a tile that is valid tissue, at least.")
    ] = 0.5,
    layout: Annotated[
        str, typer.Option(help="trident, clam or slide2vec, as those programs read them; zarr or parquet.")
    ] = "trident",
    slide_encoder: Annotated[
        str | None, typer.Option(metavar="NAME[=WEIGHTS]", help="Make one vector of the slide of them, too.")
    ] = None,
    clusters: Annotated[
        int | None, typer.Option(min=1, help="Sort the tiles into so many groups, with a montage of each.")
    ] = None,
    mpp: Annotated[
        float | None, typer.Option(help="um/px of the slide; overrides what its file says.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Tiles at once.")] = 32,
    workers: Annotated[int, typer.Option(min=1, help="Threads that read.")] = 2,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Write the vectors of a slide: a tile of valid tissue or a nucleus each. Run again to go on."""
    with console.extra("encoders"):
        from histome.embedding import EmbedSettings, embed_slide, embed_whole
        from histome.embedding.clusters import cluster_file
        from histome.encoders import find_encoder, open_encoder, open_slide_encoder
        from histome.slide import open_slide
        from histome.store.profile import load_profile

        card = find_encoder(encoder)
        where: dict[str, Any] = {"hub": hub, "device": device, "told": console.say}
        opened = open_encoder(card, weights, **where)
        name, _, own = (slide_encoder or "").partition("=")
        whole = open_slide_encoder(name, Path(own) if own else None, **where) if name else None
        settings = EmbedSettings(at_mpp, stain, nuclei, least_tissue, batch, workers)
        read = None if profile is None else load_profile(profile)
        with open_slide(slide, mpp=mpp) as source, console.bars() as shown:
            told = shown(slide)
            file = embed_slide(
                source,
                opened,
                out,
                settings,
                profile=read,
                layout=layout,
                progress=lambda done, total: told("embed", done, total),
            )
            console.say(str(file))
            if whole is not None:
                console.say(str(embed_whole(source, file, whole)))
            if clusters is not None:
                console.say(str(cluster_file(source, file, clusters)))
