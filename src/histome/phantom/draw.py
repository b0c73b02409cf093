"""A phantom from its random numbers to its file: one call."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histome.phantom.layout import Layout, make_layout
from histome.phantom.nuclei import make_nuclei
from histome.phantom.paint import PhantomScene, paint_block
from histome.phantom.pyramid import BLOCK_PX, WHITE, write_pyramid
from histome.phantom.texture import make_textures
from histome.phantom.truth import PhantomTruth


def draw_phantom(
    path: Path | str,
    *,
    size_px: tuple[int, int] = (4096, 4096),
    mpp: float = 0.5,
    rng: np.random.Generator,
    tissue_share: float = 0.4,
    artifacts: bool = True,
) -> PhantomTruth:
    """Draw a slide as a pyramidal JPEG-tiled TIFF and return what is on it.

    Streamed: memory depends on the number of nuclei (about 0.5 kB each), not on the size. The same generator
    state gives the same file.

    Parameters
    ----------
    path : Path or str
        The file.
    size_px : (int, int), px
        (w, h) of level 0.
    mpp : float, um/px
        Of level 0.
    rng : np.random.Generator
        What everything is drawn from.
    tissue_share : float, 0-1
        Part of the glass that tissue covers (about).
    artifacts : bool
        Add a pen stroke, a fold and a patch out of focus to the first fragment.
    """
    extent_um = (size_px[0] * mpp, size_px[1] * mpp)
    layout = make_layout(rng, extent_um, tissue_share=tissue_share, artifacts=artifacts)
    scene = _scene(rng, layout, mpp)
    write_pyramid(Path(path), size_px, mpp, lambda x, y: paint_block(scene, x, y, BLOCK_PX))
    return PhantomTruth(Path(path), size_px, mpp, layout, scene.nuclei)


def paint_field(side_px: int, *, mpp: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw the middle of a fragment of tissue, uint8 (side, side, 3): hardly any glass, no artifacts."""
    whole = round(1.5 * side_px)
    layout = make_layout(rng, (whole * mpp, whole * mpp), tissue_share=0.9, artifacts=False)
    margin = (whole - side_px) // 2
    painted = paint_block(_scene(rng, layout, mpp), margin, margin, side_px)
    return painted if painted is not None else np.full((side_px, side_px, 3), WHITE, np.uint8)


def _scene(rng: np.random.Generator, layout: Layout, mpp: float) -> PhantomScene:
    textures = make_textures(rng, mpp)
    return PhantomScene(layout, make_nuclei(rng, layout, textures, mpp), textures, mpp)
