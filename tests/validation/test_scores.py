"""Type scores and painted outlines against cases counted by hand."""

import numpy as np
import pytest

from histome.classes import CELL_CLASSES
from histome.validation.nuclei import group_of_sets, groups_for
from histome.validation.scores import Found, f_c, merged_probabilities, outline_scores, typed_counts

GROUP = {"epithelial": ("carcinoma_cell", "epithelial_cell"), "lymphoid": ("lymphocyte", "plasma_cell")}


def _found(centers, classes):
    p = np.zeros((len(centers), 9), np.float32)
    p[np.arange(len(centers)), [CELL_CLASSES.index(c) for c in classes]] = 1
    square = np.array([[-2.0, -2], [2, -2], [2, 2], [-2, 2]])
    centers = np.asarray(centers, float)
    return Found(centers, centers[:, None] + square[None], p, np.zeros(len(centers), bool))


def test_probabilities_of_a_group_are_summed():
    p = np.zeros((1, 9), np.float32)
    p[0, CELL_CLASSES.index("carcinoma_cell")] = 0.3
    p[0, CELL_CLASSES.index("epithelial_cell")] = 0.25
    p[0, CELL_CLASSES.index("lymphocyte")] = 0.45
    np.testing.assert_allclose(merged_probabilities(p, GROUP), [[0.55, 0.45]])


def test_f_c_parts_counted_by_hand():
    true = np.array([[0.0, 0], [10, 0], [20, 0], [30, 0]])
    types = np.array([0, 0, 1, 1])
    # 0: right, 10: found as lymphoid, 20: right, 30: missed, 50: invented
    found = _found(
        [[0, 0], [10, 0], [20, 0], [50, 0]], ["carcinoma_cell", "lymphocyte", "plasma_cell", "lymphocyte"]
    )
    typed, detection = typed_counts(true, types, found, GROUP)
    assert detection == (3, 1, 1)
    assert typed.f_class(0).tolist() == [1, 0, 1, 0, 0]
    assert typed.f_class(1).tolist() == [1, 1, 0, 1, 1]
    assert f_c(typed.f_class(0)) == pytest.approx(2 / (2 + 2))
    assert f_c(typed.f_class(1)) == pytest.approx(2 / (2 + 2 + 1 + 1))


def test_cells_of_unknown_type_are_not_in_the_confusion():
    typed, detection = typed_counts(np.zeros((1, 2)), np.array([-1]), _found([[0, 0]], ["other"]), GROUP)
    assert detection.tp == 1
    assert typed.confusion.sum() == 0


def test_label_sets_map_to_the_group_that_shares_a_class():
    bit = {name: 1 << k for k, name in enumerate(CELL_CLASSES)}
    sets = np.array([0, bit["carcinoma_cell"], bit["macrophage"] | bit["lymphocyte"], bit["other"]])
    assert group_of_sets(sets, groups_for("consep")).tolist() == [-1, 0, 1, 3]


def test_outline_scores_of_a_square_found_exactly():
    true = np.zeros((40, 40), np.int32)
    true[12:28, 12:28] = 1
    assert outline_scores(true, _found([[5.0, 5.0]], ["other"]), 0.25).aji == 1.0
