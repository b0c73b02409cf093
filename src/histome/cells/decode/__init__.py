"""How a network's outputs become nuclei: one decoder a task, each from one window's maps alone."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.cells.decode.by_task import DECODERS, decode, decode_window, read_classes
    from histome.cells.decode.decoded import Decoded, DecodeSettings

__all__ = ["DECODERS", "DecodeSettings", "Decoded", "decode", "decode_window", "read_classes"]
__getattr__ = opened(__name__, __file__)
