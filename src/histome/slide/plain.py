"""Reader over one image held in memory: PNG, JPEG, and TIFF without tiles."""

from pathlib import Path
from struct import error as StructError

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from histome.errors import SlideError
from histome.slide.broken import BrokenTiles
from histome.slide.mpp import Mpp, MppHints
from histome.slide.reader import Level, Slide, check_levels
from histome.slide.rgb import gray_to_rgb, over_white, refuse_channels, refuse_depth, white

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JPEG_MAGIC = b"\xff\xd8\xff"
# 1.2 GB of RGB: more belongs into a tiled file.
MAX_PX = 400_000_000
_BAND_ROWS = 256


class PlainReader:
    """A field of view held in memory as (h, w, 3) uint8: one level, nothing that can break later."""

    def __init__(
        self,
        path: Path,
        pixels: NDArray[np.uint8],
        *,
        format: str,
        hints: MppHints,
        notes: tuple[str, ...] = (),
    ) -> None:
        """Hold the pixels; raises SlideError for an empty image."""
        height, width = pixels.shape[:2]
        self._pixels = pixels
        self.format = format
        self.levels = check_levels(path, (Level(width, height, 1.0, width, _BAND_ROWS),))
        self.properties: dict[str, str] = {}
        self.mpp_hints = hints
        self.layout = b""
        self.broken = BrokenTiles()
        self.notes = notes

    def read(self, level: int, x: int, y: int, w: int, h: int) -> NDArray[np.uint8]:
        """Return (h, w, 3) RGB from (x, y), white outside; `level` is 0."""
        height, width = self._pixels.shape[:2]
        left, top = max(0, x), max(0, y)
        right, bottom = min(width, x + w), min(height, y + h)
        out = white(h, w)
        if left < right and top < bottom:
            out[top - y : bottom - y, left - x : right - x] = self._pixels[top:bottom, left:right]
        return out

    def close(self) -> None:
        """Release the pixels."""
        self._pixels = np.empty((0, 0, 3), np.uint8)


def array_slide(pixels: NDArray[np.uint8], mpp: float, *, name: str = "array") -> Slide:
    """Return (h, w, 3) uint8 pixels of `mpp` um/px as a slide, as if they had been read from a file."""
    path = Path(f"{name}.png")
    reader = PlainReader(path, np.ascontiguousarray(pixels), format="array", hints=MppHints())
    return Slide(path, reader, Mpp(mpp, mpp, "given"))


def open_plain(path: Path) -> PlainReader:
    """Open a PNG or JPEG.

    Palette and gray become RGB, transparency is laid over white, each with a note.
    Raises SlideError for 16-bit and CMYK images, for damage and for more than 400 Mpx.
    """
    try:
        with _image(path) as image:
            check_size(path, *image.size)
            pixels, notes = _to_rgb(path, image)
            return PlainReader(
                path, pixels, format=str(image.format).lower(), hints=_hints(image), notes=notes
            )
    # Pillow raises these for headers and data that it cannot parse.
    except (OSError, SyntaxError, ValueError, StructError) as error:
        raise SlideError(
            f"{path.name} cannot be decoded ({error}); it is damaged: export it again."
        ) from error


def check_size(path: Path, width: int, height: int) -> None:
    """Raise SlideError where an image to be held in memory claims more than 400 Mpx."""
    if width * height > MAX_PX:
        raise SlideError(
            f"{path.name} claims {width} x {height} px in one piece (limit {MAX_PX // 1_000_000} Mpx); "
            f"convert it to a tiled pyramidal TIFF."
        )


def _image(path: Path) -> ImageFile:
    """Open by content. Image.open would apply its own size limit, a global setting of the whole process."""
    with path.open("rb") as file:
        head = file.read(26)
    if head.startswith(PNG_MAGIC):
        # Byte 24 is the bit depth: Pillow cuts 16-bit RGB to 8 bits without a word.
        if len(head) > 24 and head[24] == 16:
            raise refuse_depth(path, 16)
        return PngImageFile(path)
    return JpegImageFile(path)


def _to_rgb(path: Path, image: ImageFile) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    transparent = image.mode in ("RGBA", "LA") or "transparency" in image.info
    if transparent:
        return over_white(np.asarray(image.convert("RGBA"))), ("transparency was laid over white",)
    match image.mode:
        case "RGB":
            return np.asarray(image), ()
        case "P":
            return np.asarray(image.convert("RGB")), ("palette colors were converted to RGB",)
        case "L" | "1":
            return gray_to_rgb(np.asarray(image.convert("L"))), (
                "a gray image was repeated in three channels",
            )
    raise refuse_channels(path, f"the color mode {image.mode}")


def _hints(image: Image.Image) -> MppHints:
    """Take the density of PNG (pHYs) or JPEG (JFIF), which Pillow gives in dots per inch."""
    density = image.info.get("dpi")
    if not density or not all(value > 0 for value in density):
        return MppHints()
    return MppHints(resolution=(25_400 / float(density[0]), 25_400 / float(density[1])))
