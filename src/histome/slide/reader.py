"""The Reader protocol and Slide: a region at any resolution, whatever file lies beneath."""

from collections.abc import Callable, Mapping
from functools import cached_property
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from histome.errors import SlideError
from histome.names import slide_id
from histome.slide import fingerprint, resample
from histome.slide.broken import BrokenTiles
from histome.slide.fingerprint import Identity
from histome.slide.mpp import Frame, Mpp, MppHints
from histome.slide.source import faults_told, file_state
from histome.slide.tiles import Box

# A level up to 1 % coarser than asked (0.5025 for 0.5) is taken: a finer one costs 4 times the decoding.
LEVEL_TOLERANCE = 1.01
BAND_BYTES = 32_000_000
# One read returns at most 3 GB: more is a bug of the caller or a trap in the file.
MAX_READ_PX = 1_000_000_000
MAX_SIDE_PX = 2_000_000


class Level(NamedTuple):
    """One level of the pyramid: its size in px, level-0 px per px, and the tile it is best read by."""

    width: int
    height: int
    downsample: float
    tile_width: int = 256
    tile_height: int = 256

    def tile_box(self, column: int, row: int) -> Box:
        """Return the box of a tile in px of this level, cut at the level's edge."""
        left, top = column * self.tile_width, row * self.tile_height
        right, bottom = left + self.tile_width, top + self.tile_height
        return Box(left, top, min(right, self.width), min(bottom, self.height))

    def to_level0(self, box: Box) -> Box:
        """Return a box of this level in level-0 px, rounded to nearest."""
        return Box(*(round(edge * self.downsample) for edge in box))


class Reader(Protocol):
    """Pixels of one file. `read` is thread-safe, white outside the image and where a tile is broken.

    `layout` says where its tiles lie and how long they are, as bytes; empty where that is not known. `pages`
    are the file's images of the size and kind of the one that is read, itself included.
    """

    format: str
    layout: bytes
    pages: int
    levels: tuple[Level, ...]
    mpp_hints: MppHints
    broken: BrokenTiles
    notes: tuple[str, ...]

    @property
    def properties(self) -> Mapping[str, str]:
        """Allow-listed properties of the file."""
        ...

    def read(self, level: int, x: int, y: int, w: int, h: int) -> NDArray[np.uint8]:
        """Return (h, w, 3) RGB from (x, y), all in px of that level; positions outside are white."""
        ...

    @property
    def close(self) -> Callable[[], object]:
        """Release the file when called."""
        ...


def check_levels(path: Path, levels: tuple[Level, ...]) -> tuple[Level, ...]:
    """Return the levels; raises SlideError where a claimed size is empty or absurd."""
    for level in levels:
        if not (0 < level.width <= MAX_SIDE_PX and 0 < level.height <= MAX_SIDE_PX):
            raise SlideError(
                f"{path.name} claims {level.width} x {level.height} px; it is damaged or no slide."
            )
    return levels


def pages_line(pages: int) -> str:
    """Return in words that of so many pages one is read."""
    return f"1 of {pages} pages is read, the first; to measure the others save each as a file of its own"


class Slide:
    """A slide: identity, size, resolution, and `read` over a Reader. Open it with `histome.open_slide`."""

    def __init__(self, path: Path, reader: Reader, mpp: Mpp) -> None:
        """Wrap an open reader; `mpp` is the pixel size of its level 0."""
        self.path = path
        self.id = slide_id(path)
        self.reader = reader
        self.mpp = mpp
        self.size_px = (reader.levels[0].width, reader.levels[0].height)
        self._opened = file_state(path)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    def __repr__(self) -> str:
        """Return id, size and resolution in one line."""
        width, height = self.size_px
        return f"Slide({self.id!r}, {width} x {height} px, {self.mpp.x:.4g} um/px)"

    def close(self) -> None:
        """Release the file; reading afterwards is an error."""
        self.reader.close()

    @property
    def broken(self) -> BrokenTiles:
        """Tiles that could not be decoded in any read so far."""
        return self.reader.broken

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the results should know: converted colors, unread pages, an odd pixel size."""
        unread = [pages_line(self.reader.pages)] if self.reader.pages > 1 else []
        return (*self.reader.notes, *unread, *self.mpp.notes)

    @property
    def extent_um(self) -> tuple[float, float]:
        """Width and height of level 0 in um."""
        return self.size_px[0] * self.mpp.x, self.size_px[1] * self.mpp.y

    @property
    def frame(self) -> Frame:
        """What places on this slide refer to."""
        return Frame(self.id, self.size_px, (self.mpp.x, self.mpp.y))

    @cached_property
    def bounds_px(self) -> Box:
        """The scanned part of level 0 (MRXS frames it in empty space); the whole of level 0 where not stated.

        Coordinates everywhere stay level-0 px; exports to programs that drop the frame subtract its corner.
        """
        keys = ("bounds-x", "bounds-y", "bounds-width", "bounds-height")
        stated = [self.reader.properties.get(key, "") for key in keys]
        if not all(value.isdigit() for value in stated):
            return Box(0, 0, *self.size_px)
        x, y, width, height = map(int, stated)
        return Box(x, y, min(x + width, self.size_px[0]), min(y + height, self.size_px[1]))

    def shape_at(self, mpp: float) -> tuple[int, int]:
        """Return (h, w) of the whole slide at `mpp`: the extent over mpp, rounded up."""
        width_um, height_um = self.extent_um
        # 1e-6: 512 px at 0.1 um/px are 512, not 513, pixels of 0.1 um.
        return ceil(height_um / mpp - 1e-6), ceil(width_um / mpp - 1e-6)

    def thumbnail(self, max_px: int = 1024) -> NDArray[np.uint8]:
        """Return the whole slide, uint8 (h, w, 3), longer side at most `max_px`, pixels square in um."""
        finest = max(self.mpp.x, self.mpp.y)
        mpp = max(finest, max(self.extent_um) / max_px)
        height, width = self.shape_at(mpp)
        return self.read(0, 0, size=(width, height), mpp=mpp)

    def fingerprint(self) -> str:
        """Return a hash of the file's size and sampled content: cheap, and different for different slides."""
        with faults_told(self.path):
            return fingerprint.of_file(self.path, self.reader.layout)

    def identity(self, known: Mapping[str, Any]) -> Identity:
        """Return which slide this is; all its bytes are read, but where `known`, an earlier one, still holds.

        Raises SlideError where they cannot be.
        """
        with faults_told(self.path):
            return fingerprint.identify(self.path, self.fingerprint(), known)

    def check_unchanged(self, fingerprint: str) -> None:
        """Raise SlideError where the file no longer has the size, time or fingerprint it was opened with."""
        if self._opened != file_state(self.path) or self.fingerprint() != fingerprint:
            raise SlideError(
                f"{self.path.name} has changed since it was opened; what was read is not kept: run again "
                "when nothing writes to it any more."
            )

    def read(
        self, x_px: float, y_px: float, *, size: tuple[int, int], mpp: float | None = None
    ) -> NDArray[np.uint8]:
        """Return the region with its corner at level-0 (x_px, y_px), uint8 RGB (h, w, 3), `size` = (w, h).

        Each output pixel is the area average over mpp x mpp um (mpp=None: one pixel of level 0), made from
        the nearest level that is at least as fine; where even level 0 is coarser, by linear interpolation.
        A pixel of the lattice of multiples of mpp has one value, whichever region it is read in. Outside
        the slide and where tiles are broken (recorded in `broken`) it is white.
        Raises ValueError for an empty, absurd or non-finite request.

        Examples
        --------
        200 x 100 um from the corner of the slide, in pixels of 2 um:

        >>> slide = histome.open_slide("slide.svs")
        >>> slide.read(0, 0, size=(100, 50), mpp=2.0).shape
        (50, 100, 3)

        Left of the slide there is nothing, which is white:

        >>> int(slide.read(-100, 0, size=(100, 50)).min())
        255
        >>> slide.close()
        """
        step_x, step_y = self._steps_px(mpp)
        _check_request(x_px, y_px, size, step=(step_x, step_y))
        number = self._level_for(min(step_x, step_y))
        downsample = self.reader.levels[number].downsample
        columns = resample.axis_taps(x_px, step_x, size[0], downsample=downsample)
        rows = resample.axis_taps(y_px, step_y, size[1], downsample=downsample)
        if columns.is_copy and rows.is_copy:
            return self.reader.read(number, columns.start, rows.start, *size)
        return self._average(number, columns, rows)

    def _steps_px(self, mpp: float | None) -> tuple[float, float]:
        if mpp is None:
            return 1.0, 1.0
        return _whole(mpp / self.mpp.x), _whole(mpp / self.mpp.y)

    def _level_for(self, step_px: float) -> int:
        fine = [
            n for n, level in enumerate(self.reader.levels) if level.downsample <= step_px * LEVEL_TOLERANCE
        ]
        return max(fine, key=lambda n: self.reader.levels[n].downsample, default=0)

    def _average(self, number: int, columns: resample.Taps, rows: resample.Taps) -> NDArray[np.uint8]:
        """Average in bands of whole tile rows: each tile is decoded once and memory stays bounded."""
        averager = resample.Averager(columns, rows)
        width = columns.stop - columns.start
        for top, bottom in self._bands(number, rows, width):
            averager.add(self.reader.read(number, columns.start, top, width, bottom - top), top)
        return averager.pixels

    def _bands(self, number: int, rows: resample.Taps, width: int) -> list[tuple[int, int]]:
        if rows.interpolated:
            return [(rows.start, rows.stop)]
        tile = self.reader.levels[number].tile_height
        height = tile * max(1, BAND_BYTES // (3 * width * tile))
        cuts = range((rows.start // height + 1) * height, rows.stop, height)
        edges = [rows.start, *cuts, rows.stop]
        return list(pairwise(edges))


def _whole(value: float) -> float:
    """Return a quotient such as 0.3 / 0.1 as the whole number that its last bits miss."""
    return float(round(value)) if abs(value - round(value)) < 1e-9 else value


def _check_request(x_px: float, y_px: float, size: tuple[int, int], *, step: tuple[float, float]) -> None:
    width, height = size
    if width < 1 or height < 1 or width * height > MAX_READ_PX:
        raise ValueError(f"cannot read {width} x {height} px at once")
    if not np.isfinite([x_px, y_px, *step]).all() or min(step) <= 0:
        raise ValueError(f"cannot read at ({x_px}, {y_px}) in steps of {step} px")
