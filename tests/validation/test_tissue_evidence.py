import numpy as np
import pytest

from histome.classes import TISSUE_CLASSES
from histome.datasets.tissue_fields import TissueField
from histome.datasets.tissue_labels import CODES
from histome.validation.maps.evidence import count_field, tissue_evidence, tissue_support

K = {name: k for k, name in enumerate(TISSUE_CLASSES)}


def field(left, right, *, source="a", data_set="glas"):
    """40 x 40 px: the left half labeled `left`, the right half `right`; None is no label."""
    codes = np.zeros((40, 40), np.uint8)
    codes[:, :20], codes[:, 20:] = (CODES[name] if name else 0 for name in (left, right))
    return TissueField(data_set, source, source, "", np.zeros((40, 40, 3), np.uint8), codes)


def says(left, right):
    """A map that calls the halves so."""

    def predict(image):
        planes = np.zeros((7, 20, 20), np.float32)
        planes[K[left], :, :10] = planes[K[right], :, 10:] = 1
        return planes

    return predict


def test_pixels_labeled_as_one_class_are_hits_or_misses_and_what_a_label_excludes_a_false_alarm():
    counted = count_field(field("malignant gland", "benign gland"), says("CARCINOMA", "CARCINOMA"))
    assert counted.classes[K["CARCINOMA"]].tolist() == [800, 800, 0]
    assert counted.classes[K["EPITHELIAL_TISSUE"]].tolist() == [0, 0, 800]
    assert counted.allowed.tolist() == [800, 1600]


def test_wider_labels_judge_only_what_they_exclude():
    counted = count_field(field("STR", None), says("VESSEL", "NECROSIS"))
    assert not counted.classes.any()
    assert counted.allowed.tolist() == [800, 800]
    wrong = count_field(field("STR", None), says("NECROSIS", "NECROSIS"))
    assert wrong.classes[K["NECROSIS"]].tolist() == [0, 800, 0]


def test_the_tables_count_sources_and_say_what_nobody_scored():
    fields = [
        field("malignant gland", "benign gland", source=name)
        for name in ("patient 3", "patient 3", "patient 9")
    ]
    support = tissue_support(fields[:1])
    assert support["CARCINOMA"] == "direct, n = 1"
    assert support["BLOOD"] == "indirect"
    counted = [count_field(each, says("CARCINOMA", "EPITHELIAL_TISSUE")) for each in fields]
    tables = tissue_evidence(counted, support)
    assert tables["classes"]["CARCINOMA"]["n_scored"] == 2
    assert tables["classes"]["CARCINOMA"]["f1"]["value"] == 1.0
    assert tables["classes"]["BLOOD"] == {"trained": "indirect", "n_scored": 0}
    assert tables["organs"]["colorectum"]["sources"] == 2
    assert tables["organs"]["colorectum"]["type_allowed"]["value"] == pytest.approx(1.0)
