"""Reader over tiled TIFF: Aperio SVS, generic pyramids and OME-TIFF, decoded tile by tile.

Measured on one core against JPEG tiles of 256 px (benchmarks/bench_read.py): OpenSlide to RGB 43 Mpx/s, libvips
(pyvips) 175-205, this reader 190-315. It also knows which tile is broken, which libvips does not say.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from struct import error as StructError
from typing import cast

import numpy as np
import tifffile
from numpy.typing import NDArray
from tifffile import COMPRESSION, PHOTOMETRIC, PLANARCONFIG, TiffFile, TiffPage

from histome.errors import SlideError
from histome.slide import tiffmeta
from histome.slide.broken import BrokenTiles
from histome.slide.plain import PlainReader, check_size
from histome.slide.properties import allowed
from histome.slide.reader import Level, check_levels
from histome.slide.rgb import gray_to_rgb, over_white, refuse_channels, refuse_depth, white
from histome.slide.tiles import Box

# What tifffile and its codecs raise for damaged content.
DAMAGE = (
    tifffile.TiffFileError,
    RuntimeError,
    ValueError,
    IndexError,
    KeyError,
    TypeError,
    OSError,
    StructError,
)
# Tiles that a region cuts are wanted again by its neighbors: one row of 256 px tiles of a slide 100,000 px wide is 77 MB.
CACHE_BYTES = 96_000_000
MAX_TILE_PX = 64_000_000
_PROBES = 5
_ONE_CHANNEL = {PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.PALETTE}
_COLORS = {*_ONE_CHANNEL, PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR}
_YCBCR_CODECS = {COMPRESSION.JPEG, COMPRESSION.WEBP, COMPRESSION.JPEG2000, COMPRESSION.APERIO_JP2000_RGB}


class TiffReader:
    """A tiled pyramidal TIFF, each tile decoded by libjpeg-turbo or its codec, tiles that regions cut cached."""

    def __init__(self, path: Path, tiff: TiffFile, *, vendor: str) -> None:
        """Take over an open file; raises SlideError where it is truncated or nothing of it can be decoded."""
        self._path = path
        self._tiff = tiff
        self._file = tiff.filehandle.fileno()
        self._pages = tiffmeta.pyramid_pages(tiff)
        self._cache = _TileCache(CACHE_BYTES)
        self._ends_marked = False
        self._sparse_is_broken = vendor == "aperio"
        self.broken = BrokenTiles()
        self.format = vendor
        self.notes = tuple(_notes(self._pages[0]))
        raw, self.mpp_hints = tiffmeta.read(tiff, vendor)
        self.properties = allowed({"openslide.vendor": vendor, **raw})
        for page in self._pages:
            _check_page(path, page)
        self.levels = check_levels(path, tuple(tiffmeta.levels(self._pages)))
        _check_whole(path, self._pages)
        self._probe()

    def read(self, level: int, x: int, y: int, w: int, h: int) -> NDArray[np.uint8]:
        """Return (h, w, 3) RGB of that level from (x, y), white outside and where a tile is broken or absent."""
        out = white(h, w)
        size = self.levels[level]
        x0, y0, x1, y1 = max(0, x), max(0, y), min(size.width, x + w), min(size.height, y + h)
        for row in range(y0 // size.tile_height, -(-y1 // size.tile_height) if x0 < x1 else 0):
            for column in range(x0 // size.tile_width, -(-x1 // size.tile_width)):
                left, top = column * size.tile_width, row * size.tile_height
                right, bottom = min(left + size.tile_width, x1), min(top + size.tile_height, y1)
                whole = (
                    left >= x0 and top >= y0 and left + size.tile_width <= x1 and top + size.tile_height <= y1
                )
                tile = self._tile(level, row, column, keep=not whole)
                if tile is not None:
                    a, b = max(left, x0), max(top, y0)
                    out[b - y : bottom - y, a - x : right - x] = tile[
                        b - top : bottom - top, a - left : right - left
                    ]
        return out

    def close(self) -> None:
        """Release the file and the cached tiles."""
        self._cache.clear()
        self._tiff.close()

    def _tile(self, level: int, row: int, column: int, *, keep: bool) -> NDArray[np.uint8] | None:
        columns = -(-self.levels[level].width // self.levels[level].tile_width)
        index = row * columns + column
        cached = self._cache.get((level, index))
        if cached is not None:
            return cached
        try:
            tile = self._decode(self._pages[level], index)
        except DAMAGE as error:
            self._record(level, row, column, str(error) or type(error).__name__)
            return None
        if tile is not None and keep:
            self._cache.put((level, index), tile)
        return tile

    def _decode(self, page: TiffPage, index: int) -> NDArray[np.uint8] | None:
        """Return the tile as (h, w, 3), cut at the image's edge; None where nothing was scanned."""
        planes = page.samplesperpixel if page.planarconfig == PLANARCONFIG.SEPARATE else 1
        per_plane = len(page.dataoffsets) // planes
        parts = [self._decode_segment(page, index + plane * per_plane) for plane in range(planes)]
        if any(part is None for part in parts):
            return None
        return _to_rgb(page, np.concatenate(cast(list[NDArray[np.uint8]], parts), axis=2))

    def _decode_segment(self, page: TiffPage, segment: int) -> NDArray[np.uint8] | None:
        length = page.databytecounts[segment]
        if length == 0:
            # Aperio scanners write empty tiles where they failed; elsewhere an empty tile is unscanned glass.
            if self._sparse_is_broken:
                raise ValueError("the scanner left this tile empty")
            return None
        data = _read_at(self._file, page.dataoffsets[segment], length)
        # libjpeg fills the rest of a cut JPEG with gray and only warns.
        if self._ends_marked and page.compression == COMPRESSION.JPEG and not _has_end(data):
            raise ValueError("its JPEG data ends early")
        tile, _, _ = page.decode(data, segment, jpegtables=page.jpegtables)
        if tile is None:
            raise ValueError("it holds no data")
        return tile[0]

    def _record(self, level: int, row: int, column: int, reason: str) -> None:
        size = self.levels[level]
        left, top = column * size.tile_width, row * size.tile_height
        right, bottom = min(left + size.tile_width, size.width), min(top + size.tile_height, size.height)
        self.broken.add(
            level, Box(*(round(edge * size.downsample) for edge in (left, top, right, bottom))), reason
        )

    def _probe(self) -> None:
        """Refuse a file of which nothing can be decoded, and learn whether its writer ends JPEG tiles with EOI."""
        page = self._pages[0]
        filled = np.flatnonzero(page.databytecounts)
        if len(filled) == 0:
            raise SlideError(f"{self._path.name} has no pixels: all its tiles are empty.")
        probes = filled[np.linspace(0, len(filled) - 1, _PROBES).astype(int)]
        self._ends_marked = any(
            _has_end(_read_at(self._file, page.dataoffsets[at], page.databytecounts[at])) for at in probes
        )
        reasons = [self._failure(page, int(at)) for at in probes]
        if all(reasons):
            raise SlideError(
                f"{self._path.name} cannot be decoded ({reasons[0]}); it is damaged: copy or export it again."
            )

    def _failure(self, page: TiffPage, segment: int) -> str:
        try:
            self._decode_segment(page, segment)
        except DAMAGE as error:
            return str(error) or type(error).__name__
        return ""


class _TileCache:
    """The tiles used last, up to a number of bytes."""

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

    def clear(self) -> None:
        with self._lock:
            self._tiles.clear()
            self._bytes = 0


def open_tiff(path: Path, vendor: str) -> TiffReader | PlainReader | None:
    """Open a TIFF by its own structure: tiled ones by tile, others in memory; None where only OpenSlide can.

    Raises SlideError for damage, truncation, absurd sizes and colors other than 8-bit brightfield.
    """
    try:
        tiff = TiffFile(path)
    except DAMAGE as error:
        raise SlideError(
            f"{path.name} cannot be opened as TIFF ({error}); it is damaged or cut short."
        ) from error
    try:
        reader = _reader(path, tiff, vendor)
    except DAMAGE as error:
        tiff.close()
        raise SlideError(f"{path.name} cannot be read as TIFF ({error}); it is damaged.") from error
    except SlideError:
        tiff.close()
        raise
    if not isinstance(reader, TiffReader):
        tiff.close()
    return reader


def _reader(path: Path, tiff: TiffFile, vendor: str) -> TiffReader | PlainReader | None:
    page = tiff.pages.first
    # tifffile leaves the YCbCr of Aperio's first JPEG 2000 variant unconverted.
    if page.compression == COMPRESSION.APERIO_JP2000_YCBC:
        return None
    axes = tiffmeta.ome_axes(tiff)
    if axes.strip("YXS"):
        raise refuse_channels(path, f"the axes {axes} (several planes, channels or time points)")
    if page.is_tiled:
        return TiffReader(path, tiff, vendor=vendor)
    return _plain(path, tiff, vendor)


def _plain(path: Path, tiff: TiffFile, vendor: str) -> PlainReader:
    page = tiff.pages.first
    _check_page(path, page)
    check_size(path, page.imagewidth, page.imagelength)
    _check_whole(path, [page])
    pixels = page.asarray()
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if page.planarconfig == PLANARCONFIG.SEPARATE and page.samplesperpixel > 1:
        pixels = np.moveaxis(pixels, 0, -1)
    _, hints = tiffmeta.read(tiff, vendor)
    return PlainReader(path, _to_rgb(page, pixels), format=vendor, hints=hints, notes=tuple(_notes(page)))


def _check_page(path: Path, page: TiffPage) -> None:
    """Refuse what is no 8-bit brightfield image, or claims more than its file can hold."""
    if page.imagedepth != 1:
        raise refuse_channels(path, f"{page.imagedepth} planes")
    if page.bitspersample != 8 or page.sampleformat != 1:
        kind = {2: " signed", 3: " floating point"}.get(int(page.sampleformat or 1), "")
        raise refuse_depth(path, int(page.bitspersample), kind)
    expected = (1,) if page.photometric in _ONE_CHANNEL else (3, 4)
    ycbcr_raw = page.photometric == PHOTOMETRIC.YCBCR and page.compression not in _YCBCR_CODECS
    if page.samplesperpixel not in expected or ycbcr_raw or page.photometric not in _COLORS:
        name = getattr(page.photometric, "name", page.photometric)
        raise refuse_channels(path, f"{page.samplesperpixel} channels of type {name}")
    if page.is_tiled:
        _check_tiles(path, page)


def _check_tiles(path: Path, page: TiffPage) -> None:
    if not 0 < page.tilewidth * page.tilelength <= MAX_TILE_PX:
        raise SlideError(
            f"{path.name} claims tiles of {page.tilewidth} x {page.tilelength} px; it is damaged."
        )
    planes = page.samplesperpixel if page.planarconfig == PLANARCONFIG.SEPARATE else 1
    count = -(-page.imagewidth // page.tilewidth) * -(-page.imagelength // page.tilelength) * planes
    if not len(page.dataoffsets) == len(page.databytecounts) == count:
        raise SlideError(
            f"{path.name} lists {len(page.dataoffsets)} tiles where its size needs {count}; it is damaged."
        )


def _check_whole(path: Path, pages: list[TiffPage]) -> None:
    size = path.stat().st_size
    ends = np.concatenate([np.add(page.dataoffsets, page.databytecounts, dtype=np.float64) for page in pages])
    beyond = int(np.count_nonzero(ends > size))
    if beyond:
        raise SlideError(
            f"{path.name} is truncated: {beyond} of its {len(ends)} pieces lie beyond its end; copy it again."
        )


def _notes(page: TiffPage) -> Iterator[str]:
    if page.photometric == PHOTOMETRIC.PALETTE:
        yield "palette colors were converted to RGB"
    elif page.photometric in _ONE_CHANNEL:
        yield "a gray image was repeated in three channels"
    if page.samplesperpixel == 4:
        yield "transparency was laid over white"


def _to_rgb(page: TiffPage, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (h, w, samples) as (h, w, 3)."""
    if page.photometric == PHOTOMETRIC.PALETTE:
        colors = (np.asarray(page.colormap, np.uint16) >> 8).astype(np.uint8)
        return np.ascontiguousarray(colors.T[pixels[..., 0]])
    if page.photometric in _ONE_CHANNEL:
        gray = pixels[..., 0]
        return gray_to_rgb(~gray if page.photometric == PHOTOMETRIC.MINISWHITE else gray)
    if pixels.shape[2] == 3:
        return pixels
    # 1 = already multiplied by alpha; 2 = straight alpha; 0 = a fourth channel of no stated meaning.
    match page.extrasamples[0] if page.extrasamples else 0:
        case 1:
            return pixels[..., :3] + (np.uint8(255) - pixels[..., 3:])
        case 2:
            return over_white(pixels)
    return np.ascontiguousarray(pixels[..., :3])


def _has_end(data: bytes) -> bool:
    """Whether JPEG data ends with its end-of-image marker, padding aside."""
    return data.rstrip(b"\0").endswith(b"\xff\xd9")


def _read_at(file: int, offset: int, length: int) -> bytes:
    data = os.pread(file, length, offset)
    if len(data) < length:
        raise ValueError("it lies beyond the end of the file")
    return data
