"""Phantoms: H&E-like slides whose every nucleus, tissue and artifact is known.

They test the machinery exactly. They are drawn, not grown: accuracy on them says nothing about real tissue.
"""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.phantom.draw import draw_phantom, paint_field
    from histome.phantom.truth import PhantomCells, PhantomTruth

__all__ = ["PhantomCells", "PhantomTruth", "draw_phantom", "paint_field"]
__getattr__ = opened(__name__, __file__)
