"""A trained UperHoVer as a model of the pipeline: ONNX, tiles blended inside, and its card."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from histome.classes import CELL_CLASSES
from histome.datasets.fields import Field
from histome.models.card import Card, write_card
from histome.models.label_support import Support
from histome.models.runtime import weights_sha256
from histome.training.networks import export_onnx
from histome.training.uperhover.network import (
    IGNORE,
    PANNUKE_CELLS,
    PANNUKE_CLASSES,
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
    recipe
        Its crop is the tile; its mpp, which the images were brought to, is the card's.
    cuts
        Thresholds of the decoding.
    about
        Fields of the card: name, description, license, training_data, scores, training, limits.
    """
    folder.mkdir(parents=True, exist_ok=True)
    window, halo = _WINDOW_TILES * recipe.crop_px, _HALO_TILES * recipe.crop_px
    export = FeatheredExport(net.to("cpu").float(), recipe.crop_px, batch=1000)
    export_onnx(export, str(folder / "model.onnx"), window, ["classes", "hv"])
    card = Card(
        **about,
        task="hover",
        classes=PANNUKE_CLASSES,
        cell_classes=PANNUKE_CELLS,
        mpp=recipe.mpp,
        window_px=window,
        halo_px=halo,
        sha256=weights_sha256(folder / "model.onnx"),
        thresholds=cuts.thresholds(),
    )
    write_card(card, folder)
    return card.at(folder)


def label_marks(fields: Sequence[Field]) -> dict[str, str]:
    """How each of our classes was learned: `direct, n = ..` labeled nuclei as it alone, else `indirect`."""
    learned = [field.sets[class_codes(field) != IGNORE][1:] for field in fields]
    sets = np.concatenate(learned)
    alone = {name: int((sets == 1 << k).sum()) for k, name in enumerate(CELL_CLASSES)}
    counted = {name: n if name in PANNUKE_CELLS else 0 for name, n in alone.items()}
    return {name: str(Support.of_count(n)) for name, n in counted.items()}
