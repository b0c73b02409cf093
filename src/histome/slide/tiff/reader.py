"""Reader over tiled TIFF: Aperio SVS, generic pyramids and OME-TIFF, decoded tile by tile.

Measured on one core, JPEG tiles of 256 px, windows of 1024 px: OpenSlide to RGB 43 Mpx/s, libvips (pyvips,
one Region a thread) 175-205, this reader 190-315; and it knows which tile is broken, as libvips does not.
"""

import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffFile

from histome.errors import SlideError
from histome.slide.broken import BrokenTiles
from histome.slide.properties import allowed
from histome.slide.reader import check_levels
from histome.slide.rgb import WHITE, white
from histome.slide.source import SourceFile
from histome.slide.tiff import meta
from histome.slide.tiff.page import DAMAGE, Pieces, check_page, check_whole, notes_of, reason_of

# Tiles that a region cuts are wanted again by its neighbors; those it covers whole are not. Of a section
# 15,000 px wide no tile is decoded more often than with twice this, with half of it a tenth are.
CACHE_BYTES = 48_000_000
_PROBES = 5
_EMPTY = "the scanner left this tile empty"


class TiffReader:
    """A tiled pyramidal TIFF: each tile of a region decoded once, by libjpeg-turbo or its codec."""

    def __init__(self, path: Path, tiff: TiffFile, *, vendor: str) -> None:
        """Learn the structure of an open file; raises SlideError where it is truncated or undecodable."""
        pages = meta.pyramid_pages(tiff)
        for page in pages:
            check_page(path, page)
        check_whole(path, pages)
        self._path = path
        self._pages = [Pieces.of(page) for page in pages]
        self.layout = b"".join(page.offsets.tobytes() + page.lengths.tobytes() for page in self._pages)
        self._cache = _TileCache(CACHE_BYTES)
        self.format = vendor
        self.levels = check_levels(path, tuple(meta.levels(pages)))
        raw, self.mpp_hints = meta.read(tiff, vendor)
        self.properties = allowed({"openslide.vendor": vendor, **raw})
        self.broken = BrokenTiles()
        self.notes = notes_of(pages[0])
        self.pages = meta.equal_pages(tiff)
        self._file = SourceFile(path)
        self.close = self._file.close
        self._needs_end = False
        self._probe()

    def read(self, level: int, x: int, y: int, w: int, h: int) -> NDArray[np.uint8]:
        """Return (h, w, 3) RGB of that level from (x, y), white outside and where a tile is broken."""
        if not self.close.alive:
            raise ValueError(f"{self._path.name} was closed")
        size = self.levels[level]
        x0, y0, x1, y1 = max(0, x), max(0, y), min(size.width, x + w), min(size.height, y + h)
        if x0 >= x1 or y0 >= y1:
            return white(h, w)
        inside = (x0, y0, x1, y1) == (x, y, x + w, y + h)
        out = np.empty((h, w, 3), np.uint8) if inside else white(h, w)
        for row in range(y0 // size.tile_height, -(-y1 // size.tile_height)):
            for column in range(x0 // size.tile_width, -(-x1 // size.tile_width)):
                box = size.tile_box(column, row)
                left, top, right, bottom = max(box.x0, x0), max(box.y0, y0), min(box.x1, x1), min(box.y1, y1)
                tile = self._tile(level, column, row, keep=(left, top, right, bottom) != box)
                part = np.s_[top - box.y0 : bottom - box.y0, left - box.x0 : right - box.x0]
                out[top - y : bottom - y, left - x : right - x] = WHITE if tile is None else tile[part]
        return out

    def _tile(self, level: int, column: int, row: int, *, keep: bool) -> NDArray[np.uint8] | None:
        size = self.levels[level]
        index = row * -(-size.width // size.tile_width) + column
        tile = self._cache.get((level, index))
        if tile is not None:
            return tile
        try:
            tile = self._pages[level].decode(self._file, index, needs_end=self._needs_end)
        except DAMAGE as error:
            self._record(level, column, row, reason_of(error))
            return None
        # Aperio scanners write empty tiles where they failed; elsewhere an empty tile is unscanned glass.
        if tile is None and self.format == "aperio":
            self._record(level, column, row, _EMPTY)
        elif tile is not None and keep:
            self._cache.put((level, index), tile)
        return tile

    def _record(self, level: int, column: int, row: int, reason: str) -> None:
        size = self.levels[level]
        self.broken.add(level, size.to_level0(size.tile_box(column, row)), reason)

    def _probe(self) -> None:
        """Refuse a file that cannot be decoded at all; learn whether its writer ends JPEG tiles with EOI."""
        page = self._pages[0]
        filled = np.flatnonzero(page.lengths[: len(page.lengths) // page.planes])
        if len(filled) == 0:
            raise SlideError(f"{self._path.name} has no pixels: all its tiles are empty.")
        probes = [int(filled[at]) for at in np.linspace(0, len(filled) - 1, _PROBES).astype(int)]
        self._needs_end = page.is_jpeg and any(page.has_end(self._file, tile) for tile in probes)
        reasons = [self._failure(page, tile) for tile in probes]
        if all(reasons):
            raise SlideError(
                f"{self._path.name} cannot be decoded ({reasons[0]}); it is damaged: copy or export it again."
            )

    def _failure(self, page: Pieces, tile: int) -> str:
        try:
            page.decode(self._file, tile, needs_end=self._needs_end)
        except DAMAGE as error:
            return reason_of(error)
        return ""


class _TileCache:
    """The tiles used last, up to a number of bytes. Safe to share between threads."""

    def __init__(self, max_bytes: int) -> None:
        self._tiles: OrderedDict[tuple[int, int], NDArray[np.uint8]] = OrderedDict()
        self._max_bytes = max_bytes
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: tuple[int, int]) -> NDArray[np.uint8] | None:
        with self._lock:
            tile = self._tiles.get(key)
            if tile is not None:
                self._tiles.move_to_end(key)
            return tile

    def put(self, key: tuple[int, int], tile: NDArray[np.uint8]) -> None:
        with self._lock:
            if key in self._tiles:
                return
            self._tiles[key] = tile
            self._bytes += tile.nbytes
            while self._bytes > self._max_bytes:
                self._bytes -= self._tiles.popitem(last=False)[1].nbytes
