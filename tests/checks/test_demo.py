"""The demo tells what a drawing can test: nuclei, counts, areas; nothing of classes."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
from helpers.cells import cell_table

from histome.checks.demo import score_phantom
from histome.classes import QC_CLASSES
from histome.phantom import draw_phantom
from histome.slide import ClassMap


def test_a_profile_that_is_the_truth_scores_full_and_classes_are_not_asked(tmp_path: Path) -> None:
    truth = draw_phantom(tmp_path / "drawn.tif", size_px=(1024, 1024), rng=np.random.default_rng(3))
    drawn = truth.cells
    cells = cell_table(drawn.x_px * truth.mpp, drawn.y_px * truth.mpp, ["other"] * len(drawn))
    quality = ClassMap(truth.qc_map(8.0), 8.0, QC_CLASSES)
    profile = SimpleNamespace(cells=cells, quality=SimpleNamespace(map=quality))
    scores = {score.name: score.value for score in score_phantom(profile, truth)}  # type: ignore[arg-type]
    assert list(scores) == ["nucleus detection F1", "number of nuclei", "quality map", "area of valid tissue"]
    assert scores["nucleus detection F1"] == scores["quality map"] == 1
    assert scores["number of nuclei"] == scores["area of valid tissue"] == 0
