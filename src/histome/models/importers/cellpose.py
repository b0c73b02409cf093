"""Cellpose 4, Cellpose-SAM (Pachitariu et al. 2025, doi:10.1101/2025.04.28.651001), as its package saves it.

The image encoder of Segment Anything (L) on tokens of 8 px, all of which see all, and one layer that makes
flows and a probability of them. A window is 3 x 3 of its tiles, laid over each other and averaged as in
`cellpose.core.run_net`; every size is read off the weights.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from histome.errors import ModelError
from histome.models.card import Thresholds
from histome.models.importers.cellvit_encoders import WindowedEncoder, encoder_of
from histome.models.importers.checkpoint import fill
from histome.models.importers.classes import ForeignClasses
from histome.models.importers.imported import Imported
from histome.models.importers.percentiles import scale_channels

# Cellpose-SAM learned from nuclei and cells of 7.5 to 120 px, 30 px in the mean: of H&E that is 0.25 um/px.
_MPP = 0.25
# Of a tile: what it shares with the next, and how its sides fade.
_SHARED = 0.25
_FADE_PX, _FADE_RIM_PX = 7.5, 20
_ACROSS = 3
_PERCENTILES, _LEAST_RANGE = (1.0, 99.0), 1e-3
# Flows are learned as five times a unit vector.
_FLOW_SCALE = 5.0
_SMALLEST_PX = 15
_UNUSED = ("diam_labels", "diam_mean")


def import_cellpose(weights: Mapping[str, Tensor], path: Path, classes: ForeignClasses) -> Imported:
    """Return Cellpose-SAM with the weights of a checkpoint.

    Raises ModelError for weights of another network, those of Cellpose 3 and of its DINO among them, and for
    a class map of more than one class.
    """
    needed = ("W2", "out.weight", "encoder.patch_embed.proj.weight", "encoder.blocks.0.attn.rel_pos_h")
    if lacking := [name for name in needed if name not in weights]:
        raise ModelError(f"{path}: no Cellpose-SAM: it lacks {lacking[0]}")
    classes.check_count(1, path)
    try:
        net = CellposeSam(weights)
    except (KeyError, ValueError, IndexError, ZeroDivisionError) as error:
        raise ModelError(f"{path}: no Cellpose-SAM of a kind that is known ({error})") from error
    learned = {name: value for name, value in weights.items() if name not in _UNUSED}
    fill(net, learned, path, what="Cellpose-SAM")
    net.encoder.settle(net.encoder.pos_embed.shape[1])
    return Imported(
        CellposeExport(net),
        task="flow",
        outputs=("prob", "flow"),
        mpp=_MPP,
        window_px=net.tile_px + (_ACROSS - 1) * _step(net.tile_px),
        halo_px=net.tile_px // 8,
        classes=classes,
        thresholds=Thresholds(prob=0.5, min_area_um2=_SMALLEST_PX * _MPP**2, flow_error=0.4),
        citation="Pachitariu et al. 2025, doi:10.1101/2025.04.28.651001",
    )


def _step(tile_px: int) -> int:
    return tile_px - int(_SHARED * tile_px)


class CellposeSam(nn.Module):
    """The network: (n, 3, tile, tile) -> (n, 3, tile, tile), flows down and right and a logit."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        encoder = {n.removeprefix("encoder."): v for n, v in weights.items() if n.startswith("encoder.")}
        made = encoder_of(encoder)
        if not isinstance(made, WindowedEncoder):
            raise ValueError("its encoder is not that of Segment Anything")
        self.encoder, token = made, encoder["patch_embed.proj.weight"].shape[-1]
        width, features = made.pos_embed.shape[-1], encoder["neck.0.weight"].shape[0]
        made.windows[:] = [None] * len(made.windows)  # each block sees all
        made.patch_embed.proj = nn.Conv2d(3, width, token, stride=token)
        made.neck = nn.Sequential(
            nn.Conv2d(width, features, 1, bias=False),
            _ChannelNorm(features),
            nn.Conv2d(features, features, 3, padding=1, bias=False),
            _ChannelNorm(features),
        )
        outputs = len(weights["out.weight"])
        self.out = nn.Conv2d(features, outputs, 1)
        self.W2 = nn.Parameter(torch.zeros(outputs, 3, token, token))
        self.token_px, self.tile_px = token, token * made.pos_embed.shape[1]

    def forward(self, tiles: Tensor) -> Tensor:
        """All tokens of a tile see all others."""
        x = self.encoder.patch_embed(tiles).permute(0, 2, 3, 1) + self.encoder.positions
        for block in self.encoder.blocks:
            x = block(x)
        x = self.out(self.encoder.neck(x.permute(0, 3, 1, 2)))  # type: ignore[operator]
        return F.conv_transpose2d(x, self.W2, stride=self.token_px)


class _ChannelNorm(nn.Module):
    """A norm over the channels of each place."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        x = F.layer_norm(x.permute(0, 2, 3, 1), (x.shape[1],), self.weight, self.bias, 1e-6)
        return x.permute(0, 3, 1, 2)


class CellposeExport(nn.Module):
    """The contract of a `flow` model; each channel scaled by percentiles of the window, as `eval` does."""

    fade: Tensor

    def __init__(self, net: CellposeSam) -> None:
        super().__init__()
        self.net, side = net, net.tile_px
        self.starts = [k * _step(side) for k in range(_ACROSS)]
        away = (torch.arange(side, dtype=torch.float64) - (side - 1) / 2).abs()
        edge = torch.sigmoid((side / 2 - _FADE_RIM_PX - away) / _FADE_PX)
        self.register_buffer("fade", edge[:, None] * edge)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 (1, H, W, 3) -> prob (1, 1, H, W), flow (1, 2, H, W)."""
        pixels = scale_channels(image, *_PERCENTILES, least=_LEAST_RANGE)
        side, corners = self.net.tile_px, [(y, x) for y in self.starts for x in self.starts]
        tiles = torch.cat([pixels[:, :, y : y + side, x : x + side] for y, x in corners])
        rest = self.starts[-1]
        frames = [(x, rest - x, y, rest - y) for y, x in corners]
        total = torch.stack([F.pad(self.fade, frame) for frame in frames]).sum(0)
        faded = (self.net(tiles) * self.fade.float()).split(1)
        laid = [F.pad(tile, frame) for tile, frame in zip(faded, frames, strict=True)]
        maps = torch.stack(laid).sum(0) / total.float()
        return torch.sigmoid(maps[:, 2:]), maps[:, :2] / _FLOW_SCALE
