"""English as the verifier reads it: a closed vocabulary, amounts, clauses, and what each of them claims."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.narrative.language.grammar import claims_of
    from histome.narrative.language.judging import Judged
    from histome.narrative.language.pieces import Unread
    from histome.narrative.language.quantities import World
    from histome.narrative.language.reading import refused_words

__all__ = ["Judged", "Unread", "World", "claims_of", "refused_words"]
__getattr__ = opened(__name__, __file__)
