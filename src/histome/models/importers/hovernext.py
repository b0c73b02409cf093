"""HoVer-NeXt (Baumann et al. 2024, MIDL), as its authors publish it: a folder of weights and thresholds.

A ConvNeXt V2 (arXiv:2301.00808) and two decoders: parts of nuclei (background, inside, border) and types.
Tiles of 256 px are laid side by side without their rims, as in its own inference.
"""

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from histome.config import read_settings
from histome.errors import ModelError
from histome.models.card import Basins, Thresholds
from histome.models.importers.checkpoint import fill, read_checkpoint, read_json
from histome.models.importers.classes import ForeignClasses
from histome.models.importers.imported import Imported

TILE_PX = 256
_ACROSS = 3
_HALO_PX = 64
_EPS = 1e-6
# Of the maps of the first decoder the two that point to the middle only help it to learn.
_PARTS = slice(2, 5)
# What their inference does by data set: um/px, the rim of a tile, the files of its thresholds, and the fewest
# and most pixels of a nucleus of each class.
_PANNUKE = (0.25, 8, ("pannuke_test_param_dict.json",))
_OTHERS = (0.5, 4, ("liz_test_param_dict.json", "mit_test_param_dict.json"))
_SIZES_PANNUKE = ((10, 10, 10, 10, 10), (20_000, 20_000, 20_000, 3_000, 10_000))
_SIZES_LIZARD = ((30, 30, 20, 20, 30, 30, 15), (5_000,) * 7)
_OWN_CUTS = "param_dict.json"


class _Params(BaseModel):
    """Of params.toml."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    dataset: str
    inst_channels: Annotated[int, Field(ge=5, le=5)] = 5


class _Cuts(BaseModel):
    """Of the files of thresholds: those with the best F1, as their inference takes them by default."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    best_fg_f1: Annotated[tuple[float, ...], Field(min_length=1)]
    best_seed_f1: Annotated[tuple[float, ...], Field(min_length=1)]


def read_hovernext(folder: Path) -> dict[str, Tensor]:
    """Return the weights in a folder of HoVer-NeXt; raises ModelError where it holds none."""
    return read_checkpoint(hovernext_file(folder))


def hovernext_file(folder: Path) -> Path:
    """Return the file of weights in a folder of HoVer-NeXt."""
    path = folder / "train" / "best_model"
    if not path.is_file():
        raise ModelError(f"{folder}: give the folder that holds params.toml and train/best_model")
    return path


def import_hovernext(weights: Mapping[str, Tensor], folder: Path, classes: ForeignClasses) -> Imported:
    """Return HoVer-NeXt with the weights of a folder, its thresholds as the folder says.

    Raises ModelError for a folder of another network and for a class map of another length.
    """
    try:
        net = HoverNext(weights)
    except (KeyError, IndexError) as error:
        raise ModelError(f"{folder}: no HoVer-NeXt with a ConvNeXt V2: it lacks {error.args[0]}") from error
    params = read_settings(_Params, folder / "params.toml", what="field", error=ModelError)
    mpp, rim, _ = about = _PANNUKE if params.dataset == "pannuke" else _OTHERS
    flat = {n: v.flatten(1) if _is_flat(n) else v for n, v in weights.items()}
    fill(net, flat, folder, what="HoVer-NeXt")
    classes.check_count(net.classes - 1, folder)
    export = HoverNextExport(net, rim)
    return Imported(
        export,
        task="basin",
        outputs=("classes", "parts"),
        mpp=mpp,
        window_px=export.window_px,
        halo_px=_HALO_PX,
        classes=classes,
        thresholds=Thresholds(),
        basins=_basins(folder, about[2], mpp, classes),
        citation="Baumann et al. 2024, HoVer-NeXt, MIDL",
    )


def _is_flat(name: str) -> bool:
    """Of small ConvNeXts the perceptrons are convolutions of one pixel."""
    return name.endswith((".fc1.weight", ".fc2.weight"))


def _basins(folder: Path, files: tuple[str, ...], mpp: float, classes: ForeignClasses) -> Basins:
    """Thresholds of each class; those of mitoses, where they have a file, are in it."""
    names = [name for name in files if (folder / name).is_file()] or [_OWN_CUTS]
    first, *more = [read_json(_Cuts, folder / name, what="thresholds of HoVer-NeXt") for name in names]
    foreground, seed = list(first.best_fg_f1), list(first.best_seed_f1)
    for cuts in more:
        foreground[-1], seed[-1] = cuts.best_fg_f1[-1], cuts.best_seed_f1[-1]
    count = len(classes.classes)
    if not len(foreground) == len(seed) == count:
        raise ModelError(f"{folder / names[0]}: has thresholds of {len(foreground)} classes, not of {count}")
    known = {len(sizes[0]): sizes for sizes in (_SIZES_PANNUKE, _SIZES_LIZARD)}
    least, most = known.get(count, ((10,) * count, (20_000,) * count))
    return Basins(
        foreground=tuple(foreground),
        seed=tuple(seed),
        least_um2=tuple(px * mpp**2 for px in least),
        most_um2=tuple(px * mpp**2 for px in most),
    )


class HoverNextExport(nn.Module):
    """The contract of a `basin` model: a window of 3 x 3 tiles, each without what others see better."""

    def __init__(self, net: "HoverNext", rim: int) -> None:
        super().__init__()
        self.net = net
        self.starts = [k * (TILE_PX - 2 * rim) for k in range(_ACROSS)]
        self.kept = [slice(rim, TILE_PX - rim)] * _ACROSS
        self.kept[0], self.kept[-1] = slice(0, TILE_PX - rim), slice(rim, TILE_PX)
        self.window_px = self.starts[-1] + TILE_PX

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 (1, H, W, 3) -> classes (1, 1 + k, H, W), parts (1, 3, H, W)."""
        pixels = image.permute(0, 3, 1, 2).float() / 255
        tiles = [pixels[:, :, y : y + TILE_PX, x : x + TILE_PX] for y in self.starts for x in self.starts]
        parts, types = (self._laid(maps) for maps in self.net(torch.cat(tiles)))
        return torch.softmax(types, 1), torch.softmax(parts[:, _PARTS], 1)

    def _laid(self, maps: Tensor) -> Tensor:
        """(9, n, tile, tile) -> (1, n, window, window)."""
        tiles = iter(maps.split(1))
        rows = [torch.cat([next(tiles)[:, :, row, column] for column in self.kept], 3) for row in self.kept]
        return torch.cat(rows, 2)


class HoverNext(nn.Module):
    """The network: (n, 3, tile, tile) -> logits of parts (with two maps before them) and of types."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        encoder = {n.removeprefix("encoder.model."): v for n, v in weights.items()}
        self.encoder = nn.ModuleDict({"model": _ConvNext(encoder)})
        names = ("conv1.0.weight", "conv2.0.weight")
        blocks = _count(weights, "decoders.0.blocks.")
        shapes = [[weights[f"decoders.0.blocks.{k}.{name}"].shape for name in names] for k in range(blocks)]
        self.decoders = nn.ModuleList(_Decoder(shapes) for _ in range(2))
        heads = [weights[f"heads.{k}.0.weight"].shape for k in range(2)]
        self.heads = nn.ModuleList(nn.Sequential(nn.Conv2d(shape[1], shape[0], 1)) for shape in heads)
        self.classes = heads[1][0]

    def forward(self, image: Tensor) -> list[Tensor]:
        """Two maps and three logits of the parts; a logit of each type, background first."""
        levels = self.encoder["model"](image)
        decoded = (decoder(levels) for decoder in self.decoders)
        return [head(x) for head, x in zip(self.heads, decoded, strict=True)]


def _count(weights: Mapping[str, Tensor], prefix: str) -> int:
    """How many numbers follow a prefix."""
    return len({name[len(prefix) :].split(".")[0] for name in weights if name.startswith(prefix)})


class _ConvNext(nn.Module):
    """ConvNeXt V2: (n, 3, h, w) -> maps of a 4th, 8th, 16th, 32nd of the size."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        width = weights["stem_0.weight"].shape[0]
        self.stem_0, self.stem_1 = nn.Conv2d(3, width, 4, stride=4), nn.LayerNorm(width, eps=_EPS)
        for k in range(4):
            stage = nn.Module()
            if k:
                before, width = width, weights[f"stages_{k}.downsample.1.weight"].shape[0]
                norm = nn.LayerNorm(before, eps=_EPS)
                stage.downsample = nn.ModuleList([norm, nn.Conv2d(before, width, 2, stride=2)])
            depth = _count(weights, f"stages_{k}.blocks.")
            hidden = weights[f"stages_{k}.blocks.0.mlp.grn.weight"].shape[0]
            stage.blocks = nn.Sequential(*(_ConvNextBlock(width, hidden) for _ in range(depth)))
            setattr(self, f"stages_{k}", stage)

    def forward(self, image: Tensor) -> list[Tensor]:
        x, levels = _by_channels(self.stem_1, self.stem_0(image)), []
        for k in range(4):
            stage = getattr(self, f"stages_{k}")
            if k:
                norm, halved = stage.downsample
                x = halved(_by_channels(norm, x))
            x = stage.blocks(x)
            levels.append(x)
        return levels


def _by_channels(layer: nn.Module, x: Tensor) -> Tensor:
    """A layer for channels that come last, on channels that come second."""
    return layer(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class _ConvNextBlock(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.conv_dw = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=_EPS)
        layers = {"fc1": nn.Linear(width, hidden), "act": nn.GELU(), "grn": _ResponseNorm(hidden)}
        self.mlp = nn.Sequential(OrderedDict(layers | {"fc2": nn.Linear(hidden, width)}))

    def forward(self, x: Tensor) -> Tensor:
        return x + _by_channels(self.mlp, _by_channels(self.norm, self.conv_dw(x)))


class _ResponseNorm(nn.Module):
    """Channels against each other by how much there is of each in the whole tile (arXiv:2301.00808)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """(n, h, w, width) -> the same."""
        size = x.square().sum((1, 2), keepdim=True).sqrt()
        return x + self.bias + self.weight * x * (size / (size.mean(-1, keepdim=True) + _EPS))


class _Decoder(nn.Module):
    """A U-Net's way up; the last blocks have no map of the encoder beside them."""

    def __init__(self, shapes: list[list[torch.Size]]) -> None:
        super().__init__()
        blocks = ({f"conv{k}": _convolved(shape) for k, shape in enumerate(pair, start=1)} for pair in shapes)
        self.blocks = nn.ModuleList(nn.Sequential(OrderedDict(block)) for block in blocks)

    def forward(self, levels: list[Tensor]) -> Tensor:
        *skips, x = levels
        for block in self.blocks:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = torch.cat([x, skips.pop()], 1) if skips else x
            x = block(x)
        return x


def _convolved(shape: torch.Size) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(shape[1], shape[0], 3, padding=1), nn.ReLU())
