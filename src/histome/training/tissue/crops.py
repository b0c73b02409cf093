"""Crops of labeled fields for the tissue network, alone or as two views that share their middle."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from histome.datasets.declaration import TissueLabels
from histome.datasets.declared import declaration_of
from histome.datasets.tissue_fields import TissueField
from histome.training.augment import appearance, similarity, warp
from histome.training.tissue.network import STRIDE
from histome.training.tissue.recipe import TissueRecipe

Pixels = NDArray[np.uint8]
# Of data sets that nobody declared; tiles that end are mirrored, not set on white.
_OWN = TissueLabels(layout="masks", note="", labels={}, mirrored=True)


class TissueSampler:
    """Draws crops: a data set by its share, a label evenly within it, a field of that label, any place."""

    def __init__(self, fields: Sequence[TissueField], recipe: TissueRecipe) -> None:
        self.recipe = recipe
        self.groups: dict[str, dict[str, list[TissueField]]] = {}
        for f in fields:
            if np.mean(f.codes > 0) > 0.03:  # a field of lymphocytes alone teaches nothing here
                self.groups.setdefault(f.data_set, {}).setdefault(f.label, []).append(f)
        self.names = [name for name in recipe.shares if name in self.groups]
        share = np.array([recipe.shares[name] for name in self.names])
        self.share = share / share.sum()

    def crop(self, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
        """One crop: image (s, s, 3) and label codes (s/2, s/2)."""
        image, codes = self._canvas(rng, self.recipe.crop_px)
        return appearance(image, rng), _at_stride(codes)

    def pair(self, rng: np.random.Generator) -> "tuple[list[_View], list[int]]":
        """Two views of one field, and where they lie: x, y of each at stride 2, turns and flip of the second.

        Each is moved by up to `reach_px`, has its own colors, and may end on glass; the second is turned.
        """
        size, reach = self.recipe.crop_px, self.recipe.reach_px
        image, codes = self._canvas(rng, size + reach)
        places = rng.integers(0, reach // STRIDE + 1, 4)
        views = []
        for x, y in (places[:2] * STRIDE, places[2:] * STRIDE):
            view = image[y : y + size, x : x + size], codes[y : y + size, x : x + size]
            views.append(_on_glass(*view, rng) if rng.random() < self.recipe.glass else _all_of(*view))
        turns, flip = int(rng.integers(4)), int(rng.integers(2))
        views[1] = tuple(_turned(part, turns, flip) for part in views[1])
        return [(appearance(a, rng), _at_stride(b), _at_stride(c)) for a, b, c in views], [
            *places.tolist(),
            turns,
            flip,
        ]

    def batch(self, rng: np.random.Generator) -> list[Tensor]:
        """Return a batch of crops, each part stacked; of pairs, also what of each is seen, and places."""
        if not self.recipe.reach_px:
            crops = [self.crop(rng) for _ in range(self.recipe.batch)]
            return [torch.from_numpy(np.stack(part)) for part in zip(*crops, strict=True)]
        pairs = [self.pair(rng) for _ in range(self.recipe.batch // 2)]
        views = [view for two, _ in pairs for view in two]
        stacked = [torch.from_numpy(np.stack(part)) for part in zip(*views, strict=True)]
        return [*stacked, torch.tensor([place for _, place in pairs])]

    def _canvas(self, rng: np.random.Generator, side: int) -> tuple[Pixels, Pixels]:
        groups = self.groups[self.names[rng.choice(len(self.names), p=self.share)]]
        group = groups[list(groups)[rng.integers(len(groups))]]
        f = group[rng.integers(len(group))]
        size, labels = self.recipe.crop_px, declaration_of(f.data_set).tissue or _OWN
        extent = np.array(f.image.shape[1::-1], np.float64)
        margin = np.minimum(0.4 * size, extent / 2)
        center = np.clip(rng.uniform(0, extent), margin, extent - margin)
        matrix = similarity(center, side, rng, scale=labels.zoom)
        return _take(f, matrix, side, mirror=labels.mirrored or rng.random() < 0.7)


_View = tuple[Pixels, Pixels, Pixels]


def _at_stride(labels: Pixels) -> Pixels:
    return labels[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]


def _turned(pixels: Pixels, turns: int, flip: int) -> Pixels:
    turned = np.rot90(pixels, turns)
    return np.ascontiguousarray(turned[:, ::-1] if flip else turned)


def upright(planes: Tensor, turns: int, flip: int) -> Tensor:
    """Undo the turn of a pair's second view: (..., h, w) as it lies on the first one's canvas."""
    return torch.rot90(planes.flip(-1) if flip else planes, -turns, (-2, -1))


def _all_of(image: Pixels, codes: Pixels) -> _View:
    return image, codes, np.ones(codes.shape, np.uint8)


def _on_glass(image: Pixels, codes: Pixels, rng: np.random.Generator) -> _View:
    """Cut the tissue off along one or two rough lines; beyond is glass of the field's color, unlabeled."""
    size = len(image)
    y, x = np.mgrid[:size, :size] / size - 0.5
    rough = rng.normal(0, 0.03, (12, 12)).astype(np.float32)
    rough = cv2.resize(rough, (size, size), interpolation=cv2.INTER_CUBIC)
    seen = np.ones((size, size), np.uint8)
    for _ in range(rng.integers(1, 3)):
        angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(-0.1, 0.45)
        seen &= (x * np.cos(angle) + y * np.sin(angle) + rough < distance).astype(np.uint8)
    brightest = np.percentile(image[::8, ::8].reshape(-1, 3), 98, axis=0)
    color = np.maximum(brightest, rng.uniform(225, 245)) + rng.normal(0, 2, (size, size, 1))
    glass = np.clip(color, 0, 255).astype(np.uint8)
    return np.where(seen[..., None] > 0, image, glass), codes * seen, seen


def _take(f: TissueField, matrix: NDArray[np.float64], size: int, *, mirror: bool) -> tuple[Pixels, Pixels]:
    """Image and codes through `matrix` (crop -> field); beyond the field mirrored, or white and unlabeled."""
    if not mirror:
        image, inverse = warp(f.image, matrix, size), cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        codes = cv2.warpAffine(f.codes, matrix, (size, size), flags=inverse, borderValue=0)
        return image, codes  # type: ignore[return-value]
    options = {"borderMode": cv2.BORDER_REFLECT_101, "dsize": (size, size)}
    image = cv2.warpAffine(f.image, matrix, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, **options)
    codes = cv2.warpAffine(f.codes, matrix, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP, **options)
    return image, codes  # type: ignore[return-value]
