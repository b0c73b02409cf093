"""What the facts say of cells and tissues: counts, shares, densities, areas, and the values they rest on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from histome.metrics.format import format_count
from histome.narrative.facts import PATCH, Facts
from histome.narrative.language.lexicon import CellGroup
from histome.narrative.units import dimension, print_computed

ZONES = ("TUMOR_CORE", "INNER_INVASIVE_MARGIN", "OUTER_INVASIVE_MARGIN")
# Quantity of a slide or patch as a whole -> the value that holds it.
_WHOLE: Mapping[str, Mapping[str, str]] = {
    "slide": {
        "purity": "TUMOR_PURITY",
        "immune_share": "IMMUNE_CELL_FRACTION",
        "tumor_stroma": "TUMOR_STROMA_RATIO",
        "shannon": "SHANNON",
        "entropy": "MEAN_SPATIAL_ENTROPY",
        "stromal_til": "STROMAL_TIL_PERCENT",
        "intratumoral_til": "INTRATUMORAL_TIL",
        "clark_evans": "CLARK_EVANS_LYMPHOCYTE",
        "confidence": "CONFIDENCE_MEAN_ALL",
        "largest_region": "LARGEST_FILLED_AREA_CARCINOMA",
        "regions": "REGION_COUNT_CARCINOMA",
        "aggregates": "LYMPHOID_AGGREGATE_COUNT",
        "necrosis_fraction": "NECROSIS_FRACTION_OF_TUMOR",
        "spread": "NUCLEUS_CV_AREA_CARCINOMA_CELL",
        "side_ratio": "STROMAL_TO_INTRATUMORAL_LYMPHOCYTE_RATIO",
    },
    "patch": {
        "purity": "ratio_Neoplastic",
        "immune_share": "ratio_Inflammatory",
        "tumor_stroma_fraction": "tumor_stroma_fraction",
        "infiltration": "immune_infiltration_fraction",
        "entropy": "mean_spatial_entropy",
        "engaged": "count_engaged_immune",
        "distance": "mean_dist_Inflammatory_to_Neoplastic",
        "least_distance": "min_dist_Inflammatory_to_Neoplastic",
    },
}

_MOST_NAMED = 4  # of the values that one is computed from


class Value(NamedTuple):
    """A number of the facts in the base unit of its dimension, and the paths of the values it comes from.

    `printed` is how the facts print it where it is one of theirs, empty where it is computed from them.
    """

    amount: float
    dimension: str
    sources: tuple[str, ...]
    printed: str = ""

    def computed(self, amount: float, *more: str) -> "Value":
        """Return another number of this dimension that comes from these values, and from more."""
        return Value(amount, self.dimension, (*self.sources, *more))

    def told(self, asked: str | None) -> str:
        """Say what it is: "NAME = 31.2 %" of a value of the facts, "20.0 % (from A, B)" of a computed one.

        `asked` is the dimension of what a sentence says of it: a ratio may be told as a share.
        """
        if self.printed:
            return f"{self.sources[0]} = {self.printed}"
        kind = asked if asked == "share" and self.dimension == "ratio" else self.dimension
        names = list(dict.fromkeys(self.sources))
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        rests = f" (from {', '.join(names[:_MOST_NAMED])}{more})" if names else ""
        return print_computed(self.amount, kind) + rests


@dataclass(frozen=True)
class World:
    """The facts as a reader of sentences asks for them; None where they say nothing."""

    facts: Facts

    @property
    def is_patch(self) -> bool:
        """Whether the facts are of a patch."""
        return self.facts.kind is PATCH

    def named(self, name: str | None) -> Value | None:
        """Return a value by its name."""
        value = None if name is None else self.facts.get(name)
        if name is None or value is None:
            return None
        unit = self.facts.units.get(name, "")
        kind, factor = dimension(unit)
        printed = self.facts.kind.printed(name, value, unit)
        return Value(value * factor, kind, (self.facts.kind.prefix + name,), printed)

    def sample(self, name: str) -> Value | None:
        """Return the n of a value."""
        n, path = self.facts.samples.get(name), f"{self.facts.kind.prefix}{name}.n"
        return None if n is None else Value(float(n), "count", (path,), format_count(n))

    def whole(self, measure: str) -> Value | None:
        """Return a quantity of the slide or patch as a whole."""
        return self.named(_WHOLE[self.facts.kind.name].get(measure))

    def label_sources(self, *labels: str) -> tuple[str, ...]:
        """Return the paths of the label and the tokens that are one of these; none where there is none."""
        axes = (f"interpretation.{axis}" for axis, label in self.facts.labels.items() if label in labels)
        return (*axes, *(f"generated_tokens.{token}" for token in self.facts.tokens if token in labels))

    def classes(self) -> tuple[str, ...]:
        """Return the classes of cells."""
        return tuple(self.facts.kind.counts)

    def count(self, cells: CellGroup) -> Value | None:
        """Return how many cells there are, in a tissue where one is given."""
        if cells.everything and cells.place is None:
            return self.named("total_cell_count" if self.is_patch else "CELL_N_TOTAL")
        members = self.classes() if cells.everything else cells.members
        return self.summed([self._count(member, cells.place) for member in members])

    def _count(self, member: str, place: str | None) -> Value | None:
        name = self.facts.kind.counts.get(member)
        if name is None or (self.is_patch and place):
            return None
        return self.named(f"{name}_{place}" if place else name)

    @staticmethod
    def summed(values: list[Value | None]) -> Value | None:
        """Return the sum of values; None where one is not there."""
        known = [value for value in values if value is not None]
        if not known or len(known) < len(values):
            return None
        if len(known) == 1:
            return known[0]
        more = (source for value in known for source in value.sources)
        return known[0].computed(sum(value.amount for value in known), *more)

    def share(self, cells: CellGroup, of: CellGroup) -> Value | None:
        """Return cells / cells; 0 / 0 is nothing."""
        part, total = self.count(cells), self.count(of)
        if part is None or total is None or not total.amount:
            return self._direct(cells) if of.everything and of.place is None else None
        direct = self._direct(cells) if of.everything and of.place is None and not cells.place else None
        return direct or Value(part.amount / total.amount, "share", (*part.sources, *total.sources))

    def _direct(self, cells: CellGroup) -> Value | None:
        """Return the share of one class of all cells as it is given."""
        if cells.name == "immune" and not cells.place:
            return self.named(None if self.is_patch else "IMMUNE_CELL_FRACTION")
        if len(cells.members) != 1 or cells.place:
            return None
        member = cells.members[0]
        return self.named(f"ratio_{member}" if self.is_patch else f"CELL_PERCENTAGE_{member.upper()}")

    def density(self, cells: CellGroup) -> Value | None:
        """Return cells per mm2, in a tissue where one is given."""
        if self.is_patch:
            return None
        if cells.place in ZONES:
            one = cells.members[0].upper() if len(cells.members) == 1 else None
            return self.named(f"CELL_DENSITY_{one}_IN_{cells.place}" if one else None)
        if cells.place and len(cells.members) == 1:
            given = self.named(f"CELL_DENSITY_{cells.members[0].upper()}_{cells.place}")
            if given is not None:
                return given
        count = self.count(cells)
        area = self.area(cells.place) if cells.place else self.named("ABSOLUTE_AREA")
        if count is None or area is None or not area.amount:
            return None
        return Value(count.amount / area.amount * 1e6, "density", (*count.sources, *area.sources))

    def area(self, tissue: str | None) -> Value | None:
        """Return the area of a tissue, or of all of them."""
        return self.named(f"ABSOLUTE_AREA_{tissue}" if tissue else "ABSOLUTE_AREA")

    def area_share(self, tissue: str) -> Value | None:
        """Return a tissue's share of the area of all."""
        return self.named(f"RELATIVE_AREA_{tissue}")

    def nuclear(self, cells: CellGroup) -> Value | None:
        """Return the mean area of nuclei."""
        return self._nucleus(cells, "mean_area_{}", "NUCLEUS_AVG_AREA_{}")

    def roundness(self, cells: CellGroup) -> Value | None:
        """Return the mean roundness of nuclei."""
        return self._nucleus(cells, "", "NUCLEUS_AVG_ROUNDNESS_{}")

    def _nucleus(self, cells: CellGroup, patch: str, slide: str) -> Value | None:
        if len(cells.members) != 1 or cells.place:
            return None
        member = cells.members[0]
        return self.named(patch.format(member) if self.is_patch else slide.format(member.upper()))

    def distance(self, cells: CellGroup, *, least: bool = False) -> Value | None:
        """Return the median (slide), mean or least (patch) distance of cells to the tumor."""
        if self.is_patch:
            known = cells.members == ("Inflammatory",)
            return self.whole("least_distance" if least else "distance") if known else None
        one = cells.members[0].upper() if len(cells.members) == 1 else None
        return self.named(f"DISTANCE_TO_CARCINOMA_MEDIAN_{one}" if one and not least else None)

    def placed(self, cells: CellGroup, tissues: tuple[str, ...]) -> Value | None:
        """Return the share of cells that lie in tissues."""
        return self.share_of([cells.at(tissue) for tissue in tissues], cells)

    def share_of(self, parts: list[CellGroup], whole: CellGroup) -> Value | None:
        """Return the sum of cells / cells."""
        part, total = self.summed([self.count(cells) for cells in parts]), self.count(whole)
        if part is None or total is None or not total.amount:
            return None
        return Value(part.amount / total.amount, "share", (*part.sources, *total.sources))

    def tissues(self) -> tuple[str, ...]:
        """Return the tissues whose area is known."""
        start = "RELATIVE_AREA_"
        names = (name.removeprefix(start) for name in self.facts.values if name.startswith(start))
        return tuple(name for name in names if name.isupper() and self.area(name) is not None)
