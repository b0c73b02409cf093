"""A model that sees each window and its mirror images, and says the mean of what it saw."""

from collections.abc import Iterator

import numpy as np

from histome.errors import ModelError
from histome.models.card import Card
from histome.models.runtime import Outputs, Predictor

# Image axes of (1, h, w, 3) that are turned over: none, left and right, up and down, both.
MIRRORS: tuple[tuple[int, ...], ...] = ((), (2,), (1,), (1, 2))


class Mirrored:
    """The mean over the four mirror images of each window; takes four times the network's time.

    Test-time augmentation: what a mirror image changes is no property of the tissue. Directions (rays of
    `dist`, `offset`, `hv`) are turned back with their pixels.

    Parameters
    ----------
    model : Predictor
        Of any task.

    Raises
    ------
    ModelError
        An odd number of rays, which a mirror image does not share.
    """

    def __init__(self, model: Predictor) -> None:
        self.model = model
        self.card: Card = model.card
        if self.card.n_rays % 2:
            raise ModelError(
                f"{self.card.name}: {self.card.n_rays} rays have no mirror image; leave mirrored off"
            )

    def __call__(self, image: np.ndarray, /) -> Outputs:
        """Run on a window as the model does, four times."""
        seen = list(self._views(image))
        return {name: np.stack([view[name] for view in seen]).mean(axis=0) for name in seen[0]}

    def _views(self, image: np.ndarray) -> Iterator[Outputs]:
        for axes in MIRRORS:
            outputs = self.model(np.ascontiguousarray(np.flip(image, axes)))
            for axis in axes:
                outputs = {name: _turned_over(name, array, axis) for name, array in outputs.items()}
            yield outputs


def _turned_over(name: str, array: np.ndarray, axis: int) -> np.ndarray:
    """Turn an output (1, channels, h, w) over along an image axis: its pixels, and the directions in them."""
    array = np.flip(array, axis + 1)
    if name == "dist":  # ray k points to the angle 2 pi k / n, from x towards y
        k, n = np.arange(array.shape[1]), array.shape[1]
        return array[:, (n // 2 - k) % n if axis == 2 else -k % n]
    if name in ("offset", "hv"):  # x, then y
        sign = np.array([-1.0, 1.0] if axis == 2 else [1.0, -1.0], np.float32)
        return array * sign[:, None, None]
    return array
