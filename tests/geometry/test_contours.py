import numpy as np
import pytest
import shapely

from histome.geometry.contours import outline


def of(rows):
    return np.array([[c == "#" for c in row] for row in rows])


@pytest.mark.parametrize(
    ("rows", "polygons", "holes"),
    [
        (["#"], 1, 0),
        (["###", "#.#", "###"], 1, 1),
        (["#.", ".#"], 2, 0),
        ([".#.", "#.#", ".#."], 4, 0),
        (["####", "#.##", "##.#", "####"], 1, 2),
        (["##..", "##..", "..##", "..##"], 2, 0),
        ([".###", "#..#", "##.#", ".###"], 1, 1),
        (["#####", "#...#", "#.#.#", "#...#", "#####"], 2, 1),
    ],
)
def test_small_patterns(rows, polygons, holes):
    mask = of(rows)
    found = outline(mask, offset=(0, 0), scale=1.0)
    assert shapely.is_valid(found)
    assert found.area == mask.sum()
    parts = shapely.get_parts(found)
    assert len(parts) == polygons
    assert shapely.get_num_interior_rings(parts).sum() == holes


@pytest.mark.parametrize("seed", range(5))
def test_random_masks_have_valid_polygons_of_their_exact_area(seed):
    mask = np.random.default_rng(seed).random((25, 30)) < 0.5
    found = outline(mask, offset=(3, 7), scale=2.0)
    assert shapely.is_valid(found)
    assert found.area == 4 * mask.sum()
    y, x = np.mgrid[:25, :30]
    inside = shapely.contains_xy(found, (x.ravel() + 3.5) * 2, (y.ravel() + 7.5) * 2)
    assert np.array_equal(inside.reshape(mask.shape), mask)


def test_rings_in_a_knot_that_geos_cannot_build_an_area_of():
    """Cut out of the tissue map of an untrained network."""
    mask = of(
        [
            ".......######.",
            ".....###..#.#.",
            ".....#....#.##",
            ".....#.....#.#",
            ".....#....#.##",
            ".....#....#..#",
            "..#..####.####",
            "........#.#...",
            "........##....",
        ]
    )
    polygon = outline(mask, offset=(0, 0), scale=2.0)
    assert polygon.is_valid
    assert polygon.area == 4.0 * mask.sum()


def test_offset_and_scale_are_microns():
    found = outline(np.ones((2, 3), bool), offset=(10, 20), scale=0.5)
    assert found.bounds == (5.0, 10.0, 6.5, 11.0)
