"""Small files that claim, or hold, far more than their size; drawn byte by byte."""

import struct
import zlib
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import imagecodecs
import numpy as np

# Tag: (type, values); types as in TIFF, 3 = SHORT, 4 = LONG, 12 = DOUBLE, 2 = ASCII.
Tags = dict[int, tuple[int, list[float] | bytes]]
_KINDS = {1: "B", 3: "H", 4: "I", 12: "d", 16: "Q"}
JPEG, JPEG2000, WEBP = 7, 34712, 50001


def tiff(path: Path, tags: Tags, pieces: Iterable[bytes]) -> Path:
    """Write a TIFF of one image: its pieces, and the tags that list them (324/325 or 273/279)."""
    body, offsets, lengths = b"II*\0\0\0\0\0", [], []
    for piece in pieces:
        offsets.append(len(body))
        lengths.append(len(piece))
        body += piece
    first = 324 if 322 in tags else 273
    listed: Tags = {first: (4, offsets), (325 if 322 in tags else 279): (4, lengths)}
    entries = b""
    for tag, (kind, values) in sorted({**tags, **listed}.items()):
        data = values if isinstance(values, bytes) else struct.pack(f"<{len(values)}{_KINDS[kind]}", *values)
        if len(data) > 4:
            entries += struct.pack("<HHII", tag, kind, len(values), len(body))
            body += data
        else:
            entries += struct.pack("<HHI4s", tag, kind, len(values), data)
    directory = struct.pack("<H", len(entries) // 12) + entries + bytes(4)
    path.write_bytes(body[:4] + struct.pack("<I", len(body)) + body[8:] + directory)
    return path


def page(width: int, height: int, compression: int, *, tile: int = 0) -> Tags:
    """Return the tags of an 8-bit RGB image in one strip, or in tiles."""
    tags: Tags = {
        256: (4, [width]), 257: (4, [height]), 258: (3, [8, 8, 8]), 259: (3, [compression]), 262: (3, [2]),
        277: (3, [3]), 278: (4, [height]),
    }  # fmt: skip
    return {**tags, 322: (4, [tile]), 323: (4, [tile])} if tile else tags


def jpeg(width: int, height: int, *, fill: bytes = b"") -> bytes:
    """Return a JPEG of 8 x 8 px whose frame claims another size; `fill` stands before the frame's marker."""
    data = bytearray(imagecodecs.jpeg_encode(np.zeros((8, 8, 3), np.uint8)))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    data[at:at] = fill
    return bytes(data)


def jpeg2000(width: int, height: int, *, tile: int | None = None) -> bytes:
    """Return a JPEG 2000 of 8 x 8 px whose SIZ claims another size, cut into tiles of another side."""
    data = bytearray(imagecodecs.jpeg2k_encode(np.zeros((8, 8, 3), np.uint8), codecformat="j2k"))
    at = data.index(b"\xff\x4f\xff\x51") + 8
    tiles = (tile or width, tile or height)
    data[at : at + 24] = struct.pack(">6I", width, height, 0, 0, *tiles)
    return bytes(data)


@cache
def webp(side: int) -> bytes:
    """Return a lossless WebP that truly holds side x side px, all black, in less than 1 kB."""
    return imagecodecs.webp_encode(np.zeros((side, side, 3), np.uint8), lossless=True)


def _zeros(length: int, repeats: int) -> bytes:
    """Return the zlib stream of `length` zeros, `repeats` times, without compressing each."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(length)) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = (length * repeats % 65_521) << 16 | 1  # Adler-32 of zeros
    return b"\x78\xda" + block * repeats + b"\x03\x00" + struct.pack(">I", checksum)


def png(path: Path, side: int, color: int, *, honest: bool = True) -> Path:
    """Write a PNG of side x side zeros (color 6 RGBA, 2 RGB, 3 palette, 0 gray), or only its first rows."""
    row_bytes = 1 + side * {6: 4, 2: 3, 3: 1, 0: 1}[color]
    data = _zeros(row_bytes * 100, side // 100 if honest else 1)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, color, 0, 0, 0))]
    chunks += [(b"PLTE", bytes(range(6)))] if color == 3 else []
    chunks += [(b"IDAT", data), (b"IEND", b"")]
    packed = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))
    return path


_OME = (
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
    '<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="64" SizeY="64" SizeC="3" '
    'SizeZ="100000000" SizeT="100000000"><Channel ID="Channel:0:0" SamplesPerPixel="3"/><TiffData/>'
    "</Pixels></Image></OME>"
)


def ome(path: Path) -> Path:
    """Write an OME-TIFF of one tile that claims 1e16 of them."""
    tags: Tags = {**page(64, 64, 1, tile=64), 270: (2, _OME.encode() + b"\0")}
    return tiff(path, tags, [bytes(64 * 64 * 3)])


def many_directories(path: Path, count: int) -> Path:
    """Write a chain of `count` images of one pixel."""
    tags = [(256, 4, 1), (257, 4, 1), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (279, 4, 1)]
    size = 2 + 12 * len(tags) + 4
    fields = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *t[:2], 1, t[2]) for t in tags)
    chain = (fields + struct.pack("<I", 12 + size * (k + 1) if k + 1 < count else 0) for k in range(count))
    path.write_bytes(b"II*\0" + struct.pack("<I", 12) + bytes(4) + b"".join(chain))
    return path


def sparse_tiles(path: Path, listed: int) -> Path:
    """Write a TIFF of 64 x 64 px whose one tile is listed `listed` times, in a file of holes."""
    tiff(path, page(64, 64, 1, tile=64), [bytes(64 * 64 * 3)])
    data = bytearray(path.read_bytes())
    end = len(data)
    for tag in (324, 325):
        at = data.index(struct.pack("<HHI", tag, 4, 1))
        data[at + 4 : at + 12] = struct.pack("<II", listed, end)
    path.write_bytes(data)
    with path.open("r+b") as file:
        file.truncate(end + 4 * listed)
    return path


def draw_allowed(folder: Path) -> dict[str, Path]:
    """Draw the worst that is opened all the same: name -> file of a few kB."""
    black = imagecodecs.jpeg2k_encode(np.zeros((1900, 1900, 3), np.uint8), codecformat="j2k", level=20)
    return {
        "allowed-webp-strip": tiff(folder / "allowed-strip.tif", page(2400, 2400, WEBP), [webp(2400)]),
        "allowed-webp-tile": tiff(folder / "allowed.tif", page(2800, 2800, WEBP, tile=2800), [webp(2800)]),
        "allowed-j2k-tile": tiff(folder / "allowed-j2k.tif", page(1900, 1900, JPEG2000, tile=1900), [black]),
        "allowed-png": png(folder / "allowed.png", 4000, 6),
    }


def draw_all(folder: Path) -> dict[str, Path]:
    """Draw every bomb: name -> file."""
    strips: dict[str, Callable[[], bytes]] = {
        "jpeg-strip": lambda: jpeg(65500, 65500),
        "jpeg-strip-filled": lambda: jpeg(65500, 65500, fill=b"\xff" * 9),
        "j2k-strip": lambda: jpeg2000(30_000, 30_000),
        "j2k-many-tiles": lambda: jpeg2000(250, 250, tile=1),
        "webp-strip": lambda: webp(8000),
    }
    codecs = {"jpeg": JPEG, "j2k": JPEG2000, "webp": WEBP}
    drawn = {}
    for name, draw in strips.items():
        compression = codecs[name.split("-")[0]]
        drawn[name] = tiff(folder / f"{name}.tif", page(256, 256, compression), [draw()])
        tiled = name.replace("strip", "tile")
        drawn[f"{tiled}-256"] = tiff(folder / f"{tiled}.tif", page(256, 256, compression, tile=256), [draw()])
    drawn["webp-honest-strip"] = tiff(folder / "strip.tif", page(8000, 8000, WEBP), [webp(8000)])
    drawn["webp-honest-tile"] = tiff(folder / "tile.tif", page(8000, 8000, WEBP, tile=8000), [webp(8000)])
    drawn["webp-many-strips"] = tiff(
        folder / "strips.tif", {**page(4000, 4000 * 40, WEBP), 278: (4, [4000])}, [webp(4000)] * 40
    )
    for name, color in (("rgba", 6), ("rgb", 2), ("palette", 3), ("gray", 0)):
        drawn[f"png-{name}"] = png(folder / f"{name}.png", 20_000, color)
        drawn[f"png-{name}-lie"] = png(folder / f"{name}-lie.png", 20_000, color, honest=False)
    drawn["ome-planes"] = ome(folder / "planes.ome.tif")
    drawn["directories"] = many_directories(folder / "directories.tif", 200_000)
    drawn["sparse-tiles"] = sparse_tiles(folder / "sparse.tif", 100_000_000)
    return drawn
