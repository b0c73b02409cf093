"""What a TIFF says about itself: pyramid levels, pixel size, properties."""

from collections.abc import Iterator
from xml.etree import ElementTree

from tifffile import FILETYPE, TiffFile, TiffPage

from histome.slide.mpp import MppHints, PixelSize, resolution_um
from histome.slide.reader import Level

# Levels of one image have its shape up to rounding; a label or macro image does not.
ASPECT_TOLERANCE = 0.05
MAX_XML_CHARS = 20_000_000
_UM_PER_UNIT = {"µm": 1.0, "μm": 1.0, "um": 1.0, "micron": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6}
_IMAGEJ_MICRONS = {"micron", "microns", "um", "µm", "\\u00B5m"}


def pyramid_pages(tiff: TiffFile) -> list[TiffPage]:
    """Return the pages of the first pyramid, finest first: its SubIFDs, else the tiled pages after it."""
    first = tiff.pages.first
    sub = list(first.pages or ()) if first.subifds else []
    following = [] if sub else list(tiff.pages[1:])
    chosen = [first]
    for page in (*sub, *following):
        if isinstance(page, TiffPage) and _is_level_of(first, chosen[-1], page):
            chosen.append(page)
    return chosen


def equal_pages(tiff: TiffFile) -> int:
    """Return how many pages have the first one's size and kind, itself included: those of a stack.

    Levels, thumbnails, labels and masks are none: smaller, marked so, of other colors or not tiled alike.
    """
    first, others = tiff.pages.first, tiff.pages[1:]
    return 1 + sum(isinstance(page, TiffPage) and _kind(page) == _kind(first) for page in others)


def levels(pages: list[TiffPage]) -> Iterator[Level]:
    """Yield the levels of pages; a half that was rounded up or down still is a downsample of exactly 2."""
    first = pages[0]
    for page in pages:
        downsample = _downsample((first.imagewidth, first.imagelength), (page.imagewidth, page.imagelength))
        yield Level(page.imagewidth, page.imagelength, downsample, page.tilewidth, page.tilelength)


def read(tiff: TiffFile, vendor: str) -> tuple[dict[str, str], MppHints]:
    """Return raw properties (not yet allow-listed) and the hints about the pixel size."""
    page = tiff.pages.first
    resolution = _resolution(page)
    if vendor == "aperio":
        raw = {f"aperio.{key}": value for key, value in _aperio(page.description).items()}
        mpp, power = _number(raw.get("aperio.MPP")), _number(raw.get("aperio.AppMag"))
        return raw, MppHints(own=(mpp, mpp) if mpp else None, resolution=resolution, objective_power=power)
    raw = {f"tiff.{name}": str(page.tags[name].value) for name in ("Make", "Model") if name in page.tags}
    imagej = tiff.imagej_metadata or {}
    if imagej.get("unit") in _IMAGEJ_MICRONS:
        return raw, MppHints(own=_imagej(page))
    standard, power = _ome(tiff.ome_metadata or "")
    return raw, MppHints(standard=standard, resolution=resolution, objective_power=power)


def _kind(page: TiffPage) -> tuple[object, ...]:
    is_less = bool(page.subfiletype & FILETYPE.REDUCEDIMAGE)  # so labels and macro images are marked, too
    return page.shape, page.dtype, page.photometric, page.is_tiled, is_less


def _is_level_of(first: TiffPage, last: TiffPage, page: TiffPage) -> bool:
    if not page.is_tiled or page.imagewidth >= last.imagewidth or page.imagelength >= last.imagelength:
        return False
    across, down = first.imagewidth / page.imagewidth, first.imagelength / page.imagelength
    # One px of rounding on each side is no difference in shape.
    slack = ASPECT_TOLERANCE + 1 / page.imagewidth + 1 / page.imagelength
    return abs(across / down - 1) <= slack and page.samplesperpixel == first.samplesperpixel


def _downsample(whole: tuple[int, int], part: tuple[int, int]) -> float:
    ratio = (whole[0] / part[0] + whole[1] / part[1]) / 2
    nearest = max(1, round(ratio))
    for factor in (nearest, 1 << max(0, round(ratio).bit_length() - 1)):
        # Each halving may round either way, so a side may be off by one px at every level.
        if all(abs(side / factor - small) <= 1 for side, small in zip(whole, part, strict=True)):
            return float(factor)
    return ratio


def _aperio(description: str) -> dict[str, str]:
    pairs = (part.split("=", 1) for part in description.split("|")[1:] if "=" in part)
    return {key.strip(): value.strip() for key, value in pairs}


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _pixels_per_unit(page: TiffPage) -> PixelSize | None:
    if "XResolution" not in page.tags or "YResolution" not in page.tags:
        return None
    values = page.tags["XResolution"].value, page.tags["YResolution"].value
    (x, x_base), (y, y_base) = values
    return None if 0 in (x, x_base, y, y_base) else (x / x_base, y / y_base)


def _resolution(page: TiffPage) -> PixelSize | None:
    pixels = _pixels_per_unit(page)
    unit = page.tags["ResolutionUnit"].value if "ResolutionUnit" in page.tags else 2
    name = {2: "inch", 3: "centimeter"}.get(int(unit), "none")
    return resolution_um(pixels, name) if pixels else None


def _imagej(page: TiffPage) -> PixelSize | None:
    """ImageJ writes pixels per micron, without a unit."""
    pixels = _pixels_per_unit(page)
    return pixels and (1 / pixels[0], 1 / pixels[1])


def _ome(xml: str) -> tuple[PixelSize | None, float | None]:
    """Return PhysicalSize and nominal magnification of the first image of OME-XML."""
    root = _parsed(xml)
    if root is None:
        return None, None
    pixels = root.find(".//{*}Pixels")
    objective = root.find(".//{*}Objective")
    power = None if objective is None else _number(objective.get("NominalMagnification"))
    return (None if pixels is None else _physical_size(pixels)), power


def _parsed(xml: str) -> ElementTree.Element | None:
    # Entities are how a small XML grows to gigabytes; OME-XML has none.
    if not xml or len(xml) > MAX_XML_CHARS or "<!ENTITY" in xml:
        return None
    try:
        return ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return None


def _physical_size(pixels: ElementTree.Element) -> PixelSize | None:
    sizes = [_number(pixels.get(f"PhysicalSize{axis}")) for axis in "XY"]
    units = [_UM_PER_UNIT.get(pixels.get(f"PhysicalSize{axis}Unit", "µm")) for axis in "XY"]
    if None in sizes or None in units:
        return None
    x, y = (float(size) * float(unit) for size, unit in zip(sizes, units, strict=True) if size and unit)
    return x, y


def ome_axes(tiff: TiffFile) -> str:
    """Return the axes longer than 1 of the first OME image besides y, x and its color samples, such as CT.

    Read from the OME-XML alone: the images that it claims are not looked up. Empty where it is no OME-TIFF.
    """
    root = _parsed(tiff.ome_metadata or "")
    pixels = None if root is None else root.find(".//{*}Pixels")
    if pixels is None:
        return ""
    lengths = {axis: _number(pixels.get(f"Size{axis}")) or 1 for axis in "CZT"}
    samples = tiff.pages.first.samplesperpixel
    return "".join(axis for axis, length in lengths.items() if length > (samples if axis == "C" else 1))
