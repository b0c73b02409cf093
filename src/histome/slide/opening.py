"""Open a slide: which reader takes a file is decided by its first bytes."""

import re
from pathlib import Path

from histome.errors import HistomeError, SlideError
from histome.slide import openslide
from histome.slide.containers.dicom import is_dicom
from histome.slide.containers.foreign import conversion
from histome.slide.mpp import resolve_mpp
from histome.slide.plain import JPEG_MAGIC, PNG_MAGIC, open_plain
from histome.slide.reader import Reader, Slide
from histome.slide.tiff import check_directories, open_tiff

TIFF_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# OpenSlide's formats whose tiles lie in plain TIFF order: read here, several times faster.
OWN_TIFF_VENDORS = (None, "aperio", "generic-tiff")
# https, s3, gs, ...: as a path an address has one slash of its two. Drives of Windows have one letter.
_ADDRESS = re.compile(r"(?!file:)([A-Za-z][A-Za-z0-9+.-]+):/+(.+)")


def open_slide(path: Path | str, *, mpp: float | None = None, allow_estimated_mpp: bool = False) -> Slide:
    """Open a slide or field of view: OpenSlide's formats, tiled and OME TIFF, DICOM, PNG, JPEG, TIFF.

    `mpp` (um/px) overrides what the file says. Raises SlideError for a file that cannot be read and its kind
    MppError for a resolution that is missing, implausible or contradictory; each is one line.

    Examples
    --------
    >>> with histome.open_slide("slide.svs") as slide:
    ...     print(slide)
    Slide('slide', 1024 x 1024 px, 0.5 um/px)

    A picture says no resolution; you do:

    >>> with histome.open_slide("field.png", mpp=0.5) as field:
    ...     field.size_px, field.extent_um
    ((512, 512), (256.0, 256.0))
    """
    path = Path(path)
    reader = _reader(path)
    try:
        size = resolve_mpp(path, reader.mpp_hints, override=mpp, allow_estimated=allow_estimated_mpp)
    except HistomeError:
        reader.close()
        raise
    return Slide(path, reader, size)


def _reader(path: Path) -> Reader:
    head = _head(path)
    if head.startswith(TIFF_MAGICS):
        check_directories(path)  # before OpenSlide and tifffile read what they list
    vendor = openslide.detect(path)
    # Before TIFF: the file of a VSI or LSM is one, with a small overview in it.
    if vendor in (None, "generic-tiff") and (way_out := conversion(path, head)):
        raise SlideError(f"{path.name} {way_out}.")
    if head.startswith(TIFF_MAGICS) and vendor in OWN_TIFF_VENDORS:
        own = open_tiff(path, vendor or "tiff")
        if own is not None:
            return own
    if vendor is not None:
        return openslide.OpenSlideReader(path)
    if head.startswith((PNG_MAGIC, JPEG_MAGIC)):
        return open_plain(path)
    if path.suffix.lower() in (".dcm", ".dicom") or is_dicom(head):
        raise SlideError(
            f"{path.name} is not a DICOM whole-slide image that OpenSlide reads, or it is damaged."
        )
    raise SlideError(
        f"{path.name} is no slide or image that histome reads "
        f"(SVS, NDPI, MRXS, SCN, BIF, CZI, DICOM, TIFF, PNG, JPEG)."
    )


def _head(path: Path) -> bytes:
    if not path.exists():
        if address := _ADDRESS.fullmatch(path.as_posix()):
            raise SlideError(
                f"{address[1]}://{address[2]} is an address, which only `cohort run` reads: download it."
            )
        raise SlideError(f"{path} does not exist.")
    if path.is_dir():
        way_out = conversion(path, b"") or "is a folder, not a slide; name a file in it"
        raise SlideError(f"{path} {way_out}.")
    if not path.is_file():
        raise SlideError(f"{path} is a pipe or a device, not a file; save the slide as a file first.")
    try:
        with path.open("rb") as file:
            head = file.read(132)
    except OSError as error:
        raise SlideError(f"{path} cannot be read: {error.strerror}.") from error
    if not head:
        raise SlideError(f"{path.name} is empty (0 bytes); copy it again.")
    return head
