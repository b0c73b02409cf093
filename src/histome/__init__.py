"""histome measures a tumor's microenvironment from a routine H&E whole-slide image.

>>> profile = histome.profile("slide.svs", "out")
>>> profile.cells, profile.metrics, profile.report
"""

import importlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histome.compiled import keep_compiled_somewhere

if TYPE_CHECKING:
    from histome.pipeline import profile
    from histome.slide import open_slide
    from histome.store.profile import load_profile

__version__ = "0.1.0"
__all__ = ["load_profile", "open_slide", "profile"]

# Imported at first use: `import histome` takes milliseconds, the pixel libraries half a second.
_HOMES = {
    "load_profile": "histome.store.profile",
    "open_slide": "histome.slide",
    "profile": "histome.pipeline",
}

keep_compiled_somewhere(Path(__file__).parent)
logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    """Import a public function when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
