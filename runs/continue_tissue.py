"""Train the shipped `tissue` model on: a map that does not depend on where tissue lies; run again to resume.

    python runs/continue_tissue.py --data ../shared/data --out runs/out/tissue3
    python runs/continue_tissue.py --out runs/out/tissue3 --keep  # on the way: the settled average, in half
    python runs/continue_tissue.py --model runs/out/tissue3/model  # what is kept, as a model to compare

Begins with the weights of the shipped model, or with those kept beside this script where the run's folder
is gone. Each step sees pairs of views of a field: moved, turned, with colors of their own, some ending on
glass; besides its labels it learns that both say the same of the same place. The learning rate falls to 0
before each restart: the log has a row of a settled network there, and `settled` in the run's folder holds
the last one.
"""

import argparse
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from histome.datasets.tissue_fields import FOLDERS, TissueField, load_tissue_fields
from histome.models.card import load_card
from histome.training.checkpoint import CHECKPOINT, load_average, write_average
from histome.training.tissue.network import TissueNetwork, smooth_network_of
from histome.training.tissue.recipe import TissueRecipe
from histome.training.tissue.ship import ship_tissue
from histome.training.tissue.train import predict_tissue, train_tissue
from histome.validation.tissue import score_tissue, steadiness

NEW_FOLDERS = ("segpath_web", "ocdc10", "camelyon32", "gtex_adipose", "pannuke_figures")
KEPT = Path(__file__).with_name("tissue3.safetensors")
KEPT_LOG = Path(__file__).with_name("tissue3_log.csv")
SHARES = {
    **{"wsss4luad": 0.19, "glas": 0.17, "consep": 0.07, "nct": 0.12, "kather": 0.02, "osteosarcoma": 0.11},
    **{"crchistophenotypes": 0.05, "monusac": 0.03, "lc25000": 0.03, "tnbc": 0.01},
    **{
        "segpath_web": 0.07,
        "ocdc10": 0.03,
        "camelyon32": 0.03,
        "gtex_adipose": 0.03,
        "pannuke_figures": 0.04,
    },
}
RECIPE = TissueRecipe(
    steps=8000,
    restarts=(300, 600, 1100, 1900, 3100, 5200),
    decay_steps=180,
    learning_rate=6e-4,
    encoder_rate=0.5,
    ema=0.99,
    seed=3,
    batch=8,
    crop_px=288,
    shares=SHARES,
    reach_px=96,
    consistency=1.0,
    glass=0.2,
    smooth=True,
)
FOLLOWED = (
    "wsss4luad_iou_mean",
    "glas_gland_dice",
    "glas_grade_accuracy",
    "segpath_web_blood_dice",
    "segpath_web_epithelium_dice",
    "segpath_web_muscle_share",
    "gtex_adipose_adipocyte",
)


def keep(out: Path) -> None:
    """Write the last settled network of the run, or the average so far, in half precision; and the log."""
    settled = out / "settled"
    average = load_average(settled if settled.exists() else out)
    half = {name: value.half().contiguous() for name, value in average.items()}
    save_file(half, KEPT)
    shutil.copy(out / "log.csv", KEPT_LOG)


def make_model(out: Path) -> None:
    """Write the kept network as a model that `histome models check` and runs/compare_tissue.py take."""
    ship_tissue(
        weights=kept_weights(),
        out=out,
        about={
            "name": "tissue3",
            "description": "Seven tissue classes at 2 um/px, on the way to version 2",
            "license": load_card("tissue").license,
            # On large slides 44 % more pixels than are used; windows fade over 128 of them.
            "window_px": 1536,
            "halo_px": 128,
        },
        score=dict,
    )


def kept_weights() -> dict[str, torch.Tensor]:
    """The kept network's, in single precision."""
    return {name: value.float() for name, value in load_file(KEPT).items()}


def begin(start: Path) -> None:
    """Write the network that the run begins with."""
    if KEPT.exists():
        net = TissueNetwork(pretrained=False, smooth=True)
        net.load_state_dict(kept_weights())
    else:
        net = smooth_network_of(load_card("tissue"))
    write_average(net, start)


def follow(network: torch.nn.Module, tuning: list[TissueField]) -> dict[str, float]:
    """Scores on the tuning fields, and how steady the map of some of them is under a shift."""
    predict = lambda image: predict_tissue(network, image)  # noqa: E731
    scores = score_tissue(predict, tuning, np.random.default_rng(0))
    wide = [f.image for f in tuning if f.data_set in ("wsss4luad", "glas", "crchistophenotypes")]
    moved = {"steadiness": float(np.mean([steadiness(predict, image) for image in wide]))}
    return {name: scores[name]["value"] for name in FOLLOWED if name in scores} | moved


def main() -> None:
    """Load, split, take up the weights, train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/out/tissue3"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--model", type=Path)
    args = parser.parse_args()
    if args.keep:
        keep(args.out)
        return
    if args.model:
        make_model(args.model)
        return
    torch.set_num_threads(args.threads)
    fields = load_tissue_fields(args.data, (*FOLDERS, *NEW_FOLDERS))
    print(Counter((f.data_set, f.part) for f in fields), flush=True)
    tuning = [f for f in fields if f.part == "tuning"]
    if not (args.out / "start" / CHECKPOINT).exists():
        begin(args.out / "start")
    train_tissue(
        RECIPE,
        [f for f in fields if f.part == "train"],
        args.out,
        follow=lambda network: follow(network, tuning),
        every=100,
        start=args.out / "start",
    )


if __name__ == "__main__":
    main()
