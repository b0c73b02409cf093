"""A trained UperHoVer as a model of the pipeline: ONNX, tiles blended inside, and its card."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from histome.classes import PANNUKE_CELLS
from histome.datasets.fields import Field
from histome.models.card import Card, write_card
from histome.models.onnx_export import export_onnx
from histome.models.runtime import weights_sha256
from histome.training.cards import label_support
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
    export = FeatheredExport(net.to("cpu").float(), recipe.crop_px, batch=1000)
    export_onnx(export, str(folder / "model.onnx"), window, ["classes", "hv"])
    card = Card(
        **about,
        task="hover",
        classes=PIXEL_CLASSES,
        cell_classes=PANNUKE_CELLS,
        mpp=recipe.mpp,
        window_px=window,
        halo_px=halo,
        sha256=weights_sha256(folder / "model.onnx"),
        thresholds=cuts.thresholds(),
    )
    write_card(card, folder)
    return card.at(folder)


def support_of(fields: Sequence[Field]) -> dict[str, str]:
    """How each class was learned from fields; labels that are of none of the six classes teach nothing."""
    learned = [field.sets[class_codes(field) != IGNORE][1:] for field in fields]
    return label_support(np.concatenate(learned), PANNUKE_CELLS)
