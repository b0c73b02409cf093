"""What a declaration of metrics is: families, templates, the loops they stand in, one metric spelled out."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from string import Formatter
from typing import TYPE_CHECKING

from histome.metrics.axes import AXES, words_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from histome.metrics.results import Result
    from histome.metrics.specimen import Specimen
    from histome.metrics.uncertainty.blocks import Blocks, BlockSums

# Ranges that several families declare.
SHARE = (0.0, 1.0)
PERCENT = (0.0, 100.0)
UNBOUNDED = (None, None)
# What optical densities are worth on another scanner.
BY_STAIN = "only as far as stain and scanner agree: optical densities are not normalized"


@dataclass(frozen=True)
class Template:
    """One declaration for a product of metrics.

    Attributes
    ----------
    pattern : str
        The name with its axes in braces; `unit`, `formula`, `nulls`, `derived` and `counts` may name them.
    nulls : tuple of str
        Every reason that a null of this template may have; `measure` refuses all others.
    range : (low, high), float or None
        Inclusive, None for unbounded.
    smallest_sample : int
        The smallest n that gives a value.
    derived : str
        How the value follows from other metrics; empty when it does not.
    symmetric : bool
        Whether exchanging the values of the first two axes changes nothing.
    counts : str
        What the column n counts; it may name the axes.
    along : str
        The axis of distances that the template is a function of, for bands that hold a whole function.
    """

    pattern: str
    unit: str
    formula: str
    nulls: tuple[str, ...] = ()
    range: tuple[float | None, float | None] = (0.0, None)
    smallest_sample: int = 0
    derived: str = ""
    symmetric: bool = False
    counts: str = ""
    along: str = ""

    @cached_property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes in the order of the pattern: the shape of the result behind this template."""
        return tuple(field for _, field, _, _ in Formatter().parse(self.pattern) if field)


@dataclass(frozen=True)
class Loop:
    """Items repeated for every value of the axes named, which turn together."""

    axes: tuple[str, ...]
    items: "tuple[Template | Loop, ...]"


Items = tuple[Template | Loop, ...]


@dataclass(frozen=True)
class Family:
    """A group of metrics that one function computes.

    Attributes
    ----------
    id : str
        Selects the family in settings and on the command line; its module has the same name.
    templates : tuple of Template and Loop
        What it declares; the families of the core are interleaved by the catalogue.
    compute : callable(specimen)
        Gives one Result for each template, by pattern.
    source : str
        The paper of the estimator.
    null_model : str
        What the values are compared with, or would be where nothing happens; empty where nothing is.
    scanners : str
        Whether the numbers compare between scanners.
    of_cells : bool
        Whether the numbers change when cells are left out.
    core : bool
        Whether names and order are fixed from outside.
    alias : str
        A former id, accepted wherever the id is.
    block_sums : callable(specimen, blocks) or None
        Gives, by pattern, the sums over blocks of tissue behind those templates that have an interval.
    no_interval : str
        Why the others have none.
    tests : callable(specimen, results) or None
        Gives, by pattern, the two-sided p of those templates that test the null model.
    beside : str
        Id of the family that reads the same arrays of cells (`Specimen.for_now`): this one is measured right
        behind it, and then they are let go.
    """

    id: str
    title: str
    definition: str
    templates: Items
    compute: "Callable[[Specimen], Mapping[str, Result]]"
    source: str = ""
    null_model: str = ""
    scanners: str = "yes, as far as the cells and tissues do: lengths in um, no intensities"
    of_cells: bool = True
    core: bool = False
    alias: str = ""
    block_sums: "Callable[[Specimen, Blocks], Mapping[str, BlockSums]] | None" = None
    no_interval: str = "not a function of sums over blocks of tissue"
    tests: "Callable[[Specimen, Mapping[str, Result]], Mapping[str, NDArray[np.float64]]] | None" = None
    beside: str = ""


@dataclass(frozen=True)
class Metric:
    """One number: a template with a value on each axis; `index` is its place in the template's result."""

    name: str
    family: str
    template: Template
    index: tuple[int, ...]
    words: Mapping[str, str]

    @property
    def unit(self) -> str:
        """The unit; '1' for pure numbers."""
        return self.template.unit.format_map(self.words)

    @property
    def formula(self) -> str:
        """The formula in words, axes filled in."""
        return self.template.formula.format_map(self.words)

    @property
    def nulls(self) -> tuple[str, ...]:
        """Every reason that its null may have, axes filled in; empty when it is never null."""
        return tuple(reason.format_map(self.words) for reason in self.template.nulls)

    @property
    def counts(self) -> str:
        """What its n counts."""
        return self.template.counts.format_map(self.words)

    @property
    def derived(self) -> str:
        """How the value follows from other metrics; empty when it does not."""
        if self.template.symmetric and self.index[0] > self.index[1]:
            return "the same with the two classes exchanged"
        return self.template.derived.format_map(self.words)


def in_loops(axes: tuple[str, ...], *items: Template | Loop) -> Items:
    """Return the items in nested loops over `axes`, outermost first."""
    for axis in reversed(axes):
        items = (Loop((axis,), items),)
    return items


def templates_of(items: Iterable[Template | Loop]) -> Iterator[Template]:
    """Yield every template, in order, each once."""
    for item in items:
        if isinstance(item, Loop):
            yield from templates_of(item.items)
        else:
            yield item


def spell_out(
    items: Iterable[Template | Loop], family_of: Mapping[str, str], place: Mapping[str, int] | None = None
) -> Iterator[Metric]:
    """Yield every metric that the items declare, the outermost loop turning slowest.

    Parameters
    ----------
    family_of : mapping of str to str
        The id of the family of each pattern.
    """
    place = place or {}
    for item in items:
        if isinstance(item, Template):
            values = {axis: AXES[axis][place[axis]] for axis in item.axes}
            index = tuple(place[axis] for axis in item.axes)
            name = item.pattern.format_map(values)
            yield Metric(name, family_of[item.pattern], item, index, words_of(values))
        else:
            for k in range(len(AXES[item.axes[0]])):
                yield from spell_out(item.items, family_of, {**place, **dict.fromkeys(item.axes, k)})
