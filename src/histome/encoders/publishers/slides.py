"""Encoders of whole slides: the vectors of a slide's tiles go in, one vector comes out."""

from typing import Any

from histome.encoders.registry import encoder

_EXPORT = (
    "its network is in its publisher's code, which is run with an export of the vectors of its tile encoder"
)
_SLIDE: dict[str, Any] = {"level": "slide", "mean": None, "std": None, "pooling": "own"}


@encoder(**_SLIDE, publisher="histome", license="Apache-2.0", gated=False, weights="none", reads="any")
def mean_of_tiles() -> Any:
    """The mean of the vectors of a slide's tiles: what every slide encoder must beat."""
    return lambda tiles, _: tiles.mean(0)


@encoder(
    **_SLIDE,
    publisher="Paige",
    dimension=1280,
    license="CC-BY-NC-ND-4.0",
    gated=True,
    hub="paige-ai/Prism",
    reads="virchow",
    needs=_EXPORT,
    mpp=0.5,
    paper="arXiv:2405.10254",
)
def prism() -> Any:
    """Perceiver over Virchow's tiles, taught by clinical reports."""


@encoder(
    **_SLIDE,
    publisher="Mahmood Lab",
    dimension=512,
    license="MIT",
    gated=True,
    hub="MahmoodLab/madeleine",
    reads="conch",
    needs=_EXPORT,
    mpp=1.0,
    paper="arXiv:2408.02859",
)
def madeleine() -> Any:
    """Attention over CONCH's tiles, taught by slides of several stains."""


@encoder(
    **_SLIDE, publisher="Mahmood Lab", reads="conch-v1-5", needs=_EXPORT, mpp=0.5, paper="arXiv:2501.16652"
)
def threads() -> Any:
    """Slide encoder taught by molecular profiles."""


@encoder(
    **_SLIDE,
    publisher="Mahmood Lab",
    dimension=768,
    license="CC-BY-NC-ND-4.0",
    gated=True,
    hub="MahmoodLab/TITAN",
    reads="conch-v1-5",
    needs=_EXPORT,
    mpp=0.5,
    paper="arXiv:2411.19666",
)
def titan() -> Any:
    """Transformer over CONCH v1.5's tiles of 512 px."""


@encoder(
    **_SLIDE,
    publisher="Harvard Medical School (Yu Lab)",
    dimension=768,
    license="AGPL-3.0",
    gated=False,
    where="https://github.com/hms-dbmi/CHIEF",
    reads="ctranspath",
    needs=_EXPORT,
    mpp=1.0,
    paper="doi:10.1038/s41586-024-07894-z",
)
def chief() -> Any:
    """Attention over CTransPath's tiles, weakly supervised with anatomic sites."""


@encoder(
    **_SLIDE,
    publisher="Microsoft",
    dimension=768,
    license="Apache-2.0",
    gated=True,
    hub="prov-gigapath/prov-gigapath",
    file="slide_encoder.pth",
    reads="prov-gigapath",
    needs=_EXPORT,
    mpp=0.5,
    paper="doi:10.1038/s41586-024-07441-w",
)
def prov_gigapath_slide() -> Any:
    """LongNet over Prov-GigaPath's tiles."""


@encoder(
    **_SLIDE,
    publisher="CARE",
    dimension=512,
    license="CC-BY-NC-4.0",
    gated=True,
    hub="Zipper-1/CARE",
    reads="conch-v1-5",
    needs=_EXPORT,
    mpp=0.5,
)
def care() -> Any:
    """Slide encoder over CONCH v1.5's tiles and their places."""


@encoder(**_SLIDE, publisher="MOOZY", needs=_EXPORT)
def moozy() -> Any:
    """Transformer with register tokens over a grid of tiles and their places."""
