"""Scores of labeled fields as cards hold them."""

import numpy as np
import pytest

from histome.classes import CELL_CLASSES
from histome.datasets.declared import DECLARED, declaration_of
from histome.datasets.fields import FieldId, instance_field
from histome.datasets.labelsets import label_set
from histome.validation.nuclei import group_of_sets, groups_for, rounded, score_field, score_tables
from histome.validation.scores import Found

SQUARE_UM = np.array([[-2.0, -2], [2, -2], [2, 2], [-2, 2]])


@pytest.mark.parametrize("name", [*DECLARED, "mine"])
def test_groups_part_the_classes_and_every_label_falls_into_one(name):
    groups = groups_for(name)
    everyone = [cell for group in groups.values() for cell in group]
    assert len(everyone) == len(set(everyone))
    for mask in (declaration_of(name).labels or {}).values():
        assert (group_of_sets(np.array([mask]), groups) >= 0) == (mask > 0)


def test_groups_are_what_the_labels_can_tell_apart():
    assert set(groups_for("pannuke")["inflammatory"]) == {
        "granulocyte",
        "lymphocyte",
        "macrophage",
        "plasma_cell",
    }
    assert groups_for("lizard")["neutrophil_eosinophil"] == ("granulocyte",)
    assert groups_for("lizard")["none of these"] == ("macrophage",)
    assert groups_for("mine") == {name: (name,) for name in CELL_CLASSES}


def _field(data_set, source, classes):
    """Square nuclei of 4 um in a row, 20 um apart."""
    labels = np.zeros((40, 40 * len(classes)), np.int32)
    for k in range(len(classes)):
        labels[16:24, 40 * k + 16 : 40 * k + 24] = k + 1
    sets = np.array([0, *(label_set(name) if name else 0 for name in classes)], np.uint16)
    rgb = np.full((*labels.shape, 3), 200, np.uint8)
    return instance_field(FieldId(data_set, source, source), rgb, labels, sets, mpp=0.5)


def _found(classes):
    centers = np.array([(20.0 * k + 10, 10.0) for k in range(len(classes))]).reshape(-1, 2)
    p = np.eye(len(CELL_CLASSES), dtype=np.float32)[[CELL_CLASSES.index(name) for name in classes]]
    return Found(centers, centers[:, None] + SQUARE_UM, p, np.zeros(len(classes), bool))


def test_labels_of_ones_own_are_scored_class_by_class():
    classes = ["plasma_cell", "lymphocyte"]
    scores = [score_field(_found(classes), _field("mine", f"p{k}", classes)) for k in range(5)]
    scores.append(score_field(_found(["lymphocyte", "lymphocyte"]), _field("mine", "p9", classes)))
    table = score_tables(scores)["mine"]
    assert (table["fields"], table["sources"], table["nuclei"]) == (6, 6, 12)
    assert table["detection_f1"]["value"] == 1.0
    assert table["f1_matched_plasma_cell"]["value"] == pytest.approx(2 * 5 / (2 * 5 + 1), abs=1e-4)
    assert table["f1_matched_plasma_cell"]["low"] < 1.0


def test_untyped_nuclei_are_only_counted():
    (table,) = score_tables([score_field(_found(["other"]), _field("plain", "p", [""]))]).values()
    assert table["detection_f1"]["value"] == 1.0
    assert not [figure for figure in table if figure.startswith("f1_matched")]


def test_what_is_found_beside_partial_labels_is_not_false():
    (table,) = score_tables(
        [score_field(_found(["lymphocyte"]), _field("monusac", "p", ["lymphocyte"]))]
    ).values()
    assert "detection_f1" not in table
    assert not [figure for figure in table if figure.startswith("f_c")]
    assert table["f1_matched_lymphocyte"]["value"] == 1.0


def test_rounding_leaves_out_what_could_not_be_scored():
    assert rounded({"a": 0.123456, "b": float("nan"), "c": [{"d": 1.0}], "e": 3}) == {
        "a": 0.1235,
        "c": [{"d": 1.0}],
        "e": 3,
    }
