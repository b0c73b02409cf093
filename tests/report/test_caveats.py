"""A warning appears when its reason does, with the number, and not otherwise."""

import numpy as np
import pytest
from helpers import profiles
from helpers.cells import cell_table

from histome.config import ReportConfig
from histome.metrics.format import MetricTable
from histome.models.card import Card
from histome.report.caveats import CaveatInputs, find_caveats
from histome.report.views import CellArrays
from histome.slide import Mpp

CONFIG = ReportConfig()
GOOD = {"RELATIVE_AREA_VALID_TISSUE": 97.0, "ABSOLUTE_AREA": 1e6, "ABSOLUTE_AREA_CARCINOMA": 1e5}


def card(**changes: object) -> Card:
    fields = {
        "name": "nuclei",
        "task": "stardist",
        "description": "nuclei",
        "classes": ("a",),
        "mpp": 0.5,
        "window_px": 64,
        "halo_px": 8,
        "sha256": "0" * 64,
    }
    return Card.model_validate({**fields, **changes})


def cells(n: int = 1000, *, confidence: float = 0.9, abstained: float = 0.0) -> CellArrays:
    left_open = np.arange(n) < abstained * n
    nowhere = np.zeros(n)
    return CellArrays.of(
        cell_table(nowhere, nowhere, 0, confidence=nowhere + confidence, abstained=left_open)
    )


def titles(metrics: dict[str, float | None] | None = None, **changes: object) -> list[str]:
    inputs = {
        "metrics": MetricTable(profiles.make_metrics({**GOOD, **(metrics or {})})),
        "cells": cells(),
        "mpp": Mpp(0.25, 0.25, "file property"),
        "cards": {"nuclei": card()},
        "stated": (),
        **changes,
    }
    return [caveat.title for caveat in find_caveats(CaveatInputs(**inputs), CONFIG)]  # type: ignore[arg-type]


def test_a_good_profile_has_no_warning() -> None:
    assert titles() == []


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({"mpp": Mpp(0.5, 0.5, "objective power", estimated=True)}, "Pixel size is an estimate"),
        ({"mpp": Mpp(0.9, 0.9, "file")}, "Scanned coarser than the nucleus model expects"),
        ({"broken_tiles": 3}, "Part of the file could not be read"),
        ({"metrics": {"RELATIVE_AREA_VALID_TISSUE": 61.0}}, "Much of the tissue was excluded"),
        ({"metrics": {"ABSOLUTE_AREA_CARCINOMA": 0.0}}, "No carcinoma was found"),
        ({"cells": cells(0)}, "No cells were found"),
        ({"cells": cells(50)}, "Few cells"),
        ({"cells": cells(confidence=0.4)}, "The cell classes are uncertain"),
        ({"cells": cells(abstained=0.4)}, "Many cells are left open"),
        ({"cards": {"nuclei": card(limits=("never saw skin",))}}, "Limits of the model “nuclei”"),
        ({"stated": ("the scanner was cold",)}, "From the run"),
    ],
)
def test_each_reason_has_its_warning(changes: dict[str, object], title: str) -> None:
    assert titles(changes.pop("metrics", None), **changes) == [title]  # type: ignore[arg-type]


def test_classes_without_labels_of_their_own_are_named() -> None:
    labels = {"lymphocyte": "direct, n = 2083", "plasma_cell": "indirect", "macrophage": "direct, n = 85"}
    inputs = CaveatInputs(
        MetricTable(profiles.make_metrics(GOOD)),
        cells(),
        Mpp(0.25, 0.25, "file"),
        {"nuclei": card(training={"labels": labels})},
        stated=(),
    )
    (caveat,) = find_caveats(inputs, CONFIG)
    assert "macrophage (direct, n = 85), plasma cell (indirect)" in caveat.text
    assert "lymphocyte" not in caveat.text


def test_a_stain_outside_the_range_of_training_is_named() -> None:
    cards = {
        "nuclei": card(training={"stain": {"hematoxylin_od_mean": [0.4, 0.9], "eosin_od_mean": [0.1, 0.5]}})
    }
    found = titles(cards=cards, stain={"hematoxylin_od_mean": 1.2, "eosin_od_mean": 0.3})
    assert found == ["The stain is unlike what the model “nuclei” learned from"]
    assert titles(cards=cards, stain={"hematoxylin_od_mean": 0.8}) == []


def test_cautions_come_before_notes() -> None:
    found = titles(cells=cells(50, confidence=0.4))
    assert found == ["The cell classes are uncertain", "Few cells"]


def test_numbers_stand_in_the_text() -> None:
    metrics = MetricTable(profiles.make_metrics({**GOOD, "RELATIVE_AREA_VALID_TISSUE": 61.27}))
    inputs = CaveatInputs(metrics, cells(), Mpp(0.25, 0.25, "file"), {}, stated=())
    assert "Only 61.3 %" in find_caveats(inputs, CONFIG)[0].text
