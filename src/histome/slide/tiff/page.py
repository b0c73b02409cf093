"""One page of a TIFF: what may be read of it, and its tiles or strips one by one."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from struct import error as StructError
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from tifffile import COMPRESSION, PHOTOMETRIC, PLANARCONFIG, TiffPage

from histome.errors import SlideError
from histome.slide.budget import TILE_BYTES, allowance, megabytes
from histome.slide.rgb import gray_to_rgb, over_white, refuse_channels, refuse_depth
from histome.slide.source import SourceFile
from histome.slide.tiff.claims import claimed_px

# What tifffile and its codecs raise for damaged content.
DAMAGE = (
    tifffile.TiffFileError,
    RuntimeError,
    ArithmeticError,
    ValueError,
    IndexError,
    KeyError,
    TypeError,
    OSError,
    StructError,
)
# Of these the text helps; of the others it is about Python.
_TELLING = (tifffile.TiffFileError, RuntimeError, OSError)
_CODECS = {
    COMPRESSION.NONE,
    COMPRESSION.LZW,
    COMPRESSION.JPEG,
    COMPRESSION.ADOBE_DEFLATE,
    COMPRESSION.DEFLATE,
    COMPRESSION.PACKBITS,
    COMPRESSION.JPEG2000,
    COMPRESSION.APERIO_JP2000_RGB,
    COMPRESSION.WEBP,
    COMPRESSION.ZSTD,
}
# Bytes of memory that decoding takes per pixel at the most, measured on 2048 and 4096 px; 8 with the others.
_DECODING_BYTES: dict[int, int] = {
    COMPRESSION.JPEG2000: 17,
    COMPRESSION.APERIO_JP2000_RGB: 17,
    COMPRESSION.WEBP: 8,
}
# Compressed data is at most so much larger than what it holds; else it is not what it says.
_LARGEST_SHARE, _LARGEST_HEADER = 2, 1_000_000
# JPEG writes whole blocks: its frame may be larger than the strip by less than one.
_BLOCK_PX = 16
_ONE_CHANNEL = {PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.PALETTE}
_COLORS = {*_ONE_CHANNEL, PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR}
# These codecs turn YCbCr into RGB themselves; elsewhere it would be taken for RGB.
_YCBCR_CODECS = {COMPRESSION.JPEG, COMPRESSION.WEBP, COMPRESSION.JPEG2000, COMPRESSION.APERIO_JP2000_RGB}


@dataclass(frozen=True)
class Colors:
    """How the samples of a page become RGB."""

    photometric: int
    palette: NDArray[np.uint8] | None
    alpha: int

    def to_rgb(self, samples: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return (h, w, samples) as (h, w, 3)."""
        if self.palette is not None:
            return self.palette[samples[..., 0]]
        if self.photometric in _ONE_CHANNEL:
            gray = samples[..., 0]
            return gray_to_rgb(~gray if self.photometric == PHOTOMETRIC.MINISWHITE else gray)
        if samples.shape[2] == 3:
            return samples
        # ExtraSamples: 1 = colors already multiplied by alpha, 2 = straight alpha, 0 = no stated meaning.
        match self.alpha:
            case 1:
                return samples[..., :3] + (np.uint8(255) - samples[..., 3:])
            case 2:
                return over_white(samples)
        return np.ascontiguousarray(samples[..., :3])


@dataclass(frozen=True)
class Pieces:
    """The tiles or strips of one page: where they lie and how they decode. Needs no open TiffFile."""

    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    planes: int
    size_px: tuple[int, int]
    colors: Colors
    compression: int
    jpeg_tables: bytes | None
    decoder: Callable[..., Any]

    @classmethod
    def of(cls, page: TiffPage) -> "Pieces":
        """Take over everything that decoding needs from a page of an open file."""
        return cls(
            offsets=np.asarray(page.dataoffsets, np.int64),
            lengths=np.asarray(page.databytecounts, np.int64),
            planes=_planes(page),
            size_px=_piece_px(page),
            colors=colors_of(page),
            compression=int(page.compression),
            jpeg_tables=page.jpegtables,
            decoder=page.decode,
        )

    @property
    def is_jpeg(self) -> bool:
        """Whether each piece is a JPEG."""
        return self.compression == COMPRESSION.JPEG

    def decode(self, file: SourceFile, tile: int, *, needs_end: bool) -> NDArray[np.uint8] | None:
        """Return the tile as RGB (h, w, 3), cut at the image's edge; None where the file holds nothing.

        Raises one of DAMAGE, with `needs_end` also where JPEG data lacks its end marker; SlideError where the
        disk fails.
        """
        samples = self.samples(file, tile, needs_end=needs_end)
        return None if samples is None else self.colors.to_rgb(samples)

    def samples(self, file: SourceFile, tile: int, *, needs_end: bool) -> NDArray[np.uint8] | None:
        """Return the tile as (h, w, samples), as `decode` does but for the colors."""
        step = len(self.offsets) // self.planes
        parts = [self._segment(file, tile + plane * step, needs_end) for plane in range(self.planes)]
        found = [part for part in parts if part is not None]
        if len(found) < len(parts):
            return None
        return found[0] if len(found) == 1 else np.concatenate(found, axis=2)

    def has_end(self, file: SourceFile, tile: int) -> bool:
        """Whether a tile ends with JPEG's end marker, padding aside."""
        return _has_end(self._data(file, tile))

    def _data(self, file: SourceFile, segment: int) -> bytes:
        length, (width, height) = int(self.lengths[segment]), self.size_px
        if length > _LARGEST_HEADER + _LARGEST_SHARE * 4 * width * height:
            raise RuntimeError(f"it claims {length} bytes, more than its pixels take")
        return file.read_at(int(self.offsets[segment]), length)

    def _segment(self, file: SourceFile, segment: int, needs_end: bool) -> NDArray[np.uint8] | None:
        if self.lengths[segment] == 0:
            return None
        data = self._data(file, segment)
        # libjpeg fills the rest of a cut JPEG with gray and only warns.
        if needs_end and self.is_jpeg and not _has_end(data):
            raise RuntimeError("its JPEG data ends early")
        width, height = (-(-side // _BLOCK_PX) * _BLOCK_PX for side in self.size_px)
        if claimed_px(self.compression, data) > width * height:
            raise RuntimeError("it claims to be larger than a tile")
        decoded = self.decoder(data, segment, jpegtables=self.jpeg_tables)[0]
        if decoded is None:
            raise RuntimeError("it holds no data")
        return decoded[0]


def reason_of(error: Exception) -> str:
    """Return one short line that says what is damaged."""
    text = str(error).strip().split("\n")[0][:100] if isinstance(error, _TELLING) else ""
    return text or "inconsistent structure"


def colors_of(page: TiffPage) -> Colors:
    """Return how a page's samples become RGB."""
    palette = None
    if page.photometric == PHOTOMETRIC.PALETTE:
        palette = np.ascontiguousarray((np.asarray(page.colormap, np.uint16) >> 8).astype(np.uint8).T)
    return Colors(int(page.photometric), palette, int(page.extrasamples[0]) if page.extrasamples else 0)


def notes_of(page: TiffPage) -> tuple[str, ...]:
    """Return what is changed on the way to RGB, in words."""
    if page.photometric == PHOTOMETRIC.PALETTE:
        return ("palette colors were converted to RGB",)
    if page.photometric in _ONE_CHANNEL:
        return ("a gray image was repeated in three channels",)
    if page.samplesperpixel == 4:
        return ("transparency was laid over white",)
    return ()


def check_page(path: Path, page: TiffPage) -> None:
    """Raise SlideError for a page that is no 8-bit brightfield image or claims more than its file holds."""
    if page.compression not in _CODECS:
        raise SlideError(
            f"{path.name} uses TIFF compression {int(page.compression)}, which histome cannot decode; "
            f"export it with JPEG compression."
        )
    if page.imagedepth != 1:
        raise refuse_channels(path, f"{page.imagedepth} planes")
    if page.bitspersample != 8 or page.sampleformat != 1:
        kind = {2: "signed ", 3: "floating point "}.get(int(page.sampleformat or 1), "")
        raise refuse_depth(path, int(page.bitspersample), kind)
    _check_colors(path, page)
    _check_pieces(path, page)


def check_whole(path: Path, pages: list[TiffPage]) -> None:
    """Raise SlideError where any tile or strip lies beyond the end of the file."""
    size = path.stat().st_size
    ends = np.concatenate([np.add(page.dataoffsets, page.databytecounts, dtype=np.float64) for page in pages])
    beyond = int(np.count_nonzero(ends > size))
    if beyond:
        raise SlideError(
            f"{path.name} is truncated: {beyond} of its {len(ends)} pieces lie beyond its end; copy it again."
        )


def _planes(page: TiffPage) -> int:
    return page.samplesperpixel if page.planarconfig == PLANARCONFIG.SEPARATE else 1


def _check_colors(path: Path, page: TiffPage) -> None:
    expected = (1,) if page.photometric in _ONE_CHANNEL else (3, 4)
    unconverted = page.photometric == PHOTOMETRIC.YCBCR and page.compression not in _YCBCR_CODECS
    if page.samplesperpixel not in expected or unconverted or page.photometric not in _COLORS:
        name = getattr(page.photometric, "name", "unknown")
        raise refuse_channels(path, f"{page.samplesperpixel} channels of type {name}")


def _piece_px(page: TiffPage) -> tuple[int, int]:
    """Return width and height of a tile or strip."""
    if page.is_tiled:
        return page.tilewidth, page.tilelength
    return page.imagewidth, min(page.rowsperstrip or page.imagelength, page.imagelength)


def decoding_bytes(page: TiffPage) -> int:
    """Return the memory that decoding one tile or strip takes at most."""
    width, height = _piece_px(page)
    return width * height * _DECODING_BYTES.get(page.compression, 8)


def _check_pieces(path: Path, page: TiffPage) -> None:
    width, height = _piece_px(page)
    kind = "tiles" if page.is_tiled else "strips"
    if not (width > 0 and height > 0):
        raise SlideError(f"{path.name} claims {kind} of {width} x {height} px; it is damaged.")
    needed, allowed = decoding_bytes(page), allowance(path, TILE_BYTES)
    if page.is_tiled and needed > allowed:
        raise SlideError(
            f"{path.name} claims tiles of {width} x {height} px, {megabytes(needed)} of memory each "
            f"(limit for this file {megabytes(allowed)}); it is damaged, or needs tiles of 512 px."
        )
    across, down = -(-page.imagewidth // width), -(-page.imagelength // height)
    listed, pieces = len(page.dataoffsets), across * down * _planes(page)
    if listed != pieces or len(page.databytecounts) != pieces:
        raise SlideError(f"{path.name} lists {listed} {kind} where its size needs {pieces}; it is damaged.")


def _has_end(data: bytes) -> bool:
    return data.rstrip(b"\0").endswith(b"\xff\xd9")
