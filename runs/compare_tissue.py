"""Compare tissue models: scores with intervals, and how far their maps depend on where tissue lies.

    python runs/compare_tissue.py tissue runs/out/mine --data ../shared/data
    python runs/compare_tissue.py tissue runs/out/mine --part held-out   # once, at the end

A model is a shipped one's name or a folder with its card. Scores are of the tuning sources unless asked
otherwise: nothing is chosen by the held-out ones.
"""

import argparse
from pathlib import Path

import numpy as np

from histome.datasets.tissue_fields import TissueField, load_tissue_fields
from histome.models.card import load_card
from histome.models.runtime import Network
from histome.slide import open_slide
from histome.tissue.steadiness import Steadiness, measure_steadiness
from histome.training.tissue.train import in_windows
from histome.validation.maps.tissue import score_tissue

# Slides that nothing was trained on -> um/px where the file has none, and a corner of 900 x 900 um of tissue.
PLACES = (
    ("HE_example_0.5mpp.tif", 0.5, (0, 0)),
    ("CMU-1-Small-Region.svs", None, (200, 580)),
    ("tcga_tile.png", 0.5, (0, 0)),
    ("A9K0_1.svs", None, (0, 0)),
    ("A9K0_2.svs", None, (0, 0)),
    ("colon_section.tif", 0.5, (5380, 4740)),
    ("colon_section.tif", 0.5, (2500, 3500)),
    ("colon_section.tif", 0.5, (3000, 9000)),
)
SIDE_UM = 900


def places(data: Path) -> dict[str, np.ndarray]:
    """Pixels at 1 um/px of each place."""
    found = {}
    for name, mpp, (x_um, y_um) in PLACES:
        with open_slide(data / "slides" / name, mpp=mpp) as slide:
            width, height = (int(min(SIDE_UM, extent)) // 2 * 2 for extent in slide.extent_um)
            corner = x_um / slide.mpp.x, y_um / slide.mpp.y
            found[f"{name} {x_um},{y_um}"] = slide.read(*corner, size=(width, height), mpp=1.0)
    return found


def print_scores(models: list[Network], fields: list[TissueField]) -> None:
    """One line a score: value, interval and number of sources of each model."""
    scores = [score_tissue(in_windows(model), fields, np.random.default_rng(0)) for model in models]
    for name in scores[0]:
        each = [score[name] for score in scores]
        cells = [f"{s['value']:.3f} ({s['low']:.3f}-{s['high']:.3f})" for s in each]
        print(f"{name:<36}", *cells, f"n {each[0]['units']:.0f}", sep="  ", flush=True)


def print_steadiness(models: list[Network], data: Path) -> None:
    """One line a place: agreement of three places, flips at the seam, there without it, and elsewhere."""

    def cell(steady: Steadiness) -> str:
        flips = " ".join(f"{100 * share:4.1f}" for share in steady[1:])
        return f"{steady.agreement:.3f} {flips} {'' if steady.agrees and steady.seamless else 'FAIL'}"

    for name, pixels in places(data).items():
        print(f"{name:<36}", *(cell(measure_steadiness(m, pixels)) for m in models), sep="  ", flush=True)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--part", default="tuning")
    args = parser.parse_args()
    models = [Network(load_card(name)) for name in args.models]
    print_steadiness(models, args.data)
    print_scores(models, [f for f in load_tissue_fields(args.data) if f.part == args.part])


if __name__ == "__main__":
    main()
