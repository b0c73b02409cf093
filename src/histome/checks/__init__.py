"""Is it right? The installation, the whole method on a drawn slide, and a model against its card."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.checks.demo import Demo, Score, match_cells, run_demo, score_phantom
    from histome.checks.doctor import Finding, examine
    from histome.checks.encoder import check_encoder
    from histome.checks.model import check_model

__all__ = [
    "Demo",
    "Finding",
    "Score",
    "check_encoder",
    "check_model",
    "examine",
    "match_cells",
    "run_demo",
    "score_phantom",
]
__getattr__ = opened(__name__, __file__)
