"""Encoders of whole slides: the vectors of a slide's tiles go in, one vector comes out."""

from typing import Any

from histome.encoders.registry import encoder

_EXPORT = (
    "its network is in its publisher's code, which is run with an export of the vectors of its tile encoder"
)
_CLOSED = "its publisher has given no weights away yet"
_SLIDE: dict[str, Any] = {"level": "slide", "mean": None, "std": None, "pooling": "own"}


@encoder(
    **_SLIDE | {"pooling": "mean"},
    publisher="histome",
    license="Apache-2.0",
    gated=False,
    weights="none",
    reads="any",
)
def mean_of_tiles() -> Any:
    """The mean of the vectors of a slide's tiles: what every slide encoder must beat."""
    return lambda vectors, _: vectors.mean(0)


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
    **_SLIDE | {"pooling": "attention"},
    publisher="Mahmood Lab",
    dimension=512,
    parameters=4_734_468,
    license="MIT",
    gated=True,
    hub="MahmoodLab/madeleine",
    file="model.pt",
    reads="conch",
    mpp=1.0,
    paper="arXiv:2408.02859",
)
def madeleine() -> Any:
    """Attention of four heads over CONCH's tiles, taught by slides of several stains."""
    from histome.encoders.slide_pools import Madeleine

    return Madeleine()


@encoder(
    **_SLIDE | {"pooling": "attention"},
    publisher="Mahmood Lab",
    dimension=512,
    parameters=788_097,
    license="CC-BY-NC-ND-4.0",
    gated=True,
    hub="MahmoodLab/abmil.base.conch_v15.pc108-24k",
    file="model.safetensors",
    reads="conch-v1-5",
    mpp=0.5,
)
def feather() -> Any:
    """Attention over CONCH v1.5's tiles, taught to tell 108 diagnoses."""
    from histome.encoders.slide_pools import Feather

    return Feather(768)


@encoder(
    **_SLIDE | {"pooling": "attention"},
    publisher="Mahmood Lab",
    dimension=512,
    parameters=1_181_313,
    license="CC-BY-NC-ND-4.0",
    gated=True,
    hub="MahmoodLab/abmil.base.uni_v2.pc108-24k",
    file="model.safetensors",
    reads="uni2-h",
    mpp=0.5,
)
def feather_uni2() -> Any:
    """Attention over UNI2-h's tiles, taught to tell 108 diagnoses."""
    from histome.encoders.slide_pools import Feather

    return Feather(1536)


@encoder(
    **_SLIDE, publisher="Mahmood Lab", reads="conch-v1-5", needs=_CLOSED, mpp=0.5, paper="arXiv:2501.16652"
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
    **_SLIDE | {"pooling": "attention"},
    publisher="Harvard Medical School (Yu Lab)",
    dimension=768,
    parameters=656_641,
    license="AGPL-3.0",
    gated=False,
    where="https://github.com/hms-dbmi/CHIEF",
    reads="ctranspath",
    mpp=1.0,
    paper="doi:10.1038/s41586-024-07894-z",
)
def chief() -> Any:
    """Attention over CTransPath's tiles, weakly supervised with anatomic sites."""
    from histome.encoders.slide_pools import Chief

    return Chief()


@encoder(
    **_SLIDE | {"pooling": "class"},
    publisher="Microsoft",
    dimension=768,
    parameters=86_330_880,
    license="Apache-2.0",
    gated=True,
    hub="prov-gigapath/prov-gigapath",
    file="slide_encoder.pth",
    reads="prov-gigapath",
    mpp=0.5,
    paper="doi:10.1038/s41586-024-07441-w",
)
def prov_gigapath_slide() -> Any:
    """LongNet of 12 layers over Prov-GigaPath's tiles of 256 px; its class token."""
    from histome.encoders.slide_transformers import GigaPathSlide

    return GigaPathSlide()


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


@encoder(
    **_SLIDE | {"pooling": "class"},
    publisher="Atlas Analytics Lab",
    dimension=768,
    parameters=42_829_056,
    license="CC-BY-NC-SA-4.0",
    gated=False,
    where="https://github.com/AtlasAnalyticsLab/MOOZY",
    reads="lunit-dino-s8",
    mpp=0.5,
    paper="arXiv:2603.27048",
)
def moozy() -> Any:
    """Transformer of 6 blocks with 4 registers over Lunit's tiles; its class token of one slide."""
    from histome.encoders.slide_transformers import Moozy

    return Moozy()
