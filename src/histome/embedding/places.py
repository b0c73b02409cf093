"""Where an encoder looks: tiles of valid tissue, or a patch round each nucleus."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from histome.slide import ClassMap, Slide, TileGrid


@dataclass(frozen=True, eq=False)
class Places:
    """Squares of a slide, all of one side.

    Attributes
    ----------
    corners_px : (n, 2) float64
        x, y of the upper left corners, level-0 px.
    side_px : int
        Of the squares, in pixels of `mpp`.
    mpp : float, um/px
        What they are read at.
    ids : (n,) int64 or None
        The cells that they lie round.
    """

    corners_px: NDArray[np.float64]
    side_px: int
    mpp: float
    ids: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.corners_px)


def tile_places(
    slide: Slide, quality: ClassMap, side_px: int, *, mpp: float, least_tissue: float = 0.5
) -> Places:
    """Return the tiles of a grid from the slide's corner that hold enough valid tissue, row by row.

    Parameters
    ----------
    slide : Slide
        Whose corner and extent the grid has.
    quality : ClassMap
        Its quality, with the class VALID_TISSUE.
    side_px : int
        Of a tile, in pixels of `mpp` um/px.
    least_tissue : float, 0-1
        Share of a tile that is valid tissue, at least; what lies beyond the slide is none.

    Examples
    --------
    >>> import histome
    >>> from histome.config import Config
    >>> from histome.embedding import tile_places
    >>> from histome.qc import assess
    >>> with histome.open_slide("slide.svs") as slide:
    ...     quality = assess(slide, Config().qc)
    ...     places = tile_places(slide, quality.map, 224, mpp=0.5)
    >>> places.side_px, len(places) > 0
    (224, True)
    """
    height, width = slide.shape_at(mpp)
    grid = TileGrid((width, height), core_px=side_px, halo_px=0)
    corners = np.array([(tile.x, tile.y) for tile in grid], np.float64)
    share = _shares(quality.mask("VALID_TISSUE"), corners * mpp / quality.mpp, side_px * mpp / quality.mpp)
    kept = corners[share >= least_tissue]
    return Places(kept * mpp / (slide.mpp.x, slide.mpp.y), side_px, mpp)


def _shares(mask: NDArray[np.bool_], corners: NDArray[np.float64], side: float) -> NDArray[np.float64]:
    """Share of each square (corner x, y and side in pixels of the mask) that the mask covers."""
    sums = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1))
    sums[1:, 1:] = mask.cumsum(0, dtype=np.float64).cumsum(1)
    x0, y0 = (np.clip(np.rint(corners[:, k]).astype(int), 0, mask.shape[1 - k]) for k in (0, 1))
    x1, y1 = (np.clip(np.rint(corners[:, k] + side).astype(int), 0, mask.shape[1 - k]) for k in (0, 1))
    return (sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]) / side**2


def nucleus_places(slide: Slide, cells: pa.Table, side_px: int, *, mpp: float) -> Places:
    """Return a square round the centroid of each cell of a profile's table, in its order."""
    steps = np.array([mpp / slide.mpp.x, mpp / slide.mpp.y])
    centers = np.stack([cells["x"].to_numpy(), cells["y"].to_numpy()], axis=1)
    ids = cells["cell_id"].to_numpy().astype(np.int64)
    return Places(centers - side_px / 2 * steps, side_px, mpp, ids)
