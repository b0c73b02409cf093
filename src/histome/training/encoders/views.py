"""Views of tiles for self-distillation: two large ones, small ones, and what is hidden of the large."""

from typing import NamedTuple, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from histome.threads import ordered_map
from histome.training.augment import appearance, stain
from histome.training.encoders.sources import RgbTile, TissueTiles, any_mpp

# A tile is larger than its views by this, so that they show different parts of it.
_ROOM = 1.3
# Pixels of the tile a pixel of the view: of the large ones, of the small ones.
_WHOLE_ZOOM, _LOCAL_ZOOM = (0.6, _ROOM), (0.5, 1.2)


class ViewSettings(Protocol):
    """What of a recipe decides the views."""

    @property
    def batch(self) -> int:
        """Tiles at once."""
        ...

    @property
    def side_px(self) -> int:
        """Side of a large view."""
        ...

    @property
    def local_px(self) -> int:
        """Side of a small one."""
        ...

    @property
    def locals_each(self) -> int:
        """Small ones of a tile."""
        ...

    @property
    def mpp(self) -> tuple[float, float]:
        """Finest and coarsest um/px of the tiles."""
        ...

    @property
    def patch_px(self) -> int:
        """Side of what is hidden or shown as one."""
        ...


class ViewBatch(NamedTuple):
    """Views of n tiles: all first ones, then all second ones, ...

    whole (2n, s, s, 3) and local (k n, l, l, 3) uint8; hidden (2n, s / patch, s / patch) bool: of one of the
    two large views of each tile some patches, of the other none.
    """

    whole: Tensor
    local: Tensor
    hidden: Tensor


def turn(image: RgbTile, rng: np.random.Generator) -> RgbTile:
    """One of the eight turns and mirrorings."""
    image = np.rot90(image, int(rng.integers(4)))
    return np.ascontiguousarray(image[:, ::-1] if rng.random() < 0.5 else image)


def recolor(image: RgbTile, rng: np.random.Generator) -> RgbTile:
    """Another stain and saturation, for each view its own: it keeps the slide's signature out."""
    image = stain(image, rng, 1.2)
    gray = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    share = rng.uniform(0.2, 1.3)
    return cv2.addWeighted(image, share, gray, 1 - share, 0)  # type: ignore[return-value]


def hidden_patches(rng: np.random.Generator, side: int) -> NDArray[np.bool_]:
    """(side, side) patches to hide: blocks until 15-50 % of them are covered."""
    hidden = np.zeros((side, side), bool)
    share = rng.uniform(0.15, 0.5)
    while hidden.mean() < share:
        h, w = rng.integers(1, max(2, side // 2), 2)
        y, x = rng.integers(0, side - h + 1), rng.integers(0, side - w + 1)
        hidden[y : y + h, x : x + w] = True
    return hidden


def view(tile: RgbTile, size: int, zoom: tuple[float, float], rng: np.random.Generator) -> RgbTile:
    """(size, size, 3): a random part of a tile, turned, as another laboratory might have made it."""
    side = min(len(tile), max(2, round(size * np.exp(rng.uniform(*np.log(zoom))))))
    y, x = rng.integers(0, len(tile) - side + 1, 2)
    how = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    part = cv2.resize(tile[y : y + side, x : x + side], (size, size), interpolation=how)
    return appearance(recolor(turn(part, rng), rng), rng)  # type: ignore[arg-type]


class ViewSampler:
    """Batches of views of random tiles; the number of workers does not change them.

    Parameters
    ----------
    tiles : TissueTiles
        What is drawn from.
    recipe : ViewSettings
        How many views, how large, at which um/px.
    workers : int
        Threads that read.
    """

    def __init__(self, tiles: TissueTiles, recipe: ViewSettings, workers: int = 1) -> None:
        self.tiles, self.recipe, self.workers = tiles, recipe, workers
        self.tile_px, self._patches = round(_ROOM * recipe.side_px), recipe.side_px // recipe.patch_px
        self._mpp = any_mpp(recipe.mpp, self.tile_px)

    def sample(self, rng: np.random.Generator) -> tuple[list[RgbTile], list[RgbTile]]:
        """The large and the small views of a tile."""
        recipe, tile = self.recipe, self.tiles.read(rng, self.tile_px, self._mpp)
        whole = [view(tile, recipe.side_px, _WHOLE_ZOOM, rng) for _ in range(2)]
        return whole, [view(tile, recipe.local_px, _LOCAL_ZOOM, rng) for _ in range(recipe.locals_each)]

    def batch(self, rng: np.random.Generator) -> ViewBatch:
        """Views of `batch` tiles."""
        n, side = self.recipe.batch, self._patches
        samples = list(ordered_map(self.sample, rng.spawn(n), self.workers))
        whole, local = ([views for each in part for views in each] for part in _in_turn(samples))
        hidden = np.zeros((2, n, side, side), bool)
        for k in range(n):
            hidden[k % 2, k] = hidden_patches(rng, side)
        none = np.zeros((0, self.recipe.local_px, self.recipe.local_px, 3), np.uint8)
        parts = np.stack(whole), np.stack(local) if local else none, hidden.reshape(2 * n, side, side)
        return ViewBatch(*map(torch.from_numpy, parts))


def _in_turn(samples: list[tuple[list[RgbTile], list[RgbTile]]]) -> list[list[tuple[RgbTile, ...]]]:
    """All tiles' first views, then all second ones, ...: of the large, and of the small."""
    return [list(zip(*part, strict=True)) for part in zip(*samples, strict=True)]
