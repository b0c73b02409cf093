"""Compare cells models on the same held-out fields: outlines, detection, types, and speed on one core.

    python runs/compare_cells.py nuclei runs/out/curriculum/model --sets consep

Through the code that profiles a slide. Speed: read pixels in, nuclei out, per pixel of a window's core.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from evaluate_nuclei import score_all

from histome.cells.decode import decode_window
from histome.datasets.fields import Field, load_fields
from histome.datasets.splits import split_fields
from histome.models.card import load_card
from histome.models.runtime import Network
from histome.validation.nuclei import summarize

REPEATS = 3


def mpx_per_cpu_second(network: Network, fields: Sequence[Field]) -> float:
    """Megapixels of core a CPU-second, network and decoding; the best of a few windows of tissue."""
    card = network.card
    tissue = np.concatenate([f.image[:500, :500] for f in fields[:4]], axis=1)
    window = np.resize(tissue.transpose(1, 0, 2), (card.window_px, 500, 3))
    window = np.concatenate([window] * 3, axis=1)[None, :, : card.window_px]
    seconds = []
    for _ in range(REPEATS):
        start = time.process_time()
        decode_window(card, network(np.ascontiguousarray(window)))
        seconds.append(time.process_time() - start)
    return card.core_px**2 / 1e6 / min(seconds)


def main() -> None:
    """Score each model and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sets", nargs="+", default=["consep"])
    args = parser.parse_args()
    fields = split_fields(f for name in args.sets for f in load_fields(args.data / name, name)).held_out
    for model in args.models:
        network = Network(load_card(model))
        speed = mpx_per_cpu_second(network, fields)
        print(f"\n{model}: {speed:.2f} Mpx per CPU-second in {network.precision}")
        scores = score_all(fields, args.data, network)
        for name in args.sets:
            mine = [s for s in scores if s.data_set == name]
            for figure, e in summarize(mine, np.random.default_rng(0)).items():
                print(f"| {name} | {figure} | {e.value:.3f} [{e.low:.3f}, {e.high:.3f}] | {e.units} |")


if __name__ == "__main__":
    main()
