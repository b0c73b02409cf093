"""One table of tasks: what a card, a network and a decoder must agree on."""

from typing import get_args

import pytest
from helpers.drawn_hover import hover_card
from helpers.drawn_nuclei import drawn_card

from histome.cells.decode import DECODERS
from histome.classes import TISSUE_CLASSES
from histome.models.card import Thresholds
from histome.models.tasks import (
    CELL_TASKS,
    QC_TASKS,
    TASKS,
    TISSUE_TASKS,
    Task,
    expected_outputs,
    optional_outputs,
    unfit_classes,
    value_ranges,
)


def test_each_task_of_a_card_has_a_row():
    assert get_args(Task) == tuple(TASKS) == (*QC_TASKS, *TISSUE_TASKS, *CELL_TASKS)


def test_each_task_of_cells_has_a_decoder():
    assert tuple(DECODERS) == CELL_TASKS


@pytest.mark.parametrize("task", TASKS)
def test_a_task_names_thresholds_that_cards_have(task):
    assert set(TASKS[task].thresholds) <= set(Thresholds.model_fields)


def test_shapes_follow_from_the_card():
    card = drawn_card(n_rays=16)
    assert expected_outputs(card) == {
        "prob": (1, 1, 128, 128),
        "dist": (1, 16, 128, 128),
        "logits": (1, 9, 128, 128),
    }
    assert optional_outputs(card) == {"mask": (1, 1, 256, 256), "offset": (1, 2, 128, 128)}
    assert optional_outputs(hover_card()) == {}
    assert value_ranges(card)["mask"] == (0.0, 1.0)


def test_classes_that_a_task_does_not_take_are_named():
    assert unfit_classes(drawn_card()) is None
    assert unfit_classes(hover_card(classes=("background", "nucleus"))) is None
    assert unfit_classes(drawn_card(task="segmenter", classes=TISSUE_CLASSES)) is None
    assert "a segmenter has CARCINOMA" in str(unfit_classes(drawn_card(task="segmenter")))
