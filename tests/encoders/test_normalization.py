"""Stain normalization against slides that were mixed from known stains, and against another program."""

import numpy as np
import pytest

from histome.encoders.normalization import _lab, fit_normalizer, macenko_stains

HEMATOXYLIN, EOSIN = (np.array(v) / np.linalg.norm(v) for v in ([0.60, 0.72, 0.35], [0.15, 0.90, 0.40]))


def stained(rng, strength=1.0, n=40_000):
    """Pixels of two known stains in known amounts, some with nearly one of them alone."""
    amounts = rng.gamma(2.0, 0.35, (n, 2)) * strength
    amounts[: n // 4, 0] *= 0.01
    amounts[n // 4 : n // 2, 1] *= 0.01
    density = amounts @ np.stack([HEMATOXYLIN, EOSIN])
    return np.clip(np.round(240 * np.exp(-density) - 1), 0, 255).astype(np.uint8).reshape(200, 200, 3)


def test_macenko_finds_the_stains_that_a_picture_was_mixed_of(rng):
    found = macenko_stains(stained(rng))
    assert found[:, 0] @ HEMATOXYLIN > 0.995
    assert found[:, 1] @ EOSIN > 0.995


def test_macenko_takes_strength_and_color_from_the_reference(rng):
    weak, strong = stained(rng, 0.6), stained(np.random.default_rng(20), 1.1)
    apart = [picture.reshape(-1, 3).mean(0) for picture in (weak, strong)]
    alike = [fit_normalizer("macenko", p)(p).reshape(-1, 3).mean(0) for p in (weak, strong)]
    assert np.abs(apart[0] - apart[1]).max() > 15
    assert np.abs(alike[0] - alike[1]).max() < 8


def test_macenko_is_that_of_torchstain(rng):
    torchstain = pytest.importorskip("torchstain", reason="the oracle")
    picture = stained(rng)
    theirs = torchstain.normalizers.MacenkoNormalizer(backend="numpy").normalize(picture, stains=False)[0]
    ours = fit_normalizer("macenko", picture)(picture)
    assert np.abs(theirs.astype(int) - ours).max() <= 1


def test_reinhard_gives_the_reference_mean_and_spread(rng):
    picture = stained(rng)
    moved = _lab(fit_normalizer("reinhard", picture)(picture))
    # What is brighter than white is cut off, so the spread is a little smaller.
    np.testing.assert_allclose(moved.mean(0), [8.741, -0.124, 0.0445], atol=0.03)
    np.testing.assert_allclose(moved.std(0), [0.6135, 0.1099, 0.0286], rtol=0.12)


def test_reinhard_leaves_a_picture_of_the_reference_as_it_is(rng):
    picture = stained(rng)
    once = fit_normalizer("reinhard", picture)(picture)
    twice = fit_normalizer("reinhard", once)(once)
    assert np.abs(once.astype(int) - twice).mean() < 3


@pytest.mark.parametrize("kind", ["macenko", "reinhard", "none"])
def test_a_white_slide_is_no_error(kind):
    white = np.full((32, 32, 3), 255, np.uint8)
    assert fit_normalizer(kind, white)(white).shape == white.shape
