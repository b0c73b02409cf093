"""What clauses mean: each function is a rule for the patterns above it, and gives the claims, judged."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.narrative.language.clauses.measuring import cells_amount
    from histome.narrative.language.clauses.ranks import ranked
    from histome.narrative.language.clauses.values import tissue_amount

__all__ = ["cells_amount", "ranked", "tissue_amount"]
__getattr__ = opened(__name__, __file__)
