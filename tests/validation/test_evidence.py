"""What stands behind each class and organ, counted by hand."""

import numpy as np
import pytest

from histome.classes import CELL_CLASSES
from histome.datasets.fields import FieldId, instance_field
from histome.datasets.labelsets import LEUKOCYTES, label_set
from histome.datasets.organs import organ_of
from histome.models.card import Card
from histome.models.label_support import FEW_SCORED, unscored_classes
from histome.validation.evidence import evidence
from histome.validation.nuclei import score_field
from histome.validation.scores import Found

SQUARE_UM = np.array([[-2.0, -2], [2, -2], [2, 2], [-2, 2]])


def score(data_set, source, true, said):
    """Score a row of square nuclei, each labeled as a set of classes and called one."""
    n = len(true)
    labels = np.zeros((40, 40 * n), np.int32)
    for k in range(n):
        labels[16:24, 40 * k + 16 : 40 * k + 24] = k + 1
    sets = np.array([0, *(label_set(*names) for names in true)], np.uint16)
    rgb = np.full((*labels.shape, 3), 200, np.uint8)
    field = instance_field(FieldId(data_set, source, source), rgb, labels, sets, mpp=0.5)
    centers = np.array([(20.0 * k + 10, 10.0) for k in range(n)])
    p = np.eye(9, dtype=np.float32)[[CELL_CLASSES.index(name) for name in said]]
    return score_field(Found(centers, centers[:, None] + SQUARE_UM, p, np.zeros(n, bool)), field)


LYMPHOCYTE, EITHER = ("lymphocyte",), LEUKOCYTES


def test_only_labels_of_the_class_alone_are_evidence():
    true = [LYMPHOCYTE, LYMPHOCYTE, LYMPHOCYTE, EITHER, EITHER, ("fibroblast",)]
    said = ["lymphocyte", "lymphocyte", "macrophage", "lymphocyte", "macrophage", "lymphocyte"]
    table = evidence([score("mine", "p", true, said)], {"lymphocyte": "direct, n = 7"})["classes"]
    # Two hits, one miss; the fibroblast is a false alarm, a leukocyte called lymphocyte is none.
    assert table["lymphocyte"]["n_scored"] == 3
    assert table["lymphocyte"]["f1"]["value"] == pytest.approx(4 / 6, abs=1e-4)
    assert table["lymphocyte"]["trained"] == "direct, n = 7"
    assert table["macrophage"] == {"trained": "not known", "n_scored": 0}


def test_organs_come_from_data_set_source_or_tcga_code():
    names = [organ_of(*each) for each in (("tnbc", "patient 1"), ("pannuke_figures", "Bile-duct"))]
    assert names == ["breast", "bile duct"]
    assert organ_of("monuseg", "TCGA-KB-A93J") == "stomach"
    assert organ_of("pannuke", "HeadNeck") == organ_of("mine", "x") == ""


def test_an_organ_has_its_fields_and_primaries_have_theirs():
    scores = [
        score("pannuke_figures", "Bile-duct", [("epithelial_cell",)], ["epithelial_cell"]),
        score("consep", "train_3", [("other",), EITHER], ["lymphocyte", "lymphocyte"]),
        score("consep", "train_6", [("fibroblast",)], ["fibroblast"]),
    ]
    table = evidence(scores, {})["organs"]
    assert table.keys() == {"bile duct", "colorectum", "primary"}
    assert (table["colorectum"]["fields"], table["colorectum"]["nuclei"]) == (2, 3)
    assert table["colorectum"]["type_allowed"]["value"] == pytest.approx(2 / 3, abs=1e-4)
    assert table["primary"]["detection_f1"]["value"] == 1.0


def test_classes_with_too_few_scored_nuclei_are_unscored_if_the_card_says_anything():
    given = {"name": "n", "task": "stardist", "description": "d", "classes": CELL_CLASSES, "mpp": 0.5}
    given |= {"window_px": 64, "halo_px": 8, "sha256": "0" * 64}
    assert unscored_classes(Card(**given)) == ()
    scored = {name: {"n_scored": FEW_SCORED} for name in CELL_CLASSES} | {"other": {"n_scored": 19}}
    assert unscored_classes(Card(**given, scores={"classes": scored})) == ("other",)
