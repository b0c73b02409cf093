"""Regions and nuclei of a reader study, drawn with a seed: at random, and where each class is said to be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from histome.errors import DataError

SIDE_UM = 250.0
# Squares with fewer cells are no region: mostly glass.
FEWEST_CELLS = 5
UNBIASED, ENRICHED = "unbiased", "enriched"


@dataclass(frozen=True, eq=False)
class StudySlide:
    """A profiled slide of a study.

    Attributes
    ----------
    name : str
        Of the slide and its files.
    cells : table
        cell_id, x_um, y_um, class, geometry (WKB, px) and, where there are any, confidence and abstained.
    mpp : float, um/px
        Of the slide.
    columns : name -> str
        What else is known of it: cancer, site, scanner.
    """

    name: str
    cells: pa.Table
    mpp: float
    columns: Mapping[str, str] = field(default_factory=dict)


class StudyRegion(NamedTuple):
    """A square of a slide and the nuclei in it that raters are asked about.

    Attributes
    ----------
    slide : StudySlide
        Where it lies.
    corner_um : (float, float), um
        x, y of its upper left corner.
    arm : "unbiased" or "enriched"
        Drawn as any other square, or because of a class.
    sought : str
        The class that it was drawn for; "" in the unbiased arm.
    rows : (n,) int64
        Rows of the slide's cells.
    """

    slide: StudySlide
    corner_um: tuple[float, float]
    arm: str
    sought: str
    rows: NDArray[np.int64]


class Sizes(NamedTuple):
    """How much is drawn of each slide: regions of either arm (enriched: a class), nuclei of a region."""

    unbiased: int = 4
    enriched: int = 1
    nuclei: int = 30


DEFAULT_SIZES = Sizes()


def sample_regions(
    slide: StudySlide, classes: Sequence[str], sizes: Sizes, rng: np.random.Generator
) -> list[StudyRegion]:
    """Draw the regions of one slide without replacement, from a grid of squares of `SIDE_UM`.

    Unbiased: squares of `FEWEST_CELLS` cells or more, each as likely as any other. Enriched, after these: for
    each class squares as likely as they have cells that the model calls so. The nuclei of a square are drawn
    at random in both: chosen by the model's own class, they would make its scores too good.

    Raises
    ------
    DataError
        Where no square has enough cells.
    """
    squares = _squares(slide)
    if not squares:
        raise DataError(f"{slide.name}: no square of {SIDE_UM:g} um has {FEWEST_CELLS} cells.")
    said = np.array(slide.cells["class"].to_pylist(), np.str_)
    wanted = [(UNBIASED, "", sizes.unbiased)] + [(ENRICHED, name, sizes.enriched) for name in classes]
    regions = []
    for arm, sought, number in wanted:
        weight = np.array([(said[rows] == sought).sum() if sought else 1 for rows in squares.values()], float)
        number = min(number, int((weight > 0).sum()))
        drawn = rng.choice(len(squares), number, replace=False, p=weight / weight.sum()) if number else ()
        for corner in [list(squares)[k] for k in drawn]:
            rows = rng.permutation(squares.pop(corner))[: sizes.nuclei]
            regions.append(StudyRegion(slide, corner, arm, sought, rows))
    return regions


def _squares(slide: StudySlide) -> dict[tuple[float, float], NDArray[np.int64]]:
    """Corner in um -> rows of its cells, of the squares with enough of them."""
    places = np.stack([slide.cells[name].to_numpy() for name in ("x_um", "y_um")], axis=1)
    square, inverse, number = np.unique(
        np.floor(places / SIDE_UM), axis=0, return_inverse=True, return_counts=True
    )
    order = np.split(np.argsort(inverse.ravel(), kind="stable"), np.cumsum(number)[:-1])
    corners = [(float(x), float(y)) for x, y in square * SIDE_UM]
    return {corner: rows for corner, rows in zip(corners, order, strict=True) if len(rows) >= FEWEST_CELLS}
