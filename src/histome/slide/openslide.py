"""Reader over OpenSlide: NDPI, MRXS, SCN, BIF, CZI, Philips, DICOM and what the other readers leave."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import openslide
from numpy.typing import NDArray

from histome.errors import SlideError
from histome.slide.broken import BrokenTiles
from histome.slide.containers.claims import check_claims, check_content, check_tile
from histome.slide.mpp import MppHints, PixelSize
from histome.slide.properties import allowed
from histome.slide.reader import Level, check_levels
from histome.slide.rgb import over_white, white
from histome.slide.tiles import Box

# OpenSlide computes mpp of these from the TIFF resolution tags, the least trustworthy source.
_RESOLUTION_ONLY = {"generic-tiff"}
_PROBES = 5


class OpenSlideReader:
    """A slide through OpenSlide. A handle is useless after one error: it is reopened, the reading goes on."""

    format: str

    def __init__(self, path: Path) -> None:
        """Open the file; raises SlideError where OpenSlide cannot, or where no tile can be decoded."""
        self._path = path
        self._lock = threading.Lock()
        check_claims(path)
        self._handle = _open(path)
        self.broken = BrokenTiles()
        self.notes: tuple[str, ...] = ()
        self.pages = 1
        raw = dict(self._handle.properties)
        self.format = raw.get("openslide.vendor", "unknown")
        self.properties = allowed(raw)
        self.mpp_hints = _hints(raw)
        self.layout = b""
        self.levels = check_levels(path, tuple(_levels(path, self._handle, raw)))
        check_content(path, self.levels)
        self._probe()

    def read(self, level: int, x: int, y: int, w: int, h: int) -> NDArray[np.uint8]:
        """Return (h, w, 3) RGB of that level from (x, y), white outside, over nothing, and where broken."""
        try:
            return self._region(level, x, y, w, h)
        except openslide.OpenSlideError:
            return self._tile_by_tile(level, x, y, w, h)

    def close(self) -> None:
        """Release the file."""
        self._handle.close()

    def _region(self, level: int, x: int, y: int, w: int, h: int) -> NDArray[np.uint8]:
        downsample = self.levels[level].downsample
        handle = self._handle
        try:
            image = handle.read_region((round(x * downsample), round(y * downsample)), level, (w, h))
        except openslide.OpenSlideError:
            self._reopen(handle)
            raise
        return over_white(np.asarray(image))

    def _reopen(self, failed: openslide.OpenSlide) -> None:
        with self._lock:
            # Another thread may have replaced the failed handle; it is not closed, a third may be inside it.
            if self._handle is failed:
                self._handle = _open(self._path)

    def _tile_by_tile(self, level: int, x: int, y: int, w: int, h: int) -> NDArray[np.uint8]:
        out = white(h, w)
        for box in _lattice(self.levels[level], Box(x, y, x + w, y + h)):
            try:
                part = self._region(level, box.x0, box.y0, box.width, box.height)
            except openslide.OpenSlideError as error:
                self._record(level, box, str(error))
                continue
            out[box.y0 - y : box.y1 - y, box.x0 - x : box.x1 - x] = part
        return out

    def _record(self, level: int, box: Box, reason: str) -> None:
        size = self.levels[level]
        tile = size.tile_box(box.x0 // size.tile_width, box.y0 // size.tile_height)
        self.broken.add(level, size.to_level0(tile), reason)

    def _probe(self) -> None:
        """Refuse a file of which nothing can be decoded; one bad tile is no reason."""
        level = self.levels[-1]
        reason = ""
        for number in range(_PROBES):
            x, y = (level.width - 1) * number // (_PROBES - 1), (level.height - 1) * number // (_PROBES - 1)
            try:
                self._region(len(self.levels) - 1, x, y, 1, 1)
            except openslide.OpenSlideError as error:
                reason = str(error)
            else:
                return
        raise SlideError(
            f"{self._path.name} cannot be decoded ({_short(reason)}); it is damaged: copy or export it again."
        )


def detect(path: Path) -> str | None:
    """Return OpenSlide's name for the file's format, None where it knows none."""
    return openslide.OpenSlide.detect_format(path)


def _open(path: Path) -> openslide.OpenSlide:
    try:
        return openslide.OpenSlide(path)
    except openslide.OpenSlideUnsupportedFormatError as error:
        raise SlideError(f"{path.name} is not a slide that OpenSlide reads.") from error
    except openslide.OpenSlideError as error:
        raise SlideError(
            f"{path.name} cannot be opened ({_short(error)}); it is damaged (copy it again) or of a kind "
            f"that OpenSlide does not read (convert it to OME-TIFF with QuPath or bfconvert)."
        ) from error


def _short(error: object) -> str:
    return str(error).split("\n")[0][:100]


def _levels(path: Path, handle: openslide.OpenSlide, raw: dict[str, str]) -> Iterator[Level]:
    for number, (width, height) in enumerate(handle.level_dimensions):
        tile = [int(raw.get(f"openslide.level[{number}].tile-{side}", "256")) for side in ("width", "height")]
        check_tile(path, *tile)
        tile_width, tile_height = (size if 16 <= size <= 4096 else 256 for size in tile)
        yield Level(width, height, handle.level_downsamples[number], tile_width, tile_height)


def _hints(raw: dict[str, str]) -> MppHints:
    vendor = raw.get("openslide.vendor", "")
    size = _pair(raw.get("openslide.mpp-x"), raw.get("openslide.mpp-y"))
    power = _number(raw.get("openslide.objective-power"))
    if vendor in _RESOLUTION_ONLY:
        return MppHints(resolution=size, objective_power=power)
    if vendor == "dicom":
        return MppHints(standard=size, standard_name="DICOM", objective_power=power)
    return MppHints(own=size, objective_power=power)


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _pair(x: str | None, y: str | None) -> PixelSize | None:
    first, second = _number(x), _number(y)
    return None if first is None or second is None else (first, second)


def _lattice(level: Level, region: Box) -> Iterator[Box]:
    """Yield the parts of a region that lie in the level, cut along its tiles."""
    x0, x1 = max(0, region.x0), min(level.width, region.x1)
    y0, y1 = max(0, region.y0), min(level.height, region.y1)
    for top in range(y0 - y0 % level.tile_height, y1, level.tile_height):
        for left in range(x0 - x0 % level.tile_width, x1, level.tile_width):
            right, bottom = left + level.tile_width, top + level.tile_height
            yield Box(max(left, x0), max(top, y0), min(right, x1), min(bottom, y1))
