"""From trained weights to a tissue model; nothing is tuned."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from histome.classes import TISSUE_CLASSES
from histome.datasets.tissue_fields import FIELD_MPP
from histome.models.card import Card
from histome.models.onnx_export import export_onnx
from histome.models.runtime import weights_sha256
from histome.training.cards import reference_of, rewrite_card
from histome.training.tissue.network import STRIDE, TissueExport, TissueNetwork


def trained_tissue(weights: Mapping[str, Tensor]) -> TissueNetwork:
    """The tissue network with trained weights."""
    smooth = not any(name.endswith("running_mean") for name in weights)
    net = TissueNetwork(pretrained=False, smooth=smooth, classes=len(weights["head.bias"]))
    net.load_state_dict(dict(weights))
    return net


def ship_tissue(
    *,
    net: nn.Module,
    out: Path,
    about: Mapping[str, Any],
    score: Callable[[], Mapping[str, Any]],
) -> Card:
    """Write model.onnx and card.toml of a trained network into `out`; the scores come last.

    Parameters
    ----------
    net : nn.Module
        uint8 (N, H, W, 3) -> logits (N, classes, H/2, W/2), as `trained_tissue` returns one.
    about : Mapping[str, Any]
        Fields of the card that are known beforehand: name, description, license, window_px, halo_px, limits,
        training_data, training; of a model of quality its task and classes too.
    score : callable()
        Scores of the model in `out`.
    """
    out.mkdir(parents=True, exist_ok=True)
    export_onnx(TissueExport(net.eval()), str(out / "model.onnx"), about["window_px"], ["probabilities"])
    same = {"task": "segmenter", "classes": TISSUE_CLASSES, "mpp": FIELD_MPP, "stride": STRIDE}
    card = Card.model_validate({**same, **about, "sha256": weights_sha256(out / "model.onnx")})
    card = rewrite_card(card, out)
    card = rewrite_card(card, out, reference=reference_of(card))
    return rewrite_card(card, out, scores=score())
