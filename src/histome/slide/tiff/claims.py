"""What the data of a tile or strip claims to hold: read from its header, as its decoder will, beforehand."""

import struct
from collections.abc import Callable

from tifffile import COMPRESSION

_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_ALONE = {0x01, *range(0xD0, 0xD8)}  # markers without a length
_JPEG_NO_FRAME = {0xD8, 0xD9, 0xDA}  # before a frame these end the decoding
_J2K_START = b"\xff\x4f\xff\x51"
_MAX_CHANNELS = 4
# OpenJPEG sets up some 10 kB for each of the tiles within; the tile of a slide holds one.
_MAX_J2K_TILES = 1024


def claimed_px(compression: int, data: bytes) -> int:
    """Return the pixels that JPEG, JPEG 2000 or WebP data claims; 0 for codecs whose output is bounded.

    Raises RuntimeError where its header states none, or what no slide has.
    """
    parser = _PARSERS.get(compression)
    try:
        return parser(data) if parser else 0
    except (struct.error, IndexError) as error:
        raise RuntimeError("its header ends early") from error


def _jpeg(data: bytes) -> int:
    """Walk the markers as libjpeg does: what is no marker before one is skipped, so is 0xFF before 0xFF."""
    at = 2
    while True:
        at = data.find(b"\xff", at)
        if at < 0:
            raise RuntimeError("its JPEG data holds no frame")
        while data[at] == 0xFF:
            at += 1
        marker, at = data[at], at + 1
        if marker in _JPEG_FRAMES:
            height, width, channels = struct.unpack_from(">3xHHB", data, at)
            return _area(width, height, channels)
        if marker in _JPEG_NO_FRAME:
            raise RuntimeError("its JPEG data holds no frame")
        if marker != 0 and marker not in _JPEG_ALONE:
            length = struct.unpack_from(">H", data, at)[0]
            if length < 2:
                raise RuntimeError("Bogus marker length")  # libjpeg's words for it
            at += length


def _jpeg2000(data: bytes) -> int:
    at = _codestream(data)
    if data[at : at + 4] != _J2K_START:
        raise RuntimeError("its JPEG 2000 data holds no size")
    right, bottom, left, top, tile_width, tile_height = struct.unpack_from(">6I", data, at + 8)
    channels = struct.unpack_from(">H", data, at + 40)[0]
    width, height = right - left, bottom - top
    if (
        tile_width == 0
        or tile_height == 0
        or -(-right // tile_width) * -(-bottom // tile_height) > _MAX_J2K_TILES
    ):
        raise RuntimeError("its JPEG 2000 data claims to be cut into too many tiles")
    return _area(width, height, channels)


def _codestream(data: bytes) -> int:
    """Return where the codestream begins: at 0, or in a box of a JP2 file."""
    at = 0
    while data[at : at + 4] != _J2K_START:
        length, kind = struct.unpack_from(">I4s", data, at)
        header = 16 if length == 1 else 8
        if kind == b"jp2c":
            return at + header
        length = struct.unpack_from(">Q", data, at + 8)[0] if length == 1 else length
        if length < header:
            raise RuntimeError("its JPEG 2000 data holds no codestream")
        at += length
    return at


def _webp(data: bytes) -> int:
    at = 12 if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else 0
    kind, at = data[at : at + 4], at + 8
    if kind == b"VP8X":
        width, height = (
            1 + int.from_bytes(data[at + 4 + 3 * n : at + 7 + 3 * n], "little") for n in range(2)
        )
    elif kind == b"VP8L":
        bits = struct.unpack_from("<xI", data, at)[0]
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<6xHH", data, at))
    else:
        raise RuntimeError("its WebP data holds no size")
    return _area(width, height, 3)


def _area(width: int, height: int, channels: int) -> int:
    if not (width > 0 and height > 0 and 0 < channels <= _MAX_CHANNELS):
        raise RuntimeError(f"it claims {width} x {height} px in {channels} channels")
    return width * height


_PARSERS: dict[int, Callable[[bytes], int]] = {
    COMPRESSION.JPEG: _jpeg,
    COMPRESSION.JPEG2000: _jpeg2000,
    COMPRESSION.APERIO_JP2000_RGB: _jpeg2000,
    COMPRESSION.WEBP: _webp,
}
