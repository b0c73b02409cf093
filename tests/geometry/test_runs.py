import numpy as np
import pytest
from scipy import ndimage

from histome.geometry.runs import find_runs


def painted(runs, shape):
    """Return region numbers from 1 on, from runs."""
    labels = np.zeros(shape, np.int32)
    for k in range(len(runs.code)):
        for j in range(runs.bounds[k], runs.bounds[k + 1]):
            labels[runs.row[j], runs.start[j] : runs.stop[j]] = k + 1
    return labels


@pytest.mark.parametrize("seed", range(4))
def test_regions_equal_scipy_labels_of_each_code(seed):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 4, (60, 70)).astype(np.uint8)
    runs = find_runs(codes, min_px=1)
    labels = painted(runs, codes.shape)
    assert np.array_equal(labels > 0, codes > 0)
    total = 0
    for code in (1, 2, 3):
        expected, count = ndimage.label(codes == code, np.ones((3, 3)))
        total += count
        pairs = np.unique(np.stack([expected[codes == code], labels[codes == code]]), axis=1)
        assert pairs.shape[1] == count
        assert set(runs.code[pairs[1] - 1]) == {code}
    assert len(runs.code) == total
    assert runs.area_px.sum() == np.count_nonzero(codes)


def test_regions_are_numbered_by_first_pixel():
    codes = np.zeros((10, 10), np.uint8)
    codes[5:8, 1:3] = 1
    codes[2:4, 6:9] = 2
    runs = find_runs(codes, min_px=1)
    assert runs.code.tolist() == [2, 1]
    assert runs.area_px.tolist() == [6, 6]


def test_small_regions_are_left_out_and_an_empty_map_has_none():
    codes = np.zeros((10, 10), np.uint8)
    codes[0, :3] = 1
    codes[5, :4] = 1
    assert find_runs(codes, min_px=4).area_px.tolist() == [4]
    assert len(find_runs(np.zeros((5, 5), np.uint8), min_px=1).code) == 0


def test_arms_that_meet_late_are_one_region():
    codes = np.zeros((6, 9), np.uint8)
    codes[:5, 0] = codes[:5, 4] = codes[:5, 8] = 1
    codes[5] = 1
    assert len(find_runs(codes, min_px=1).code) == 1
