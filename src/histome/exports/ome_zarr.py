"""The tissue's probabilities as OME-NGFF 0.5: a multiscale Zarr 3 image with axes, units and colors."""

from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec

from histome.colors import TISSUE_COLORS
from histome.errors import OutputError
from histome.exports.place import Place, class_name, place_of
from histome.slide.maps import SMALLEST_LEVEL_PX, ProbabilityMap
from histome.store.profile import Profile

_CHUNK_PX = 512


def write_ome_zarr(profile: Profile, path: Path) -> None:
    """Write a folder: uint8 (classes, y, x), round(255 p), levels halved by means, in um.

    attributes["histome"] says the slide and the affine from its level-0 px to um; the image begins in its
    upper left corner.
    """
    found, place = profile.tissue.probabilities, place_of(profile)
    if found is None:
        raise OutputError(f"{profile.path}: its tissue has no probabilities; profile the slide again")
    levels = _levels(np.asarray(found.array[:]))
    group = zarr.open_group(path, mode="w-", zarr_format=3, attributes=_attributes(found, place, len(levels)))
    for number, level in enumerate(levels):
        array = group.create_array(
            f"s{number}",
            shape=level.shape,
            chunks=(1, min(_CHUNK_PX, level.shape[1]), min(_CHUNK_PX, level.shape[2])),
            dtype=np.uint8,
            compressors=BloscCodec(cname="zstd", clevel=3),
            dimension_names=("c", "y", "x"),
        )
        array[:] = level


def _levels(array: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    levels = [array]
    while max(levels[-1].shape[1:]) > SMALLEST_LEVEL_PX and min(levels[-1].shape[1:]) > 1:
        levels.append(_halved(levels[-1]))
    return levels


def _halved(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return means of 2 x 2 px; an odd row or column at the end is left out."""
    height, width = (side // 2 * 2 for side in array.shape[1:])
    even = array[:, :height, :width].astype(np.uint16)
    quads = even[:, ::2, ::2] + even[:, 1::2, ::2] + even[:, ::2, 1::2] + even[:, 1::2, 1::2]
    return ((quads + 2) // 4).astype(np.uint8)


def _attributes(found: ProbabilityMap, place: Place, levels: int) -> dict[str, Any]:
    axes = [{"name": "c", "type": "channel"}]
    axes += [{"name": name, "type": "space", "unit": "micrometer"} for name in ("y", "x")]
    datasets = [
        {"path": f"s{number}", "coordinateTransformations": _transforms(found.mpp, number)}
        for number in range(levels)
    ]
    channels = [
        {
            "label": class_name(name),
            "color": TISSUE_COLORS[name].removeprefix("#"),
            "active": True,
            "window": {"min": 0, "max": 255, "start": 0, "end": 255},
        }
        for name in found.classes
    ]
    multiscale = {"name": "tissue probabilities", "axes": axes, "datasets": datasets, "type": "mean"}
    ome = {"version": "0.5", "multiscales": [multiscale], "omero": {"channels": channels}}
    return {"ome": ome, "histome": place.told() | {"classes": list(found.classes), "value": "round(255 p)"}}


def _transforms(mpp: float, number: int) -> list[dict[str, Any]]:
    """Return how a level's pixels lie: their size, and where the center of the first one is."""
    size = mpp * 2**number
    shift = (size - mpp) / 2
    return [
        {"type": "scale", "scale": [1.0, size, size]},
        {"type": "translation", "translation": [0.0, shift, shift]},
    ]
