"""What is drawn lies where its labels say, and nothing is labeled that nobody could see."""

import numpy as np
import pytest
from helpers.drawn_tissue import density_of, from_density, glass, tissue_texture

from histome.training.quality.drawn import CLASS_OF, CODE, DRAWERS, draw, stroke, through_disc

MPP = 4.0
SIDE = 200


def drawn(kind, image, seed=0):
    codes = np.full(image.shape[:2], CODE["VALID_TISSUE"], np.uint8)
    return draw(kind, image, codes, np.random.default_rng(seed), mpp=MPP)


def density(image):
    return -np.log10(np.maximum(image, 1) / 243.0).sum(axis=-1)


@pytest.fixture(scope="module")
def tissue():
    return from_density(1.6 * density_of(tissue_texture(SIDE, SIDE, mpp=MPP)))


@pytest.mark.parametrize("kind", DRAWERS)
def test_a_kind_is_labeled_as_its_class_and_the_same_again(kind, tissue):
    label = CODE[CLASS_OF.get(kind, "TISSUE_ARTIFACT")]
    seen = [drawn(kind, tissue, seed) for seed in range(12)]
    assert sum(np.any(codes == label) for _, codes in seen) >= 9
    for image, codes in seen:
        assert image.shape == tissue.shape
        assert set(np.unique(codes)) <= {0, label, CODE["VALID_TISSUE"]}
    again = drawn(kind, tissue, 3)
    assert all(np.array_equal(a, b) for a, b in zip(again, seen[3], strict=True))


def test_a_fold_lies_at_least_half_as_dense_again_and_only_there(tissue):
    for seed in range(6):
        image, codes = drawn("fold", tissue, seed)
        fold, clean = codes == CODE["TISSUE_ARTIFACT"], codes == CODE["VALID_TISSUE"]
        assert density(image)[fold].mean() > 1.5 * density(tissue)[fold].mean()
        assert np.abs(density(image) - density(tissue))[clean].max() < 0.35


def test_a_fold_of_empty_glass_is_not_labeled():
    empty = glass(SIDE, SIDE)
    assert all(set(np.unique(drawn("fold", empty, seed)[1])) <= {0, 5} for seed in range(6))


def test_a_tear_is_empty_and_not_told_among_air_spaces(tissue):
    image, codes = drawn("tear", tissue, 1)
    torn = codes == CODE["TISSUE_ARTIFACT"]
    assert torn.any()
    assert np.median(density(image)[torn]) < 0.1
    lung = tissue.copy()
    lung[np.indices((SIDE, SIDE)).sum(axis=0) % 20 < 12] = 243
    assert not np.any(drawn("tear", lung, 1)[1] == CODE["TISSUE_ARTIFACT"])


def test_a_stroke_covers_its_width():
    points = np.stack([np.arange(20.0, 80.0), np.full(60, 50.0)], axis=1)
    cover = stroke((100, 100), points, np.full(60, 8.0))
    assert abs(cover[:, 50].sum() - 16.0) < 1.0
    assert cover[50, 30] == 1.0
    assert cover[70].max() == 0.0


def test_a_disc_spreads_a_point_evenly():
    point = np.zeros((41, 41, 3), np.uint8)
    point[20, 20] = 255
    spread = through_disc(point, 3.0)[..., 0]
    inside = np.hypot(*(np.indices(spread.shape) - 20)) <= 2.4
    assert spread[inside].min() == spread[inside].max() > 0
    assert spread[np.hypot(*(np.indices(spread.shape) - 20)) > 4.0].max() == 0
