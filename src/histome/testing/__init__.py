"""Is it right? The installation, the whole method on a drawn slide, and a model against its card."""

from histome.testing.contract import check_model
from histome.testing.demo import Demo, Score, match_cells, run_demo, score_phantom
from histome.testing.doctor import Finding, examine

__all__ = ["Demo", "Finding", "Score", "check_model", "examine", "match_cells", "run_demo", "score_phantom"]
