"""The decoder of each task that finds cells."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from histome.cells.decode.basin import decode_basin
from histome.cells.decode.decoded import Decoded, DecodeSettings, Maps
from histome.cells.decode.flow import decode_flow
from histome.cells.decode.hover import decode_hover, read_hover
from histome.cells.decode.outlined import one_class
from histome.cells.decode.seed import decode_seed
from histome.cells.decode.star import decode_star
from histome.cells.decode.stardist import decode_stardist, read_stardist
from histome.models.card import Card
from histome.models.runtime import Outputs
from histome.models.tasks import Task

Decoder = Callable[[Maps, DecodeSettings], Decoded]

ClassReader = Callable[[Maps, DecodeSettings, NDArray[np.int32], NDArray[np.float64]], NDArray[np.float64]]

DECODERS: Mapping[Task, Decoder] = MappingProxyType(
    {
        "stardist": decode_stardist,
        "hover": decode_hover,
        "star": decode_star,
        "flow": decode_flow,
        "seed": decode_seed,
        "basin": decode_basin,
    }
)


def _read_none(
    maps: Maps, settings: DecodeSettings, labels: NDArray[np.int32], centers_px: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Of a model that tells no classes: each nucleus is of the one there is."""
    return one_class(len(centers_px), settings)


# The classes of nuclei that are given: the part of each decoder that comes after it has found them.
_READERS: Mapping[Task, ClassReader] = MappingProxyType(
    {
        "stardist": read_stardist,
        "hover": read_hover,
        "star": read_hover,
        "flow": _read_none,
        "seed": _read_none,
        "basin": read_hover,
    }
)


def decode(task: Task, maps: Maps, settings: DecodeSettings) -> Decoded:
    """Return the nuclei in one window's maps.

    Parameters
    ----------
    task : Task
        One that finds cells.
    maps : dict of float32 (channels, h, w)
        By the names of the task's outputs (`models.tasks`).
    settings : DecodeSettings
        Thresholds, scale and classes.
    """
    return DECODERS[task](maps, settings)


def decode_window(card: Card, outputs: Outputs) -> Decoded:
    """Return the nuclei in what a card's network gave for one window."""
    return decode(card.task, {name: array[0] for name, array in outputs.items()}, DecodeSettings.of(card))


def read_classes(
    card: Card, outputs: Outputs, labels: NDArray[np.int32], centers_px: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the class evidence (n, 9) of given nuclei in what a card's network gave for one window.

    Parameters
    ----------
    labels : (h, w) int32
        Instance map of the nuclei at the input's resolution, 0 = background, 1..n.
    centers_px : (n, 2) float64, px
        x, y in input pixels: what is there stands for a nucleus that covers no pixel of the outputs.
    """
    maps = {name: array[0] for name, array in outputs.items()}
    return _READERS[card.task](maps, DecodeSettings.of(card), labels, centers_px)
