"""Nuclei of one window: read, network, decode, shape, stain, class; nothing here knows other windows."""

from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from histome.cells.decode.by_task import decode_window
from histome.cells.familiarity import CellSigns, free_energy
from histome.cells.pixels import Stains, class_probabilities, measure_stains
from histome.cells.shape import NuclearShapes, measure_shapes
from histome.classes import CELL_CLASSES
from histome.models.card import Card
from histome.models.runtime import Outputs, Predictor, checked_outputs
from histome.slide import ClassMap, Slide, Tile, TileGrid
from histome.slide.tiles import box_of

# Corners are kept to 1/8 level-0 px (0.03 um at 0.25 um/px): exact in float32 up to 2 million px.
CORNER_STEPS_PER_PX = 8
# Shares of the halo. Within the first a nucleus may conflict with one of another window (16 um at 64 px and
# 0.5 um/px: the reach of two large nuclei); within the second the winning grid cell of one nucleus may jump
# over the border from window to window (8 um: the radius of a large nucleus), and 48 px of context are left.
CONFLICT_SHARE, JUMP_SHARE = 0.5, 0.25

Columns = TypeVar("Columns", bound=tuple[Any, ...])  # a NamedTuple of arrays with one row each


class Nuclei(NamedTuple):
    """n nuclei as columns.

    Attributes
    ----------
    outline_px : (n, rays, 2) float32, px
        x, y in level-0 px.
    shape : (n, 9) float64
        Fields of `NuclearShapes`.
    stain : (n, 3) float64
        Fields of `Stains`.
    probability : (n, classes) float32, 0-1
        Calibrated.
    energy : (n,) float32
        Of the class logits, see `familiarity.free_energy`.
    score : (n,) float32, 0-1
        Object probability.
    tissue : (n,) uint8
        Code of the tissue map at the centroid.
    window, owner : (n,) int32
        Window that saw it, window whose core holds its centroid.
    at_seam : (n,) bool
        Whether a nucleus of another window may be the same or overlap.
    """

    outline_px: NDArray[np.float32]
    shape: NDArray[np.float64]
    stain: NDArray[np.float64]
    probability: NDArray[np.float32]
    energy: NDArray[np.float32]
    score: NDArray[np.float32]
    tissue: NDArray[np.uint8]
    window: NDArray[np.int32]
    owner: NDArray[np.int32]
    at_seam: NDArray[np.bool_]

    def select(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Self:
        """Return the chosen nuclei, by mask or by index."""
        return self._make(column[rows] for column in self)


class Located(NamedTuple):
    """What memory holds of n nuclei whose columns are on disk: where each is, what it is, who saw it.

    Attributes
    ----------
    x_um, y_um : (n,) float64
        Of the centroid.
    label : (n,) uint8
        Place of the most probable class in CELL_CLASSES.
    confidence : (n,) float32, 0-1
        That probability.
    tissue, window, owner, at_seam : (n,)
        As in `Nuclei`.
    """

    x_um: NDArray[np.float64]
    y_um: NDArray[np.float64]
    label: NDArray[np.uint8]
    confidence: NDArray[np.float32]
    tissue: NDArray[np.uint8]
    window: NDArray[np.int32]
    owner: NDArray[np.int32]
    at_seam: NDArray[np.bool_]

    @classmethod
    def of(cls, nuclei: Nuclei) -> Self:
        """Return what is held of nuclei."""
        probability, (x_um, y_um) = nuclei.probability, nuclei.shape[:, :2].T.copy()
        label, confidence = probability.argmax(axis=1).astype(np.uint8), probability.max(axis=1, initial=0)
        return cls(x_um, y_um, label, confidence, nuclei.tissue, nuclei.window, nuclei.owner, nuclei.at_seam)

    def select(self, rows: NDArray[np.bool_]) -> Self:
        """Return the chosen nuclei, by mask."""
        return self._make(column[rows] for column in self)


def signs_of(nuclei: Nuclei) -> CellSigns:
    """Return what familiarity is judged by."""
    area_um2 = nuclei.shape[:, NuclearShapes._fields.index("area_um2")]
    confidence = nuclei.probability.max(axis=1, initial=0)
    hematoxylin, spread, eosin = nuclei.stain.T
    return CellSigns(
        hematoxylin,
        spread,
        eosin,
        np.log(np.maximum(area_um2, 1.0)),
        *(column.astype(np.float64) for column in (nuclei.energy, confidence, nuclei.score)),
    )


def no_nuclei(card: Card) -> Nuclei:
    """Return the nuclei of a slide that has none."""
    return Nuclei(
        np.empty((0, card.n_rays, 2), np.float32),
        np.empty((0, len(NuclearShapes._fields))),
        np.empty((0, len(Stains._fields))),
        np.empty((0, len(CELL_CLASSES)), np.float32),
        np.empty(0, np.float32),
        np.empty(0, np.float32),
        np.empty(0, np.uint8),
        np.empty(0, np.int32),
        np.empty(0, np.int32),
        np.empty(0, np.bool_),
    )


def join(parts: list[Columns]) -> Columns:
    """Return all rows of at least one part, in order."""
    return type(parts[0])(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


class _LetGo(NamedTuple):
    """The card of a network that memory no longer holds."""

    card: Card

    def __call__(self, image: np.ndarray, /) -> Outputs:
        """Run on nothing."""
        raise RuntimeError(f"{self.card.name} was let go")


class CellSearch(NamedTuple):
    """One lattice of windows over a slide, at the card's mpp, with the network that reads them."""

    slide: Slide
    tissue: ClassMap
    network: Predictor
    grid: TileGrid

    @property
    def px_per_step(self) -> NDArray[np.float64]:
        """Level-0 px per lattice px, (x, y)."""
        mpp = self.slide.mpp
        return self.network.card.mpp / np.array([mpp.x, mpp.y])

    def let_go(self) -> Self:
        """Return the search with nothing of its network but the card: a network holds half a gigabyte."""
        return self._replace(network=_LetGo(self.network.card))


def start_search(slide: Slide, tissue: ClassMap, network: Predictor) -> CellSearch:
    """Lay the card's windows over the slide, from level-0 (0, 0) on."""
    card = network.card
    height, width = slide.shape_at(card.mpp)
    return CellSearch(slide, tissue, network, TileGrid((width, height), card.core_px, card.halo_px))


def tissue_windows(search: CellSearch) -> list[tuple[Tile, float]]:
    """Return the windows whose core touches valid tissue, each with the mm2 of it, in row-major order.

    Of a window the network computes the tissue in its core and the halo round that, where its card allows.
    """
    card = search.network.card
    ratio = card.mpp / search.tissue.mpp
    mm2 = search.tissue.mpp**2 / 1e6
    column, row = search.tissue.origin_px
    found = []
    for tile in search.grid:
        x0, y0 = (int(np.floor(edge * ratio)) for edge in tile.core[:2])
        x1, y1 = (int(np.ceil(edge * ratio)) for edge in tile.core[2:])
        part = search.tissue.crop(x0 - column, y0 - row, x1 - x0, y1 - y0)
        pixels = np.count_nonzero(part.array)
        if pixels:
            tissue = box_of(part.array > 0, corner=part.origin_px, scale=1 / ratio)
            tile = tile.cut(tissue, around_px=card.halo_px, step_px=card.cut_px)
            found.append((tile, float(pixels) * mm2))
    return found


def find_in_window(search: CellSearch, tile: Tile) -> Nuclei:
    """Return the nuclei in valid tissue that the window owns, and those it sees just beyond its core."""
    card = search.network.card
    rgb = read_window(search, tile)
    found = decode_window(card, checked_outputs(search.network, rgb[None]))
    outline_px = _outlines_px(search, tile, found.outlines)
    shapes = measure_shapes(outline_px * np.array([search.slide.mpp.x, search.slide.mpp.y]))
    owner, at_seam, wanted = _ownership(search, tile, shapes.x_um, shapes.y_um)
    codes = search.tissue.at(shapes.x_um, shapes.y_um)
    return Nuclei(
        outline_px.astype(np.float32),
        np.stack(shapes, axis=1),
        np.stack(measure_stains(rgb, found.labels, len(codes)), axis=1),
        class_probabilities(found.logits, card.temperature).astype(np.float32),
        free_energy(found.logits, card.temperature).astype(np.float32),
        found.scores.astype(np.float32),
        codes,
        np.full(len(codes), tile.index, np.int32),
        owner,
        at_seam,
    ).select(wanted & (codes > 0))


def read_window(search: CellSearch, tile: Tile) -> NDArray[np.uint8]:
    """Return the pixels of a window at the card's mpp, (h, w, 3); white outside the slide."""
    x_px, y_px = np.array([tile.read.x0, tile.read.y0]) * search.px_per_step
    size = (tile.read.width, tile.read.height)
    return search.slide.read(float(x_px), float(y_px), size=size, mpp=search.network.card.mpp)


def _outlines_px(search: CellSearch, tile: Tile, outlines: NDArray[np.float64]) -> NDArray[np.float64]:
    """Outlines of a window's pixels in level-0 px, (n, rays, 2), corners rounded."""
    corners = outlines + np.array(tile.read[:2])
    return np.round(corners * search.px_per_step * CORNER_STEPS_PER_PX) / CORNER_STEPS_PER_PX


def _ownership(search: CellSearch, tile: Tile, x_um, y_um):
    """Window that owns each centroid (-1 outside the slide), whether at a seam, and whether to keep it."""
    grid, mpp = search.grid, search.network.card.mpp
    x, y = x_um / mpp, y_um / mpp
    owner = grid.owners(x, y)
    # How far inside (positive) or outside (negative) the core, in lattice px.
    core = tile.core
    depth = np.minimum.reduce([x - core.x0, core.x1 - x, y - core.y0, core.y1 - y])
    own = owner == tile.index
    foreign = ~own & (owner >= 0) & (depth > -JUMP_SHARE * grid.halo_px)
    at_seam = foreign | (depth < CONFLICT_SHARE * grid.halo_px)
    return owner, at_seam, own | foreign
