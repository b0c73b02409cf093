"""Small files that claim, unpack to or loop over more than any machine has; each is written by hand."""

import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import tifffile
from helpers.drawn_containers import (
    directory,
    jpeg,
    write_bif,
    write_dicom,
    write_mrxs,
    write_ndpi,
    write_scn,
)
from helpers.phantoms import gradient, tiled_tiff

Tags = dict[int, tuple[int, Sequence[Any]]]
_PIXELS = gradient(128, 128)
_NONE, _LZW, _JPEG, _DEFLATE, _PACKBITS, _J2K, _ZSTD, _WEBP = 1, 5, 7, 8, 32_773, 34_712, 50_000, 50_001
_CHUNK = 1 << 26


def _tiff(path: Path, data: bytes, codec: int, *, side: int = 256, tiled: bool = False, **tags: Any) -> Path:
    """Write a TIFF of one piece of data: a strip or a tile of the whole image."""
    where, length = (324, 325) if tiled else (273, 279)
    found: Tags = {
        256: (4, [side]),
        257: (4, [side]),
        258: (3, [8, 8, 8]),
        259: (3, [codec]),
        262: (3, [6 if codec == _JPEG else 2]),
        277: (3, [3]),
        where: (4, [8]),
        length: (4, [len(data)]),
        **({322: (4, [side]), 323: (4, [side])} if tiled else {278: (4, [side])}),
        **{int(tag[1:]): value for tag, value in tags.items()},
    }
    data += b"\0" * (len(data) % 2)
    at = 8 + len(data)
    path.write_bytes(b"II*\0" + struct.pack("<I", at) + data + directory(found, at=at, next_at=0, wide=False))
    return path


# --- data that says it is larger than its tile or strip ---------------------------------------------------


def _lying_jpeg(side: int = 65_500) -> bytes:
    data = bytearray(jpeg(_PIXELS))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", side, side)
    return bytes(data)


def _lying_j2k(side: int = 30_000) -> bytes:
    data = bytearray(imagecodecs.jpeg2k_encode(_PIXELS, codecformat="j2k"))
    at = data.index(b"\xff\x51")
    data[at + 6 : at + 14] = struct.pack(">II", side, side)
    data[at + 22 : at + 30] = struct.pack(">II", side, side)
    return bytes(data)


def _lying_webp(side: int = 16_383) -> bytes:
    data = bytearray(imagecodecs.webp_encode(_PIXELS, lossless=True))
    at = data.index(b"VP8L") + 9
    (bits,) = struct.unpack_from("<I", data, at)
    bits = bits & 0xF0000000 | (side - 1) | (side - 1) << 14
    data[at : at + 4] = struct.pack("<I", bits)
    return bytes(data)


def _inflating(chunks: int = 64) -> bytes:
    """Return a zlib stream of so many times 64 MiB of zeros; only its checksum, at the end, is wrong."""
    packer = zlib.compressobj(9)
    head = packer.compress(bytes(_CHUNK)) + packer.flush(zlib.Z_FULL_FLUSH)
    more = packer.compress(bytes(_CHUNK)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + more * (chunks - 1) + packer.flush()


def _zstd(claimed: int = 1 << 40, blocks: int = 32_768) -> bytes:
    """Return a frame that claims a terabyte and holds blocks of 128 KiB, each one byte repeated."""
    block = struct.pack("<I", 1 << 1 | (1 << 17) << 3)[:3] + b"\0"
    return b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", claimed) + block * blocks


def _lzw() -> bytes:
    return imagecodecs.lzw_encode(bytes(_CHUNK))


# --- pictures ----------------------------------------------------------------------------------------------


def _png(path: Path, width: int, height: int, *, color: int, depth: int = 8, data: bytes = b"") -> Path:
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))]
    chunks += [(b"PLTE", bytes(768))] if color == 3 else []
    chunks += [(b"zTXt", b"a\0\0" + data)] if data else []
    bits = width * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color] * depth
    size = height * (1 + bits // 8)
    chunks += [(b"IDAT", _inflating(max(1, min(64, -(-size // _CHUNK))))), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(value)) + kind + value + struct.pack(">I", zlib.crc32(kind + value))
        for kind, value in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def _jpeg_picture(folder: Path) -> Path:
    (folder / "x.jpg").write_bytes(_lying_jpeg())
    return folder / "x.jpg"


# --- structure ---------------------------------------------------------------------------------------------


def _many_directories(folder: Path, *, count: int = 200_000) -> Path:
    """A chain of directories, each a tile of one px."""
    path, tags = folder / "x.tif", {256: 1, 257: 1, 258: 8, 259: 1, 262: 1, 277: 1, 273: 8, 278: 1, 279: 1}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    size = 2 + len(entries) + 4
    one = struct.pack("<H", len(tags)) + entries
    chain = b"".join(one + struct.pack("<I", 10 + (k + 1) * size) for k in range(count - 1))
    path.write_bytes(b"II*\0" + struct.pack("<I", 10) + bytes(2) + chain + one + bytes(4))
    return path


def _many_subdirectories(folder: Path) -> Path:
    """A million SubIFDs that are all the same one."""
    path, count = tiled_tiff(folder / "x.tif", _PIXELS), 1_000_000
    data = bytearray(path.read_bytes())
    array, (first,) = len(data), struct.unpack_from("<I", data, 4)
    end = first + 2 + 12 * struct.unpack_from("<H", data, first)[0]
    entries = [bytes(data[at : at + 12]) for at in range(first + 2, end, 12)]
    entries.append(struct.pack("<HHII", 330, 4, count, array))
    entries.sort(key=lambda entry: struct.unpack("<H", entry[:2]))
    data += struct.pack("<I", first) * count + struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    data[4:8] = struct.pack("<I", array + 4 * count)
    path.write_bytes(data)
    return path


def _sparse(folder: Path, *, big: bool) -> Path:
    """A file of holes whose list of tiles is as long as a gigabyte."""
    path, count, wide = folder / "x.tif", 11_180**2, 16 * 11_180
    kind = "<HHQQ" if big else "<HHII"
    values = {256: wide, 257: wide, 258: 8, 259: 1, 262: 1, 277: 1, 322: 16, 323: 16}
    entries = [(tag, 4, 1, value) for tag, value in values.items()]
    entries += [(324, 16 if big else 4, count, 4096), (325, 4, count, 4096)]
    table = b"".join(struct.pack(kind, *entry) for entry in entries)
    if big:
        head = b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, len(entries)) + table + bytes(8)
    else:
        head = b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + bytes(4)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(4096 + 8 * count)
    return path


def _flood(folder: Path) -> Path:
    """Tags by the thousand that all point at the same megabyte."""
    tags: Tags = {f"t{40_000 + k}": (2, b"\0") for k in range(4_000)}  # pyright: ignore[reportAssignmentType]
    path = _tiff(folder / "x.tif", bytes(1_000_000), _NONE, **tags)
    data = bytearray(path.read_bytes())
    (first,) = struct.unpack_from("<I", data, 4)
    for at in range(first + 2, len(data) - 12, 12):
        if struct.unpack_from("<H", data, at)[0] >= 40_000:
            data[at + 2 : at + 12] = struct.pack("<HII", 7, 1_000_000, 8)
    path.write_bytes(data)
    return path


# --- descriptions ------------------------------------------------------------------------------------------


def _described(folder: Path, text: str, name: str = "x.ome.tif") -> Path:
    path = folder / name
    with tifffile.TiffWriter(path) as writer:
        writer.write(_PIXELS, tile=(64, 64), photometric="rgb", metadata=None, description=text)
    return path


def _ome(inside: str, *, head: str = "", sizes: str = 'SizeC="3" SizeT="1" SizeZ="1"') -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{head}'
        f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="128" SizeY="128" '
        f"{sizes}>{inside}</Pixels></Image></OME>"
    )


_LAUGHS = (
    '<!DOCTYPE OME [<!ENTITY a0 "ha">'
    + "".join(f'<!ENTITY a{k} "{f"&a{k - 1};" * 10}">' for k in range(1, 12))
    + "]>"
)


def _changed(path: Path, old: bytes, new: bytes) -> None:
    """Replace text by text of the same length or, where nothing points behind it, of any."""
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


def _giant_scn(folder: Path) -> Path:
    path = write_scn(folder / "x.scn", _PIXELS, offset_px=(100_000, 100_000))
    _changed(path, b'sizeX="100064000"', b'sizeX="900000000"')
    return path


def _giant_scn_tile(folder: Path) -> Path:
    path = write_scn(folder / "x.scn", _PIXELS)
    old = struct.pack("<HHQI", 322, 4, 1, 64)
    _changed(path, old, old[:-4] + struct.pack("<I", 2**31 - 1))
    return path


def _giant_bif(folder: Path) -> Path:
    return write_bif(folder / "x.bif", _PIXELS, claimed=9_999)


def _giant_mrxs(folder: Path, *, key: bytes = b"IMAGENUMBER", value: bytes = b"2000000000") -> Path:
    path = write_mrxs(folder / "x.mrxs", _PIXELS)
    for side in (b"_X = 2", b"_Y = 2"):
        _changed(folder / "x" / "Slidedat.ini", key + side, key + side[:-1] + value)
    return path


def _giant_mrxs_tile(folder: Path) -> Path:
    path = write_mrxs(folder / "x.mrxs", _PIXELS)
    for side in (b"WIDTH", b"HEIGHT"):
        _changed(folder / "x" / "Slidedat.ini", b"DIGITIZER_%s = 64" % side, b"DIGITIZER_%s = 60000" % side)
    return path


def _giant_dicom(folder: Path, *, side: int = 0x7FFFFFFF) -> Path:
    path = write_dicom(folder / "x.dcm", _PIXELS)
    for number in (6, 7):
        old = struct.pack("<HH", 0x48, number) + b"UL\4\0" + struct.pack("<I", 128)
        _changed(path, old, old[:-4] + struct.pack("<I", side))
    return path


def _giant_frames(folder: Path) -> Path:
    path = write_dicom(folder / "x.dcm", _PIXELS)
    _changed(path, b"IS\2\x004 ", b"IS\12\x001000000000")
    return path


def _giant_ndpi(folder: Path) -> Path:
    path = write_ndpi(folder / "x.ndpi", {0: _PIXELS})
    for tag in (256, 257):
        old = struct.pack("<HHII", tag, 4, 1, 128)
        _changed(path, old, old[:-4] + struct.pack("<I", 1_900_000))
    return path


Write = Callable[[Path], Path]
BOMBS: dict[str, Write] = {
    "JPEG tile that claims 65,500 px": lambda f: _tiff(f / "x.tif", _lying_jpeg(), _JPEG, tiled=True),
    "JPEG 2000 tile that claims 30,000 px": lambda f: _tiff(f / "x.tif", _lying_j2k(), _J2K, tiled=True),
    "JPEG strip that claims 65,500 px": lambda f: _tiff(f / "x.tif", _lying_jpeg(), _JPEG),
    "JPEG 2000 strip that claims 30,000 px": lambda f: _tiff(f / "x.tif", _lying_j2k(), _J2K),
    "WebP tile that claims 16,383 px": lambda f: _tiff(f / "x.tif", _lying_webp(), _WEBP, tiled=True),
    "WebP strip that claims 16,383 px": lambda f: _tiff(f / "x.tif", _lying_webp(), _WEBP),
    "deflate tile of 4 GB": lambda f: _tiff(f / "x.tif", _inflating(), _DEFLATE, tiled=True),
    "deflate strip of 4 GB": lambda f: _tiff(f / "x.tif", _inflating(), _DEFLATE),
    "Zstandard tile that claims 1 TB": lambda f: _tiff(f / "x.tif", _zstd(), _ZSTD, tiled=True),
    "Zstandard strip that claims 1 TB": lambda f: _tiff(f / "x.tif", _zstd(), _ZSTD),
    "LZW strip of 64 MB": lambda f: _tiff(f / "x.tif", _lzw(), _LZW),
    "PackBits strip of 64 MB": lambda f: _tiff(f / "x.tif", b"\x81\0" * 500_000, _PACKBITS),
    "gray TIFF of 20,000 px in one deflate strip": lambda f: _tiff(
        f / "x.tif", _inflating(6), _DEFLATE, side=20_000, t258=(3, [8]), t262=(3, [1]), t277=(3, [1])
    ),
    "transparent PNG of 20,000 px": lambda f: _png(f / "x.png", 20_000, 20_000, color=6),
    "palette PNG of 20,000 px": lambda f: _png(f / "x.png", 20_000, 20_000, color=3),
    "RGB PNG of 20,000 px": lambda f: _png(f / "x.png", 20_000, 20_000, color=2),
    "PNG of one bit, 20,000 px": lambda f: _png(f / "x.png", 20_000, 20_000, color=0, depth=1),
    "PNG of 2,147,483,647 px": lambda f: _png(f / "x.png", 2**31 - 1, 2**31 - 1, color=2),
    "PNG with a comment of 4 GB": lambda f: _png(f / "x.png", 64, 64, color=2, data=_inflating()),
    "JPEG that claims 65,500 px": _jpeg_picture,
    "200,000 directories": _many_directories,
    "a million SubIFDs": _many_subdirectories,
    "a gigabyte of tile offsets in a sparse file": lambda f: _sparse(f, big=False),
    "the same in BigTIFF": lambda f: _sparse(f, big=True),
    "4,000 tags of a megabyte": _flood,
    "width as a floating-point number": lambda f: _tiff(
        f / "x.tif", bytes(256 * 256 * 3), _NONE, t256=(12, [1e-308])
    ),
    "OME-XML of 1e8 planes and times": lambda f: _described(
        f, _ome("", sizes='SizeC="3" SizeT="100000000" SizeZ="100000000"')
    ),
    "OME-XML with a billion laughs": lambda f: _described(f, _ome("<a>&a11;</a>", head=_LAUGHS)),
    "OME-XML nested a million deep": lambda f: _described(f, _ome("<a>" * 1_000_000 + "</a>" * 1_000_000)),
    "Aperio description of 20 MB": lambda f: _described(f, "Aperio Image|a=1" + "|b=2" * 5_000_000, "x.svs"),
    "SCN of 1,800,000 px": _giant_scn,
    "SCN of tiles of 2,147,483,647 px": _giant_scn_tile,
    "BIF of 9,999 rows and columns of tiles": _giant_bif,
    "MRXS of 2,000,000,000 tiles a row": _giant_mrxs,
    "MRXS of 30,000 tiles a row": lambda f: _giant_mrxs(f, value=b"30000"),
    "MRXS of tiles of 60,000 px": _giant_mrxs_tile,
    "DICOM of 2,147,483,647 px": _giant_dicom,
    "DICOM of a billion frames": _giant_frames,
    "DICOM of 1,900,000 px": lambda f: _giant_dicom(f, side=1_900_000),
    "NDPI of 1,900,000 px": _giant_ndpi,
}
