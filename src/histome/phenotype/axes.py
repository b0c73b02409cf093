"""The six phenotype axes, their thresholds, labels and tokens, as `phenotypes.toml` has them."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from histome import classes
from histome.config import Settings, read_settings
from histome.errors import UsageError

# Classes 1-5 of PanNuke's ontology, in the order of their codes; 0 is background.
PANNUKE_CLASSES = tuple(name.capitalize() for name in classes.PANNUKE_CLASSES)
Unit = Literal["px", "um"]
Level = Literal["low", "intermediate", "high"]


class PhenotypeLabel(Settings):
    """The label of one level of an axis, and the tokens that stand for it, if any.

    `rests_on` are the classes that it says are there: of each it needs as many cells as a tile needs in all.
    """

    label: str
    rests_on: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()


class AxisCuts(Settings):
    """Limits of an axis in its unit: under `below` it is low, over `above` high."""

    below: float
    above: float

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.below > self.above:
            raise ValueError(f"below ({self.below:g}) is over above ({self.above:g})")
        return self


class Axis(AxisCuts):
    """One axis: which of the raw data decides it, its two limits (`unit`: 1, um or um2), its labels.

    `paper` are the paper's two limits, in px or px2 where the axis is a length or an area; `rests_on` are the
    classes of whose cells alone the value is a mean.
    """

    value: str
    rests_on: tuple[str, ...] = ()
    unit: Literal["1", "um", "um2"] = "1"
    paper: tuple[float, float]
    low: PhenotypeLabel
    intermediate: PhenotypeLabel
    high: PhenotypeLabel

    def refused(self, least: float, most: float) -> str:
        """Return why values or limits of such a range are none of this axis; empty where they may be."""
        if least < 0.0:
            return f"{self.value} is never under 0"
        if self.value.startswith("ratio_") and most > 1.0:
            return f"{self.value} is a share, from 0 to 1, not percent"
        return ""

    def level(self, value: float, *, paper: bool = False) -> Level:
        """Return where a value lies; with `paper` by the paper's limits, lengths in px."""
        below, above = self.paper if paper else (self.below, self.above)
        if value > above:
            return "high"
        return "low" if value < below else "intermediate"

    def at(self, level: Level) -> PhenotypeLabel:
        """Return the label at a level."""
        return getattr(self, level)


class LowPurity(Settings):
    """Tokens of low tumor purity, by which of the other cells prevail."""

    immune: tuple[str, ...]
    stroma: tuple[str, ...]


class Bystander(Settings):
    """Tokens of inflammatory cells of which few are engaged."""

    tokens: tuple[str, ...]


class Phenotypes(Settings):
    """Everything in `phenotypes.toml`; lengths in um, areas in um2, shares 0-1."""

    paper_mpp: float = Field(gt=0)
    engaged_px: float = Field(gt=0)
    bystander_below: float
    fewest_cells: int
    axes: Mapping[str, Axis]
    low_purity: LowPurity
    bystander: Bystander
    contradicts: Mapping[str, tuple[str, ...]]

    def engaged(self, unit: Unit) -> float:
        """Return how near an engaged cell is; the paper's pixels, or what they stand for in um."""
        return self.engaged_px * (self.paper_mpp if unit == "um" else 1.0)

    def with_cuts(self, cuts: Mapping[str, AxisCuts]) -> "Phenotypes":
        """Return the same with the limits of some axes changed."""
        axes = {
            name: axis.model_copy(update=cuts[name].model_dump()) if name in cuts else axis
            for name, axis in self.axes.items()
        }
        return self.model_copy(update={"axes": axes})


class CutsFile(Settings):
    """A user's TOML of limits: a table an axis, with `below` and `above`."""

    composition: AxisCuts | None = None
    immune: AxisCuts | None = None
    stroma: AxisCuts | None = None
    interaction: AxisCuts | None = None
    architecture: AxisCuts | None = None
    morphology: AxisCuts | None = None


@cache
def phenotypes() -> Phenotypes:
    """Return the shipped thresholds, labels and tokens."""
    return read_settings(Phenotypes, files("histome.phenotype").joinpath("phenotypes.toml"))


def phenotypes_of(cuts: Path | None) -> Phenotypes:
    """Return the shipped ones with the limits of a user's TOML file in their place.

    Raises UsageError, one line, for a file that cannot be read, has no limits or names an unknown axis.
    """
    if cuts is None:
        return phenotypes()
    found = {name: limits for name, limits in read_settings(CutsFile, cuts) if limits is not None}
    if not found:
        raise UsageError(
            f"{cuts}: no limits in use; give a table such as [morphology] with below and above, or no file"
        )
    for name, limits in found.items():
        axis = phenotypes().axes[name]
        if why := axis.refused(limits.below, limits.above):
            raise UsageError(f"{cuts}: {name}: {why}")
        if limits.above <= 0.0:
            raise UsageError(f"{cuts}: {name}: {axis.value} is never under 0; give limits from 0 on")
    return phenotypes().with_cuts(found)
