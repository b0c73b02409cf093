"""Crops to learn quality from: real tissue, things that only look like artifacts, and drawn artifacts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from histome.training.augment import appearance, similarity
from histome.training.quality.drawn import CODE, draw, glass_of, rough_disc, stroke_of
from histome.training.quality.fields import GLASS_SET, QUALITY_MPP, CleanField

Pixels = NDArray[np.uint8]
STRIDE = 2
# How often each kind is drawn. Blur is not: at 4 um/px cartilage is as smooth, and the rules find it.
_KINDS = {
    **{"fold": 0.45, "bubble": 0.10, "dust": 0.10, "burnt edge": 0.11, "tear": 0.13, "ink": 0.08},
    **{"coverslip's edge": 0.03},
}
_NUMBERS = (0.25, 0.4, 0.25, 0.1)
# Glass is labeled from here on: a lumen, a vacuole or a cleft beside the tissue is no word of the label's.
_GLASS_FROM_UM = 130.0


@dataclass(frozen=True)
class QualityRecipe:
    """Everything that decides a run of the quality network.

    Attributes
    ----------
    widths : tuple of int
        Channels of the U-Net at strides 2, 4, ...
    shares : Mapping[str, float]
        Share of the crops from each data set: more for large fields and for many organs.
    pasted, glass : float
        Share of the crops with a piece of another field, and of those whose tissue ends on glass.
    """

    steps: int = 14_000
    decay_steps: int = 4000
    restarts: tuple[int, ...] = ()
    batch: int = 8
    crop_px: int = 192
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    ema: float = 0.995
    seed: int = 1
    widths: tuple[int, ...] = (16, 32, 48, 64, 96)
    head_width: int = 24
    shares: Mapping[str, float] = field(
        default_factory=lambda: {
            **{"wsss4luad": 0.14, "osteosarcoma": 0.13, "gtex_adipose": 0.09, "camelyon32": 0.09},
            **{"glas": 0.10, "whole sections": 0.12, "consep": 0.05, "crchistophenotypes": 0.05},
            **{"monuseg": 0.06, "monusac": 0.02, "segpath_web": 0.04, "ocdc10": 0.03, "tnbc": 0.02},
            **{"nct": 0.02, "lc25000": 0.02, GLASS_SET: 0.02},
        }
    )
    pasted: float = 0.25
    glass: float = 0.3


class QualitySampler:
    """Draws crops: a data set by its share, a label evenly within it, a field of that label, any place."""

    def __init__(self, fields: Sequence[CleanField], recipe: QualityRecipe) -> None:
        self.recipe = recipe
        self.groups: dict[str, dict[str, list[CleanField]]] = {}
        for each in fields:
            self.groups.setdefault(each.data_set, {}).setdefault(each.label, []).append(each)
        self.names = [name for name in recipe.shares if name in self.groups]
        share = np.array([recipe.shares[name] for name in self.names])
        self.share = share / share.sum()

    def batch(self, rng: np.random.Generator) -> list[Tensor]:
        """Images (n, s, s, 3) and codes (n, s/2, s/2)."""
        crops = [self.crop(rng) for _ in range(self.recipe.batch)]
        return [torch.from_numpy(np.stack(part)) for part in zip(*crops, strict=True)]

    def crop(self, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
        """One crop: pixels (s, s, 3) and label codes (s/2, s/2)."""
        image, codes = self.clean(rng)
        kinds = rng.choice(list(_KINDS), p=list(_KINDS.values()), size=rng.choice(len(_NUMBERS), p=_NUMBERS))
        for kind in kinds.tolist():
            image, codes = draw(kind, image, codes, rng, mpp=QUALITY_MPP)
        return appearance(image, rng), codes[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]

    def clean(self, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
        """A crop without artifacts, all of it measured but for glass."""
        name, image = self._canvas(rng)
        code = CODE["NO_TISSUE" if name == GLASS_SET else "VALID_TISSUE"]
        codes = np.full(image.shape[:2], code, np.uint8)
        if rng.random() < self.recipe.pasted:
            image = self._pasted(image, rng)
        if rng.random() < self.recipe.glass:
            image, codes = _ending(image, codes, rng)
        return image, codes

    def _canvas(self, rng: np.random.Generator) -> tuple[str, Pixels]:
        name = self.names[rng.choice(len(self.names), p=self.share)]
        groups = self.groups[name]
        group = groups[list(groups)[rng.integers(len(groups))]]
        image = group[rng.integers(len(group))].image
        size = self.recipe.crop_px
        center = rng.uniform(0, np.array(image.shape[1::-1], np.float64))
        matrix = similarity(center, size, rng, scale=(0.7, 1.4))
        options = {"borderMode": cv2.BORDER_REFLECT_101, "dsize": (size, size)}
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return name, cv2.warpAffine(image, matrix, flags=how, **options)  # type: ignore[return-value]

    def _pasted(self, image: Pixels, rng: np.random.Generator) -> Pixels:
        """A piece of other tissue, a lump or a band as wide as a fold: dark, but no artifact."""
        _, other = self._canvas(rng)
        if rng.random() < 0.5:
            cover = stroke_of(image, rng, mpp=QUALITY_MPP)
        else:
            cover = np.clip(0.5 - rough_disc(image, rng, mpp=QUALITY_MPP), 0, 1)
        cover = cv2.GaussianBlur(np.asarray(cover, np.float32), (0, 0), rng.uniform(0.4, 2.0))[..., None]
        mixed = np.rint(image + cover * (other.astype(np.float32) - image))
        return np.clip(mixed, 0, 255).astype(np.uint8)


def _ending(image: Pixels, codes: Pixels, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    """Let the tissue end at a rough line; what is well beyond is labeled as glass."""
    size = len(image)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    angle, at = rng.uniform(0, 2 * np.pi), rng.uniform(-0.2, 0.45) * size
    noise = rng.normal(0, 0.03 * size, (14, 14)).astype(np.float32)
    noise = cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)
    beyond = (x - size / 2) * np.cos(angle) + (y - size / 2) * np.sin(angle) + noise - at
    color = glass_of(image) + rng.normal(0, 1.5, (size, size, 1))
    cover = np.clip(beyond / rng.uniform(0.5, 3.0) + 0.5, 0, 1)[..., None]
    pixels = np.clip(np.rint(image + cover * (color - image)), 0, 255).astype(np.uint8)
    far = beyond * QUALITY_MPP > _GLASS_FROM_UM
    return pixels, np.where(far, CODE["NO_TISSUE"], np.where(beyond > 0, 0, codes)).astype(np.uint8)
