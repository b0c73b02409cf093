"""The six phenotype axes, their thresholds, labels and tokens, as `phenotypes.toml` has them."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Literal

from pydantic import Field

from histome import classes
from histome.config import Settings, read_settings

# Classes 1-5 of PanNuke's ontology, in the order of their codes; 0 is background.
PANNUKE_CLASSES = tuple(name.capitalize() for name in classes.PANNUKE_CLASSES)
Unit = Literal["px", "um"]
Level = Literal["low", "intermediate", "high"]
_POWERS = {"1": 0, "um": 1, "um2": 2}


class PhenotypeLabel(Settings):
    """The label of one level of an axis, and the tokens that stand for it, if any."""

    label: str
    tokens: tuple[str, ...] = ()


class Axis(Settings):
    """One axis: which of the raw data decides it, its two limits (`unit`: 1, um or um2), its labels."""

    value: str
    unit: Literal["1", "um", "um2"] = "1"
    below: float
    above: float
    low: PhenotypeLabel
    intermediate: PhenotypeLabel
    high: PhenotypeLabel

    def level(self, value: float, *, um_per_unit: float = 1.0) -> Level:
        """Return where a value lies; `um_per_unit` is the um of its unit of length (the mpp for pixels)."""
        scale = um_per_unit ** _POWERS[self.unit]
        if value > self.above / scale:
            return "high"
        return "low" if value < self.below / scale else "intermediate"

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
    engaged_um: float = Field(gt=0)
    bystander_below: float
    fewest_cells: int
    axes: Mapping[str, Axis]
    low_purity: LowPurity
    bystander: Bystander
    contradicts: Mapping[str, str]

    def um_per_unit(self, unit: Unit) -> float:
        """Return the um of a unit of length; a pixel is taken as the paper's."""
        return 1.0 if unit == "um" else self.paper_mpp


@cache
def phenotypes() -> Phenotypes:
    """Return the shipped thresholds, labels and tokens."""
    return read_settings(Phenotypes, files("histome.phenotype").joinpath("phenotypes.toml"))
