"""Reader over one image held in memory: PNG, JPEG, and TIFF without tiles."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from struct import error as StructError
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from histome.errors import SlideError
from histome.slide.broken import BrokenTiles
from histome.slide.budget import check_memory
from histome.slide.mpp import Mpp, MppHints
from histome.slide.reader import Level, Slide, check_levels
from histome.slide.rgb import gray_to_rgb, over_white, refuse_channels, refuse_depth, white
from histome.slide.source import faults_told
from histome.slide.tiles import Box

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JPEG_MAGIC = b"\xff\xd8\xff"
_PNG_END, _JPEG_END = b"IEND\xaeB`\x82", b"\xff\xd9"
_TAIL_BYTES = 65_536
_BAND_ROWS = 256
# Making RGB takes some 20 bytes a pixel: it is made of so many at a time.
_BAND_PX = 1_000_000
# How Pillow holds a pixel; RGB has a fourth byte.
_MODE_BYTES = {"1": 1, "L": 1, "P": 1}
_OTHER_MODE_BYTES = 4
# libjpeg keeps the coefficients of a whole progressive image: two bytes for each of three samples.
_PROGRESSIVE_BYTES = 6
# The RGB of a box within the image.
Crop = Callable[[Box], NDArray[np.uint8]]


class PlainReader:
    """A field of view held in memory: one level, nothing that can break later.

    It is decoded when it is first read, and stays as its decoder holds it: RGB is made of what is asked for.
    """

    def __init__(
        self,
        path: Path,
        size_px: tuple[int, int],
        load: Callable[[], Crop],
        *,
        format: str,
        hints: MppHints,
        notes: tuple[str, ...] = (),
        pages: int = 1,
    ) -> None:
        """Take what decodes the image, without doing it; raises SlideError for an empty image."""
        width, height = size_px
        self._path = path
        self._load = load
        self._crop: Crop | None = None
        self._lock = threading.Lock()
        self.format = format
        self.levels = check_levels(path, (Level(width, height, 1.0, width, _BAND_ROWS),))
        self.properties: dict[str, str] = {}
        self.mpp_hints = hints
        self.layout = b""
        self.broken = BrokenTiles()
        self.notes = notes
        self.pages = pages

    def read(self, level: int, x: int, y: int, w: int, h: int) -> NDArray[np.uint8]:
        """Return (h, w, 3) RGB from (x, y), white outside; `level` is 0.

        Raises SlideError where the image cannot be decoded.
        """
        size = self.levels[0]
        box = Box(max(0, x), max(0, y), min(size.width, x + w), min(size.height, y + h))
        out = white(h, w)
        if box.x0 >= box.x1 or box.y0 >= box.y1:
            return out
        crop, rows = self.decoded(), max(1, _BAND_PX // box.width)
        for top in range(box.y0, box.y1, rows):
            band = box._replace(y0=top, y1=min(top + rows, box.y1))
            out[band.y0 - y : band.y1 - y, band.x0 - x : band.x1 - x] = crop(band)
        return out

    def decoded(self) -> Crop:
        """Return what cuts the image; it is decoded the first time."""
        with self._lock:
            if self._crop is None:
                self._crop = self._load()
            return self._crop

    def close(self) -> None:
        """Release the pixels; reading afterwards is an error."""
        self._crop, self._load = None, self._closed

    def _closed(self) -> Crop:
        raise ValueError(f"{self._path.name} was closed")


def array_slide(pixels: NDArray[np.uint8], mpp: float, *, name: str = "array") -> Slide:
    """Return (h, w, 3) uint8 pixels of `mpp` um/px as a slide, as if they had been read from a file."""
    path, (height, width) = Path(f"{name}.png"), pixels.shape[:2]
    crop: Crop = lambda box: pixels[box.y0 : box.y1, box.x0 : box.x1]  # noqa: E731
    return Slide(
        path,
        PlainReader(path, (width, height), lambda: crop, format="array", hints=MppHints()),
        Mpp(mpp, mpp, "given"),
    )


def open_plain(path: Path) -> PlainReader:
    """Open a PNG or JPEG by its header; it is decoded when it is read, or at once where its end is missing.

    Palette and gray become RGB, transparency is laid over white, each with a note.
    Raises SlideError for 16-bit and CMYK images, for damage and for what takes too much memory.
    """
    with _decoding(path), path.open("rb") as file:
        image = _image(path, file)
        notes = _notes(path, image)
        check_memory(path, image.size, _needed_bytes(image))
        name = str(image.format).lower()
        reader = PlainReader(
            path, image.size, partial(_load, path), format=name, hints=_hints(image), notes=notes
        )
        if not _has_end(file):
            reader.decoded()
    return reader


def _load(path: Path) -> Crop:
    """Decode an image and return what makes RGB of its parts."""
    with _decoding(path), path.open("rb") as file:
        image = _image(path, file)
        image.load()
    return lambda box: _to_rgb(image.crop(box))


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    """Turn what Pillow raises for headers and data that it cannot parse into SlideError."""
    try:
        with faults_told(path):
            yield
    except (OSError, SyntaxError, ValueError, StructError) as error:
        raise SlideError(
            f"{path.name} cannot be decoded ({error}); it is damaged: export it again."
        ) from error


def _has_end(file: BinaryIO) -> bool:
    """Whether an image has its end marker, as far as its last 64 KiB tell."""
    file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
    tail = file.read()
    return _PNG_END in tail or _JPEG_END in tail


def _needed_bytes(image: ImageFile) -> int:
    """Return the memory that the decoded image takes, its decoder's own included."""
    per_px = _MODE_BYTES.get(image.mode, _OTHER_MODE_BYTES)
    per_px += _PROGRESSIVE_BYTES if image.info.get("progressive") else 0
    return image.width * image.height * per_px


def _image(path: Path, file: BinaryIO) -> ImageFile:
    """Open by content. Image.open would apply its own size limit, a global setting of the whole process."""
    head = file.read(26)
    file.seek(0)
    if head.startswith(PNG_MAGIC):
        # Byte 24 is the bit depth: Pillow cuts 16-bit RGB to 8 bits without a word.
        if len(head) > 24 and head[24] == 16:
            raise refuse_depth(path, 16)
        return PngImageFile(file)
    return JpegImageFile(file)


def _notes(path: Path, image: ImageFile) -> tuple[str, ...]:
    """Return what is changed on the way to RGB, in words; raises SlideError for what does not become RGB."""
    if _is_transparent(image):
        return ("transparency was laid over white",)
    match image.mode:
        case "RGB":
            return ()
        case "P":
            return ("palette colors were converted to RGB",)
        case "L" | "1":
            return ("a gray image was repeated in three channels",)
    raise refuse_channels(path, f"the color mode {image.mode}")


def _is_transparent(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA") or "transparency" in image.info


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    if _is_transparent(image):
        return over_white(np.asarray(image.convert("RGBA")))
    if image.mode in ("L", "1"):
        return gray_to_rgb(np.asarray(image.convert("L")))
    return np.asarray(image.convert("RGB"))


def _hints(image: Image.Image) -> MppHints:
    """Take the density of PNG (pHYs) or JPEG (JFIF), which Pillow gives in dots per inch."""
    density = image.info.get("dpi")
    if not density or not all(value > 0 for value in density):
        return MppHints()
    size = (25_400 / float(density[0]), 25_400 / float(density[1]))
    return MppHints(resolution=size, resolution_name=f"{image.format} density")
