"""The decoder of each task that finds cells."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from histome.cells.decode.decoded import Decoded, DecodeSettings, Maps
from histome.cells.decode.hover import decode_hover
from histome.cells.decode.stardist import decode_stardist
from histome.models.card import Card
from histome.models.runtime import Outputs
from histome.models.tasks import Task

Decoder = Callable[[Maps, DecodeSettings], Decoded]

DECODERS: Mapping[Task, Decoder] = MappingProxyType({"stardist": decode_stardist, "hover": decode_hover})


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
