"""Cohen's kappa against tables computed by hand and against published figures."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from histome.validation.agreement import cohen_kappa, kappa_of


def test_a_table_by_hand() -> None:
    # Cohen's own kind of case: p_o = 35/50, p_e = 0.5 * 0.6 + 0.5 * 0.4 = 0.5, kappa = 0.4.
    assert kappa_of(np.array([[20, 5], [10, 15]])) == pytest.approx(0.4)


def test_extremes() -> None:
    assert kappa_of(np.eye(3) * 5) == pytest.approx(1.0)
    assert kappa_of(np.array([[5, 5], [5, 5]])) == pytest.approx(0.0)
    assert np.isnan(kappa_of(np.array([[7.0]])))
    assert np.isnan(kappa_of(np.zeros((2, 2))))


def test_the_interval_holds_the_value_and_narrows() -> None:
    rng = np.random.default_rng(1)
    a = rng.integers(0, 3, 400).astype(str).tolist()
    b = [x if rng.random() < 0.7 else "0" for x in a]
    few, many = (cohen_kappa(a[:n], b[:n], rng=np.random.default_rng(0)) for n in (50, 400))
    assert few.low < few.value < few.high
    assert many.high - many.low < few.high - few.low
    assert many.units == 400


def test_one_label_has_no_kappa() -> None:
    assert np.isnan(cohen_kappa(["a", "a"], ["a", "a"], rng=np.random.default_rng(0)).value)


def test_published_raters(data_dir: Callable[[str], Path]) -> None:
    """The first two raters of MIDOG++: kappa 0.575."""
    raters = data_dir("raters")
    votes = _midog(json.loads((raters / "MIDOG++.json").read_text()))
    assert cohen_kappa(*votes, rng=np.random.default_rng(0)).value == pytest.approx(0.575, abs=0.001)


def _midog(content: dict) -> tuple[list[str], list[str]]:
    votes = [cell["labels"][:2] for cell in content["annotations"]]
    return [str(a) for a, _ in votes], [str(b) for _, b in votes]
