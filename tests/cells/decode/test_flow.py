"""The rules of Cellpose, on discs whose flows are known by hand."""

import numpy as np
import pytest

from histome.cells.decode import DecodeSettings, decode
from histome.cells.decode.flow import flow_errors
from histome.cells.decode.outlined import largest_pieces
from histome.classes import CELL_CLASSES
from histome.models.card import Thresholds

SIDE, RADIUS = 96, 9
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE]


def disc_maps(discs, strength=1.0):
    """Each pixel of a disc flows to its middle; of two discs the later has the pixels."""
    prob, flow = np.full((1, SIDE, SIDE), 0.05, np.float32), np.zeros((2, SIDE, SIDE), np.float32)
    for row, column in discs:
        away = np.stack([row - ROWS, column - COLUMNS]).astype(float)
        length = np.hypot(*away)
        inside = length <= RADIUS
        prob[0, inside] = 0.9
        flow[:, inside] = strength * (away / np.maximum(length, 1))[:, inside]
    return {"prob": prob, "flow": flow}


def found_in(maps, **cuts):
    settings = DecodeSettings(0.25, Thresholds(min_area_um2=1.0, **cuts), cell_classes=("other",))
    return decode("flow", maps, settings)


def test_two_discs_that_touch_are_two_nuclei_with_the_pixels_they_have():
    found = found_in(disc_maps([(40, 30), (40, 48)]))
    assert len(found.outlines) == 2
    assert found.scores.tolist() == pytest.approx([0.9, 0.9], abs=0.01)
    for middle, label in ((30, 1), (48, 2)):
        rows, columns = np.nonzero(found.labels == label)
        assert (rows.mean(), columns.mean()) == pytest.approx((40, middle), abs=0.5)
        assert len(rows) == pytest.approx(np.pi * RADIUS**2, rel=0.06)
    assert {CELL_CLASSES[k] for k in found.logits.argmax(1)} == {"other"}


def test_a_nucleus_whose_flow_is_not_that_of_its_shape_is_dropped():
    weak = disc_maps([(40, 30)], strength=0.3)  # 0.7 off, squared 0.49
    assert len(found_in(weak).outlines) == 0
    assert len(found_in(weak, flow_error=0.6).outlines) == 1


def test_the_flow_of_a_disc_is_the_one_that_its_shape_makes():
    maps = disc_maps([(40, 30), (70, 70)])
    labels = ((ROWS - 40) ** 2 + (COLUMNS - 30) ** 2 <= RADIUS**2).astype(np.int32)
    labels[(ROWS - 70) ** 2 + (COLUMNS - 70) ** 2 <= RADIUS**2] = 2
    errors = flow_errors(labels, maps["flow"])
    assert errors.shape == (2,)
    assert errors.max() < 0.05
    # Turned about, each pixel is off by two: squared four.
    assert flow_errors(labels, -maps["flow"]) == pytest.approx([4, 4], abs=0.2)


def test_pixels_that_are_not_sure_enough_take_no_part():
    maps = disc_maps([(40, 30)])
    assert len(found_in(maps, prob=0.95).outlines) == 0
    half = {**maps, "prob": np.where(COLUMNS < 30, maps["prob"], 0).astype(np.float32)}
    assert (found_in(half, flow_error=2.0).labels[:, 30:] == 0).all()


def test_nothing_is_no_nuclei():
    found = found_in(disc_maps([]))
    assert found.outlines.shape == (0, 32, 2)
    assert found.logits.shape == (0, 9)


def test_of_a_torn_instance_the_largest_piece_is_kept():
    labels = np.zeros((6, 9), np.int32)
    labels[0, :3] = labels[3:5, 2:5] = 7  # 3 and 6 pixels
    labels[1, 3] = 7  # at a corner only
    labels[0, 8] = 2
    kept = largest_pieces(labels)
    assert (kept == 7).sum() == 6
    assert kept[3, 2] == 7
    assert kept[0, 8] == 2
