"""Scores of tissue maps against answers made by hand."""

import numpy as np
import pytest

from histome.classes import TISSUE_CLASSES
from histome.datasets.tissue_fields import TissueField
from histome.validation.maps.tissue import (
    gland_dice,
    glas_counts,
    iou,
    malignancy,
    score_tissue,
    steadiness,
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


def test_what_an_antibody_stained_is_held_against_the_classes_that_answer_it():
    """The left half is carcinoma, the right half stroma; stained is the left half, or three quarters."""
    left = (HALVES == 0).astype(np.uint8)
    wide = np.repeat([[1] * 30 + [0] * 10], 40, axis=0).astype(np.uint8)
    fields = [
        field("segpath_web", "a", "epithelium", left),
        field("segpath_web", "b", "smooth muscle or myofibroblast", wide),
        field("segpath_web", "c", "red blood cells", left),
    ]
    scores = score_tissue(lambda _: PERFECT, fields, np.random.default_rng(0))
    assert scores["segpath_web_epithelium_dice"]["value"] == 1.0
    assert scores["segpath_web_muscle_share"]["value"] == pytest.approx(1 / 3, abs=1e-4)
    assert scores["segpath_web_blood_dice"]["value"] == 0.0


def test_a_map_of_colors_is_steady_and_one_of_the_grid_is_not():
    image = field("glas").image

    def by_color(image):
        return np.stack([image[::2, ::2, 0], image[::2, ::2, 1]])

    def by_grid(image):
        planes = by_color(image)
        planes[0, :, ::8] = 255
        planes[1, :, 1::2] = 255
        return planes

    assert steadiness(by_color, image) == 1.0
    assert steadiness(by_grid, image) < 0.8
