"""What a slide claims of itself, looked at before OpenSlide believes it.

Where memory does not suffice, OpenSlide ends the process instead of reporting an error.
"""

import re
from itertools import islice
from pathlib import Path

from tifffile import TiffFile, TiffPage

from histome.errors import SlideError
from histome.slide.containers.dicom import values
from histome.slide.containers.files import slide_files
from histome.slide.reader import Level
from histome.slide.tiff.page import DAMAGE

# Photographs of a MIRAX slide, of which real ones have some 300,000; tiles of a BIF.
_MOST_PIECES = 5_000_000
_XML, _SIDES = 700, (b"NumRows", b"NumCols")
# A pyramid has ten levels, a label, a macro image, some focal planes.
_MOST_PAGES, MOST_TILE_PX = 1000, 64_000_000
# The least of DICOM's frames is an item without content.
_LEAST_FRAME_BYTES = 8
# Of the coarsest level. Empty glass as JPEG has about 100, and glass that was not scanned is sparser still.
_MOST_PX_PER_BYTE = 10_000
_COLUMNS, _ROWS, _FRAMES = (0x0048, 0x0006), (0x0048, 0x0007), (0x0028, 0x0008)
_FRAME_ROWS, _FRAME_COLUMNS = (0x0028, 0x0010), (0x0028, 0x0011)
# A sparse slide leaves out its glass; tissue on a thousandth of it would be a speck.
_MOST_PX_PER_FRAME_PX = 1000


def check_claims(path: Path) -> None:
    """Raise SlideError where MRXS, DICOM or a TIFF claim what no slide has: OpenSlide would allocate it."""
    if path.suffix.lower() == ".mrxs":
        _check_mirax(path)
        return
    _check_tiff(path)
    files = slide_files(path)
    for file in files:
        name = path.name if file == path else f"{path.name} ({file.name})"
        _check_dicom(name, file, sum(each.stat().st_size for each in files))


def check_tile(path: Path, width: int, height: int) -> None:
    """Raise SlideError for a tile of more than 64 Mpx."""
    if not 0 < width * height <= MOST_TILE_PX:
        raise SlideError(f"{path.name} claims tiles of {width} x {height} px; it is damaged.")


def check_content(path: Path, levels: tuple[Level, ...]) -> None:
    """Raise SlideError where even the coarsest level has far more pixels than the files could hold."""
    _check_size(path.name, *levels[-1][:2], sum(file.stat().st_size for file in slide_files(path)))


def _check_size(name: str, width: int, height: int, size: int) -> None:
    if width * height > _MOST_PX_PER_BYTE * size:
        raise SlideError(f"{name} claims {width} x {height} px in {size} bytes; it is damaged.")


def _check_mirax(path: Path) -> None:
    try:
        text = (path.with_suffix("") / "Slidedat.ini").read_bytes().decode("utf-8", "replace")
    except OSError:
        return  # OpenSlide says what is missing
    across, down = (_largest(text, f"IMAGENUMBER_{side}") for side in "XY")
    if across * down > _MOST_PIECES:
        raise SlideError(f"{path.name} claims {across} x {down} photographs; it is damaged.")
    check_tile(path, _largest(text, "DIGITIZER_WIDTH"), _largest(text, "DIGITIZER_HEIGHT"))


def _check_tiff(path: Path) -> None:
    try:
        with TiffFile(path) as tiff:
            for page in islice(tiff.pages, _MOST_PAGES):
                if isinstance(page, TiffPage) and page.is_tiled:
                    check_tile(path, page.tilewidth, page.tilelength)
                    _check_ventana(path, page)
    except DAMAGE:
        return  # no TIFF, or one that OpenSlide refuses


def _check_ventana(path: Path, page: TiffPage) -> None:
    text = page.tags.valueof(_XML, b"")
    if not isinstance(text, bytes) or b"EncodeInfo" not in text:
        return
    down, across = (max(map(int, re.findall(side + rb'="(\d{1,20})"', text)), default=1) for side in _SIDES)
    if down * across > _MOST_PIECES:
        raise SlideError(f"{path.name} claims {across} x {down} tiles; it is damaged.")


def _largest(text: str, key: str) -> int:
    return max(
        (int(number) for number in re.findall(rf"^\s*{key}\s*=\s*(\d{{1,20}})", text, re.M)), default=1
    )


def _check_dicom(name: str, file: Path, size: int) -> None:
    found = values(file, (_COLUMNS, _ROWS, _FRAMES, _FRAME_ROWS, _FRAME_COLUMNS))
    frames = found.pop(_FRAMES, b"").strip()
    number = {tag: int.from_bytes(value, "little") for tag, value in found.items()}
    width, height = number.get(_COLUMNS, 0), number.get(_ROWS, 0)
    _check_size(name, width, height, size)
    if not frames.isdigit():
        return
    if int(frames) > file.stat().st_size / _LEAST_FRAME_BYTES:
        raise SlideError(f"{name} claims {int(frames)} frames; it is damaged.")
    held = int(frames) * number.get(_FRAME_ROWS, 0) * number.get(_FRAME_COLUMNS, 0)
    if 0 < _MOST_PX_PER_FRAME_PX * held < width * height:
        raise SlideError(f"{name} claims {width} x {height} px in {int(frames)} frames; it is damaged.")
