"""The bootstrap against binomial theory and hand-made cases."""

import numpy as np
import pytest

from histome.validation.resampling import bootstrap, f1, ratio


def test_interval_of_a_mean_matches_its_standard_error():
    rng = np.random.default_rng(1)
    values = rng.normal(5.0, 2.0, 400)
    estimate = bootstrap(np.stack([values, np.ones(400)], 1), [str(i) for i in range(400)], ratio, rng=rng)
    error = values.std() / np.sqrt(400)
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * error, rel=0.12)


def test_rows_of_one_patient_are_drawn_together():
    rng = np.random.default_rng(2)
    parts = np.array([[0.0, 1.0]] * 50 + [[1.0, 1.0]] * 50)
    alone = bootstrap(parts, [str(i) for i in range(100)], ratio, rng=rng)
    together = bootstrap(parts, ["a"] * 50 + ["b"] * 50, ratio, rng=rng)
    assert (together.low, together.high, together.units) == (0.0, 1.0, 2)
    assert alone.high - alone.low < 0.25


def test_f1_of_sums_and_of_nothing():
    assert f1(np.array([8, 2, 2])) == pytest.approx(0.8)
    assert np.isnan(f1(np.array([0, 0, 0])))


def test_nothing_to_score_is_nan_without_a_warning():
    estimate = bootstrap(np.zeros((3, 3)), ["a", "b", "c"], f1, rng=np.random.default_rng(0))
    assert np.isnan(estimate[:3]).all()
    assert estimate.units == 3
