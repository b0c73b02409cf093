"""Scores of tissue maps against answers made by hand."""

import numpy as np
import pytest

from histome.classes import TISSUE_CLASSES
from histome.datasets.tissue_fields import TissueField
from histome.validation.tissue import (
    gland_dice,
    glas_counts,
    iou,
    malignancy,
    score_tissue,
    wsss_counts,
)

K = {name: k for k, name in enumerate(TISSUE_CLASSES)}
HALVES = np.repeat([[0] * 20 + [1] * 20], 40, axis=0).astype(np.uint8)
PERFECT = np.zeros((7, 40, 40), np.float32)
PERFECT[K["CARCINOMA"], :, :20] = PERFECT[K["STROMA"], :, 20:] = 1


def field(data_set, source="a", label="", truth=None):
    image = np.random.default_rng(0).integers(100, 220, (40, 40, 3)).astype(np.uint8)
    return TissueField(data_set, source, source, "", image, np.zeros((40, 40), np.uint8), truth, label)


def test_overlaps_of_a_perfect_and_of_a_wrong_answer():
    f = field("wsss4luad", truth=HALVES)
    counts = wsss_counts(f, PERFECT)
    assert iou(counts)[:2].tolist() == [1, 1]
    assert np.isnan(iou(counts)[2])
    assert iou(wsss_counts(f, PERFECT[..., ::-1]))[:2].tolist() == [0, 0]
    gland = field("glas", truth=(HALVES == 0).astype(np.uint8), label="malignant")
    assert gland_dice(glas_counts(gland, PERFECT)) == 1
    assert malignancy(PERFECT) == pytest.approx(1)


def test_scores_have_the_form_of_all_cards():
    fields = [field("wsss4luad", str(k), truth=HALVES) for k in range(3)]
    fields += [field("glas", "p", "malignant", (HALVES == 0).astype(np.uint8))]
    scores = score_tissue(lambda _: PERFECT, fields, np.random.default_rng(0))
    assert scores["wsss4luad_iou_mean"] == {"value": 1.0, "low": 1.0, "high": 1.0, "units": 3}
    assert scores["glas_grade_accuracy"]["value"] == 1.0


def test_a_tile_is_answered_by_the_classes_that_its_declaration_names():
    """Half carcinoma, half stroma: half of a stroma tile is right; whole sources are drawn."""
    fields = [field("nct", "a", "STR"), field("nct", "b", "STR"), field("kather", "c", "03_COMPLEX")]
    scores = score_tissue(lambda _: PERFECT, fields, np.random.default_rng(0))
    assert scores == {"nct_str": {"value": 0.5, "low": 0.5, "high": 0.5, "units": 2}}
