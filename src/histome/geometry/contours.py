"""Region contours: exact polygons along pixel edges."""

import numba
import numpy as np
import shapely
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def outline(mask: Mask, *, offset: tuple[int, int], scale: float) -> shapely.Geometry:
    """Return the polygon (with holes) or multipolygon of a mask along its pixel edges.

    Its area is exactly the number of pixels times scale squared.

    Parameters
    ----------
    mask : (h, w) bool
        What is outlined.
    offset : (int, int), px
        Column, row of the mask's first pixel in the map.
    scale : float, um/px
        Of the map.
    """
    points, ends = _rings(np.pad(mask, 1))
    loops = [loop for ring in np.split(points, ends[:-1]) for loop in _simple_loops(ring)]
    coordinates = (np.concatenate(loops) - 1 + np.array(offset)) * scale
    if len(loops) == 1:
        return shapely.Polygon(coordinates)
    rings = np.split(coordinates, np.cumsum([len(loop) for loop in loops])[:-1])
    try:
        with np.errstate(invalid="ignore"):
            return shapely.build_area(shapely.MultiLineString(rings))
    except shapely.GEOSException:  # GEOS gives up on some knots of rings that touch at corners
        return _union_of_runs(mask, offset, scale)


def _union_of_runs(mask: Mask, offset: tuple[int, int], scale: float) -> shapely.Geometry:
    """Return the same area as the union of the runs of pixels in each row: slower, and always found."""
    steps = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    (rows, first), (_, last) = np.nonzero(steps == 1), np.nonzero(steps == -1)
    x0, x1, y = first + offset[0], last + offset[0], rows + offset[1]
    return shapely.union_all(shapely.box(x0 * scale, y * scale, x1 * scale, (y + 1) * scale))


def _simple_loops(ring: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Split a closed ring where it touches itself: where pixels meet at a corner it may pass twice."""
    codes = ring[:-1, 0] * (1 << 32) + ring[:-1, 1]
    if len(np.unique(codes)) == len(codes):
        return [ring]
    loops, path, place = [], [], {}
    for k, code in enumerate(codes.tolist()):
        if code in place:
            start = place[code]
            loops.append(ring[[*path[start:], path[start]]])
            for dropped in path[start:]:
                del place[int(codes[dropped])]
            path = path[:start]
        place[code] = len(path)
        path.append(k)
    return [*loops, ring[[*path, path[0]]]]


# Direction k leaves a corner to the right, down, left or up; the region lies at its right hand.
_STEP = np.array([[0, 1], [1, 0], [0, -1], [-1, 0]])
# Pixel at the right and at the left of the edge that leaves corner (r, c) in direction k, relative to (r, c).
_RIGHT = np.array([[0, 0], [0, -1], [-1, -1], [-1, 0]])
_LEFT = np.array([[-1, 0], [0, 0], [0, -1], [-1, -1]])


@numba.njit(cache=True)
def _is_edge(mask, r, c, k):  # pragma: no cover (compiled)
    inside = mask[r + _RIGHT[k, 0], c + _RIGHT[k, 1]]
    return inside and not mask[r + _LEFT[k, 0], c + _LEFT[k, 1]]


@numba.njit(cache=True)
def _rings(mask):  # pragma: no cover (compiled)
    """Closed rings of (x, y) corners of a mask with a free border, and the end of each ring."""
    # Each ring holds an edge to the right along the top of a pixel, so starting from all of those finds all
    # rings.
    todo = np.zeros(mask.shape, np.bool_)
    edges = 0
    for r in range(1, mask.shape[0]):
        for c in range(mask.shape[1]):
            todo[r, c] = mask[r, c] and not mask[r - 1, c]
            edges += todo[r, c]
    # A ring has a corner or two for each run of its top and bottom edges; the sum is at most 4 an edge and
    # ring ends.
    points = np.empty((5 * edges + 1, 2), np.int64)
    ends = np.empty(edges, np.int64)
    n, rings = 0, 0
    for r0 in range(1, mask.shape[0]):
        for c0 in range(mask.shape[1]):
            if not todo[r0, c0]:
                continue
            first, r, c, k = n, r0, c0, 0
            while True:
                if k == 0:
                    todo[r, c] = False
                r, c = r + _STEP[k, 0], c + _STEP[k, 1]
                # Right turns first: at a corner where two pixels touch, the ring stays with its own pixel.
                turn = (k + 1) % 4
                if not _is_edge(mask, r, c, turn):
                    turn = k if _is_edge(mask, r, c, k) else (k + 3) % 4
                if turn != k:
                    points[n, 0], points[n, 1] = c, r
                    n += 1
                k = turn
                if r == r0 and c == c0 and k == 0:
                    break
            points[n] = points[first]
            n += 1
            ends[rings] = n
            rings += 1
    return points[:n], ends[:rings]
