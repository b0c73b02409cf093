"""What is on a phantom, exactly."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histome.classes import QC_CLASSES, TISSUE_CLASSES
from histome.phantom.layout import TISSUE_OF_PART, Arc, Blob, Layout, PhantomPart, window
from histome.phantom.nuclei import NAMES, PhantomNuclei
from histome.phantom.texture import Image

_TISSUE_CODES = np.zeros(len(PhantomPart), np.uint8)
for _part, _name in TISSUE_OF_PART.items():
    _TISSUE_CODES[_part] = TISSUE_CLASSES.index(_name) + 1
# Areas are counted on this grid.
AREA_UM_PER_PX = 2.0
_STRIP_ROWS = 512


@dataclass(frozen=True)
class PhantomCells:
    """One row a nucleus: center and outline (n, 32, 2) in level-0 px, class, tissue, whether QC passes it."""

    x_px: Image
    y_px: Image
    classes: NDArray[np.str_]
    tissues: NDArray[np.str_]
    polygons_px: Image
    valid: NDArray[np.bool_]

    def __len__(self) -> int:
        """Return the number of nuclei."""
        return len(self.x_px)

    def counts(self, *, valid_only: bool = True) -> dict[str, int]:
        """Return the number of nuclei of every class."""
        chosen = self.classes[self.valid] if valid_only else self.classes
        found = Counter(chosen.tolist())
        return {name: found[name] for name in NAMES}


@dataclass(frozen=True)
class PhantomTruth:
    """The exact content of a phantom slide, computed from its shapes at any resolution."""

    path: Path
    size_px: tuple[int, int]
    mpp: float
    layout: Layout
    nuclei: PhantomNuclei

    @cached_property
    def cells(self) -> PhantomCells:
        """All nuclei; those under pen or fold or out of focus have `valid` False."""
        nuclei = self.nuclei
        names = np.array(["", *TISSUE_CLASSES])
        return PhantomCells(
            nuclei.x / self.mpp,
            nuclei.y / self.mpp,
            np.array(NAMES)[nuclei.code],
            names[_TISSUE_CODES[nuclei.part]],
            nuclei.polygons_um() / np.float32(self.mpp),
            ~self._spoiled(nuclei.x, nuclei.y),
        )

    def tissue_map(self, mpp: float, *, valid_only: bool = True) -> NDArray[np.uint8]:
        """Return tissue codes (h, w) at `mpp`, k = TISSUE_CLASSES[k - 1]; 0 on glass and where QC refuses."""
        out = _TISSUE_CODES[self.layout.parts(*self._axes(mpp))]
        if valid_only:
            out[self.qc_map(mpp) != QC_CLASSES.index("VALID_TISSUE") + 1] = 0
        return out

    def qc_map(self, mpp: float) -> NDArray[np.uint8]:
        """Return QC codes (h, w) at `mpp`: k = QC_CLASSES[k - 1]."""
        x, y = self._axes(mpp)
        tissue = self.layout.parts(x, y) > 0
        out = np.where(tissue, _code("VALID_TISSUE"), _code("NO_TISSUE"))
        for name, shapes, on_glass in self._artifacts():
            for shape in shapes:
                rows, columns = window(shape, x, y)
                hit = shape.depth(x[None, columns], y[rows, None]) > 0
                out[rows, columns][hit & (tissue[rows, columns] | on_glass)] = _code(name)
        return out

    @cached_property
    def tissue_area_um2(self) -> dict[str, float]:
        """Area of every tissue class that QC should pass, um2, counted on a 2 um grid."""
        codes = self.tissue_map(AREA_UM_PER_PX)
        counts = np.bincount(codes.ravel(), minlength=len(TISSUE_CLASSES) + 1)
        return {name: float(counts[k + 1]) * AREA_UM_PER_PX**2 for k, name in enumerate(TISSUE_CLASSES)}

    def _axes(self, mpp: float) -> tuple[Image, Image]:
        width, height = (int(np.ceil(side * self.mpp / mpp - 1e-6)) for side in self.size_px)
        return (np.arange(width) + 0.5) * mpp, (np.arange(height) + 0.5) * mpp

    def _artifacts(self) -> tuple[tuple[str, tuple[Blob | Arc, ...], bool], ...]:
        """Return (class, shapes, whether it counts on bare glass too), the strongest last."""
        layout = self.layout
        return (
            ("OUT_OF_FOCUS", layout.blurs, False),
            ("TISSUE_ARTIFACT", layout.folds, False),
            ("MARKER", layout.pen, True),
        )

    def _spoiled(self, x: Image, y: Image) -> NDArray[np.bool_]:
        spoiled = np.zeros(len(x), bool)
        for _, shapes, _ in self._artifacts():
            for shape in shapes:
                spoiled |= shape.depth(x, y) > 0
        return spoiled


def _code(name: str) -> np.uint8:
    return np.uint8(QC_CLASSES.index(name) + 1)
