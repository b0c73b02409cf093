"""Score quality control on real fields: pen, valid tissue, focus. Nothing is learned or chosen here.

    python runs/evaluate_quality.py --data ../shared/data

Pen: recall and precision of MARKER on three fields with pixel masks. Valid tissue: Dice of VALID_TISSUE on
wsss4luad, whose masks name the white background. Focus: area under the curve of the median focus of sharp
fields against the same fields through a disc of 3 um and of 2 um radius.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histome.classes import QC_CLASSES
from histome.config import QcConfig
from histome.datasets.fields import read_image, read_rows
from histome.errors import NoTissueError
from histome.qc import Quality, assess
from histome.slide import Slide, open_slide
from histome.slide.plain import array_slide
from histome.validation.resampling import bootstrap, ratio

PEN_MPP = 8.0
WSSS_BACKGROUND = 3
FOCUS_SETS = ("consep", "tnbc", "monuseg", "monusac")


def code(name: str) -> int:
    """Code of a quality class in the map."""
    return QC_CLASSES.index(name) + 1


def shown(mask: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask on the map's grid: pixels that are covered by more than half."""
    part = cv2.resize(mask.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(part) > 0.5


def quality_of(slide: Slide) -> Quality:
    """What quality control saw, also of a slide that it refuses for having no valid tissue."""
    try:
        return assess(slide, QcConfig())
    except NoTissueError as refused:
        return refused.quality


def pen(data: Path) -> None:
    """Recall and precision of each ink."""
    for ink in ("red", "green", "black"):
        truth = np.asarray(Image.open(data / f"quality/pen/pen_{ink}_mask.png").convert("L")) > 127
        image = read_image(data / f"quality/pen/pen_{ink}.png", PEN_MPP, PEN_MPP)
        with array_slide(image, PEN_MPP) as slide:
            found = quality_of(slide).map.array == code("MARKER")
        truth = shown(truth, found.shape)
        # The masks leave out the rim of the strokes: within 32 um of them counts as right.
        near = cv2.dilate(truth.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        recall = np.count_nonzero(found & truth) / truth.sum()
        precision = np.count_nonzero(found & near) / found.sum()
        print(f"pen {ink}: recall {recall:.3f}, precision {precision:.3f} (n = {truth.sum()} pixels of 8 um)")


def valid_tissue(data: Path) -> None:
    """Dice of valid tissue, with a bootstrap over fields."""
    parts, names = [], []
    for row in read_rows(data / "wsss4luad/images.csv"):
        truth = np.asarray(Image.open(data / "wsss4luad" / row["tissue"])) != WSSS_BACKGROUND
        with open_slide(data / "wsss4luad" / row["file"], mpp=float(row["mpp"])) as slide:
            found = quality_of(slide).map.array == code("VALID_TISSUE")
        truth = shown(truth, found.shape)
        parts.append([2.0 * np.count_nonzero(found & truth), float(found.sum() + truth.sum())])
        names.append(row["source"])
    dice = bootstrap(np.array(parts), names, ratio, rng=np.random.default_rng(0))
    print(
        f"valid tissue, wsss4luad: Dice {dice.value:.3f} [{dice.low:.3f}, {dice.high:.3f}] (n = {dice.units})"
    )


def focus(data: Path) -> None:
    """Area under the curve of sharp against blurred fields."""
    for radius_um in (2.0, 3.0):
        sharp, soft = [], []
        for name in FOCUS_SETS:
            for row in read_rows(data / name / "images.csv"):
                mpp = float(row["mpp"])
                image = read_image(data / name / row["file"], mpp, mpp)
                sharp.append(score(image, mpp))
                soft.append(score(blurred(image, radius_um / mpp), mpp))
        judged = [(a, b) for a, b in zip(sharp, soft, strict=True) if np.isfinite(a) and np.isfinite(b)]
        a, b = np.array(judged).T
        auc = np.mean((a[:, None] > b[None]) + 0.5 * (a[:, None] == b[None]))
        print(f"focus, disc of {radius_um:g} um: AUC {auc:.4f} (n = {len(judged)} fields, each twice)")


def blurred(image: NDArray[np.uint8], radius_px: float) -> NDArray[np.uint8]:
    """The image through a disc-shaped point-spread function."""
    side = 2 * int(np.ceil(radius_px)) + 1
    y, x = np.mgrid[:side, :side] - side // 2
    kernel = (x**2 + y**2 <= radius_px**2).astype(np.float32)
    return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)  # type: ignore[return-value]


def score(image: NDArray[np.uint8], mpp: float) -> float:
    """Median focus of a field; nan where nothing could be judged."""
    return quality_of(array_slide(image, mpp)).focus_score


def main() -> None:
    """Score all three."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    args = parser.parse_args()
    pen(args.data)
    valid_tissue(args.data)
    focus(args.data)


if __name__ == "__main__":
    main()
