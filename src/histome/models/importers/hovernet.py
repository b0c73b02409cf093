"""HoVer-Net (Graham et al. 2019, arXiv:1812.06499), as its authors and TIAToolbox write its checkpoints.

The network is theirs layer by layer, so that their names fit: a preactivated ResNet-50 and a decoder each for
nuclear pixels (np), horizontal and vertical distance (hv) and types (tp). The mode is read off the kernels:
5 x 5 is `original` (no padding: 95 px of context to each side), 3 x 3 is `fast` (46 px).
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from histome.errors import ModelError
from histome.models.card import Thresholds
from histome.models.importers.checkpoint import fill
from histome.models.importers.classes import ForeignClasses
from histome.models.importers.imported import Imported

# Kernel of the decoders -> pixels lost to each side, side of the window.
_MODES = {5: (95, 782), 3: (46, 768)}
# It sees farther than what the decoders lose: windows agree better where they meet.
_HALO_PX = 128
_UNITS = (3, 4, 6, 3)
# The scale of their images; they drop what has fewer pixels than this, 0.6 um2. Of the labeled nuclei of a
# field of consep 38 % are below the 8 um2 that a card says by default.
_MPP, _SMALLEST_PX = 0.25, 10
HOVER_THRESHOLDS = Thresholds(min_area_um2=_SMALLEST_PX * _MPP**2)
_STEM = "conv0./.weight"
# A block of ones that they enlarge with, kept among the weights.
_ONES = "upsample2x.unpool_mat"


def import_hovernet(weights: Mapping[str, Tensor], path: Path, classes: ForeignClasses) -> Imported:
    """Return HoVer-Net with the weights of a checkpoint.

    Raises ModelError for weights of another network and for a class map of another length.
    """
    first = "decoder.np.u3.conva.weight"
    if _STEM not in weights or first not in weights or weights[first].shape[-1] not in _MODES:
        raise ModelError(f"{path}: no HoVer-Net: it lacks {_STEM} or {first}")
    types = weights.get("decoder.tp.u0.conv.weight")
    kernel, count = weights[first].shape[-1], 0 if types is None else len(types)
    classes.check_count(max(1, count - 1), path)
    net = HoverNet(weights[_STEM].shape[0], kernel=kernel, types=count)
    learned = {name: value for name, value in weights.items() if name != _ONES}
    fill(net, learned, path, what="HoVer-Net")
    margin, window = _MODES[kernel]
    return Imported(
        HoverNetExport(net, margin),
        task="hover",
        outputs=("classes", "hv"),
        mpp=_MPP,
        window_px=window,
        halo_px=_HALO_PX,
        classes=classes,
        thresholds=HOVER_THRESHOLDS,
        citation="Graham et al. 2019, Medical Image Analysis, arXiv:1812.06499",
    )


class HoverNetExport(nn.Module):
    """The contract of a `hover` model: a class map of the whole window, its rim background.

    A pixel is of type k with the probability that it is nuclear times the share of k among the types.
    """

    def __init__(self, net: "HoverNet", margin: int) -> None:
        super().__init__()
        self.net, self.margin = net, margin

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 (1, H, W, 3) -> classes (1, 1 + k, H, W), hv (1, 2, H, W)."""
        maps = self.net(image.permute(0, 3, 1, 2).float() / 255)
        pad = [self.margin] * 4
        types = nn.functional.pad(nuclear_types(maps["np"], maps.get("tp")), pad)
        return with_background(types), nn.functional.pad(maps["hv"], pad)


def nuclear_types(nuclear: Tensor, types: Tensor | None) -> Tensor:
    """Logits of two and of 1 + k channels, background first -> probability (1, k, h, w) of each type."""
    nucleus = torch.softmax(nuclear, 1)[:, 1:]
    return nucleus if types is None else nucleus * torch.softmax(types[:, 1:], 1)


def with_background(types: Tensor) -> Tensor:
    """(1, k, h, w) -> (1, 1 + k, h, w): what is of no type before them."""
    return torch.cat([1 - types.sum(1, keepdim=True), types], 1)


class HoverNet(nn.Module):
    """The network: (N, 3, H, W) in 0-1 -> logits of `np`, `tp` and the maps `hv`, without the rim.

    Parameters
    ----------
    width : int
        Channels of the stem; 64 as published.
    kernel : int
        Of the decoders, 5 (original) or 3 (fast).
    types : int
        Types with background; 0 for a network without that decoder.
    """

    def __init__(self, width: int = 64, *, kernel: int, types: int) -> None:
        super().__init__()
        w, fast = width, kernel == min(_MODES)
        stem: list[tuple[str, nn.Module]] = [("pad", nn.ZeroPad2d(3))] if fast else []
        stem += [("/", nn.Conv2d(3, w, 7, bias=False)), ("bn", nn.BatchNorm2d(w)), ("relu", nn.ReLU())]
        self.conv0 = _named(stem)
        inputs = (w, 4 * w, 8 * w, 16 * w)
        for k, (inner, units) in enumerate(zip((w, 2 * w, 4 * w, 8 * w), _UNITS, strict=True)):
            setattr(self, f"d{k}", _Residual(inputs[k], inner, units, stride=1 if k == 0 else 2))
        self.conv_bot = nn.Conv2d(32 * w, 16 * w, 1, bias=False)
        outputs = {"np": 2, "hv": 2} | ({"tp": types} if types else {})
        self.decoder = nn.ModuleDict({name: _decoder(w, n, kernel) for name, n in outputs.items()})
        self.crops = (92, 36) if fast else (184, 72)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Maps by name."""
        x, skips = self.conv0(image), []
        for k in range(len(_UNITS)):
            x = getattr(self, f"d{k}")(x)
            skips.append(x)
        fine, middle, coarse = (_crop(skips[0], self.crops[0]), _crop(skips[1], self.crops[1]), skips[2])
        x = self.conv_bot(x)
        return {
            name: last(edge(_up(second(_up(first(_up(x) + coarse)) + middle)) + fine))
            for name, (first, second, edge, last) in self._branches()
        }

    def _branches(self) -> Iterator[tuple[str, Iterable[nn.Module]]]:
        """Each decoder by name, its four stages from coarse to fine."""
        return ((name, branch.children()) for name, branch in self.decoder.items())


def _named(parts: list[tuple[str, nn.Module]]) -> nn.Sequential:
    """A sequence whose parts have names; some of theirs hold a slash."""
    sequence = nn.Sequential()
    for name, part in parts:
        sequence.add_module(name, part)
    return sequence


def _up(x: Tensor) -> Tensor:
    return nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")


def _crop(x: Tensor, pixels: int) -> Tensor:
    """Take `pixels` off the height and the width, the same from each side."""
    side = pixels // 2
    return x[:, :, side:-side, side:-side]


def _norm(channels: int) -> list[tuple[str, nn.Module]]:
    return [("bn", nn.BatchNorm2d(channels)), ("relu", nn.ReLU())]


class _Residual(nn.Module):
    """Units of 1 x 1, 3 x 3, 1 x 1 convolutions with norms before them, the last four times as wide."""

    def __init__(self, channels: int, inner: int, count: int, *, stride: int) -> None:
        super().__init__()
        outer = 4 * inner
        self.units = nn.ModuleList(
            _residual_unit(channels if k == 0 else outer, inner, stride=stride if k == 0 else 1, first=k == 0)
            for k in range(count)
        )
        self.shortcut = nn.Conv2d(channels, outer, 1, stride=stride, bias=False)
        self.blk_bna = _named(_norm(outer))

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, h, w) -> (N, 4 inner, h / stride, w / stride)."""
        kept = self.shortcut(x)
        for unit in self.units:
            x = kept + unit(x)
            kept = x
        return self.blk_bna(x)


def _residual_unit(channels: int, inner: int, *, stride: int, first: bool) -> nn.Sequential:
    parts: list[tuple[str, nn.Module]] = [] if first else [(f"preact/{n}", m) for n, m in _norm(channels)]
    # As TensorFlow pads: of a stride of 2 the odd row goes to the lower right.
    pad = nn.ZeroPad2d((1, 1, 1, 1) if stride == 1 else (0, 1, 0, 1))
    parts += [("conv1", nn.Conv2d(channels, inner, 1, bias=False))]
    parts += [(f"conv1/{n}", m) for n, m in _norm(inner)]
    parts += [("conv2/pad", pad), ("conv2", nn.Conv2d(inner, inner, 3, stride=stride, bias=False))]
    parts += [(f"conv2/{n}", m) for n, m in _norm(inner)]
    return _named([*parts, ("conv3", nn.Conv2d(inner, 4 * inner, 1, bias=False))])


class _Dense(nn.Module):
    """Units that each see all before them, cropped by what their kernel takes off."""

    def __init__(self, channels: int, inner: int, grown: int, kernel: int, count: int) -> None:
        super().__init__()
        self.units = nn.ModuleList(
            _dense_unit(channels + k * grown, inner, grown, kernel=kernel) for k in range(count)
        )
        self.blk_bna = _named(_norm(channels + count * grown))
        self.lost = kernel - 1

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, h, w) -> (N, channels + count * grown, h - lost * count, w - lost * count)."""
        for unit in self.units:
            x = torch.cat([_crop(x, self.lost), unit(x)], 1)
        return self.blk_bna(x)


def _dense_unit(channels: int, inner: int, grown: int, *, kernel: int) -> nn.Sequential:
    parts = [(f"preact_bna/{n}", m) for n, m in _norm(channels)]
    parts += [("conv1", nn.Conv2d(channels, inner, 1, bias=False))]
    parts += [(f"conv1/{n}", m) for n, m in _norm(inner)]
    return _named([*parts, ("conv2", nn.Conv2d(inner, grown, kernel, groups=4, bias=False))])


def _decoder(w: int, outputs: int, kernel: int) -> nn.Sequential:
    def stage(inner: int, outer: int, units: int) -> nn.Sequential:
        return _named(
            [
                ("conva", nn.Conv2d(4 * inner, inner, kernel, bias=False)),
                ("dense", _Dense(inner, 2 * w, w // 2, kernel, units)),
                ("convf", nn.Conv2d(outer, outer, 1, bias=False)),
            ]
        )

    pad = nn.ZeroPad2d(kernel // 2)
    last = [*_norm(w), ("conv", nn.Conv2d(w, outputs, 1))]
    return _named(
        [
            ("u3", stage(4 * w, 8 * w, 8)),
            ("u2", stage(2 * w, 4 * w, 4)),
            ("u1", _named([("conva/pad", pad), ("conva", nn.Conv2d(4 * w, w, kernel, bias=False))])),
            ("u0", _named(last)),
        ]
    )
