"""Train a small model of quality on artifacts drawn on real tissue, top to bottom; run again to resume.

    python runs/train_qc.py --data ../shared/data --out runs/out/qc

The log follows the tuning sources: of each kind of drawn artifact the share that is refused, and the
share of clean tissue that is. `python runs/ship_qc.py` then chooses how sure it must be, scores held-out
sources and writes the ONNX file and its card.
"""

import argparse
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from histome.classes import QC_CLASSES
from histome.training.quality.crops import STRIDE, QualityRecipe, QualitySampler
from histome.training.quality.drawn import CODE, DRAWERS, draw
from histome.training.quality.fields import GLASS_SET, QUALITY_MPP, CleanField, load_clean_fields
from histome.training.quality.train import predict_quality, train_quality

CROPS_A_KIND = 12
RECIPE = QualityRecipe()


def follower(tuning: list[CleanField]) -> Callable[[torch.nn.Module], dict[str, float]]:
    """Of drawn artifacts of each kind, and of clean tissue, the share that a network refuses."""
    sampler = QualitySampler([field for field in tuning if field.data_set != GLASS_SET], RECIPE)
    rng = np.random.default_rng(0)
    crops = []
    for kind in [*DRAWERS, "clean"]:
        for _ in range(CROPS_A_KIND if kind != "clean" else 6 * CROPS_A_KIND):
            image, codes = sampler.clean(rng)
            crops.append(
                (
                    kind,
                    *(draw(kind, image, codes, rng, mpp=QUALITY_MPP) if kind in DRAWERS else (image, codes)),
                )
            )

    def follow(net: torch.nn.Module) -> dict[str, float]:
        counts: dict[str, list[int]] = {}
        for kind, image, codes in crops:
            refused = predict_quality(net, image).argmax(axis=0) != QC_CLASSES.index("VALID_TISSUE")
            truth = codes[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]
            bad = ~np.isin(truth, [0, CODE["VALID_TISSUE"], CODE["NO_TISSUE"]])
            asked = truth == CODE["VALID_TISSUE"] if kind == "clean" else bad
            found = counts.setdefault(kind, [0, 0])
            found[0] += int((refused & asked).sum())
            found[1] += int(asked.sum())
        return {kind: round(found / max(total, 1), 4) for kind, (found, total) in counts.items()}

    return follow


def main() -> None:
    """Load, split, train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/out/qc"))
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    fields = load_clean_fields(args.data)
    print(Counter((field.data_set, field.part) for field in fields), flush=True)
    train, tuning = ([field for field in fields if field.part == part] for part in ("train", "tuning"))
    train_quality(RECIPE, train, args.out, follow=follower(tuning))


if __name__ == "__main__":
    main()
