"""histome measures a tumor's microenvironment from a routine H&E whole-slide image.

`histome.profile` measures a slide and returns its profile, `histome.load_profile` opens one that is there,
and `histome.open_slide` gives the pixels; `histome.Config` holds the settings.
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from histome.compiled import keep_compiled_somewhere
from histome.faces import opened

if TYPE_CHECKING:
    from histome.config import Config
    from histome.pipeline import profile
    from histome.slide import open_slide
    from histome.store.profile import load_profile

__version__ = "0.1.0"
__all__ = ["Config", "load_profile", "open_slide", "profile"]

__getattr__ = opened(__name__, __file__)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


keep_compiled_somewhere(Path(__file__).parent)
logging.getLogger(__name__).addHandler(logging.NullHandler())
