"""Intervals: against the formula of a mean, where there are none, and how often they hold the truth."""

import numpy as np
import pytest

from histome.metrics.uncertainty.blocks import Blocks, BlockSums, ratio
from histome.metrics.uncertainty.bootstrap import (
    HANGS_ON_FEW,
    NO_SPREAD,
    block_interval,
    draw_blocks,
    resample,
)

NO_PAIRS = np.zeros((0, 2), np.int64)


def blocks_in_grid(rows, columns):
    """Blocks of nothing in a grid, with their neighbors."""
    number = np.arange(rows * columns).reshape(rows, columns)
    sides = ((number[1:], number[:-1]), (number[:, 1:], number[:, :-1]))
    pairs = np.concatenate([np.column_stack([a.ravel(), b.ravel()]) for a, b in sides])
    area = np.ones((rows * columns, 8))
    return Blocks(500.0, np.zeros(0, np.int64), area, area[:, :5], pairs)


def test_the_interval_of_a_mean_is_that_of_student(rng):
    n = 400
    blocks = blocks_in_grid(20, 20)
    sample = rng.normal(10, 2, (n, 1))
    drawn = draw_blocks(blocks, 20_000, seed=1)._replace(pairs=NO_PAIRS)
    found = block_interval(ratio(sample, np.ones((n, 1))), drawn)
    half = 1.966 * sample.std(ddof=1) / np.sqrt(n)
    assert found.low[0] == pytest.approx(sample.mean() - half, abs=0.05 * half)
    assert found.high[0] == pytest.approx(sample.mean() + half, abs=0.05 * half)


def test_draws_are_weighted_sums_whatever_the_threads(rng):
    blocks = blocks_in_grid(5, 6)
    weights = draw_blocks(blocks, 1000, seed=7).weights
    assert (weights.sum(axis=0) == 30).all()
    sums = rng.random((30, 7, 11))
    found = resample(sums, weights)
    np.testing.assert_allclose(found, np.einsum("bd,bij->dij", weights.astype(float), sums))
    np.testing.assert_array_equal(found, resample(sums, weights, workers=3))


def test_the_seed_decides(rng):
    blocks = blocks_in_grid(5, 5)
    given = ratio(rng.random(25), rng.random(25))
    first, again, other = (block_interval(given, draw_blocks(blocks, 1000, seed)) for seed in (1, 1, 2))
    assert first.low == again.low
    assert first.low != other.low


@pytest.mark.parametrize("blocks_with_cells", [0, 1, 3])
def test_few_blocks_that_matter_give_no_interval(blocks_with_cells):
    counts = np.zeros((100, 1))
    counts[:blocks_with_cells] = 5
    found = block_interval(ratio(counts, np.ones((100, 1))), draw_blocks(blocks_in_grid(10, 10), 1000, 0))
    assert found.reason[0] == (HANGS_ON_FEW if blocks_with_cells else NO_SPREAD)
    assert np.isnan(found.low[0])
    assert np.isnan(found.high[0])


def test_the_few_others_of_a_share_matter_too():
    whole = np.full((100, 1), 50.0)
    part = whole.copy()
    part[:2] = 49
    found = block_interval(ratio(part, whole), draw_blocks(blocks_in_grid(10, 10), 1000, 0))
    assert found.reason[0] == HANGS_ON_FEW


def test_like_neighbors_widen_the_interval(rng):
    blocks = blocks_in_grid(12, 12)
    patches = np.kron(rng.normal(10, 2, (4, 4)), np.ones((3, 3))).reshape(-1, 1)
    drawn = draw_blocks(blocks, 1000, 0)
    alone = drawn._replace(pairs=NO_PAIRS)
    wide, narrow = (block_interval(ratio(patches, np.ones((144, 1))), each) for each in (drawn, alone))
    assert (wide.high - wide.low)[0] > 1.3 * (narrow.high - narrow.low)[0]


def test_that_influences_add_up_to_0_makes_no_interval_narrower(rng):
    """12 blocks: their covariance with 17 neighbors comes out 17 / 132 of the variance too small."""
    blocks = blocks_in_grid(3, 4)
    sample = np.kron(rng.normal(10, 1, (3, 2)), np.ones((1, 2))).reshape(-1, 1) + rng.normal(0, 0.4, (12, 1))
    drawn = draw_blocks(blocks, 20_000, 0)
    wide, narrow = (
        block_interval(ratio(sample, np.ones((12, 1))), each)
        for each in (drawn, drawn._replace(pairs=NO_PAIRS))
    )
    off = sample[:, 0] - sample.mean()
    first, second = off[blocks.pairs].T
    variance = 1 + 2 * (np.sum(first * second) / np.sum(off**2) + len(blocks.pairs) / (12 * 11))
    assert len(blocks.pairs) == 17
    assert 1.2 < variance < 2.5
    assert (wide.high - wide.low)[0] == pytest.approx((narrow.high - narrow.low)[0] * variance**0.5, rel=0.03)


def test_numbers_that_draws_leave_undefined_have_none(rng):
    counts = rng.poisson(1.0, (9, 1)).astype(float) + 1
    broken = BlockSums(lambda n: np.where(n > counts.sum(), np.nan, n), (counts,))
    found = block_interval(broken, draw_blocks(blocks_in_grid(3, 3), 1000, 0))
    assert np.isnan(found.low[0])
    assert found.reason[0]


@pytest.mark.parametrize("clustered", [False, True])
def test_intervals_hold_the_truth_as_often_as_they_say(clustered):
    """Counts of 36 blocks of a Poisson process and of clusters of about 20 that do not spread: 95 %."""
    rng = np.random.default_rng(11)
    drawn = draw_blocks(blocks_in_grid(6, 6), 1000, 0)
    slides = 1000
    # (blocks, slides): every slide is a metric of one call.
    counts = rng.poisson(20 * rng.poisson(3, (36, slides))) if clustered else rng.poisson(60, (36, slides))
    found = block_interval(ratio(counts, np.ones((36, 1))), drawn)
    share = np.mean((found.low <= 60) & (found.high >= 60))
    assert 0.92 <= share <= 0.98


def test_bands_hold_all_distances_of_a_function_at_once():
    """Eight independent counts on 100 blocks: pointwise 95 % each is 66 % for all; the band gives 95 %."""
    rng = np.random.default_rng(2)
    drawn = draw_blocks(blocks_in_grid(10, 10), 1000, 0)
    slides, distances = 300, 8
    counts = rng.poisson(30, (100, slides, distances)).astype(float)
    found = block_interval(ratio(counts, np.ones((100, 1, 1))), drawn, along=1)
    value = counts.mean(axis=0)
    pointwise = ((found.low <= 30) & (found.high >= 30)).all(axis=1).mean()
    low, high = (value + found.wider * (end - value) for end in (found.low, found.high))
    band = ((low <= 30) & (high >= 30)).all(axis=1).mean()
    assert pointwise < 0.8
    assert 0.92 <= band <= 0.98
    # The quantile of the largest of eight normal deviations, over that of one.
    assert np.median(found.wider) == pytest.approx(2.73 / 1.96, rel=0.03)


def test_one_distance_needs_no_band(rng):
    found = block_interval(
        ratio(rng.random((36, 4, 1)), np.ones((36, 1, 1))),
        draw_blocks(blocks_in_grid(6, 6), 1000, 0),
        along=1,
    )
    assert (found.wider == 1).all()
