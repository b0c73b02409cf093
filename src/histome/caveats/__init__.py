"""What a reader must know before believing a number: every doubt, as a code with its values."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.caveats.codes import CODES, Code
    from histome.caveats.find import MANY_NOT_COUNTED, Observed, find_caveats, models_disagree

__all__ = ["CODES", "MANY_NOT_COUNTED", "Code", "Observed", "find_caveats", "models_disagree"]
__getattr__ = opened(__name__, __file__)
