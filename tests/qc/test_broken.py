"""The share of the tissue that lies in broken tiles, on maps whose answer is known."""

import numpy as np
import pytest

from histome.classes import QC_CLASSES
from histome.qc.broken import box_mask, broken_share
from histome.slide import Box, ClassMap

GLASS, TISSUE, MARKER = (QC_CLASSES.index(name) + 1 for name in ("NO_TISSUE", "VALID_TISSUE", "MARKER"))


def half_tissue() -> np.ndarray:
    """Tissue in the left 50 of 100 columns."""
    codes = np.full((100, 100), GLASS, np.uint8)
    codes[:, :50] = TISSUE
    return codes


def area(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros((100, 100), bool)
    mask[y0:y1, x0:x1] = True
    return mask


NONE = np.zeros((100, 100), bool)


@pytest.mark.parametrize(
    ("broken", "share"),
    [(NONE, 0.0), (area(0, 0, 10, 100), 0.2), (area(60, 0, 90, 100), 0.0), (area(40, 0, 60, 50), 0.1)],
)
def test_tiles_that_break_after_the_map_was_made(broken: np.ndarray, share: float) -> None:
    quality_map = ClassMap(half_tissue(), 8.0, QC_CLASSES)
    assert broken_share(quality_map, broken, NONE) == pytest.approx(share)


@pytest.mark.parametrize(
    ("unseen", "share"),
    [
        (area(10, 10, 30, 30), 400 / 5000),  # within tissue: all of it
        (area(60, 10, 90, 90), 0.0),  # in the glass: nothing
        (area(40, 0, 60, 100), 1000 / 5000),  # across the edge: what is nearer to tissue
    ],
)
def test_tiles_that_were_never_seen_are_taken_for_what_is_beside_them(
    unseen: np.ndarray, share: float
) -> None:
    codes = half_tissue()
    codes[unseen] = GLASS
    assert broken_share(ClassMap(codes, 8.0, QC_CLASSES), unseen, unseen) == pytest.approx(share, rel=0.05)


def test_without_tissue_the_share_is_that_of_the_slide() -> None:
    glass = ClassMap(np.full((100, 100), GLASS, np.uint8), 8.0, QC_CLASSES)
    assert broken_share(glass, area(0, 0, 10, 100), area(0, 0, 10, 100)) == pytest.approx(0.1)
    assert broken_share(glass, ~NONE, ~NONE) == 1.0
    pen = ClassMap(np.full((100, 100), MARKER, np.uint8), 8.0, QC_CLASSES)
    assert broken_share(pen, area(0, 0, 10, 10), NONE) == pytest.approx(0.01)


def test_boxes_on_the_map() -> None:
    mask = box_mask([Box(512, 0, 1024, 256)], (0.25, 0.5), shape=(40, 40), map_mpp=8.0)
    assert np.argwhere(mask).min(axis=0).tolist() == [0, 16]
    assert np.argwhere(mask).max(axis=0).tolist() == [15, 31]
