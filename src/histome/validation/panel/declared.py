"""What a panel file says: markers, and the rule of each class."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from histome.classes import CELL_CLASSES
from histome.config import Settings, read_settings
from histome.slide.stain import DAB_RGB_OD

Vector = tuple[float, float, float]
# Optical density of pure chromogens, R, G, B: Ruifrok and Johnston, Anal. Quant. Cytol. Histol. 23 (2001)
# 291-299, and those that ImageJ's plugin measured.
CHROMOGENS: Mapping[str, Vector] = {
    "DAB": DAB_RGB_OD,
    "AEC": (0.2743, 0.6796, 0.6803),
    "FAST_RED": (0.2139, 0.8511, 0.4779),
    "FAST_BLUE": (0.7489, 0.6062, 0.2673),
}


class Marker(Settings):
    """How one marker is read.

    Attributes
    ----------
    stain : str
        Name of the picture that shows it.
    chromogen : str or (R, G, B)
        A name of `CHROMOGENS`, or the optical density of the pure chromogen.
    where : "nucleus", "cytoplasm" or "cell"
        The outline, the ring around it, or both.
    above_od : float
        A pixel with more density is positive.
    share : float, 0-1
        A nucleus whose compartment has this share of positive pixels is positive.
    """

    stain: str
    chromogen: str | Vector = "DAB"
    where: Literal["nucleus", "cytoplasm", "cell"] = "cytoplasm"
    above_od: Annotated[float, Field(gt=0.0)] = 0.2
    share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.3

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        if isinstance(self.chromogen, str) and self.chromogen not in CHROMOGENS:
            raise ValueError(f"chromogen {self.chromogen!r}: name one of {', '.join(CHROMOGENS)}, or R, G, B")
        if not isinstance(self.chromogen, str) and (min(self.chromogen) < 0 or sum(self.chromogen) <= 0):
            raise ValueError("a chromogen's densities are not negative, and not all 0")
        return self

    @property
    def rgb_od(self) -> Vector:
        """Optical density of the pure chromogen."""
        return CHROMOGENS[self.chromogen] if isinstance(self.chromogen, str) else self.chromogen


class Rule(Settings):
    """A class: all of these markers, and none of those."""

    positive: Annotated[tuple[str, ...], Field(min_length=1)]
    negative: tuple[str, ...] = ()


class Panel(Settings):
    """Markers and classes.

    Attributes
    ----------
    ring_um : float, um
        Width of the cytoplasm's ring around a nucleus; a pixel belongs to the nearest nucleus.
    lost_below_od : float
        A nucleus whose outline has less density of all stains in a picture is lost there: washed away, or
        outside of it.
    markers, classes : name -> Marker, Rule
        Classes are named as `classes.CELL_CLASSES`.
    """

    ring_um: Annotated[float, Field(gt=0.0, le=20.0)] = 3.0
    lost_below_od: Annotated[float, Field(ge=0.0)] = 0.04
    markers: Annotated[Mapping[str, Marker], Field(min_length=1)]
    classes: Annotated[Mapping[str, Rule], Field(min_length=1)]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name, rule in self.classes.items():
            if name not in CELL_CLASSES:
                raise ValueError(f"class {name!r} is none of {', '.join(CELL_CLASSES)}")
            unknown = sorted({*rule.positive, *rule.negative} - set(self.markers))
            if unknown or set(rule.positive) & set(rule.negative):
                told = (
                    f"no marker {', '.join(unknown)}" if unknown else "a marker is both positive and negative"
                )
                raise ValueError(f"class {name}: {told}")
        for stain in self.stains:
            if len({marker.rgb_od for marker in self.of_stain(stain).values()}) > 2:
                raise ValueError(f"stain {stain}: three colors hold hematoxylin and two chromogens, no more")
        return self

    @property
    def stains(self) -> tuple[str, ...]:
        """The pictures that are asked for, in the order of the file."""
        return tuple(dict.fromkeys(marker.stain for marker in self.markers.values()))

    def of_stain(self, stain: str) -> dict[str, Marker]:
        """The markers that one picture shows."""
        return {name: marker for name, marker in self.markers.items() if marker.stain == stain}


def read_panel(path: Path) -> Panel:
    """Read a panel's TOML file; raises UsageError, one line, for anything that is none."""
    return read_settings(Panel, path, what="panel entry")
