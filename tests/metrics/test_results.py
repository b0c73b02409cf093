"""Values: no null without a reason."""

import numpy as np
import pytest

from histome.metrics.results import all_null, quotient, result


def test_the_first_reason_that_holds_counts():
    found = result([1.0, 2.0, 3.0], 5, ([False, True, True], "first"), ([True, True, False], "second"))
    assert found.reason.tolist() == ["second", "first", "first"]
    assert np.isnan(found.value).all()
    assert found.n.tolist() == [5, 5, 5]


def test_a_null_without_a_reason_is_refused():
    with pytest.raises(ValueError, match=r"no reason for the null at \[1\]"):
        result([0.0, np.inf], 1)


def test_all_null_and_quotient():
    assert all_null((2, 3), "why").reason.tolist() == [["why"] * 3] * 2
    assert quotient([1, 2], [2, 0], scale=100).tolist()[0] == 50.0
    assert np.isnan(quotient(1, 0))
