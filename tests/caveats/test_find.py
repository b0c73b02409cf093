"""A warning appears when its reason does, with its values, and not otherwise."""

from typing import Any

import pytest

from histome.caveats import CODES, Observed, find_caveats, models_disagree
from histome.cells.pixels import Stains
from histome.config import WarningsConfig
from histome.models.card import STAIN_NAMES, Card
from histome.store.caveat import Caveat

MPP = {"x": 0.25, "y": 0.25, "source": "file property", "estimated": False, "notes": []}
CELLS = {
    "count": 1000,
    "counted": 1000,
    "confidence_mean": 0.9,
    "abstained_percent": 2.0,
    "median_nucleus_um2": 30.0,
    "nuclear_contrast": 0.25,
    "strangeness_median": 0.6,
    "unfamiliar_percent": 4.0,
    "undecided": {"immune, undecided": 0},
    "carcinoma_cells": 400,
    "in_carcinoma": 390,
    "cells_in_carcinoma": 600,
    "epithelial_in_carcinoma": 10,
    "stain": {"hematoxylin_od_mean": 0.5, "eosin_od_mean": 0.3},
}
ROI = {"file": "drawn.xml", "regions": [{"name": "A", "class": "Tumor", "mm2": 1.0}]}
COLORS = {"spread": 0.05, "red_to_blue": 1.8, "red_with_green": -0.9, "green_most": 1.0}
GOOD: dict[str, Any] = {
    "slide": {"mpp": MPP, "notes": [], "broken_tiles": {"count": 0}},
    "config": {"slide": {"organ": "colorectum"}},
    "stages": {"qc": {"warnings": []}},
    "quality": {
        "tissue_mm2": 1.0,
        "valid_mm2": 0.97,
        "valid_percent": 97.0,
        "unlike_h_and_e": None,
        "colors": COLORS,
    },
    "tissue": {"mm2": {"CARCINOMA": 0.4, "STROMA": 0.5}},
    "cells": CELLS,
    "edits": {},
}


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


def found(run: dict[str, Any] | None = None, **changes: object) -> list[Caveat]:
    """Warnings of a good run with some of its parts changed, and of a card with some fields changed."""
    changed = {name: {**GOOD.get(name, {}), **part} for name, part in (run or {}).items()}
    return find_caveats(Observed({**GOOD, **changed}, (card(**changes),), WarningsConfig()))


def codes(run: dict[str, Any] | None = None, **changes: object) -> list[str]:
    return [caveat.code for caveat in found(run, **changes)]


def test_a_good_run_has_no_warning() -> None:
    assert codes() == []


CASES: list[tuple[dict[str, Any], dict[str, object], str]] = [
    ({"quality": {"unlike_h_and_e": "brown"}}, {}, "NOT_H_AND_E"),
    ({"cells": {"median_nucleus_um2": 9.0}}, {}, "RESOLUTION_IMPLAUSIBLE"),
    ({"slide": {"mpp": {**MPP, "estimated": True}}}, {}, "RESOLUTION_ESTIMATED"),
    ({"slide": {"mpp": {**MPP, "x": 0.9}}}, {}, "RESOLUTION_COARSE"),
    ({"slide": {"mpp": {**MPP, "notes": ["pixels are 0.25 x 0.3 um"]}}}, {}, "RESOLUTION_NOTE"),
    ({"slide": {"broken_tiles": {"count": 3}}}, {}, "BROKEN_TILES"),
    ({"slide": {"notes": ["palette colors were converted to RGB"]}}, {}, "FILE_NOTE"),
    ({"slide": {"pages": 3}}, {}, "PAGES_NOT_READ"),
    ({"stages": {"cells": {"warnings": ["no GPU; running on the CPU"]}}}, {}, "RUN_NOTE"),
    ({"roi": {**ROI, "not_measured": []}}, {}, "REGIONS_OF_INTEREST"),
    ({"roi": {**ROI, "not_measured": ["off, which lies off the slide"]}}, {}, "REGIONS_NOT_MEASURED"),
    ({"nuclei": {"file": "cells.geojson", "count": 10, "measured": 8}}, {}, "NUCLEI_GIVEN"),
    ({"nuclei": {"file": "cells.geojson", "count": 10, "measured": 7}}, {}, "NUCLEI_LEFT_OUT"),
    ({"edits": {"relabeled": 3, "excluded_regions": 0, "not_found": 1}}, {}, "CORRECTED"),
    ({"quality": {"valid_percent": 61.0}}, {}, "MUCH_EXCLUDED"),
    ({"config": {"slide": {"organ": None}}}, {}, "ORGAN_NOT_STATED"),
    ({"config": {"slide": {"organ": "skin"}}}, {"organs": ("colorectum", "lung")}, "ORGAN_NOT_SEEN"),
    ({"config": {"slide": {"organ": "lung", "specimen": "cytology"}}}, {}, "SPECIMEN_NOT_SEEN"),
    ({"tissue": {"mm2": {"CARCINOMA": 0.0, "STROMA": 0.5}}}, {}, "NO_CARCINOMA"),
    ({"cells": {"count": 0, "counted": 0}}, {}, "NO_CELLS"),
    ({"cells": {"count": 5, "counted": 0}}, {}, "CELLS_NOT_COUNTED"),
    ({"cells": {"count": 50, "counted": 50}}, {}, "SMALL_SAMPLE"),
    ({"cells": {"unfamiliar_percent": 51.0}}, {}, "TYPES_UNFAMILIAR"),
    ({"cells": {"confidence_mean": 0.4}}, {}, "LOW_CONFIDENCE"),
    ({"cells": {"abstained_percent": 40.0}}, {}, "MANY_ABSTAINED"),
    ({"cells": {"in_carcinoma": 199}}, {}, "MODELS_DISAGREE"),
    ({}, {"training": {"stain": {"hematoxylin_od_mean": [0.6, 0.9]}}}, "STAIN_OUTSIDE_TRAINING"),
    ({"cells": {"undecided": {"immune, undecided": 7}}}, {}, "TYPES_UNDECIDED"),
    ({}, {"training": {"labels": {"macrophage": "direct, n = 85"}}}, "FEW_LABELS"),
    ({}, {"limits": ("never saw skin",)}, "MODEL_LIMITS"),
]


@pytest.mark.parametrize(("run", "changes", "code"), CASES, ids=[code for *_, code in CASES])
def test_each_reason_has_its_warning(run: dict[str, Any], changes: dict[str, object], code: str) -> None:
    (caveat,) = found(run, **changes)
    assert caveat.code == code
    assert (caveat.severity, caveat.title) == (CODES[code].severity, CODES[code].title)
    assert tuple(caveat.values) == CODES[code].values


def test_every_code_has_a_case() -> None:
    assert {code for *_, code in CASES} == set(CODES)


def test_an_organ_is_only_asked_of_the_models_whose_organs_are_known() -> None:
    skin = {"config": {"slide": {"organ": "skin"}}}
    assert codes(skin) == []
    assert codes(skin, organs=("skin",)) == []
    assert found(skin, organs=("lung",))[0].values == {"organ": "skin", "models": ["nuclei"]}


@pytest.mark.parametrize(
    ("cells", "valid_mm2", "implausible"),
    [
        ({"median_nucleus_um2": 9.4}, 1.0, True),
        ({"median_nucleus_um2": 9.4, "count": 19}, 0.1, False),
        ({"median_nucleus_um2": 60.0, "nuclear_contrast": 0.19}, 1.0, True),
        ({"median_nucleus_um2": 60.0, "nuclear_contrast": 0.21}, 1.0, False),
        ({"count": 12}, 0.68, True),
        ({"count": 12}, 0.15, False),
    ],
)
def test_nuclei_that_no_tissue_has(cells: dict[str, float], valid_mm2: float, implausible: bool) -> None:
    found = codes(
        {"cells": {"counted": cells.get("count", 1000), **cells}, "quality": {"valid_mm2": valid_mm2}}
    )
    assert ("RESOLUTION_IMPLAUSIBLE" in found) is implausible


def test_classes_without_labels_of_their_own_are_named() -> None:
    labels = {"lymphocyte": "direct, n = 2083", "plasma_cell": "indirect", "macrophage": "direct, n = 85"}
    (caveat,) = found(training={"labels": labels})
    assert "macrophage (direct, n = 85), plasma cell (indirect)" in caveat.text
    assert "lymphocyte" not in caveat.text


def test_one_warning_names_every_mean_of_the_stain_that_is_outside() -> None:
    ranges = {"hematoxylin_od_mean": [0.6, 0.9], "eosin_od_mean": [0.4, 0.5], "hematoxylin_od_sd": [0.1, 0.2]}
    (caveat,) = found(training={"stain": ranges})
    assert caveat.values["outside"] == {
        "hematoxylin_od_mean": {"mean": 0.5, "low": 0.6, "high": 0.9},
        "eosin_od_mean": {"mean": 0.3, "low": 0.4, "high": 0.5},
    }


def test_an_estimate_is_told_once() -> None:
    mpp = {**MPP, "estimated": True, "notes": ["0.25 um/px is estimated from 40x"]}
    assert codes({"slide": {"mpp": mpp}}) == ["RESOLUTION_ESTIMATED"]


def test_the_gravest_come_first() -> None:
    run = {"cells": {"count": 50, "counted": 50}, "config": {"slide": {"organ": "skin"}}}
    assert codes(run, organs=("lung",), limits=("x",)) == ["ORGAN_NOT_SEEN", "SMALL_SAMPLE", "MODEL_LIMITS"]


def test_what_no_stage_has_told_yet_is_no_reason() -> None:
    run = {"slide": {"mpp": MPP}, "config": {"slide": {"organ": "colorectum"}}}
    assert find_caveats(Observed(run, (card(),), WarningsConfig())) == []


def test_numbers_stand_in_the_text() -> None:
    assert "Only 61.3 %" in found({"quality": {"valid_percent": 61.27}})[0].text


def test_the_limits_are_settings() -> None:
    observed = Observed(
        {**GOOD, "cells": {**CELLS, "count": 50, "counted": 50}}, (), WarningsConfig(few_cells=50)
    )
    assert find_caveats(observed) == []


@pytest.mark.parametrize(("every", "inside", "answer"), [(19, 0, False), (20, 9, True), (20, 10, False)])
def test_models_disagree_where_most_carcinoma_cells_lie_elsewhere(
    every: int, inside: int, answer: bool
) -> None:
    assert models_disagree(every, inside, cells_in_carcinoma=0, epithelial=0, fibroblasts=0) is answer


@pytest.mark.parametrize(
    ("inside", "there", "epithelial", "fibroblasts", "answer"),
    [
        (40, 100, 41, 0, True),
        (40, 100, 40, 40, False),
        (40, 100, 0, 41, True),
        (40, 200, 0, 0, False),
        (40, 201, 0, 0, True),
        (0, 19, 19, 0, False),
        (0, 20, 20, 0, True),
        (0, 20, 0, 0, True),
    ],
)
def test_models_disagree_where_carcinoma_holds_few_of_its_cells_or_more_of_others(
    inside: int, there: int, epithelial: int, fibroblasts: int, answer: bool
) -> None:
    found = models_disagree(
        inside, inside, cells_in_carcinoma=there, epithelial=epithelial, fibroblasts=fibroblasts
    )
    assert found is answer


def test_a_slide_too_coarse_to_judge_focus_by_says_so() -> None:
    (fine,), (coarse,) = (found({"slide": {"mpp": {**MPP, "x": x}}}) for x in (0.9, 1.2))
    assert "Focus" not in fine.text
    assert "Focus cannot be judged" in coarse.text


def test_a_card_that_names_what_is_not_measured_of_the_stain_is_refused() -> None:
    assert set(STAIN_NAMES) == set(Stains._fields)
    with pytest.raises(ValueError, match=r"training\.stain names hematoxylin_mean: what is measured is"):
        found(training={"stain": {"hematoxylin_mean": [0.6, 0.9]}})
