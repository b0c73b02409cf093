"""Encoders of publishers with one here, and those whose network is closed or in a package of their own."""

from typing import Any

from histome.encoders.architectures import timm, timm_convolutions
from histome.encoders.registry import encoder

_EXPORT = "its network is in its publisher's code; export it to ONNX and give --weights FILE.onnx"
_CLOSED = "its publisher gives no weights away"
_UNKNOWN = (
    "where its weights are and how they are built could not be confirmed; an ONNX file of it can be given"
)


@encoder(
    publisher="Sichuan University",
    dimension=768,
    mpp=1.0,
    input_px=224,
    patch_px=4,
    pooling="own",
    license="GPL-3.0",
    gated=False,
    where="https://github.com/Xiyue-Wang/TransPath",
    needs=_EXPORT,
    paper="doi:10.1016/j.media.2022.102559",
)
def ctranspath() -> Any:
    """Swin-T with a convolutional stem, pretrained with contrastive learning on TCGA and PAIP."""


@encoder(
    publisher="Sichuan University",
    dimension=2048,
    pooling="own",
    input_px=256,
    parameters=23_508_032,
    where="https://github.com/Xiyue-Wang/RetCCL",
    paper="doi:10.1016/j.media.2022.102645",
)
def retccl() -> Any:
    """ResNet-50 pretrained with clustering-guided contrastive learning on TCGA and PAIP."""
    return timm_convolutions("resnet50")


@encoder(
    publisher="Lunit",
    dimension=384,
    mpp=0.5,
    input_px=224,
    patch_px=8,
    mean=(0.70322989, 0.53606487, 0.66096631),
    std=(0.21716536, 0.26081574, 0.20723464),
    parameters=21_670_272,
    where="https://github.com/lunit-io/benchmark-ssl-pathology",
    paper="arXiv:2212.04690",
)
def lunit_dino_s8() -> Any:
    """ViT-S/8 pretrained with DINO on 33 million tiles of TCGA and of Lunit; its class token."""
    return timm("vit_small_patch8_224")


@encoder(
    publisher="Kimia Lab, University of Waterloo",
    dimension=1024,
    mpp=0.5,
    input_px=1000,
    pooling="own",
    parameters=6_953_856,
    where="https://github.com/KimiaLabMayo/KimiaNet",
    paper="doi:10.1016/j.media.2021.102032",
)
def kimianet() -> Any:
    """DenseNet-121 trained on 240,000 tiles of 1000 px of 7,126 TCGA slides, their diagnoses as labels."""
    return timm_convolutions("densenet121")


@encoder(
    publisher="Shanghai Jiao Tong University",
    dimension=768,
    mpp=0.5,
    input_px=224,
    pooling="own",
    license="MIT",
    gated=False,
    hub="Astaxanthin/KEEP",
    file="model.safetensors",
    needs=_EXPORT,
    paper="arXiv:2412.13126",
)
def keep() -> Any:
    """Image tower of a vision-language model taught with a graph of diseases."""


@encoder(
    publisher="PathOrchestra",
    dimension=1024,
    mpp=0.5,
    input_px=224,
    patch_px=16,
    license="CC-BY-NC-ND-4.0",
    gated=True,
    hub="AI4Pathology/PathOrchestra",
    file="pytorch_model.bin",
    parameters=303_350_784,
    paper="arXiv:2503.24345",
)
def pathorchestra() -> Any:
    """ViT-L/16 pretrained on 300,000 slides of 20 organs, evaluated on 112 tasks; its class token."""
    return timm("vit_large_patch16_224", init_values=1e-5)


@encoder(
    publisher="PathAI",
    dimension=384,
    pooling="own",
    mean=None,
    std=None,
    needs=_UNKNOWN,
    paper="arXiv:2511.02826",
)
def pluto_4s() -> Any:
    """FlexiViT-S of about 22 million parameters with rotary positions, 551,164 slides."""


@encoder(
    publisher="PathAI",
    patch_px=14,
    pooling="own",
    mean=None,
    std=None,
    needs=_UNKNOWN,
    paper="arXiv:2511.02826",
)
def pluto_4g() -> Any:
    """ViT-G/14 of about 1.1 billion parameters, 551,164 slides."""


@encoder(
    publisher="LG AI Research",
    gated=True,
    pooling="own",
    mean=None,
    std=None,
    hub="LGAI-EXAONE/EXAONEPath",
    needs=_EXPORT,
)
def exaone_path() -> Any:
    """Tile encoder of EXAONE Path."""


@encoder(
    publisher="LG AI Research",
    dimension=768,
    input_px=224,
    patch_px=14,
    pooling="own",
    gated=True,
    hub="LGAI-EXAONE/EXAONE-Path-2.5",
    needs=_EXPORT,
    paper="arXiv:2512.14019",
)
def exaone_path_2_5() -> Any:
    """ViT-B/14 tile encoder of EXAONE Path 2.5, whose slides are aligned with molecular profiles."""


@encoder(publisher="Aignostics", gated=True, mean=None, std=None, pooling="own", needs=_EXPORT)
def rudolfv_2() -> Any:
    """The largest of the RudolfV 2 family, about 1 billion parameters."""


@encoder(
    publisher="Aignostics",
    gated=True,
    parameters=85_200_000,
    mean=None,
    std=None,
    pooling="own",
    needs=_EXPORT,
)
def rudolfv_2_b() -> Any:
    """RudolfV 2 distilled into a ViT-B."""


@encoder(
    publisher="Aignostics",
    gated=True,
    dimension=384,
    patch_px=8,
    parameters=21_400_000,
    mean=None,
    std=None,
    pooling="own",
    needs=_EXPORT,
)
def rudolfv_2_s() -> Any:
    """RudolfV 2 distilled into a ViT-S/8."""


@encoder(publisher="Aignostics", mean=None, std=None, pooling="own", needs=_CLOSED, paper="arXiv:2601.05148")
def atlas_2() -> Any:
    """Atlas 2, pretrained on 5.5 million slides."""
