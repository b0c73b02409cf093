"""Two stains of one section laid over each other: a transform in um, its error, and places carried across.

`register_pair` finds it (SimpleITK, the extra `register`); a `Warp` that was saved needs nothing to be used.
"""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.validation.register.fit import register_pair
    from histome.validation.register.landmarks import landmark_errors, read_landmarks
    from histome.validation.register.rigid import RigidStart, search_rigid
    from histome.validation.register.warp import Warp

__all__ = ["RigidStart", "Warp", "landmark_errors", "read_landmarks", "register_pair", "search_rigid"]
__getattr__ = opened(__name__, __file__)
