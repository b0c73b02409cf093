"""Where tiles are drawn from: slides and fields, and where tissue lies in each."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from histome.datasets.fields import read_rows
from histome.errors import UsageError
from histome.slide import Slide, open_slide

RgbTile = NDArray[np.uint8]
ChooseMpp = Callable[[Slide, np.random.Generator], float]
# Finer than its pixels a slide is shown no more than this.
_FINER = 0.85
# Colored pixels of a thumbnail are tissue: the largest less the smallest of red, green and blue.
_COLORED = 25


class TileSource(NamedTuple):
    """A slide or field, its um/px in place of what the file says, and the folder that it belongs to."""

    file: Path
    mpp: float | None
    folder: str


def find_sources(paths: Sequence[Path], mpp: float | None = None) -> list[TileSource]:
    """Return the slides and fields among `paths`; of a folder with images.csv the images that it lists.

    `mpp` (um/px) overrides what files say, not what images.csv does. Raises UsageError where there are none.
    """
    found: list[TileSource] = []
    for path in paths:
        if path.is_dir():
            found += listed_sources(path, mpp)
        else:
            found.append(TileSource(path, mpp, str(path.parent)))
    if missing := [source.file for source in found if not source.file.is_file()]:
        raise UsageError(f"{missing[0]}: no such slide or field")
    if not found:
        raise UsageError("no slides and no fields: give their files, or a folder with images.csv")
    return found


def listed_sources(folder: Path, mpp: float | None = None) -> list[TileSource]:
    """Return the images of a folder's images.csv (file and, where it is known, mpp); `mpp` of the others.

    Raises DataError, one line, for a resolution that no image has, with file and line.
    """
    if not (folder / "images.csv").is_file():
        raise UsageError(f"{folder}: no images.csv; give the files of slides themselves")
    rows = read_rows(folder / "images.csv")
    known = (row.mpp() if row.get("mpp") else mpp for row in rows)
    return [TileSource(folder / row["file"], um, str(folder)) for row, um in zip(rows, known, strict=True)]


class TissueTiles:
    """Draws a folder, by the root of the number of its files; a file of it; a place on its tissue.

    Parameters
    ----------
    sources : sequence of TileSource
        What is drawn from.
    """

    def __init__(self, sources: Sequence[TileSource]) -> None:
        self.sources = list(sources)
        folders = sorted({source.folder for source in sources})
        self._folders = [[source for source in sources if source.folder == name] for name in folders]
        weight = np.sqrt([len(some) for some in self._folders])
        self._share = weight / weight.sum()
        self._tissue: dict[Path, NDArray[np.float32]] = {}

    def read(self, rng: np.random.Generator, side_px: int, choose: ChooseMpp) -> RgbTile:
        """(side, side, 3) uint8 of some slide, its center on tissue, at the um/px that `choose` says."""
        some = self._folders[int(rng.choice(len(self._folders), p=self._share))]
        source = some[int(rng.integers(len(some)))]
        with open_slide(source.file, mpp=source.mpp) as slide:
            mpp = choose(slide, rng)
            if source.file not in self._tissue:
                self._tissue[source.file] = tissue_places(slide)
            places = self._tissue[source.file]
            center = places[int(rng.integers(len(places)))] * slide.size_px
            side = side_px * mpp / np.array([slide.mpp.x, slide.mpp.y])
            most = np.maximum(np.array(slide.size_px) - side - 1, 0)
            x, y = np.floor(np.clip(center - side / 2, 0, most))
            return slide.read(float(x), float(y), size=(side_px, side_px), mpp=mpp)


def tissue_places(slide: Slide) -> NDArray[np.float32]:
    """(n, 2) x, y of the tissue's pixels in a thumbnail, as shares of width and height; any where none is."""
    colored = cv2.GaussianBlur(slide.thumbnail(), (0, 0), 2.0)
    on_tissue = np.ptp(colored.astype(int), axis=2) > _COLORED
    rows, cols = np.nonzero(on_tissue if on_tissue.any() else ~on_tissue)
    return (np.stack([cols, rows], 1) / np.array(colored.shape[1::-1])).astype(np.float32)


def any_mpp(between: tuple[float, float], side_px: int) -> ChooseMpp:
    """Return what draws um/px evenly by its logarithm, of what the slide can show in `side_px` pixels."""

    def choose(slide: Slide, rng: np.random.Generator) -> float:
        low = max(between[0], _FINER * max(slide.mpp.x, slide.mpp.y))
        high = min(between[1], min(slide.extent_um) / side_px)
        return float(np.exp(rng.uniform(np.log(low), np.log(high)))) if low < high else high

    return choose
