"""What an encoder costs on this machine: parameters, arithmetic, time, memory."""

import multiprocessing
import resource
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from histome.encoders import open_encoder
from histome.encoders.network import count_gflops

_BATCH, _LEAST_S = 8, 2.0


class EncoderCost(NamedTuple):
    """Of one encoder.

    Attributes
    ----------
    parameters : int or None
        Of a network of torch, else as its card says.
    gflops : float or None
        Multiplications and additions of one tile, 1e9; counted in networks of torch.
    tiles_per_s : float
        In batches of 8, all CPUs that may be used, best of the batches of two seconds.
    peak_mb : float
        Most memory of a process that opens it and encodes, Python and libraries included.
    mm2_per_min : float or None
        Tissue at the card's um/px, from `tiles_per_s`.
    """

    parameters: int | None
    gflops: float | None
    tiles_per_s: float
    peak_mb: float
    mm2_per_min: float | None


def measure_cost(name: str, weights: Path | None = None) -> EncoderCost:
    """Measure in a process of its own, so that its memory is its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return EncoderCost(*pool.apply(_measure, (name, weights)))


def _measure(name: str, weights: Path | None) -> tuple[Any, ...]:
    opened = open_encoder(name, weights)
    card, side = opened.card, opened.card.input_px or 224
    tiles = np.random.default_rng(0).integers(0, 256, (_BATCH, side, side, 3), np.uint8)
    opened(tiles)
    best, end = 0.0, time.monotonic() + _LEAST_S
    while time.monotonic() < end:
        start = time.perf_counter()
        opened(tiles)
        best = max(best, _BATCH / (time.perf_counter() - start))
    parameters = card.parameters
    if opened.network is not None:
        parameters = sum(parameter.numel() for parameter in opened.network.parameters())
    tissue = best * 60 * (side * card.mpp / 1000) ** 2 if card.mpp else None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1024 if sys.platform != "darwin" else 1024**2
    )
    return parameters, count_gflops(opened), best, peak, tissue
