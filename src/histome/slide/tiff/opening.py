"""Open a TIFF: tiled ones are read tile by tile, others strip by strip into memory."""

import logging
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tifffile import COMPRESSION, TiffFile, TiffPage

from histome.errors import SlideError
from histome.slide.budget import check_memory
from histome.slide.plain import Crop, PlainReader
from histome.slide.rgb import refuse_channels
from histome.slide.source import SourceFile, faults_told
from histome.slide.tiff import meta
from histome.slide.tiff.page import (
    DAMAGE,
    Pieces,
    check_page,
    check_whole,
    decoding_bytes,
    notes_of,
    reason_of,
)
from histome.slide.tiff.reader import TiffReader

# tifffile logs what it also raises; without a handler Python would print it between our own lines.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def open_tiff(path: Path, vendor: str) -> TiffReader | PlainReader | None:
    """Open a TIFF by its own structure: tiled ones by tile, others in memory; None where only OpenSlide can.

    Raises SlideError for damage, truncation, absurd sizes and colors other than 8-bit brightfield.
    """
    try:
        with faults_told(path), TiffFile(path) as tiff:
            return _reader(path, tiff, vendor)
    except DAMAGE as error:
        raise SlideError(
            f"{path.name} cannot be read as TIFF ({reason_of(error)}); it is damaged: copy it again."
        ) from error


def _reader(path: Path, tiff: TiffFile, vendor: str) -> TiffReader | PlainReader | None:
    page = tiff.pages.first
    # tifffile leaves the YCbCr of Aperio's first JPEG 2000 variant unconverted.
    if page.compression == COMPRESSION.APERIO_JP2000_YCBC:
        return None
    axes = meta.ome_axes(tiff)
    if axes:
        raise refuse_channels(path, f"the axes {axes}YX (several planes, channels or time points)")
    return TiffReader(path, tiff, vendor=vendor) if page.is_tiled else _plain(path, tiff, page, vendor)


def _plain(path: Path, tiff: TiffFile, page: TiffPage, vendor: str) -> PlainReader:
    size = page.imagewidth, page.imagelength
    check_memory(path, size, size[0] * size[1] * page.samplesperpixel + decoding_bytes(page))
    check_page(path, page)
    check_whole(path, [page])
    pixels = partial(_load, path, Pieces.of(page), (size[1], size[0], page.samplesperpixel))
    hints, pages = meta.read(tiff, vendor)[1], meta.equal_pages(tiff)
    return PlainReader(path, size, pixels, format=vendor, hints=hints, notes=notes_of(page), pages=pages)


def _load(path: Path, strips: Pieces, shape: tuple[int, int, int]) -> Crop:
    """Decode every strip; raises SlideError where one cannot be: a picture with a gap is no field of view."""
    file = SourceFile(path)
    try:
        samples = _samples(file, strips, shape)
    except DAMAGE as error:
        raise SlideError(
            f"{path.name} cannot be decoded ({reason_of(error)}); it is damaged: copy it again."
        ) from error
    finally:
        file.close()
    return lambda box: strips.colors.to_rgb(samples[box.y0 : box.y1, box.x0 : box.x1])


def _samples(file: SourceFile, strips: Pieces, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    samples, rows = np.empty(shape, np.uint8), strips.size_px[1]
    needs_end = strips.is_jpeg and strips.has_end(file, 0)
    for number, top in enumerate(range(0, shape[0], rows)):
        strip = strips.samples(file, number, needs_end=needs_end)
        if strip is None:
            raise RuntimeError(f"strip {number + 1} is empty")
        samples[top : top + rows] = strip[: shape[0] - top]
    return samples
