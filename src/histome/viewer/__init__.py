"""Look at profiles in a browser: the slide with all that was found on it, live, from this machine alone."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.viewer.api import viewer_app
    from histome.viewer.serving import Server
    from histome.viewer.shelf import Shelf

__all__ = ["Server", "Shelf", "viewer_app"]
__getattr__ = opened(__name__, __file__)
