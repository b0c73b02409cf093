"""CellViT (Hörst et al. 2024, arXiv:2306.15350) and CellViT++ (2025, arXiv:2501.05269), as they are saved.

A vision transformer whose tokens at four depths go through a decoder each for nuclear pixels, horizontal and
vertical distance, and types. The encoder, ViT-256 or Segment Anything's (B, L, H), is told by its weights.
CellViT++ adds a small classifier of tokens, which stands in for the types. HistoPLUS (Adjadj et al. 2025,
arXiv:2508.09926) is the same with the transformer of H0-mini, and with other names.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from histome.errors import ModelError
from histome.models.card import Thresholds
from histome.models.importers.cellvit_encoders import (
    TOKEN_PX,
    RegisterEncoder,
    WholeEncoder,
    WindowedEncoder,
    encoder_of,
)
from histome.models.importers.checkpoint import fill, read_saved, weights_in
from histome.models.importers.classes import ForeignClasses
from histome.models.importers.hovernet import HOVER_THRESHOLDS, nuclear_types, with_background
from histome.models.importers.imported import Imported

# As their inference cuts slides: 1024 px, 64 px of it shared with the next.
_WINDOW_PX, _HALO_PX = 1024, 64
_BRANCHES = {"np": "nuclei_binary_map_decoder", "hv": "hv_map_decoder", "tp": "nuclei_type_maps_decoder"}
# Parts of theirs that say nothing of nuclei: the tissue of the whole window.
_UNUSED = ("encoder.norm.", "encoder.head.", "encoder.neck.", "classifier_head.")
CLASSIFIER = "classifier."
_NORMALIZE = "transformations.normalize."

# HistoPLUS: its names, in their order, and ours; older files have no `model.` in theirs.
_RENAMED = {
    "backbone.feature_extractor.model.": "encoder.",
    "backbone.feature_extractor.": "encoder.",
    **{f"neck.necks.{k}.": f"decoder{k}." for k in range(4)},
    **{f"{branch}_branch.": f"{name}." for branch, name in _BRANCHES.items()},
}
# Of its transformer the last norm, of its network the types of tissue.
_UNUSED_PLUS = ("encoder.norm.", "tc_branch.")
_MEAN_PLUS, _STD_PLUS = (0.707223, 0.578729, 0.703617), (0.211883, 0.230117, 0.177517)
_WINDOW_PLUS_PX = 784
# Tokens a side that positions were learned for -> um/px, and the fewest pixels of a nucleus there.
_SCALES_PLUS = {16: (0.5, 5), 32: (0.25, 10)}


def read_cellvit(path: Path) -> dict[str, Tensor]:
    """Return the weights of a checkpoint, and mean and deviation of its pixels where it says them."""
    saved = read_saved(path)
    told = saved.get("config") if isinstance(saved, Mapping) else None
    said = {
        _NORMALIZE + name: torch.tensor(told[_NORMALIZE + name], dtype=torch.float32)
        for name in ("mean", "std")
        if isinstance(told, Mapping) and _NORMALIZE + name in told
    }
    return weights_in(saved, path) | said


def import_cellvit(weights: Mapping[str, Tensor], path: Path, classes: ForeignClasses) -> Imported:
    """Return CellViT with the weights of a checkpoint, and with those of a classifier under `CLASSIFIER`.

    Raises ModelError for weights of another network and for a class map of another length.
    """
    _check_names(weights, path, "CellViT", first="encoder.blocks.0.attn.qkv.weight")
    pixels = [weights.get(_NORMALIZE + name, torch.full((3,), 0.5)) for name in ("mean", "std")]
    learned = {n: v for n, v in weights.items() if not n.startswith((*_UNUSED, _NORMALIZE))}
    net = _filled(learned, path, "CellViT", classes)
    net.encoder.settle(_WINDOW_PX // TOKEN_PX)
    return Imported(
        CellVitExport(net, *pixels),
        task="hover",
        outputs=("classes", "hv"),
        mpp=0.25,
        window_px=_WINDOW_PX,
        halo_px=_HALO_PX,
        classes=classes,
        thresholds=HOVER_THRESHOLDS,
        citation="Hörst et al. 2024, Medical Image Analysis 94:103143, arXiv:2306.15350"
        + ("" if net.classifier is None else "; Hörst et al. 2025, arXiv:2501.05269"),
    )


def import_histoplus(weights: Mapping[str, Tensor], path: Path, classes: ForeignClasses) -> Imported:
    """Return HistoPLUS with the weights of a checkpoint; its positions tell the scale that it learned at.

    Raises ModelError for weights of another network and for a class map of another length.
    """
    renamed = {_renamed(name): value for name, value in weights.items()}
    _check_names(renamed, path, "HistoPLUS", first="encoder.reg_token")
    learned = {n: v for n, v in renamed.items() if not n.startswith(_UNUSED_PLUS)}
    net = _filled(learned, path, "HistoPLUS", classes)
    own = round(learned["encoder.pos_embed"].shape[1] ** 0.5)
    if own not in _SCALES_PLUS:
        raise ModelError(f"{path}: no HistoPLUS of a kind that is known (positions of {own} tokens a side)")
    mpp, smallest_px = _SCALES_PLUS[own]
    net.encoder.settle(_WINDOW_PLUS_PX // learned["encoder.patch_embed.proj.weight"].shape[-1])
    return Imported(
        CellVitExport(net, torch.tensor(_MEAN_PLUS), torch.tensor(_STD_PLUS)),
        task="hover",
        outputs=("classes", "hv"),
        mpp=mpp,
        window_px=_WINDOW_PLUS_PX,
        halo_px=_HALO_PX,
        classes=classes,
        thresholds=Thresholds(min_area_um2=smallest_px * mpp**2),
        citation="Adjadj et al. 2025, arXiv:2508.09926",
    )


def _renamed(name: str) -> str:
    theirs = next((prefix for prefix in _RENAMED if name.startswith(prefix)), "")
    return _RENAMED.get(theirs, "") + name.removeprefix(theirs)


def _check_names(weights: Mapping[str, Tensor], path: Path, what: str, *, first: str) -> None:
    needed = ("encoder.patch_embed.proj.weight", first, "decoder1.2.block.0.weight")
    if lacking := [name for name in needed if name not in weights]:
        raise ModelError(f"{path}: no {what}: it lacks {lacking[0]}")


def _filled(learned: Mapping[str, Tensor], path: Path, what: str, classes: ForeignClasses) -> "CellVit":
    try:
        net = CellVit(learned)
    except (KeyError, ValueError, IndexError, ZeroDivisionError) as error:
        raise ModelError(f"{path}: no {what} of a kind that is known ({error})") from error
    fill(net, learned, path, what=what)
    classes.check_count(net.classes, path)
    return net


class CellVitExport(nn.Module):
    """The contract of a `hover` model; a classifier of tokens says the types where there is one."""

    mean: Tensor
    std: Tensor

    def __init__(self, net: "CellVit", mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("mean", mean.reshape(1, 3, 1, 1))
        self.register_buffer("std", std.reshape(1, 3, 1, 1))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 (1, H, W, 3) -> classes (1, 1 + k, H, W), hv (1, 2, H, W)."""
        maps = self.net((image.permute(0, 3, 1, 2).float() / 255 - self.mean) / self.std)
        return with_background(nuclear_types(maps["np"], maps["tp"])), maps["hv"]


class CellVit(nn.Module):
    """The network: (1, 3, H, W) -> logits of `np` and `tp` and the maps `hv`; sizes as in `weights`.

    Of `tp` the first channel is background; a classifier's types are as if there was one before them.
    """

    encoder: WholeEncoder | WindowedEncoder | RegisterEncoder

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        of_encoder = {n.removeprefix("encoder."): v for n, v in weights.items() if n.startswith("encoder.")}
        self.encoder = encoder_of(of_encoder)
        width, wide = weights["decoder1.0.block.0.weight"].shape[:2]
        narrow = weights["decoder1.1.block.0.weight"].shape[1]
        bottom = weights["decoder3.0.block.0.weight"].shape[1]
        self.decoder0 = nn.Sequential(_Convolved(3, 32), _Convolved(32, 64))
        self.decoder1 = nn.Sequential(_Enlarged(width, wide), _Enlarged(wide, narrow), _Enlarged(narrow, 128))
        self.decoder2 = nn.Sequential(_Enlarged(width, wide), _Enlarged(wide, 256))
        self.decoder3 = nn.Sequential(_Enlarged(width, bottom))
        outputs = {
            branch: len(weights[f"{name}.decoder0_header.2.weight"]) for branch, name in _BRANCHES.items()
        }
        for branch, name in _BRANCHES.items():
            setattr(self, name, _decoder(width, bottom, outputs[branch]))
        first, last = (weights.get(f"{CLASSIFIER}fc{k}.weight") for k in (1, 2))
        if first is not None and first.shape[1] != width:
            raise ValueError(f"its tokens have {width} channels, the classifier is for {first.shape[1]}")
        self.classifier = None if first is None or last is None else _classifier(first.shape, len(last))
        self.classes = outputs["tp"] - 1 if last is None else len(last)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Maps by name."""
        levels = self.encoder(image)
        skips = [
            self.decoder0(image),
            self.decoder1(levels[0]),
            self.decoder2(levels[1]),
            self.decoder3(levels[2]),
        ]
        maps = {branch: _decoded(getattr(self, name), levels[3], skips) for branch, name in _BRANCHES.items()}
        # Where they were trained to say how far off a pixel is, two more channels of the first branch do.
        maps["np"] = maps["np"][:, :2]
        if self.classifier is not None:
            maps["tp"] = self._typed(levels[3])
        return maps

    def _typed(self, tokens: Tensor) -> Tensor:
        """Logits of the classifier for each token, at the size of the image."""
        logits = self.classifier(tokens.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # type: ignore[misc]
        logits = nn.functional.interpolate(logits, scale_factor=float(TOKEN_PX), mode="nearest")
        return torch.cat([torch.zeros_like(logits[:, :1]), logits], 1)


def _classifier(shape: torch.Size, classes: int) -> nn.Sequential:
    layers = nn.Sequential()
    layers.add_module("fc1", nn.Linear(shape[1], shape[0]))
    layers.add_module("act", nn.ReLU())
    layers.add_module("fc2", nn.Linear(shape[0], classes))
    return layers


def _decoded(decoder: nn.Module, deepest: Tensor, skips: list[Tensor]) -> Tensor:
    bottom, *others = decoder.children()
    x = bottom(deepest)
    for stage, skip in zip(others, reversed(skips), strict=True):
        if x.shape[2:] != skip.shape[2:]:  # tokens of 14 px, made 16 times as large
            x = nn.functional.interpolate(x, size=skip.shape[2:], mode="bilinear")
        x = stage(torch.cat([skip, x], 1))
    return x


class _Convolved(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


class _Enlarged(nn.Module):
    """Twice the size, then a convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.ConvTranspose2d(inputs, outputs, 2, stride=2),
            nn.Conv2d(outputs, outputs, 3, padding=1),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


def _decoder(width: int, bottom: int, outputs: int) -> nn.Sequential:
    def stage(inputs: int, inner: int, outer: int, count: int) -> nn.Sequential:
        blocks = [_Convolved(inputs if k == 0 else inner, inner) for k in range(count)]
        return nn.Sequential(*blocks, nn.ConvTranspose2d(inner, outer, 2, stride=2))

    decoder = nn.Sequential()
    decoder.add_module("bottleneck_upsampler", nn.ConvTranspose2d(width, bottom, 2, stride=2))
    decoder.add_module("decoder3_upsampler", stage(2 * bottom, bottom, 256, 3))
    decoder.add_module("decoder2_upsampler", stage(512, 256, 128, 2))
    decoder.add_module("decoder1_upsampler", stage(256, 128, 64, 2))
    last = (_Convolved(128, 64), _Convolved(64, 64), nn.Conv2d(64, outputs, 1))
    decoder.add_module("decoder0_header", nn.Sequential(*last))
    return decoder
