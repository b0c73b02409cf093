"""Class maps and probability maps: arrays that know their resolution and what their codes mean."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

import numpy as np
import tifffile
import zarr
from numpy.typing import ArrayLike, NDArray
from zarr.abc.store import Store
from zarr.codecs import BloscCodec
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import LocalStore

from histome.colors import MAP_COLORS, rgb
from histome.errors import HistomeError
from histome.geometry.coverage import Shares, covered_counts, pixel_shares
from histome.slide.mpp import Frame
from histome.temporary import keeping, remove_with

TILE_PX = 256
# Levels are halved until the longer side fits one screen.
SMALLEST_LEVEL_PX = 512
PROBABILITY_CHUNK_PX = 512
# 120 x 120 mm at 2 um/px: larger claims are damage or an attack.
MAX_MAP_PX = 4_000_000_000
# Resolution, classes, origin and frame.
_About = tuple[float, tuple[str, ...], tuple[int, int], Frame | None]
# As a line about the disk names it.
_KEPT = "probabilities"
# tifffile draws a new UUID for each OME-TIFF: a fixed one keeps two runs byte-identical.
OME_UUID = "00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True, eq=False)
class ClassMap:
    """Exclusive classes on a grid.

    The grid starts at the corner of level 0; pixel (x, y) of it covers [x mpp, (x+1) mpp) x
    [y mpp, (y+1) mpp) um. Pixels of the last row and column may reach beyond the picture: in areas they
    count by the share that it covers, in counts and lengths whole.

    Attributes
    ----------
    array : (h, w) uint8
        0 = not analyzed, k = `classes[k - 1]`.
    mpp : float, um/px
        Of the grid.
    classes : tuple of str
        Their names.
    origin_px : (int, int), px
        x, y of the grid's pixel that `array[0, 0]` is: (0, 0) for a map of a slide, its corner for a part.
    frame : Frame or None
        The picture that it is a map of; None where none is known, and every pixel counts whole.

    Examples
    --------
    Forty columns of carcinoma beside sixty of stroma, 100 rows, 2 um/px:

    >>> import numpy as np
    >>> from histome.slide import ClassMap
    >>> codes = np.full((100, 100), 2, np.uint8)
    >>> codes[:, :40] = 1
    >>> tissue = ClassMap(codes, mpp=2.0, classes=("CARCINOMA", "STROMA"))
    >>> tissue.area_um2("CARCINOMA")
    16000.0
    >>> tissue.at([79.0, 81.0, -1.0], 50.0).tolist()  # left and right of the border, and outside
    [1, 2, 0]
    """

    array: NDArray[np.uint8]
    mpp: float
    classes: tuple[str, ...]
    origin_px: tuple[int, int] = (0, 0)
    frame: Frame | None = None

    def __post_init__(self) -> None:
        """Refuse an array that is no class map."""
        if self.array.ndim != 2 or self.array.dtype != np.uint8:
            raise ValueError(f"a class map is uint8 (h, w), not {self.array.dtype} {self.array.shape}")
        if self.array.size and int(self.array.max()) > len(self.classes):
            raise ValueError(f"code {int(self.array.max())} is beyond the {len(self.classes)} classes")

    def code(self, name: str) -> int:
        """Return the code of a class; raises KeyError for an unknown name."""
        if name not in self.classes:
            raise KeyError(f"no class {name!r} among {', '.join(self.classes)}")
        return self.classes.index(name) + 1

    def mask(self, name: str) -> NDArray[np.bool_]:
        """Return where the class is, bool (h, w)."""
        return self.array == self.code(name)

    @cached_property
    def shares(self) -> Shares:
        """The share of each row (h,) and column (w,) that lies in the picture, 0-1."""
        extent_um = self.frame.extent_um if self.frame else (np.inf, np.inf)
        columns, rows = (
            pixel_shares(first, count, extent / self.mpp)
            for first, count, extent in zip(self.origin_px, self.array.shape[::-1], extent_um, strict=True)
        )
        return rows, columns

    def area_um2(self, name: str) -> float:
        """Return the area of the class in the picture, um2: its pixels by their shares times mpp squared."""
        return float(self.areas_px()[self.code(name)]) * self.mpp**2

    def areas_px(self, within: "ClassMap | None" = None) -> NDArray[np.float64]:
        """Return the area of each code in pixels by their shares, (classes + 1,).

        `within` splits each by the codes of another map of the same pixels: (classes + 1, its classes + 1).
        """
        other = within and (within.array, len(within.classes) + 1)
        return covered_counts(self.array, self.shares, len(self.classes) + 1, within=other)

    def at(self, x_um: ArrayLike, y_um: ArrayLike) -> NDArray[np.uint8]:
        """Return the codes at points, um from the slide's corner: uint8 of their common shape, 0 outside."""
        columns = np.floor(np.asarray(x_um, np.float64) / self.mpp) - self.origin_px[0]
        rows = np.floor(np.asarray(y_um, np.float64) / self.mpp) - self.origin_px[1]
        columns, rows = np.broadcast_arrays(columns, rows)
        array = self.array
        height, width = array.shape
        inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
        codes = np.zeros(columns.shape, np.uint8)
        codes[inside] = array[rows[inside].astype(np.int64), columns[inside].astype(np.int64)]
        return codes

    def crop(self, x: int, y: int, width: int, height: int) -> "ClassMap":
        """Return a part, (x, y) its first pixel counted in this array; cut off at the map's edges."""
        x0, y0 = max(x, 0), max(y, 0)
        part = self.array[y0 : max(y + height, 0), x0 : max(x + width, 0)]
        origin_px = self.origin_px[0] + x0, self.origin_px[1] + y0
        return ClassMap(part, self.mpp, self.classes, origin_px, self.frame)

    def in_memory(self) -> "ClassMap":
        """Return the map with its pixels in memory: itself, but for a `FiledMap`."""
        return self

    def save(self, path: Path | str) -> None:
        """Write a tiled pyramidal OME-TIFF (deflate, nearest levels); equal maps give equal bytes.

        Its pixels are the codes; a palette of `histome.colors` draws them, the channel's name says them.
        """
        levels = _nearest_levels(self.array)
        size = {"PhysicalSizeX": self.mpp, "PhysicalSizeY": self.mpp}
        notes = {"histome.classes": json.dumps(self.classes)}
        if any(self.origin_px):
            notes["histome.origin_px"] = json.dumps(self.origin_px)
        if self.frame:
            notes["histome.frame"] = json.dumps(self.frame)
        names = ", ".join(f"{code} {name}" for code, name in enumerate(self.classes, start=1))
        metadata = {
            "axes": "YX",
            "UUID": OME_UUID,
            **size,
            "Channel": {"Name": names},
            "MapAnnotation": notes,
        }
        options = {"tile": (TILE_PX, TILE_PX), "compression": "zlib", "software": "histome"}
        options |= {"photometric": "palette", "colormap": _palette(self.classes)}
        with tifffile.TiffWriter(path, ome=True, bigtiff=self.array.size > 2**31) as writer:
            for number, level in enumerate(levels):
                pixels_per_cm = 10_000 / (self.mpp * 2**number)
                writer.write(
                    level,
                    subifds=len(levels) - 1 if number == 0 else None,
                    subfiletype=1 if number else 0,
                    metadata=metadata if number == 0 else None,
                    resolution=(pixels_per_cm, pixels_per_cm),
                    resolutionunit="CENTIMETER",
                    **options,
                )

    @classmethod
    def load(cls, path: Path | str) -> "ClassMap":
        """Read what `save` wrote; raises HistomeError for any other file."""
        with _file_of_map(path) as (page, about):
            return cls(page.asarray(), *about)


class FiledMap(ClassMap):
    """A class map that `save` wrote, whose pixels are read anew each time they are asked for and not kept.

    For a map of a whole slide that is needed a few times: `in_memory` is what to ask then.
    """

    def __init__(self, path: Path) -> None:
        with _file_of_map(path) as (_, about):
            mpp, classes, origin_px, frame = about
        vars(self).update(mpp=mpp, classes=classes, origin_px=origin_px, frame=frame, _path=path)

    @property
    def array(self) -> NDArray[np.uint8]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The pixels, read once more."""
        return self.in_memory().array

    def in_memory(self) -> ClassMap:
        """Read the map; raises HistomeError where its file is damaged or gone."""
        return ClassMap.load(vars(self)["_path"])


@dataclass(frozen=True, eq=False)
class ProbabilityMap:
    """Probabilities per class on a grid, with the geometry of ClassMap.

    Attributes
    ----------
    array : zarr uint8 (classes, h, w)
        round(255 p), in chunks; until it is saved they lie in a temporary folder (`TMPDIR`).
    mpp : float, um/px
        Of the grid.
    classes : tuple of str
        Their names.
    """

    array: zarr.Array
    mpp: float
    classes: tuple[str, ...]

    @classmethod
    def empty(cls, shape: tuple[int, int], mpp: float, classes: tuple[str, ...]) -> "ProbabilityMap":
        """Return an all-zero map of (h, w); its chunks are gone when it is let go."""
        with keeping(_KEPT):
            folder = TemporaryDirectory(prefix="histome-")
            array = _create(LocalStore(folder.name), shape, mpp, classes)
        remove_with(array, folder)
        return cls(array, mpp, classes)

    def put(self, k: int, rows: slice, plane: NDArray[np.uint8]) -> None:
        """Write rows of one class, round(255 p); raises OutputError where the disk does not take them."""
        with keeping(_KEPT):
            self.array[k, rows] = plane

    def probability(self, name: str) -> NDArray[np.float32]:
        """Return one class, float32 (h, w) in 0-1; raises ValueError for an unknown name."""
        plane = np.asarray(self.array[self.classes.index(name)])
        return plane.astype(np.float32) / np.float32(255)

    def save(self, path: Path | str) -> None:
        """Write a Zarr directory: each chunk with the bytes it is compressed to already.

        By plain files, not by Zarr's own store: that goes on writing in the background after a full disk
        has raised its OSError.
        """
        store, prototype = self.array.store, default_buffer_prototype()
        for key in sorted(sync(_keys(store))):
            data = sync(store.get(key, prototype))
            file = Path(path) / key
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data.to_bytes() if data is not None else b"")

    @classmethod
    def load(cls, path: Path | str) -> "ProbabilityMap":
        """Open a directory that `save` wrote, read lazily; raises HistomeError for anything else."""
        try:
            array = zarr.open_array(LocalStore(path, read_only=True), mode="r")
            mpp, classes = array.attrs["mpp"], array.attrs["classes"]
        except (FileNotFoundError, KeyError, ValueError) as error:
            raise HistomeError(f"{path} is not a probability map that histome wrote ({error}).") from error
        if not isinstance(mpp, float | int) or not isinstance(classes, list):
            raise HistomeError(f"{path} is not a probability map that histome wrote (bad attributes).")
        return cls(array, float(mpp), tuple(str(name) for name in classes))


@contextmanager
def _file_of_map(path: Path | str) -> Iterator[tuple[tifffile.TiffPage, _About]]:
    """Open the file of a class map: its first page, and what it says; HistomeError for any other file."""
    try:
        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages.first
            if page.imagewidth * page.imagelength > MAX_MAP_PX:
                raise HistomeError(f"{path} claims {page.imagewidth} x {page.imagelength} px: no class map.")
            yield page, _read_ome(tiff.ome_metadata or "")
    except (tifffile.TiffFileError, ElementTree.ParseError, KeyError, ValueError, IndexError) as error:
        raise HistomeError(f"{path} is not a class map that histome wrote ({error}).") from error


def _palette(classes: tuple[str, ...]) -> NDArray[np.uint16]:
    """Return red, green and blue of each code, (3, 256) uint16: 0 is white, a class without color a gray."""
    grays = np.tile(np.linspace(64, 192, 256).astype(np.uint16), (3, 1))
    grays[:, 0] = 255
    for code, name in enumerate(classes, start=1):
        if name in MAP_COLORS:
            grays[:, code] = rgb(MAP_COLORS[name])
    return grays * np.uint16(257)


async def _keys(store: Store) -> list[str]:
    return [key async for key in store.list()]


def _create(store: LocalStore, shape: tuple[int, int], mpp: float, classes: tuple[str, ...]) -> zarr.Array:
    return zarr.create_array(
        store,
        shape=(len(classes), *shape),
        chunks=(1, min(PROBABILITY_CHUNK_PX, shape[0]), min(PROBABILITY_CHUNK_PX, shape[1])),
        dtype=np.uint8,
        compressors=BloscCodec(cname="zstd", clevel=3),
        attributes={"mpp": mpp, "classes": list(classes)},
    )


def _nearest_levels(array: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    levels = [array]
    while max(levels[-1].shape) > SMALLEST_LEVEL_PX:
        levels.append(np.ascontiguousarray(levels[-1][::2, ::2]))
    return levels


def _read_ome(description: str) -> _About:
    """Return um/px, classes, origin and frame."""
    metadata = tifffile.xml2dict(description)["OME"]
    mpp = float(metadata["Image"]["Pixels"]["PhysicalSizeX"])
    entries = metadata["StructuredAnnotations"]["MapAnnotation"]["Value"]["M"]
    notes = {entry["K"]: entry["value"] for entry in (entries if isinstance(entries, list) else [entries])}
    x, y = json.loads(notes.get("histome.origin_px", "[0, 0]"))
    return mpp, tuple(json.loads(notes["histome.classes"])), (int(x), int(y)), _frame(notes)


def _frame(notes: Mapping[str, str]) -> Frame | None:
    if "histome.frame" not in notes:
        return None
    slide, (width, height), (x, y) = json.loads(notes["histome.frame"])
    return Frame(str(slide), (int(width), int(height)), (float(x), float(y)))
