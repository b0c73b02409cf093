"""Words that belong together as one token: places, measures, parts of things; and what stands beside them."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.narrative.language.phrases.chunks import chunked

__all__ = ["chunked"]
__getattr__ = opened(__name__, __file__)
