"""Make a model of quality of a training run: how sure it must be, ONNX, held-out scores, card, log.

    python runs/ship_qc.py --data ../shared/data --run runs/out/qc

How sure the network must be to refuse tissue is chosen on the tuning sources, with nothing drawn on them: the
least of `DOUBTS` at which it refuses `REFUSED` of their pixels at most. The scores are those of
runs/evaluate_qc.py.
"""

import argparse
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from evaluate_qc import score
from numpy.typing import NDArray
from train_qc import RECIPE

from histome.classes import QC_CLASSES
from histome.datasets.declared import declaration_of
from histome.models.card import Card, load_card
from histome.models.onnx_export import export_onnx
from histome.models.runtime import Network, weights_sha256
from histome.training.cards import reference_of, rewrite_card
from histome.training.checkpoint import load_average
from histome.training.quality.crops import STRIDE
from histome.training.quality.fields import GLASS_SET, QUALITY_MPP, SECTION_SET, CleanField, load_clean_fields
from histome.training.quality.train import QualityExport, predict_quality, quality_network

DOUBTS = tuple(np.arange(0.0, 6.01, 0.5).tolist())
REFUSED = 0.002
VALID = QC_CLASSES.index("VALID_TISSUE")
# The others are left to the rules.
REFUSING, NEVER = ("TISSUE_ARTIFACT", "MARKER"), 30.0
LIMITS = (
    "learned from drawn artifacts alone: folds, bubbles, dust, burnt edges, tears, ink, coverslip edges; "
    "real ones were scored on three pens and two edges only",
    "a tear is not told from an air space, nor a burnt edge from crushed or dense collagen, with certainty",
    "glass and blur are left to the rules: at 4 um/px cartilage is as smooth as what is out of focus",
    "never saw: skin, brain, liver biopsies, frozen sections, stains other than H&E",
)
ORGANS = (
    *("bladder", "bone", "breast", "colorectum", "kidney", "liver", "lung", "lymph node"),
    *("oral cavity", "prostate", "soft tissue", "stomach"),
)
_SECTIONS = {
    "name": "pairs",
    "license": "academic use, as far as known",
    "note": "mouse lung, rat kidney: whole sections as small pictures",
}


def choose_doubt(net: torch.nn.Module, fields: Sequence[CleanField]) -> float:
    """The least doubt at which clean tissue is refused no more than `REFUSED`, over the mean of data sets."""
    shares: dict[str, list[NDArray[np.float64]]] = {}
    for field in fields:
        shares.setdefault(field.data_set, []).append(refused_at(predict_quality(net, padded(field.image))))
    of_sets = {name: np.mean(rows, axis=0) for name, rows in shares.items()}
    for name, row in of_sets.items():
        print(name, dict(zip(DOUBTS, row.round(4).tolist(), strict=True)), flush=True)
    mean = np.mean(list(of_sets.values()), axis=0)
    return next((doubt for doubt, share in zip(DOUBTS, mean, strict=True) if share <= REFUSED), DOUBTS[-1])


def padded(image: NDArray[np.uint8], least_px: int = 192) -> NDArray[np.uint8]:
    """A small field mirrored to the size of a crop."""
    down, right = (max(0, least_px - side) for side in image.shape[:2])
    return np.pad(image, ((0, down), (0, right), (0, 0)), mode="symmetric")


def refused_at(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Share of pixels that are refused at each doubt."""
    worst = logits[[QC_CLASSES.index(name) for name in REFUSING]].max(axis=0) - logits[VALID]
    return np.array([(worst > doubt).mean() for doubt in DOUBTS])


def about(doubt: float, fields: Sequence[CleanField]) -> dict[str, Any]:
    """What the card says before anything is measured."""
    recipe, named = asdict(RECIPE), ("steps", "decay_steps", "batch", "crop_px", "learning_rate", "seed")
    names = [name for name in RECIPE.shares if name not in (GLASS_SET, SECTION_SET)]
    sources = {
        part: {
            name: sorted({f.source for f in fields if f.data_set == name and f.part == part})
            for name in RECIPE.shares
            if any(f.data_set == name and f.part == part for f in fields)
        }
        for part in ("tuning", "held-out")
    }
    return {
        "name": "qc",
        "task": "quality",
        "description": "Folds, bubbles, dust, burnt edges, tears and ink at 8 um/px from H&E at 4 um/px",
        "license": "CC BY-NC-SA 4.0, research use only: see LICENSE-WEIGHTS",
        "classes": QC_CLASSES,
        "mpp": QUALITY_MPP,
        "stride": STRIDE,
        "window_px": 640,
        "halo_px": 64,
        "limits": LIMITS,
        "organs": ORGANS,
        "training_data": (
            *(
                {"name": name, "license": declaration_of(name).license, "note": "clean tissue"}
                for name in names
            ),
            _SECTIONS,
        ),
        "training": {name: recipe[name] for name in named}
        | {
            "artifacts": "drawn on the training fields by training/quality/drawn.py; no real one was learned",
            "doubt": doubt,
            "tuning_sources": sources["tuning"],
            "held_out_sources": sources["held-out"],
        },
    }


def main() -> None:
    """Choose, export, score, write the card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--run", type=Path, default=Path("runs/out/qc"))
    parser.add_argument("--out", type=Path, default=Path("runs/out/qc/model"))
    parser.add_argument("--overlays", type=Path)
    args = parser.parse_args()
    fields = load_clean_fields(args.data)
    net = quality_network(RECIPE).eval()
    net.load_state_dict(load_average(args.run))
    tuning = [field for field in fields if field.part == "tuning" or field.data_set == SECTION_SET]
    doubt = choose_doubt(net, [field for field in tuning if field.source != "lung-lesion_3"])
    doubts = {name: doubt if name in REFUSING else NEVER for k, name in enumerate(QC_CLASSES) if k != VALID}
    export = QualityExport(net, doubts)
    args.out.mkdir(parents=True, exist_ok=True)
    weights = args.out / "model.onnx"
    export_onnx(export, str(weights), about(doubt, fields)["window_px"], ["probabilities"])
    card = Card.model_validate({**about(doubt, fields), "sha256": weights_sha256(weights)})
    card = rewrite_card(card, args.out)
    rewrite_card(card, args.out, reference=reference_of(card))
    shutil.copy(args.run / "log.csv", args.out / "training_log.csv")
    scores = score(args.data, Network(load_card(args.out), precision="f32"), args.overlays)
    rewrite_card(load_card(args.out), args.out, scores=scores)


if __name__ == "__main__":
    main()
