"""Begin training where a model's ONNX file ends: its weights as a network that can be trained on.

The exporter folds each batch norm into the convolution before it. Unfolded again, the norm is given the mean
and spread that its input has on the user's images, and the weights that undo them: the same function, with
norms that training can go on from.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from histome.errors import ModelError
from histome.models.card import Card
from histome.models.runtime import read_weights
from histome.training.networks import scale_pixels
from histome.training.nuclei.train import Recipe, make_network

_ALIGN_PX = 64
# A channel that hardly varies is not blown up to what varies: in training it then says a little less or more.
_LEAST_VARIANCE = 1e-4


def network_of(card: Card, recipe: Recipe, images: Sequence[NDArray[np.uint8]]) -> nn.Module:
    """A network for `recipe` with the weights of a model that histome trained, as far as it has them.

    Parameters
    ----------
    images : Sequence of (h, w, 3) uint8
        Some of what it will be trained on.

    Raises
    ------
    ModelError
        A model of another network or other widths.
    """
    if card.external:
        raise ModelError(
            f"{card.weights_path}: keeps weights in other files; histome trains models of one file"
        )
    graph = onnx.load_from_string(read_weights(card)).graph
    weights = {
        tensor.name.removeprefix("net."): torch.from_numpy(numpy_helper.to_array(tensor).copy())
        for tensor in graph.initializer
    }
    net = make_network(recipe)
    try:
        with torch.no_grad():
            _set_heads(net, weights)
            norms = list(_unfold(net, weights))
            _restore_norms(net.eval(), norms, images)
    except (KeyError, RuntimeError) as error:
        raise ModelError(
            f"{card.weights_path}: not a nuclei network of widths {recipe.widths} that histome trained "
            f"({' '.join(str(error).split())[:120]})"
        ) from error
    return net


def _set_heads(net: nn.Module, weights: dict[str, Tensor]) -> None:
    """Copy the heads that the model has; a head that is new starts at random."""
    for name, head in net.heads.items():  # type: ignore[union-attr,operator]
        if f"heads.{name}.weight" in weights:
            head.weight.copy_(weights[f"heads.{name}.weight"])
            head.bias.copy_(weights[f"heads.{name}.bias"])


def _unfold(net: nn.Module, weights: dict[str, Tensor]) -> Iterator[nn.BatchNorm2d]:
    """Set convolutions and norms to the folded function; yields the norms."""
    for name, block in net.named_modules():
        parts = list(block) if isinstance(block, nn.Sequential) else []
        if len(parts) == 3 and isinstance(parts[0], nn.Conv2d) and isinstance(parts[1], nn.BatchNorm2d):
            convolution, norm = parts[0], parts[1]
            convolution.weight.copy_(weights[f"{name}.0.weight"])
            norm.weight.fill_(1.0)
            norm.bias.copy_(weights[f"{name}.0.weight_bias"])
            norm.running_mean.zero_()  # type: ignore[union-attr]
            norm.running_var.fill_(1.0 - norm.eps)  # type: ignore[union-attr]
            yield norm


def _restore_norms(
    net: nn.Module, norms: Sequence[nn.BatchNorm2d], images: Sequence[NDArray[np.uint8]]
) -> None:
    """Give each norm the statistics of its input, and the weights that leave the function as it is."""
    sums = {norm: torch.zeros(2, norm.num_features) for norm in norms}
    seen = dict.fromkeys(norms, 0)

    def look(norm: nn.BatchNorm2d, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0].movedim(1, 0).flatten(1)
        sums[norm] += torch.stack([x.sum(1), x.square().sum(1)])
        seen[norm] += x.shape[1]

    hooks = [norm.register_forward_pre_hook(look) for norm in norms]
    for image in images:
        h, w = (max(_ALIGN_PX, side // _ALIGN_PX * _ALIGN_PX) for side in image.shape[:2])
        padded = np.full((h, w, 3), 255, np.uint8)
        part = image[:h, :w]
        padded[: part.shape[0], : part.shape[1]] = part
        net(scale_pixels(torch.from_numpy(padded)[None]))
    for hook in hooks:
        hook.remove()
    for norm in norms:
        mean, square = sums[norm] / max(1, seen[norm])
        spread = torch.sqrt((square - mean.square()).clamp(min=_LEAST_VARIANCE) + norm.eps)
        norm.running_mean.copy_(mean)  # type: ignore[union-attr]
        norm.running_var.copy_(spread.square() - norm.eps)  # type: ignore[union-attr]
        norm.weight.mul_(spread)
        norm.bias.add_(mean)
