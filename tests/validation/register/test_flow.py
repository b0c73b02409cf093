"""The flow between two pictures: shifts that are known come out, and nothing folds."""

import cv2
import numpy as np
import pytest
from helpers.restained import Bend, in_dab

from histome.phantom import paint_field
from histome.validation.register.flow import find_flow
from histome.validation.register.grays import gray_pair

SIDE = 300


@pytest.fixture(scope="module")
def field():
    return paint_field(SIDE, mpp=1.0, rng=np.random.default_rng(3))


def hematoxylin(rgb, *, dab=False):
    return gray_pair(rgb, 1.0, dab=dab).nuclei


def test_a_bend_that_is_known_comes_out_and_nothing_folds(field):
    bend = Bend(SIDE, 6.0)
    fixed, moving = hematoxylin(field), hematoxylin(bend.picture(in_dab(field)), dab=True)
    flow = find_flow(fixed, moving, np.ones_like(fixed))
    # Places of the bent picture, and where the flow says that what lies on the field came from.
    on_moving = np.random.default_rng(0).uniform(40, SIDE - 40, (300, 2))
    on_field = bend(on_moving)
    at = (on_field - 0.5).astype(np.float32)
    shift = cv2.remap(flow.shifts_px, at[:, :1], at[:, 1:], cv2.INTER_LINEAR)[:, 0]
    left = np.linalg.norm(on_field + shift - on_moving, axis=1)
    given = np.linalg.norm(on_field - on_moving, axis=1)
    assert np.median(given) > 3
    assert np.median(left) < 0.2
    assert np.percentile(left, 95) < 1.0
    assert flow.after > 2 * flow.before
    (dx_y, dx_x), (dy_y, dy_x) = (np.gradient(flow.shifts_px[..., k]) for k in (0, 1))
    assert ((1 + dx_x) * (1 + dy_y) - dx_y * dy_x).min() > 0.3


def test_pictures_that_lie_right_stay_and_glass_has_no_say(field):
    gray = hematoxylin(field)
    flow = find_flow(gray, gray, np.ones_like(gray))
    assert np.abs(flow.shifts_px).max() < 0.25  # a step
    empty = np.zeros_like(gray)
    nothing = find_flow(gray, empty, empty)
    assert not nothing.shifts_px.any()
    assert (nothing.before, nothing.after) == (0.0, 0.0)
