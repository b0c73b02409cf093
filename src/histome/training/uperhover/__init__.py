"""UperHoVer: a vision transformer with two decoders, trained in stages; `run_curriculum` is all the way."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.training.uperhover.config import CurriculumConfig
    from histome.training.uperhover.curriculum import run_curriculum
    from histome.training.uperhover.export import export_hover
    from histome.training.uperhover.network import UperHoVer
    from histome.training.uperhover.result import StageResult
    from histome.training.uperhover.train import HoverRecipe, fit

__all__ = [
    "CurriculumConfig",
    "HoverRecipe",
    "StageResult",
    "UperHoVer",
    "export_hover",
    "fit",
    "run_curriculum",
]
__getattr__ = opened(__name__, __file__)
