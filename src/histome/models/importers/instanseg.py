"""InstanSeg (Goldsborough et al. 2024, arXiv:2408.15954), as its package exports it: TorchScript.

Of the file the network is taken, as it is, the perceptron that gives pixels to nuclei, and the thresholds;
its own post-processing is not. The rules of `cells.decode.seed` stand in for that.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from histome.errors import ModelError
from histome.models.card import PixelVotes, Thresholds
from histome.models.importers.classes import ForeignClasses
from histome.models.importers.imported import Imported
from histome.models.importers.percentiles import scale_channels
from histome.models.importers.torchscript import load_script

_WINDOW_PX, _HALO_PX = 1024, 80
_MPP = 0.5
_PERCENTILES, _LEAST_RANGE = (0.1, 99.9), 1e-3
_LOWEST, _HIGHEST = -2.0, 3.0
# Of the distance transform that seeds are learned from.
_SEED_SCALE, _SEED_MIDDLE = 15.0, 0.5
_OFFSET_UNITS = 8.0
_LAYERS = ("fc1", "fc2", "fc3")
_VOTER = "pixel_classifier."


def import_instanseg(weights: Mapping[str, Tensor], path: Path, classes: ForeignClasses) -> Imported:
    """Return InstanSeg with the weights of a file of TorchScript; of one with nuclei and cells, the nuclei.

    Raises ModelError for another network and for a class map of more than one class.
    """
    wanted = [f"{_VOTER}{layer}.{kind}" for layer in _LAYERS for kind in ("weight", "bias")]
    if lacking := [name for name in wanted if name not in weights]:
        raise ModelError(f"{path}: no InstanSeg: it lacks {lacking[0]}")
    script = load_script(path)
    sizes = {name: _said(script, name, 0) for name in ("dim_coords", "n_sigma", "dim_seeds")}
    if not hasattr(script, "fcn") or (sizes["dim_coords"], sizes["n_sigma"]) != (2, 2):
        raise ModelError(f"{path}: no InstanSeg with two coordinates and two spreads a pixel")
    classes.check_count(1, path)
    net = InstanSegExport(script.fcn, sizes["dim_seeds"], _said(script, "default_fg_threshold", 0.5))
    _check_channels(net, path, (2 if _said(script, "cells_and_nuclei", False) else 1))
    mpp = float(_said(script, "pixel_size", 0.0)) or _MPP
    return Imported(
        net,
        task="seed",
        outputs=("seed", "offset", "spread"),
        mpp=mpp,
        window_px=_WINDOW_PX,
        halo_px=_HALO_PX,
        classes=classes,
        thresholds=_thresholds(script, mpp),
        votes=_votes(script, weights, path),
        citation="Goldsborough et al. 2024, arXiv:2408.15954",
    )


def _said(script: torch.jit.ScriptModule, name: str, otherwise: Any) -> Any:
    """What the file says of itself; older ones say less."""
    return getattr(script, name, otherwise)


def _thresholds(script: torch.jit.ScriptModule, mpp: float) -> Thresholds:
    return Thresholds(
        prob=_said(script, "default_mask_threshold", 0.53),
        nms=_said(script, "default_overlap_threshold", 0.3),
        min_area_um2=_said(script, "default_min_size", 10) * mpp**2,
    )


def _votes(script: torch.jit.ScriptModule, weights: Mapping[str, Tensor], path: Path) -> PixelVotes:
    layers = [
        torch.cat([weights[f"{_VOTER}{layer}.weight"], weights[f"{_VOTER}{layer}.bias"][:, None]], 1).tolist()
        for layer in _LAYERS
    ]
    try:
        return PixelVotes.model_validate(
            {
                "seed": _said(script, "default_seed_threshold", 0.7),
                "apart_px": _said(script, "default_peak_distance", 5),
                "reach_px": _said(script, "default_window_size", 32),
                "layers": layers,
            }
        )
    except ValueError as error:
        raise ModelError(f"{path}: no InstanSeg whose pixels are asked by 4 inputs") from error


def _check_channels(net: "InstanSegExport", path: Path, parts: int) -> None:
    """Run it once on a small window: what does not run here would not in a profile."""
    wanted = parts * (4 + net.seeds)
    try:
        with torch.no_grad():
            found = net.fcn(torch.zeros(1, 3, 256, 256)).shape
    except Exception as error:  # the interpreter's
        raise ModelError(f"{path}: no InstanSeg of RGB images ({type(error).__name__})") from error
    if tuple(found) != (1, wanted, 256, 256):
        raise ModelError(f"{path}: no InstanSeg: its network gives {tuple(found)}, not {wanted} channels")


class InstanSegExport(nn.Module):
    """The contract of a `seed` model; pixels scaled by percentiles of each channel of the window."""

    def __init__(self, fcn: nn.Module, seeds: int, foreground: float) -> None:
        super().__init__()
        self.fcn, self.seeds, self.foreground = fcn, seeds, foreground

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """uint8 (1, H, W, 3) -> seed (1, 1, H, W), offset (1, 2, H, W), spread (1, 2, H, W)."""
        pixels = scale_channels(image, *_PERCENTILES, least=_LEAST_RANGE).clamp(_LOWEST, _HIGHEST)
        maps = self.fcn(pixels)[:, : 4 + self.seeds]
        seed = maps[:, 4:5] / _SEED_SCALE + _SEED_MIDDLE
        if self.seeds > 1:
            seed = torch.where(torch.sigmoid(maps[:, 5:6]) > self.foreground, seed, 0.0)
        return seed, (torch.sigmoid(maps[:, :2]) - 0.5) * _OFFSET_UNITS, maps[:, 2:4]
