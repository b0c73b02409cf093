"""Paths are where the outlines are."""

import numpy as np
import shapely

from histome.render.outlines import outline_paths


def points(path: str) -> np.ndarray:
    """Vertices of a path written by `outline_paths`."""
    start, steps = path.removeprefix("m").removesuffix("z").split("l")
    first = np.array(start.split(), float)
    return first + np.vstack([[0, 0], np.array(steps.split(), float).reshape(-1, 2).cumsum(axis=0)])


def test_outlines_lie_within_a_quarter_pixel() -> None:
    polygon = shapely.buffer(shapely.Point(530.3, 641.7), 20, quad_segs=8)
    (path,) = outline_paths(np.array([polygon]), scale=(0.5, 0.5), offset=(250.0, 300.0))
    drawn = points(path) / 2
    true = shapely.get_coordinates(polygon)[:-1] * 0.5 - [250.0, 300.0]
    assert len(drawn) == len(true) == 32
    assert np.abs(drawn - true).max() <= 0.25


def test_no_polygons_no_paths() -> None:
    assert outline_paths(np.array([], object), scale=(1, 1), offset=(0, 0)) == []
