"""What is damaged: small whole files of every container, drawn here; no data of others."""

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
from helpers.drawn_containers import write_bif, write_dicom, write_mrxs, write_ndpi, write_scn
from helpers.drawn_tissue import tissue_texture
from helpers.phantoms import RGB, tiled_tiff
from PIL import Image

Write = Callable[[Path], object]


class Seed(NamedTuple):
    """A whole slide: its container, its files by name; the first is the one that is opened."""

    container: str
    files: dict[str, bytes]


@cache
def seeds() -> dict[str, list[Seed]]:
    """Return the seeds of each container."""
    found: dict[str, list[Seed]] = {}
    for container, name, write in _writers(tissue_texture(192, 256, mpp=0.5)):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            write(path)
            rest = sorted(file for file in Path(folder).rglob("*") if file.is_file() and file != path)
            files = {file.relative_to(folder).as_posix(): file.read_bytes() for file in (path, *rest)}
        found.setdefault(container, []).append(Seed(container, files))
    return found


def _writers(pixels: RGB) -> list[tuple[str, str, Write]]:
    aperio = "Aperio Image Library v11.2.1\r\n256x192 [0,0 256x192] (64x64)|AppMag = 20|MPP = 0.4990"
    small = np.ascontiguousarray(pixels[::2, ::2])

    def tiled(**options: Any) -> Write:
        return lambda path: tiled_tiff(path, pixels, factors=(1, 4), **options)

    def striped(**options: Any) -> Write:
        return lambda path: tifffile.imwrite(path, pixels, rowsperstrip=32, photometric="rgb", **options)

    def picture(mode: str, **options: Any) -> Write:
        return lambda path: Image.fromarray(pixels).convert(mode).save(path, **options)

    def planes(path: Path) -> None:
        separate = np.ascontiguousarray(np.moveaxis(pixels, 2, 0))
        tifffile.imwrite(path, separate, tile=(64, 64), photometric="rgb", planarconfig="separate")

    def series(path: Path) -> None:
        write_dicom(path, pixels, instance="1.2.3.1")
        write_dicom(path.with_name("level1.dcm"), small, instance="1.2.3.2")

    ome = {"metadata": {"axes": "YXS", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}, "subifds": True}
    return [
        ("SVS", "x.svs", tiled(compression="jpeg", description=aperio)),
        ("SVS", "x.svs", tiled(compression="aperio_jp2000_rgb", description=aperio)),
        ("OME-TIFF", "x.ome.tif", tiled(compression="jpeg", **ome)),
        ("OME-TIFF", "x.ome.tif", tiled(compression="zlib", **ome)),
        *(("tiled TIFF", "x.tif", tiled(compression=codec)) for codec in _CODECS),
        ("tiled TIFF", "x.tif", planes),
        *(("striped TIFF", "x.tif", striped(compression=codec)) for codec in _CODECS),
        ("BigTIFF", "x.tif", lambda path: _bigtiff(path, pixels)),
        ("DICOM", "level0.dcm", series),
        *(("PNG", "x.png", picture(mode)) for mode in ("RGB", "RGBA", "P", "L", "1")),
        *(("JPEG", "x.jpg", picture("RGB", progressive=way)) for way in (False, True)),
        ("NDPI", "x.ndpi", lambda path: write_ndpi(path, {0: pixels, 100: 255 - pixels})),
        ("SCN", "x.scn", lambda path: write_scn(path, pixels)),
        ("BIF", "x.bif", lambda path: write_bif(path, pixels, overlap=4)),
        ("MRXS", "x.mrxs", lambda path: write_mrxs(path, pixels, missing=[(1, 1)])),
    ]


_CODECS = (None, "lzw", "zlib", "packbits", "zstd", "webp", "jpeg", "jpeg2000")


def _bigtiff(path: Path, pixels: RGB) -> None:
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for step in (1, 2):
            level = np.ascontiguousarray(pixels[::step, ::step])
            writer.write(level, tile=(64, 64), photometric="rgb", compression="jpeg", metadata=None)
