"""Density of chromogens in the compartments of nuclei: color deconvolution, block by block of a slide."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from histome.geometry.raster import paint_polygons
from histome.slide import Slide
from histome.slide.stain import HEMATOXYLIN_RGB_OD, to_od, unmixing
from histome.validation.panel.declared import Marker, Panel

_BLOCK_UM = 500.0
# Neighbors of a block's nuclei that reach into their rings: the largest nucleus and a ring.
_MARGIN_UM = 40.0
# Finer than this, a ring of 3 um has pixels enough.
_LEAST_MPP = 0.5

Floats = NDArray[np.float32]


class MarkerReading(NamedTuple):
    """What one marker shows in each of n nuclei.

    Attributes
    ----------
    od : (n,) float32
        Mean density of the chromogen in the compartment.
    share : (n,) float32, 0-1
        Of the compartment's pixels above the marker's limit.
    lost : (n,) bool
        No tissue there, or no pixel of the compartment: the other two are NaN.
    """

    od: Floats
    share: Floats
    lost: NDArray[np.bool_]


def measure_markers(
    slide: Slide, outlines_um: NDArray[np.object_], panel: Panel, stain: str
) -> dict[str, MarkerReading]:
    """Read the markers of one restained picture in nuclei.

    Parameters
    ----------
    slide : Slide
        The picture as it lies on the H&E: one um of it is that um of the H&E.
    outlines_um : (n,) polygons, um
        Of the H&E's nuclei.
    """
    markers, n = panel.of_stain(stain), len(outlines_um)
    nothing = lambda: np.full(n, np.nan, np.float32)  # noqa: E731
    found = {name: MarkerReading(nothing(), nothing(), np.ones(n, bool)) for name in markers}
    boxes = shapely.bounds(outlines_um).reshape(n, 4)
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    blocks, inverse = np.unique(np.floor(centers / _BLOCK_UM), axis=0, return_inverse=True)
    tree = shapely.STRtree(outlines_um)
    for k, corner in enumerate((blocks * _BLOCK_UM).tolist()):
        x, y = corner
        around = (x - _MARGIN_UM, y - _MARGIN_UM, x + _BLOCK_UM + _MARGIN_UM, y + _BLOCK_UM + _MARGIN_UM)
        near = np.sort(tree.query(shapely.box(*around)))
        own = np.flatnonzero(inverse.ravel()[near] == k)
        read = _read_block(slide, outlines_um[near], around, panel, markers)
        for name, reading in read.items():
            for whole, part in zip(found[name], reading, strict=True):
                whole[near[own]] = part[own]
    return found


def _read_block(
    slide: Slide,
    outlines_um: NDArray[np.object_],
    box_um: tuple[float, float, float, float],
    panel: Panel,
    markers: Mapping[str, Marker],
) -> dict[str, MarkerReading]:
    mpp = max(_LEAST_MPP, slide.mpp.x, slide.mpp.y)
    side = round((box_um[2] - box_um[0]) / mpp)
    rgb = slide.read(box_um[0] / slide.mpp.x, box_um[1] / slide.mpp.y, size=(side, side), mpp=mpp)
    n = len(outlines_um)
    nuclei = np.zeros((side, side), np.int32)
    moved = shapely.transform(outlines_um, lambda xy: (xy - np.array(box_um[:2])) / mpp)
    paint_polygons(nuclei, moved, np.arange(1, n + 1, dtype=np.int32))
    cells = _with_rings(nuclei, panel.ring_um / mpp)
    places = {"nucleus": nuclei, "cytoplasm": np.where(nuclei > 0, 0, cells), "cell": cells}
    density = to_od(rgb)
    lost = ~(_means(density.mean(-1), nuclei, n) >= panel.lost_below_od)
    vectors = tuple(dict.fromkeys(marker.rgb_od for marker in markers.values()))
    planes = density @ unmixing(HEMATOXYLIN_RGB_OD, *vectors)
    found = {}
    for name, marker in markers.items():
        plane, place = planes[..., 1 + vectors.index(marker.rgb_od)], places[marker.where]
        od, share = _means(plane, place, n), _means(plane > marker.above_od, place, n)
        gone = lost | np.isnan(od)
        found[name] = MarkerReading(np.where(gone, np.nan, od), np.where(gone, np.nan, share), gone)
    return found


def _with_rings(nuclei: NDArray[np.int32], ring_px: float) -> NDArray[np.int32]:
    """Each nucleus with the pixels within a distance of it that are nearest to it."""
    away, (rows, columns) = distance_transform_edt(nuclei == 0, return_indices=True)  # type: ignore[misc]
    return np.where(away <= ring_px, nuclei[rows, columns], 0)


def _means(values: NDArray, labels: NDArray[np.int32], n: int) -> Floats:
    """Mean of each label 1..n, (n,); NaN for one without a pixel."""
    number = np.bincount(labels.ravel(), minlength=n + 1)[1:]
    sums = np.bincount(labels.ravel(), values.ravel().astype(float), minlength=n + 1)[1:]
    return np.divide(sums, number, out=np.full(n, np.nan), where=number > 0).astype(np.float32)
