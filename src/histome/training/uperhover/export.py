"""A trained UperHoVer as a model of the pipeline: ONNX, tiles blended inside, and its card."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from histome.classes import PANNUKE_CELLS
from histome.datasets.fields import Field
from histome.errors import ModelError
from histome.models.card import Card, write_card
from histome.models.onnx_export import export_onnx
from histome.models.runtime import weights_sha256
from histome.training.cards import label_support
from histome.training.uperhover.encoder import set_checkpointing
from histome.training.uperhover.network import (
    IGNORE,
    PIXEL_CLASSES,
    FeatheredExport,
    UperHoVer,
)
from histome.training.uperhover.patches import class_codes
from histome.training.uperhover.scores import Cuts
from histome.training.uperhover.train import HoverRecipe

# The halo is one tile: half of it where fewer than four tiles overlap, half where neighboring windows agree.
# Whole tiles: those of all windows lie on one lattice. 6 x 6 of them and those between are a batch of 121.
_WINDOW_TILES, _HALO_TILES = 6, 1


def export_hover(
    net: UperHoVer, recipe: HoverRecipe, folder: Path, *, cuts: Cuts, about: dict[str, Any]
) -> Card:
    """Write model.onnx and card.toml into `folder`; `histome profile --cells-model <folder>` takes them.

    Parameters
    ----------
    recipe : HoverRecipe
        Its crop is the tile; its mpp, which the images were brought to, is the card's.
    cuts : Cuts
        Thresholds of the decoding.
    about : dict[str, Any]
        Fields of the card: name, description, license, training_data, scores, training, limits.
    """
    folder.mkdir(parents=True, exist_ok=True)
    window, halo = _WINDOW_TILES * recipe.crop_px, _HALO_TILES * recipe.crop_px
    beside = _write_onnx(net, recipe.crop_px, folder)
    card = Card(
        **about,
        task="hover",
        classes=PIXEL_CLASSES,
        cell_classes=PANNUKE_CELLS,
        mpp=recipe.mpp,
        window_px=window,
        halo_px=halo,
        sha256=weights_sha256(folder / "model.onnx"),
        external={name: weights_sha256(folder / name) for name in beside},
        thresholds=cuts.thresholds(),
    )
    write_card(card, folder)
    return card.at(folder)


def _write_onnx(net: UperHoVer, crop_px: int, folder: Path) -> tuple[str, ...]:
    """Write model.onnx; returns the files beside it that hold its weights."""
    if hasattr(net.encoder, "set_grad_checkpointing"):
        set_checkpointing(net.encoder, False)
    export = FeatheredExport(net.to("cpu").float(), crop_px, batch=1000)
    return export_onnx(export, str(folder / "model.onnx"), _WINDOW_TILES * crop_px, ["classes", "hv"])


def try_export(net: UperHoVer, crop_px: int) -> None:
    """Export a network to nowhere: what cannot be exported is not worth its training.

    Raises ModelError, one line, with what the exporter said.
    """
    with TemporaryDirectory(prefix="histome-export-") as folder:
        try:
            _write_onnx(net, crop_px, Path(folder))
        except (RuntimeError, ValueError, OSError, torch.onnx.errors.OnnxExporterError) as error:
            reason = " ".join(str(error).split())[:300]
            raise ModelError(
                f"this network cannot be exported to ONNX ({reason}); nothing was trained"
            ) from error


def support_of(fields: Sequence[Field]) -> dict[str, str]:
    """How each class was learned from fields; labels that are of none of the six classes teach nothing."""
    learned = [field.sets[class_codes(field) != IGNORE][1:] for field in fields]
    return label_support(np.concatenate(learned), PANNUKE_CELLS)
