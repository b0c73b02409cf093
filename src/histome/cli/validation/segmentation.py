"""histome validate segmentation: the files, read for `histome.validation.segmentation`."""

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histome.errors import DataError, HistomeError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from histome.validation.image_strata import ImageStrata
    from histome.validation.segmentation import LabelImage

_IMAGES = (".png", ".tif", ".tiff", ".npy")
_SHAPES = (".geojson", ".json", ".parquet")


def paired(true: Path, found: Path) -> tuple[dict[str, tuple[Path, Path]], list[str]]:
    """Name -> the two files: those given, or of two folders those called alike but for the ending.

    And one line where files of the second folder have no partner.
    """
    if true.is_file() and found.is_file():
        return {true.stem: (true, found)}, []
    if not (true.is_dir() and found.is_dir()):
        raise DataError(f"{true} and {found}: give two files or two folders that are there.")
    ours, theirs = (_by_name(folder) for folder in (true, found))
    missing = sorted(set(ours) - set(theirs))
    if missing or not ours:
        what = f"no file for {missing[0]} ({len(missing)} missing)" if missing else "no files to compare"
        raise DataError(f"{found}: {what}; both folders name their files alike.")
    extra = [path.name for name, path in theirs.items() if name not in ours]
    return {name: (path, theirs[name]) for name, path in ours.items()}, [
        f"{found}: not compared, no such name in {true}: {len(extra)}, the first {name}."
        for name in extra[:1]
    ]


def _by_name(folder: Path) -> dict[str, Path]:
    """The files of a folder that can be compared, by their names without the ending."""
    named: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in _IMAGES + _SHAPES:
            continue
        if (other := named.setdefault(path.stem, path)) is not path:
            raise DataError(f"{folder}: {other.name} and {path.name} are two files of one name; keep one.")
    return named


def read_pair(true: Path, found: Path) -> "tuple[LabelImage, LabelImage]":
    """The instances of two files; outlines are painted on the grid of the other's image, or on their own."""
    shapes = [None if path.suffix.lower() in _IMAGES else _outlines(path) for path in (true, found)]
    images = [read_pixels(path) if path.suffix.lower() in _IMAGES else None for path in (true, found)]
    size = next((image.shape for image in images if image is not None), None) or _extent(shapes)
    return tuple(  # type: ignore[return-value]
        _painted(shape, size) if image is None else _labeled(image, path)
        for image, shape, path in zip(images, shapes, (true, found), strict=True)
    )


def read_strata(table: Path | None, images: list[str], by: tuple[str, ...] | None) -> "ImageStrata | None":
    """What the images are of, by columns of a table; None where nothing is asked."""
    from histome.datasets.fields import read_rows
    from histome.validation.image_strata import ImageStrata

    if (table is None) != (by is None):
        raise UsageError("--images and --by go together")
    if table is None or by is None:
        return None
    try:
        return ImageStrata.from_rows(read_rows(table), images, by)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{table}: no table of images ({error}).") from error


def read_pixels(path: Path) -> "NDArray[Any]":
    """A label image (h, w) of whole numbers from PNG, TIFF or NPY; DataError for anything else."""
    import tifffile
    from PIL import Image

    ending = path.suffix.lower()
    if ending not in _IMAGES:
        raise DataError(f"{path}: a label image ends in {', '.join(_IMAGES)}.")
    try:
        if ending == ".npy":
            pixels = np.load(path, allow_pickle=False)
        elif ending == ".png":
            with Image.open(path) as image:
                pixels = np.asarray(image)
        else:
            pixels = tifffile.imread(path)
    # struct.error: a header cut short; RuntimeError: what the decoders of imagecodecs raise.
    except (
        OSError,
        ValueError,
        LookupError,
        RuntimeError,
        struct.error,
        tifffile.TiffFileError,
        Image.DecompressionBombError,
    ) as error:
        raise DataError(f"{path}: cannot be read ({' '.join(str(error).split())}).") from error
    if pixels.ndim != 2 or pixels.dtype.kind not in "ui" or not pixels.size:
        raise DataError(
            f"{path}: a label image has one channel of whole numbers, not {pixels.dtype} {pixels.shape}."
        )
    if pixels.min() < 0:
        raise DataError(f"{path}: holds {pixels.min()}; a label image has numbers from 0 (background) on.")
    return pixels


def _labeled(pixels: "NDArray[Any]", path: Path) -> "LabelImage":
    """With the classes of NAME.csv (instance, label) beside it, where there is one."""
    from histome.datasets.fields import read_rows
    from histome.validation.segmentation import LabelImage

    ids, index = np.unique(pixels, return_inverse=True)
    # Ids may be any numbers up to 2^32: in their order they are small.
    first = 0 if len(ids) and ids[0] == 0 else 1
    labels, table = (index.reshape(pixels.shape) + first).astype(np.int64), path.with_suffix(".csv")
    try:
        said = {int(row["instance"]): row["label"] for row in read_rows(table)} if table.is_file() else {}
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise DataError(f"{table}: no table with columns instance and label ({error}).") from error
    return LabelImage(labels, {k + first: said[i] for k, i in enumerate(ids.tolist()) if i in said and i})


def _outlines(path: Path) -> Any:
    from histome.interop import read_shapes

    if path.suffix.lower() not in _SHAPES:
        raise DataError(
            f"{path}: give a label image ({', '.join(_IMAGES)}) or outlines ({', '.join(_SHAPES)})."
        )
    shapes = read_shapes(path)
    kinds = {shape.geom_type for shape in shapes.geometry}
    if not kinds <= {"Polygon", "MultiPolygon"}:
        raise HistomeError(f"{path}: outlines are polygons; there are {', '.join(sorted(kinds))}.")
    return shapes


def _extent(shapes: list[Any]) -> tuple[int, int]:
    import shapely

    ends = [shapely.total_bounds(shape.geometry)[2:] for shape in shapes if len(shape.geometry)]
    if not ends:
        raise DataError("neither file has an outline.")
    width, height = np.ceil(np.max(ends, axis=0)).astype(int)
    if width * height > 2**30:
        raise DataError(f"outlines reach to {width} x {height} px: give fields, not whole slides.")
    return max(int(height), 1), max(int(width), 1)


def _painted(shapes: Any, size: tuple[int, int]) -> "LabelImage":
    from histome.geometry.raster import paint_polygons
    from histome.interop.labels import NO_LABEL
    from histome.validation.segmentation import LabelImage

    labels, codes = np.zeros(size, np.int32), np.arange(1, len(shapes.geometry) + 1, dtype=np.int32)
    paint_polygons(labels, shapes.geometry, codes)
    said = {int(k): str(label) for k, label in zip(codes, shapes.label, strict=True) if label != NO_LABEL}
    return LabelImage(labels, said)


def read_maps(true: Path, found: Path, names: tuple[str, ...], mpp: float) -> "tuple[NDArray, NDArray]":
    """Two class maps on the pixels of the first; a map of histome is sampled at their centers by its name."""
    from histome.slide import ClassMap

    pixels = read_pixels(true)
    if found.suffix.lower() not in (".tif", ".tiff") or not _is_own(found):
        return pixels, read_pixels(found)
    own = ClassMap.load(found)
    unknown = [name for name in names if name not in own.classes]
    if unknown:
        raise DataError(f"{found}: has no class {', '.join(unknown)}; it has {', '.join(own.classes)}.")
    y, x = ((np.arange(side) + 0.5) * mpp for side in pixels.shape)
    # A class that is not asked about is a miss, as 0.
    table = np.array([0, *(names.index(name) + 1 if name in names else 0 for name in own.classes)])
    return pixels, table[own.at(x[None], y[:, None])]


def _is_own(path: Path) -> bool:
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            return "histome.classes" in (tiff.ome_metadata or "")
    except (OSError, ValueError, tifffile.TiffFileError):
        return False
