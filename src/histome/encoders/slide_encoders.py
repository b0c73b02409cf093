"""A slide encoder that runs: the vectors of a slide's tiles and their places go in, one vector comes out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histome.encoders.card import EncoderCard
from histome.encoders.network import Opened
from histome.encoders.registry import find_encoder
from histome.encoders.weights import Told, file_sha256, find_weights, load_into
from histome.errors import ModelError, UsageError

# Vectors (n, d) and places (n, 2), x and y in sides of a tile, to the slide's vector.
RunSlide = Callable[[NDArray[np.float32], NDArray[np.float32]], Any]


class OpenedSlideEncoder(Opened):
    """An encoder of slides that runs."""

    @property
    def inputs(self) -> int | None:
        """Length of the vectors that it reads; None for any."""
        return None if self.card.reads in (None, "any") else find_encoder(str(self.card.reads)).dimension

    def __call__(
        self, vectors: NDArray[np.float32], corners_px: ArrayLike, side_px: float
    ) -> NDArray[np.float32]:
        """Return the slide's vector (dimension,) float32.

        Parameters
        ----------
        vectors : (n, d) float32
            Of its tiles, by the encoder that the card names under `reads`.
        corners_px : (n, 2)
            x, y of the tiles' upper left corners, level-0 px.
        side_px : float
            Of a tile, level-0 px.

        Raises
        ------
        UsageError
            No tiles, or vectors of another length than those that it reads.
        ModelError
            What comes out is no vector of the card's.
        """
        if vectors.ndim != 2 or not len(vectors) or vectors.shape[1] != (self.inputs or vectors.shape[1]):
            raise UsageError(
                f"{self.card.name} reads vectors of {self.inputs or 'any'} values ({self.card.reads}), not "
                f"{' x '.join(map(str, vectors.shape))}"
            )
        places = np.asarray(corners_px, np.float64) / side_px
        found = np.asarray(self._run(vectors.astype(np.float32), places.astype(np.float32)), np.float32)
        if found.shape != (self.card.dimension or found.shape[-1],) or not np.isfinite(found).all():
            raise ModelError(
                f"{self.card.name}: gives {found.shape}, its card says {self.card.dimension} values"
            )
        return found


def open_slide_encoder(
    name: str | EncoderCard,
    weights: Path | None = None,
    *,
    hub: bool = False,
    random: bool = False,
    device: str = "cpu",
    told: Told = lambda line: None,
) -> OpenedSlideEncoder:
    """Return a slide encoder that is ready to run; arguments as those of `open_encoder`.

    Raises UsageError or ModelError where it is none, has no weights or is not built here.

    Examples
    --------
    >>> import numpy as np
    >>> from histome.encoders import open_slide_encoder
    >>> tiles = np.array([[0, 1], [2, 3]], np.float32)
    >>> open_slide_encoder("mean-of-tiles")(tiles, [[0, 0], [224, 0]], 224).tolist()
    [1.0, 2.0]
    """
    card = name if isinstance(name, EncoderCard) else find_encoder(name)
    if card.level != "slide":
        raise UsageError(f"{card.name} reads tiles, not their vectors; name an encoder of slides")
    if card.build is None or card.needs:
        raise UsageError(f"{card.name}: {card.needs or 'its network is not public'}")
    path = None if random else find_weights(card, weights, hub=hub, told=told)
    made = card.build()
    if not hasattr(made, "state_dict"):
        return OpenedSlideEncoder(card, made)
    if path is not None:
        load_into(made, path)
    network = made.eval().to(device)
    sha256 = file_sha256(path) if path is not None else ""
    return OpenedSlideEncoder(card, _on(network, device), network=network, sha256=sha256)


def _on(network: Any, device: str) -> RunSlide:
    import torch

    @torch.inference_mode()
    def run(vectors: NDArray[np.float32], places: NDArray[np.float32]) -> Any:
        given = (torch.from_numpy(part).to(device) for part in (vectors, places))
        return network(*given).float().cpu().numpy()

    return run
