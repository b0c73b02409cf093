"""Calibration, macro F1, balanced accuracy and the coverage curve against values worked out by hand."""

import numpy as np
import pytest

from histome.validation.confidence import (
    balanced_accuracy,
    calibration_parts,
    confusion_parts,
    coverage_curve,
    expected_calibration_error,
    macro_f1,
)


def test_calibration_error_by_hand():
    confidence = np.array([0.95, 0.95, 0.55, 0.55])
    correct = np.array([True, True, True, False])
    parts = calibration_parts(confidence, correct, bins=10)
    # Bin 9: 0.95 said, 1.0 true; bin 5: 0.55 said, 0.5 true.
    assert expected_calibration_error(parts) == pytest.approx(0.05)
    assert expected_calibration_error(parts + parts) == pytest.approx(0.05)
    assert np.isnan(expected_calibration_error(np.zeros(30)))


def test_full_confidence_is_in_the_last_bin():
    assert (
        calibration_parts(np.array([1.0]), np.array([True]), bins=5).tolist()
        == [0] * 4 + [1] + ([0] * 4 + [1]) * 2
    )


def test_macro_f1_leaves_out_classes_that_do_not_occur():
    true, guess = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    # F1 of class 0: 2/3, of class 1: 4/5; class 2 does not occur.
    assert macro_f1(confusion_parts(true, guess, 3)) == pytest.approx((2 / 3 + 4 / 5) / 2)


def test_balanced_accuracy_is_the_mean_recall_whatever_the_numbers():
    true = np.array([0] * 90 + [1] * 10)
    assert balanced_accuracy(confusion_parts(true, np.zeros(100, int), 2)) == pytest.approx(0.5)
    assert np.isnan(balanced_accuracy(confusion_parts(np.zeros(3, int), np.zeros(3, int), 2)))


def test_coverage_keeps_the_surest():
    confidence = np.array([0.9, 0.8, 0.6, 0.5])
    true, guess = np.array([0, 1, 0, 1]), np.array([0, 1, 1, 0])
    curve = coverage_curve(confidence, true, guess, 2, coverages=(1.0, 0.5))
    assert curve[0] == {"coverage": 1.0, "confidence": 0.5, "macro_f1": 0.5, "n": 4}
    assert curve[1] == {"coverage": 0.5, "confidence": 0.8, "macro_f1": 1.0, "n": 2}
    assert coverage_curve(np.empty(0), np.empty(0, int), np.empty(0, int), 2) == []
