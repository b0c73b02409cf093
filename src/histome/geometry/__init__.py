"""Arithmetic on arrays: grids, trees, discs, distances, contours; no pixels, no tables."""
