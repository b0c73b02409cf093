"""StarDist 2D (Schmidt et al. 2018, arXiv:1806.03535), as its package writes its folders.

The network follows from config.json: convolutions and pooling down to the grid, a U-Net, one layer of
features and a head each for object probability, rays and, where it learned classes, their probabilities.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from histome.errors import ModelError
from histome.models.card import Thresholds
from histome.models.importers.checkpoint import fill, read_json
from histome.models.importers.classes import ForeignClasses
from histome.models.importers.imported import Imported
from histome.models.importers.keras_weights import weights_file
from histome.models.importers.percentiles import scale_by_percentiles

_WINDOW_PX, _HALO_PX = 1536, 128
# 2D_versatile_he learned from fields at 40x; config.json does not say it.
_MPP = 0.25
_PERCENTILES = (1.0, 99.8)
_SHORTEST_RAY_PX = 1e-3
_ACTIVATIONS = {"relu": nn.functional.relu, "elu": nn.functional.elu, "linear": lambda x: x}
_EPSILON = 1e-3  # of the norms of Keras
# A window can be halved nine times: six by the U-Net, three by the grid.
_Small = Annotated[int, Field(ge=1, le=6)]
_Wide = Annotated[int, Field(ge=1, le=1024)]
_Activation = Literal["relu", "elu", "linear"]
_WHAT = "StarDist 2D of RGB images"


class StarDistConfig(BaseModel):
    """What config.json says of the network, by its names; what it says of training is passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    axes: Literal["YXC"]
    n_channel_in: Literal[3]
    backbone: Literal["unet"] = "unet"
    n_rays: Annotated[int, Field(ge=8, le=256)]
    grid: tuple[Literal[1, 2, 4, 8], Literal[1, 2, 4, 8]]
    n_classes: Annotated[int, Field(ge=1, le=64)] | None = None
    unet_n_depth: _Small
    unet_kernel_size: tuple[Literal[1, 3, 5, 7], Literal[1, 3, 5, 7]]
    unet_n_filter_base: _Wide
    unet_n_conv_per_depth: _Small
    unet_pool: tuple[Literal[2], Literal[2]]
    unet_activation: _Activation = "relu"
    unet_last_activation: _Activation | None = None
    unet_batch_norm: bool = False
    unet_expansion: Annotated[float, Field(gt=0, le=4)] = 2
    unet_prefix: str = ""
    net_conv_after_unet: Annotated[int, Field(ge=0, le=1024)] = 0

    def width(self, level: int) -> int:
        """Channels of a level; of one above the first as of the first."""
        return int(self.unet_n_filter_base * self.unet_expansion ** max(0, level))


def import_stardist(weights: Mapping[str, Tensor], folder: Path, classes: ForeignClasses) -> Imported:
    """Return StarDist with the weights of a folder, its rays and thresholds as the folder says.

    Raises ModelError for a folder of another network and for a class map of another length.
    """
    config = read_json(StarDistConfig, folder / "config.json", what=_WHAT)
    if config.grid[0] != config.grid[1]:
        raise ModelError(f"{folder / 'config.json'}: a grid of {config.grid} is not square")
    classes.check_count(config.n_classes or 1, folder)
    net = StarDistNet(config)
    fill(net, _by_our_names(weights, config), weights_file(folder), what="StarDist as in its config.json")
    return Imported(
        StarDistExport(net),
        task="star",
        outputs=("prob", "dist", "classes"),
        mpp=_MPP,
        window_px=_WINDOW_PX,
        halo_px=_HALO_PX,
        stride=config.grid[0],
        n_rays=config.n_rays,
        classes=classes,
        thresholds=_thresholds(folder / "thresholds.json"),
        citation="Schmidt et al. 2018, MICCAI, arXiv:1806.03535",
    )


class _Cuts(BaseModel):
    """Of thresholds.json; StarDist takes its defaults for what is not between 0 and 1."""

    prob: float | None = None
    nms: float | None = None


def _thresholds(path: Path) -> Thresholds:
    cuts = read_json(_Cuts, path, what=_WHAT) if path.exists() else _Cuts()
    inside = {name: cut for name, cut in cuts if cut is not None and 0 < cut < 1}
    return Thresholds.model_validate({"prob": 0.5, "nms": 0.4} | inside)


def _by_our_names(weights: Mapping[str, Tensor], config: StarDistConfig) -> dict[str, Tensor]:
    """Weights of Keras under the names and in the order of axes of `StarDistNet`.

    Layers that StarDist leaves unnamed, those before the grid and the norms, are told by their order.
    """
    layers = list(dict.fromkeys(name.rsplit(".", 1)[0] for name in weights))
    norms = [layer for layer in layers if layer.startswith("batch_normalization")]
    plain = [layer for layer in layers if layer.startswith("conv2d")]
    ours = {layer: f"norms.{k}" for k, layer in enumerate(norms)}
    ours |= {layer: f"grid.{k}" for k, layer in enumerate(plain)}
    ours |= {name: f"named.{name.removeprefix(config.unet_prefix)}" for name in layers if name not in ours}
    what = {"kernel": "weight", "gamma": "weight", "beta": "bias"}
    what |= {"moving_mean": "running_mean", "moving_variance": "running_var"}
    named = {}
    for name, value in weights.items():
        layer, kind = name.rsplit(".", 1)
        turned = value.permute(3, 2, 0, 1) if value.ndim == 4 else value
        named[f"{ours[layer]}.{what.get(kind, kind)}"] = turned.contiguous()
    return named


class StarDistExport(nn.Module):
    """The contract of a `star` model; pixels scaled by percentiles of the window, as its script does.

    Without classes there is one, with the object's probability.
    """

    def __init__(self, net: "StarDistNet") -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """uint8 (1, H, W, 3) -> prob (1, 1, h, w), dist (1, rays, h, w), classes (1, 1 + k, h, w)."""
        maps = self.net(scale_by_percentiles(image, *_PERCENTILES).permute(0, 3, 1, 2))
        prob, dist = torch.sigmoid(maps["prob"]), maps["dist"].clamp(min=_SHORTEST_RAY_PX)
        if "prob_class" in maps:
            return prob, dist, torch.softmax(maps["prob_class"], 1)
        return prob, dist, torch.cat([1 - prob, prob], 1)


class StarDistNet(nn.Module):
    """The network: (N, 3, H, W) -> logits `prob` and `prob_class`, and `dist`, a value each grid cell."""

    def __init__(self, config: StarDistConfig) -> None:
        super().__init__()
        self.config, self.channels = config, 3
        self.grid = nn.ModuleList()
        for _ in range(config.grid[0].bit_length() - 1):
            self.grid.extend(self._conv(config.width(0)) for _ in range(config.unet_n_conv_per_depth))
        self.named, self.norms = nn.ModuleDict(), nn.ModuleList()
        self._declare_unet()
        body, after = self.channels, config.net_conv_after_unet
        heads = {"prob": ("features", 1), "dist": ("features", config.n_rays)}
        if config.n_classes:
            heads["prob_class"] = ("features_class", config.n_classes + 1)
        for name, (features, outputs) in heads.items():
            if after and features not in self.named:
                self.named[features] = nn.Conv2d(body, after, config.unet_kernel_size, padding="same")
            self.named[name] = nn.Conv2d(after or body, outputs, 1)
        self.heads = {name: features if after else None for name, (features, _) in heads.items()}

    def _conv(self, width: int) -> nn.Conv2d:
        conv = nn.Conv2d(self.channels, width, self.config.unet_kernel_size, padding="same")
        self.channels = width
        return conv

    def _declare_unet(self) -> None:
        """Lay out what `_stages` names, in its order."""
        config, kept = self.config, []
        for stage, names in self._stages():
            if stage == "up":
                self.channels += kept.pop()
            for name, width in names:
                self.named[name] = self._conv(width)
                if config.unet_batch_norm:
                    self.norms.append(nn.BatchNorm2d(width, eps=_EPSILON))
            if stage == "down":
                kept.append(self.channels)

    def _stages(self) -> list[tuple[str, list[tuple[str, int]]]]:
        """Stages of the U-Net, each with the names and widths of its convolutions."""
        config = self.config
        depth, convs, width = config.unet_n_depth, config.unet_n_conv_per_depth, config.width
        down = [("down", [(f"down_level_{n}_no_{i}", width(n)) for i in range(convs)]) for n in range(depth)]
        middle = [(f"middle_{i}", width(depth)) for i in range(convs - 1)]
        up = [
            (
                "up",
                [(f"up_level_{n}_no_{i}", width(n)) for i in range(convs - 1)]
                + [(f"up_level_{n}_no_{convs}", width(n - 1))],
            )
            for n in reversed(range(depth))
        ]
        return [*down, ("middle", [*middle, (f"middle_{convs}", width(depth - 1))]), *up]

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Maps by name."""
        config = self.config
        act = _ACTIVATIONS[config.unet_activation]
        x = image
        for k, conv in enumerate(self.grid):
            x = act(conv(x))
            if (k + 1) % config.unet_n_conv_per_depth == 0:
                x = nn.functional.max_pool2d(x, 2)
        body = self._unet(x)
        features = {
            name: act(self.named[name](body)) if name else body for name in dict.fromkeys(self.heads.values())
        }
        return {name: self.named[name](features[of]) for name, of in self.heads.items()}

    def _unet(self, x: Tensor) -> Tensor:
        config, skips, norms = self.config, [], iter(self.norms)
        last = self._stages()[-1][1][-1][0]
        for stage, names in self._stages():
            if stage == "up":
                x = nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")
                x = torch.cat([x, skips.pop()], 1)
            for name, _ in names:
                x = self.named[name](x)
                x = next(norms)(x) if config.unet_batch_norm else x
                ended = config.unet_last_activation if name == last else None
                x = _ACTIVATIONS[ended or config.unet_activation](x)
            if stage == "down":
                skips.append(x)
                x = nn.functional.max_pool2d(x, 2)
        return x
