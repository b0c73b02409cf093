"""Train the shipped `tissue` model from the labeled fields, top to bottom; run again to resume.

    python runs/train_tissue.py --data ../shared/data --out runs/out/tissue

First a network with single views of eight folders. The second goes on from its weights, without norms, with
five folders more and pairs of views of a field: moved, turned, with colors of their own, some ending on
glass; besides its labels it learns that both say the same of the same place. The learning rate falls to 0
before each restart: its log has a row of a settled network there. Last, the same network goes on for a short
while with all fields, those of the tuning and the held-out sources too: these weights are shipped, the scores
are those of the second. `python runs/ship_tissue.py` scores the held-out fields and writes the ONNX files and
their cards.
"""

import argparse
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from histome.datasets.tissue_fields import TissueField, load_tissue_fields
from histome.training.checkpoint import CHECKPOINT, load_average, write_average
from histome.training.tissue.network import smooth_network_of
from histome.training.tissue.recipe import SHARES, TissueRecipe
from histome.training.tissue.ship import ship_tissue, trained_tissue
from histome.training.tissue.train import predict_tissue, train_tissue
from histome.validation.maps.tissue import score_tissue, steadiness

FIRST = TissueRecipe()
SECOND = TissueRecipe(
    steps=3100,
    restarts=(300, 600, 1100, 1900),
    decay_steps=180,
    learning_rate=6e-4,
    encoder_rate=0.5,
    ema=0.99,
    seed=3,
    batch=8,
    crop_px=288,
    shares={
        **{"wsss4luad": 0.19, "glas": 0.17, "consep": 0.07, "nct": 0.12, "kather": 0.02},
        **{"osteosarcoma": 0.11, "crchistophenotypes": 0.05, "monusac": 0.03, "lc25000": 0.03},
        **{"tnbc": 0.01, "segpath_web": 0.07},
        **{"ocdc10": 0.03, "camelyon32": 0.03, "gtex_adipose": 0.03, "pannuke_figures": 0.04},
    },
    reach_px=96,
    consistency=1.0,
    glass=0.2,
    smooth=True,
)
REFIT = replace(SECOND, steps=800, restarts=(), decay_steps=400, learning_rate=3e-4, seed=4)
FOLLOWED = (
    "wsss4luad_iou_mean",
    "glas_gland_dice",
    "glas_grade_accuracy",
    "segpath_web_blood_dice",
    "segpath_web_epithelium_dice",
    "segpath_web_muscle_share",
    "gtex_adipose_adipocyte",
)
# The maps of these tuning fields are compared with those of the same fields moved.
_WIDE = ("wsss4luad", "glas", "crchistophenotypes")


def follower(tuning: list[TissueField]) -> Callable[[torch.nn.Module], dict[str, float]]:
    """Scores of a network on the tuning fields, and how steady the map of some of them is under a shift."""

    def follow(network: torch.nn.Module) -> dict[str, float]:
        predict = lambda image: predict_tissue(network, image)  # noqa: E731
        scores = score_tissue(predict, tuning, np.random.default_rng(0))
        steady = np.mean([steadiness(predict, f.image) for f in tuning if f.data_set in _WIDE])
        values = {name: scores[name]["value"] for name in FOLLOWED if name in scores}
        return values | {"steadiness": float(steady)}

    return follow


def take_norms_out(first: Path, start: Path) -> None:
    """Write the first network as the one that the second begins with: the exporter folds its norms."""
    about = {
        "name": "first",
        "description": "On the way",
        "license": "none",
        "window_px": 1024,
        "halo_px": 64,
    }
    card = ship_tissue(net=trained_tissue(load_average(first)), out=first / "model", about=about, score=dict)
    write_average(smooth_network_of(card), start)


def main() -> None:
    """Load, split, train, take the norms out, train on, train on all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/out/tissue"))
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    fields = load_tissue_fields(args.data)
    print(Counter((f.data_set, f.part) for f in fields), flush=True)
    train, tuning = ([f for f in fields if f.part == part] for part in ("train", "tuning"))
    first, start, second, refit = (args.out / name for name in ("first", "start", "second", "refit"))
    early = [[f for f in part if f.data_set in SHARES] for part in (train, tuning)]
    train_tissue(FIRST, early[0], first, follow=follower(early[1]))
    if not (start / CHECKPOINT).exists():
        take_norms_out(first, start)
    train_tissue(SECOND, train, second, follow=follower(tuning), every=100, start=start)
    train_tissue(REFIT, fields, refit, follow=follower(tuning), every=REFIT.steps, start=second)


if __name__ == "__main__":
    main()
