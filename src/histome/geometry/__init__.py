"""Plane geometry on arrays: points, masks, outlines and distances; nothing here knows slides or cells."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.geometry.borders import border_length_px, perimeter_px
    from histome.geometry.contours import outline
    from histome.geometry.discs import union_area
    from histome.geometry.distance import DistanceField, distance_to, distance_to_codes
    from histome.geometry.grid import build_grid, neighbor_counts
    from histome.geometry.hull import hull_area_px
    from histome.geometry.kdtree import build_tree, nearest_rows, nearest_squared
    from histome.geometry.morphology import (
        close_gaps,
        components,
        dilate,
        erode,
        fill_small_holes,
        keep_large,
    )
    from histome.geometry.polygons import center_and_axes, centroids, polygon_areas
    from histome.geometry.raster import paint_outlines, paint_polygons
    from histome.geometry.runs import find_runs

__all__ = [
    "DistanceField",
    "border_length_px",
    "build_grid",
    "build_tree",
    "center_and_axes",
    "centroids",
    "close_gaps",
    "components",
    "dilate",
    "distance_to",
    "distance_to_codes",
    "erode",
    "fill_small_holes",
    "find_runs",
    "hull_area_px",
    "keep_large",
    "nearest_rows",
    "nearest_squared",
    "neighbor_counts",
    "outline",
    "paint_outlines",
    "paint_polygons",
    "perimeter_px",
    "polygon_areas",
    "union_area",
]
__getattr__ = opened(__name__, __file__)
