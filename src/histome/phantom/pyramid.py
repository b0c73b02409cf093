"""Writing a pyramidal JPEG-tiled TIFF or OME-TIFF block by block: memory does not grow with the slide."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

TILE_PX = 256
# Levels are 4 times coarser each, as Aperio's: one block of 4 x 4 tiles is one tile of the next level.
FACTOR = 4
BLOCK_PX = TILE_PX * FACTOR
JPEG_QUALITY = 88
WHITE = 243

Pixels = NDArray[np.uint8]
Paint = Callable[[int, int], Pixels | None]


def write_pyramid(path: Path, size_px: tuple[int, int], mpp: float, paint: Paint, *, ome: str = "") -> None:
    """Write a slide whose blocks `paint(x_px, y_px)` returns, (1024, 1024, 3) uint8 or None for bare glass.

    Blocks are painted row by row; of the coarser levels only the JPEG bytes are kept until they are written.
    With `ome`, its UUID, it is an OME-TIFF, the coarser levels SubIFDs of the first; else a page is a level.
    """
    sizes = _level_sizes(size_px)
    upper = [_Level(*size) for size in sizes[1:]]
    first: dict[str, Any] = {"software": "histome phantom"}
    if ome:
        size = {"PhysicalSizeX": mpp, "PhysicalSizeY": mpp, "UUID": ome}
        first = {"software": "histome", "subifds": len(upper), "metadata": {"axes": "YXS", **size}}
    rest = {"software": first["software"], "subfiletype": 1}
    with tifffile.TiffWriter(path, ome=bool(ome), bigtiff=True) as writer:
        _write_level(writer, _base_tiles(size_px, paint, upper), sizes[0], mpp, first)
        for number, level in enumerate(upper, start=1):
            _write_level(writer, iter(level.tiles), sizes[number], mpp * FACTOR**number, rest)


@dataclass
class _Level:
    """A coarser level being put together: encoded tiles, and pixels of those not yet complete."""

    width: int
    height: int
    tiles: list[bytes] = field(init=False)
    open_tiles: dict[tuple[int, int], Pixels] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tiles = [_white_tile()] * (self.columns * -(-self.height // TILE_PX))

    @property
    def columns(self) -> int:
        return -(-self.width // TILE_PX)

    def put(self, column: int, row: int, pixels: Pixels) -> None:
        self.tiles[row * self.columns + column] = _encode(pixels)


def _level_sizes(size_px: tuple[int, int]) -> list[tuple[int, int]]:
    sizes = [size_px]
    while max(sizes[-1]) > 2 * TILE_PX:
        sizes.append((-(-sizes[-1][0] // FACTOR), -(-sizes[-1][1] // FACTOR)))
    return sizes


def _base_tiles(size_px: tuple[int, int], paint: Paint, upper: list[_Level]) -> Iterator[bytes]:
    columns, rows = -(-size_px[0] // TILE_PX), -(-size_px[1] // TILE_PX)
    for block_row in range(-(-rows // FACTOR)):
        blocks = [_painted(block, block_row, paint, upper) for block in range(-(-columns // FACTOR))]
        # Before the tiles are handed out: nobody asks for more after the last, so nothing after it would run.
        _flush(upper, 1, block_row)
        for row in range(min(FACTOR, rows - block_row * FACTOR)):
            for column in range(columns):
                tiles = blocks[column // FACTOR]
                yield tiles[row * FACTOR + column % FACTOR] if tiles else _white_tile()


def _painted(column: int, row: int, paint: Paint, upper: list[_Level]) -> list[bytes]:
    """Return the encoded tiles of a block (none for bare glass) and pass it on to the next level."""
    pixels = paint(column * BLOCK_PX, row * BLOCK_PX)
    if pixels is None:
        return []
    _pass_on(upper, 0, column, row, pixels)
    return [
        _encode(pixels[y : y + TILE_PX, x : x + TILE_PX])
        for y in range(0, BLOCK_PX, TILE_PX)
        for x in range(0, BLOCK_PX, TILE_PX)
    ]


def _pass_on(upper: list[_Level], at: int, column: int, row: int, block: Pixels) -> None:
    """Average a 1024 px block into tile (column, row) of level `at`, and that into the level above."""
    if at >= len(upper):
        return
    tile = cv2.resize(block, (TILE_PX, TILE_PX), interpolation=cv2.INTER_AREA).astype(np.uint8)
    upper[at].put(column, row, tile)
    if at + 1 < len(upper):
        key = (column // FACTOR, row // FACTOR)
        parent = upper[at + 1].open_tiles.setdefault(key, np.full((BLOCK_PX, BLOCK_PX, 3), WHITE, np.uint8))
        y, x = row % FACTOR * TILE_PX, column % FACTOR * TILE_PX
        parent[y : y + TILE_PX, x : x + TILE_PX] = tile


def _flush(upper: list[_Level], at: int, row: int) -> None:
    """Finish the blocks of level `at` that the rows of tiles painted so far complete."""
    if at >= len(upper):
        return
    last = row == -(-upper[at - 1].height // TILE_PX) - 1
    if row % FACTOR != FACTOR - 1 and not last:
        return
    for (column, block_row), block in sorted(upper[at].open_tiles.items()):
        _pass_on(upper, at, column, block_row, block)
    upper[at].open_tiles.clear()
    _flush(upper, at + 1, row // FACTOR)


def _encode(pixels: Pixels) -> bytes:
    return bytes(
        imagecodecs.jpeg8_encode(np.ascontiguousarray(pixels), level=JPEG_QUALITY, subsampling="420")
    )


_WHITE_TILES: list[bytes] = []


def _white_tile() -> bytes:
    if not _WHITE_TILES:
        _WHITE_TILES.append(_encode(np.full((TILE_PX, TILE_PX, 3), WHITE, np.uint8)))
    return _WHITE_TILES[0]


def _write_level(
    writer: tifffile.TiffWriter,
    tiles: Iterator[bytes],
    size: tuple[int, int],
    mpp: float,
    more: dict[str, Any],
) -> None:
    pixels_per_cm = 10_000 / mpp
    options = {
        "photometric": "ycbcr",
        "compression": "jpeg",
        "subsampling": (2, 2),
        "subfiletype": 0,
        "resolution": (pixels_per_cm, pixels_per_cm),
        "resolutionunit": "CENTIMETER",
        "metadata": None,
    }
    shape = (size[1], size[0], 3)
    writer.write(tiles, shape=shape, dtype=np.uint8, tile=(TILE_PX, TILE_PX), **(options | more))
