"""Micrometers per pixel: one chain of sources, and an error with a way out where none can be believed."""

import math
from pathlib import Path
from typing import NamedTuple

from histome.errors import MppError, UsageError

PLAUSIBLE_UM = (0.05, 5.0)
# Of coordinates without a slide: other programs write them on reduced pictures, too.
COORDINATES_UM = (0.01, 10.0)
# Two statements of one file that are meant to agree may differ by rounding, not by more.
AGREEMENT = 1.1
# 10 / magnification is nominal: 20x scanners are sold with 0.44-0.52 um/px, 40x with 0.19-0.28.
NOMINAL_AGREEMENT = 1.6
ANISOTROPY_LIMIT = 2.0
ANISOTROPY_NOTED = 1.01
UNIT_TRAPS = (10.0, 2.54)
# No number to copy: a wrong one is worse than none.
_WHERE_IT_STANDS = (
    "look it up where the slide was scanned or exported (40x is about 0.25, 20x about 0.5, a reduced copy "
    "more) and pass it with --mpp: a wrong one makes every area, density, nucleus and class wrong."
)

OVERRIDDEN = "given by the user"

PixelSize = tuple[float, float]


class Frame(NamedTuple):
    """The picture that places refer to: its id, width and height in level-0 px, um per px in x and y."""

    slide: str
    size_px: tuple[int, int]
    mpp: tuple[float, float]

    @property
    def extent_um(self) -> tuple[float, float]:
        """Width and height in um."""
        return self.size_px[0] * self.mpp[0], self.size_px[1] * self.mpp[1]


class Mpp(NamedTuple):
    """Pixel size of level 0 in um/px along x and y, its source, and whether it is only an estimate."""

    x: float
    y: float
    source: str
    estimated: bool = False
    notes: tuple[str, ...] = ()


class MppHints(NamedTuple):
    """What a file says about its pixel size, um/px as (x, y): nothing here is checked yet.

    Attributes
    ----------
    own : (float, float), um/px, or None
        The format's own property.
    standard : (float, float), um/px, or None
        OME or DICOM metadata.
    standard_name : str
        Which of them.
    resolution : (float, float), um/px, or None
        The TIFF resolution tags with their unit, or the density of a PNG or JPEG.
    resolution_name : str
        Which of them.
    objective_power : float or None
        20 for 20x.
    """

    own: PixelSize | None = None
    standard: PixelSize | None = None
    standard_name: str = "OME"
    resolution: PixelSize | None = None
    resolution_name: str = "TIFF resolution"
    objective_power: float | None = None


def check_given_mpp(mpp: float) -> None:
    """Refuse a resolution stated for an image that no image has; raises UsageError."""
    if not is_plausible((mpp, mpp)):
        raise UsageError(f"--mpp {mpp:g} is implausible: give micrometers per pixel, from 0.05 to 5.")


def check_coordinates_mpp(mpp: float) -> None:
    """Refuse a resolution stated for coordinates that no microscope has; raises UsageError."""
    low, high = COORDINATES_UM
    if not low <= mpp <= high:
        raise UsageError(f"--mpp {mpp:g}: um per px lie between {low:g} and {high:g}")


def resolve_mpp(
    path: Path, hints: MppHints, *, override: float | None = None, allow_estimated: bool = False
) -> Mpp:
    """Return the pixel size: override > own property > OME or DICOM > TIFF resolution > objective power.

    The objective power (10 / magnification) counts only with `allow_estimated`.
    Raises UsageError for an implausible override and MppError where the file's statements are missing,
    implausible (outside 0.05-5 um/px), contradictory, or x and y differ by more than a factor of 2.
    """
    if override is not None:
        return _overridden(hints, override)
    mpp = _stated(path, hints) or _from_resolution(path, hints) or _estimated(path, hints, allow_estimated)
    if _ratio(mpp.x, mpp.y) > ANISOTROPY_LIMIT:
        raise MppError(
            f"{path.name} says {mpp.x:.4g} x {mpp.y:.4g} um/px ({mpp.source}): pixels that oblong are an "
            f"error; pass --mpp if you know the true value."
        )
    if _ratio(mpp.x, mpp.y) > ANISOTROPY_NOTED:
        return mpp._replace(notes=(*mpp.notes, f"pixels are {mpp.x:.4g} x {mpp.y:.4g} um"))
    return mpp


def resolution_um(pixels_per_unit: PixelSize, unit: str) -> PixelSize | None:
    """Return um/px from a TIFF resolution per "inch" or "centimeter"; None for other units or no number."""
    unit_um = {"inch": 25_400.0, "centimeter": 10_000.0}.get(unit)
    if unit_um is None or not all(math.isfinite(value) and value > 0 for value in pixels_per_unit):
        return None
    return unit_um / pixels_per_unit[0], unit_um / pixels_per_unit[1]


def is_plausible(size: PixelSize) -> bool:
    """Whether both sides of a pixel lie within 0.05-5 um."""
    low, high = PLAUSIBLE_UM
    return all(math.isfinite(side) and low <= side <= high for side in size)


def _ratio(a: float, b: float) -> float:
    return max(a, b) / min(a, b)


def _overridden(hints: MppHints, override: float) -> Mpp:
    check_given_mpp(override)
    stated = hints.own or hints.standard or hints.resolution
    if stated is None or not is_plausible(stated):
        notes = _objective_note((override, override), hints)
    elif max(_ratio(side, override) for side in stated) > 1.02:
        said = " x ".join(dict.fromkeys(f"{side:.4g}" for side in stated))
        notes = (f"--mpp {override:g} replaces {said} um/px that the file states",)
    else:
        notes = ()
    return Mpp(override, override, OVERRIDDEN, notes=notes)


def _stated(path: Path, hints: MppHints) -> Mpp | None:
    own, standard = hints.own, hints.standard
    if own and standard and _disagree(own, standard):
        raise MppError(
            f"{path.name} contradicts itself: {own[0]:.4g} um/px as its own property, {standard[0]:.4g} "
            f"um/px in its {hints.standard_name} metadata; pass --mpp with the true value."
        )
    named = ((own, "file property"), (standard, f"{hints.standard_name} metadata"))
    for size, source in named:
        if size is None:
            continue
        if not is_plausible(size):
            raise _implausible(path, size, source)
        return Mpp(*size, source, notes=_objective_note(size, hints))
    return None


def _objective_note(size: PixelSize, hints: MppHints) -> tuple[str, ...]:
    nominal = _nominal_um(hints)
    if nominal is None or _ratio(size[0], nominal) <= NOMINAL_AGREEMENT:
        return ()
    return (f"{size[0]:.4g} um/px is unusual for a {hints.objective_power:g}x objective",)


def _disagree(own: PixelSize, standard: PixelSize) -> bool:
    both_plausible = is_plausible(own) and is_plausible(standard)
    return both_plausible and max(_ratio(own[0], standard[0]), _ratio(own[1], standard[1])) > AGREEMENT


def _implausible(path: Path, size: PixelSize, source: str, hint: str = "") -> MppError:
    return MppError(
        f"{path.name} says {size[0]:.4g} um/px ({source}), outside the plausible 0.05-5{hint}; "
        f"pass --mpp if you know the true value."
    )


def _nominal_um(hints: MppHints) -> float | None:
    power = hints.objective_power
    if power is None or not math.isfinite(power) or not 1 <= power <= 150:
        return None
    return 10.0 / power


def _from_resolution(path: Path, hints: MppHints) -> Mpp | None:
    size, nominal = hints.resolution, _nominal_um(hints)
    # Screen and print resolutions (72-300 dots per inch are 85-353 um/px) say nothing about a microscope.
    if size is None or min(size) > 50:
        return None
    if not is_plausible(size):
        raise _implausible(path, size, hints.resolution_name, _trap_hint(size[0], nominal))
    if nominal is not None and _ratio(size[0], nominal) > NOMINAL_AGREEMENT:
        raise MppError(
            f"{path.name} contradicts itself: its {hints.resolution_name} says {size[0]:.4g} um/px, its "
            f"objective {hints.objective_power:g}x about {nominal:.3g}{_trap_hint(size[0], nominal)}; "
            f"pass --mpp with the true value."
        )
    return Mpp(*size, hints.resolution_name)


def _trap_hint(value_um: float, nominal_um: float | None) -> str:
    """Name the unit error that would explain `value_um`: never applied, only suggested."""
    low, high = (0.1, 1.1) if nominal_um is None else (nominal_um / 1.25, nominal_um * 1.25)
    for factor in UNIT_TRAPS:
        for corrected in (value_um * factor, value_um / factor):
            if low <= corrected <= high:
                return f" (a wrong resolution unit, a factor of {factor:g}, would make it {corrected:.4g})"
    return ""


def _estimated(path: Path, hints: MppHints, allow_estimated: bool) -> Mpp:
    nominal = _nominal_um(hints)
    if nominal is None:
        raise MppError(f"{path.name} does not say its micrometers per pixel; {_WHERE_IT_STANDS}")
    if not allow_estimated:
        raise MppError(
            f"{path.name} does not say its micrometers per pixel, only {hints.objective_power:g}x: "
            f"--allow-estimated-mpp takes {nominal:.3g}; or {_WHERE_IT_STANDS}"
        )
    note = f"{nominal:.3g} um/px is estimated from {hints.objective_power:g}x"
    return Mpp(nominal, nominal, "objective power", estimated=True, notes=(note,))
