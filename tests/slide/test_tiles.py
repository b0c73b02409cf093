import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histome.slide.tiles import Box, TileGrid

sides = st.integers(1, 60)


@settings(deadline=None)
@given(width=sides, height=sides, core=st.integers(1, 25), halo=st.integers(0, 9))
def test_cores_partition_the_extent(width: int, height: int, core: int, halo: int) -> None:
    grid = TileGrid((width, height), core, halo)
    count = np.zeros((height, width), int)
    for index, tile in enumerate(grid):
        box = tile.core
        count[box.y0 : box.y1, box.x0 : box.x1] += 1
        assert tile.index == index
        assert (tile.x, tile.y) == (box.x0, box.y0)
        assert (tile.read.width, tile.read.height) == (grid.window_px, grid.window_px)
        assert (tile.read.x0, tile.read.y0) == (box.x0 - halo, box.y0 - halo)
    assert (count == 1).all()


@settings(deadline=None)
@given(
    width=sides,
    height=sides,
    core=st.integers(1, 25),
    u=st.floats(0, 1, exclude_max=True),
    v=st.floats(0, 1, exclude_max=True),
)
def test_each_point_is_owned_by_the_tile_whose_core_holds_it(width, height, core, u, v) -> None:
    grid = TileGrid((width, height), core, 4)
    x, y = u * width, v * height
    holders = [t.index for t in grid if t.core.x0 <= x < t.core.x1 and t.core.y0 <= y < t.core.y1]
    assert holders == grid.owners(np.array([x]), np.array([y])).tolist()


def test_a_point_outside_the_extent_has_no_owner() -> None:
    grid = TileGrid((100, 50), 32, 8)
    x, y = np.array([-0.1, 100.0, 5.0, 5.0]), np.array([5.0, 5.0, -0.1, 50.0])
    assert grid.owners(x, y).tolist() == [-1] * 4


def test_row_major_and_sliced() -> None:
    grid = TileGrid((25, 12), 10, 3)
    assert grid.shape == (2, 3)
    assert [(tile.x, tile.y) for tile in grid] == [(0, 0), (10, 0), (20, 0), (0, 10), (10, 10), (20, 10)]
    assert grid[-1].core == Box(20, 10, 25, 12)
    assert grid[-1].read == Box(17, 7, 33, 23)
    assert [tile.index for tile in grid[1:3]] == [1, 2]
    with pytest.raises(IndexError):
        grid[6]


@pytest.mark.parametrize(("extent", "core", "halo"), [((0, 5), 4, 1), ((5, 5), 0, 1), ((5, 5), 4, -1)])
def test_impossible_grids_are_refused(extent: tuple[int, int], core: int, halo: int) -> None:
    with pytest.raises(ValueError, match="no grid"):
        TileGrid(extent, core, halo)


@settings(deadline=None)
@given(
    corner=st.tuples(st.integers(0, 63), st.integers(0, 63)),
    size=st.tuples(st.integers(1, 64), st.integers(1, 64)),
    around=st.integers(0, 20),
    step=st.sampled_from([8, 16, 48]),
)
def test_a_tile_that_is_cut_reads_what_is_wanted_and_little_else(corner, size, around, step) -> None:
    tile = TileGrid((640, 640), core_px=64, halo_px=16)[11]
    (x, y), (width, height) = corner, size
    wanted = Box(64 + x, 64 + y, min(128, 64 + x + width), min(128, 64 + y + height))
    cut = tile.cut(wanted, around_px=around, step_px=step)
    assert (cut.index, cut.core) == (tile.index, tile.core)
    for axis in (0, 1):
        whole, read = tile.read[axis::2], cut.read[axis::2]
        needed = max(whole[0], wanted[axis] - around), min(whole[1], wanted[axis + 2] + around)
        assert whole[0] <= read[0] <= needed[0] < needed[1] <= read[1] <= whole[1]
        assert (read[0] - whole[0]) % step == 0
        assert (read[1] - read[0]) % step == 0
        assert needed[0] - read[0] < step
        assert read[1] - needed[1] < step
    assert tile.cut(wanted, around_px=around, step_px=0) == tile
