"""Label images: TIFF files whose pixels are classes, our own class maps among them.

Reading; what writes a label image for other programs belongs here too.
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from histome.classes import TISSUE_CLASSES
from histome.errors import HistomeError
from histome.interop.labels import map_labels
from histome.slide.maps import ClassMap

# 2 um/px: 126 x 126 mm. Larger claims are damage or an attack.
MAX_MAP_PX = 4_000_000_000


def read_label_tissue(path: Path, mapping: Mapping[str, str], mpp: float) -> ClassMap:
    """Read a label image; our own class maps bring their names and resolution."""
    try:
        with tifffile.TiffFile(path) as tiff:
            own = "histome.classes" in (tiff.ome_metadata or "")
            page = tiff.pages.first
            if page.imagewidth * page.imagelength > MAX_MAP_PX:
                raise HistomeError(f"{path} claims {page.imagewidth} x {page.imagelength} px.")
            labels = None if own else page.asarray()
            stated = _stated_mpp(tiff.ome_metadata)
    # struct.error: a header cut short; RuntimeError: what the decoders of imagecodecs raise.
    except (OSError, ValueError, LookupError, RuntimeError, struct.error, tifffile.TiffFileError) as error:
        raise HistomeError(f"{path}: not a TIFF that can be read ({error}).") from error
    if labels is None:
        loaded = ClassMap.load(path)
        table = _lookup(range(1, len(loaded.classes) + 1), loaded.classes, mapping, path)
        return replace(loaded, array=table[loaded.array], classes=TISSUE_CLASSES)
    if labels.ndim != 2 or labels.dtype.kind not in "ui" or labels.max(initial=0) > 65_535:
        raise HistomeError(f"{path}: a label image has one channel of whole numbers, 0 to 65,535.")
    present = np.flatnonzero(np.bincount(labels.ravel()))
    kept = [int(value) for value in present if value or "0" in mapping]
    return ClassMap(_lookup(kept, map(str, kept), mapping, path)[labels], stated or mpp, TISSUE_CLASSES)


def _lookup(
    values: Iterable[int], names: Iterable[str], mapping: Mapping[str, str], path: Path
) -> NDArray[np.uint8]:
    """Return the table from a pixel's value to our code."""
    table = np.zeros(65_536, np.uint8)
    table[list(values)] = map_labels(list(names), mapping, TISSUE_CLASSES, path) + 1
    return table


def _stated_mpp(ome: str | None) -> float | None:
    """Return the pixel size that OME metadata states, um; None when it states none."""
    if not ome:
        return None
    image = tifffile.xml2dict(ome)["OME"]["Image"]
    pixels = (image[0] if isinstance(image, list) else image)["Pixels"]
    unit = {"µm": 1.0, "nm": 1e-3, "mm": 1e3}.get(pixels.get("PhysicalSizeXUnit", "µm"))
    size = pixels.get("PhysicalSizeX")
    return float(size) * unit if size and unit else None
