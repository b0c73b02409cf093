"""The entropy filter that both pseudo-labelers share."""

import math

import numpy as np
import pytest

from histome.training.pseudo import entropy, surest


def test_entropy_of_even_odds_and_of_certainty():
    p = np.array([[0.5, 0.5], [1.0, 0.0]])
    assert entropy(p, 1) == pytest.approx([math.log(2), 0], abs=1e-9)


def test_seven_of_ten_are_kept_and_those_without_an_answer_are_not():
    kept = surest(np.array([*np.linspace(0.1, 1.0, 10), np.nan, np.nan]), 0.7)
    assert kept.tolist() == [True] * 7 + [False] * 5
    assert not surest(np.full(3, np.nan), 0.7).any()


def test_all_answers_are_the_surest_whole():
    assert surest(np.array([0.3, 0.3, np.nan]), 1.0).tolist() == [True, True, False]
