"""What a declaration of metrics is: families, templates, the loops they stand in, one metric spelled out."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from string import Formatter

from histome.metrics.axes import AXES, words_of


@dataclass(frozen=True)
class Family:
    """A group of metrics that one function computes from a scene.

    `id` selects the family in settings and on the command line; `source` cites the estimator; `scanners`
    says whether the numbers compare between scanners; `of_cells` whether they change when cells are left out.
    """

    id: str
    title: str
    definition: str
    source: str = ""
    scanners: str = "yes, as far as the cells and tissues do: lengths in um, no intensities"
    of_cells: bool = True

    @property
    def core(self) -> bool:
        """Whether the family belongs to the core numbers, whose names and order are fixed from outside."""
        return self.id.islower()


@dataclass(frozen=True)
class Template:
    """One declaration for a product of metrics.

    `pattern` is the name with its axes in braces; `unit`, `formula`, `null_when` and `derived` may name the
    axes too. `range` is (low, high), inclusive, None for unbounded. `smallest_sample` is the smallest n
    that gives a value. `derived` says how the value follows from other metrics; empty when it does not.
    `symmetric` says that exchanging the values of the first two axes changes nothing.
    """

    pattern: str
    family: str
    unit: str
    formula: str
    range: tuple[float | None, float | None] = (0.0, None)
    null_when: str = "never"
    smallest_sample: int = 0
    derived: str = ""
    symmetric: bool = False

    @cached_property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes in the order of the pattern: the shape of the values behind this template."""
        return tuple(field for _, field, _, _ in Formatter().parse(self.pattern) if field)


@dataclass(frozen=True)
class Loop:
    """Items repeated for every value of the axes named, which turn together."""

    axes: tuple[str, ...]
    items: "tuple[Template | Loop, ...]"


@dataclass(frozen=True)
class Metric:
    """One number: a template with a value on each axis; `index` is its place in the template's values."""

    name: str
    template: Template
    index: tuple[int, ...]
    words: Mapping[str, str]

    @property
    def family(self) -> str:
        """Id of the family."""
        return self.template.family

    @property
    def unit(self) -> str:
        """The unit; '1' for pure numbers."""
        return self.template.unit.format_map(self.words)

    @property
    def formula(self) -> str:
        """The formula in words, axes filled in."""
        return self.template.formula.format_map(self.words)

    @property
    def null_when(self) -> str:
        """What makes the value null."""
        return self.template.null_when.format_map(self.words)

    @property
    def derived(self) -> str:
        """How the value follows from other metrics; empty when it does not."""
        if self.template.symmetric and self.index[0] > self.index[1]:
            return "the same with the two classes exchanged"
        return self.template.derived.format_map(self.words)


def templates_of(items: Iterable[Template | Loop]) -> Iterator[Template]:
    """Yield every template, in order, each once."""
    for item in items:
        if isinstance(item, Loop):
            yield from templates_of(item.items)
        else:
            yield item


def spell_out(items: Iterable[Template | Loop], place: Mapping[str, int] | None = None) -> Iterator[Metric]:
    """Yield every metric that the items declare, the outermost loop turning slowest."""
    place = place or {}
    for item in items:
        if isinstance(item, Template):
            values = {axis: AXES[axis][place[axis]] for axis in item.axes}
            index = tuple(place[axis] for axis in item.axes)
            yield Metric(item.pattern.format_map(values), item, index, words_of(values))
        else:
            for k in range(len(AXES[item.axes[0]])):
                yield from spell_out(item.items, {**place, **dict.fromkeys(item.axes, k)})


def declare(
    pattern: str,
    unit: str,
    formula: str,
    null: str = "never",
    limits: tuple[float | None, float | None] = (0.0, None),
    *,
    n: int = 0,
    derived: str = "",
) -> Template:
    """Declare one template; `in_family` says whose it is."""
    return Template(pattern, "", unit, formula, limits, null, n, derived)


def in_family(name: str, axes: tuple[str, ...], *templates: Template) -> tuple[Template | Loop, ...]:
    """Declare the templates of a family in nested loops over `axes`, outermost first."""
    items: tuple[Template | Loop, ...] = tuple(replace(template, family=name) for template in templates)
    for axis in reversed(axes):
        items = (Loop((axis,), items),)
    return items
