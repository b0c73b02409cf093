"""From a patch's numbers to labels and tokens: six axes, by the thresholds of `phenotypes.toml`."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from histome.phenotype.axes import Axis, Level, Phenotypes, Unit, phenotypes


class Interpretation(NamedTuple):
    """What the thresholds say of a patch.

    Attributes
    ----------
    labels : dict of str to str or None
        The label of each axis, None where its value does not exist.
    tokens : list of str
        In the order of the axes.
    levels : dict of str to Level or None
        Low, intermediate or high for each axis, None with the label.
    undefined : dict of str to str
        Why an axis has no label.
    """

    labels: dict[str, str | None]
    tokens: list[str]
    levels: dict[str, Level | None]
    undefined: dict[str, str]


def interpret(
    raw_data: Mapping[str, Any],
    *,
    compatible: bool = False,
    unit: Unit = "um",
    fewest_cells: int = 0,
    known: Phenotypes | None = None,
) -> Interpretation:
    """Return labels and tokens of the raw data of `features.patch_features`.

    Parameters
    ----------
    compatible : bool
        As the paper has it, its contradictions included, with lengths in px; otherwise a token that another
        axis' label denies is left out, such as "Restricted to stroma" where there is none.
    unit : "um" or "px"
        Of the raw data's lengths; with px (also of compatible mode) all limits are the paper's.
    fewest_cells : int
        With fewer cells there are neither labels nor tokens, and none that rests on a class with fewer.
    known : Phenotypes or None
        Limits, labels and tokens, such as `axes.phenotypes_of` gives; None for the shipped ones.
    """
    known = known or phenotypes()
    paper = compatible or unit == "px"
    undefined: dict[str, str] = {}
    levels = dict[str, Level | None](dict.fromkeys(known.axes))
    for name, axis in known.axes.items():
        levels[name], why = _level(raw_data, axis, fewest_cells, paper=paper)
        if why:
            undefined[name] = why
    labels = {
        name: None if (level := levels[name]) is None else axis.at(level).label
        for name, axis in known.axes.items()
    }
    tokens = list(_tokens(levels, raw_data, fewest_cells))
    if not compatible:
        denied = phenotypes().contradicts
        given = set(labels.values())
        tokens = [token for token in tokens if given.isdisjoint(denied.get(token, ()))]
    return Interpretation(labels, tokens, levels, undefined)


def _level(raw_data: Mapping[str, Any], axis: Axis, fewest: int, *, paper: bool) -> tuple[Level | None, str]:
    """Return the level of an axis, or None and why it has none."""
    if (raw_data.get("total_cell_count") or 0) < fewest:
        return None, f"there are fewer than {fewest} cells"
    if raw_data.get(axis.value) is None:
        reasons = raw_data.get("undefined", {})
        return None, reasons.get(axis.value, f"the raw data have no {axis.value}")
    level = axis.level(raw_data[axis.value], paper=paper)
    classes = (*axis.rests_on, *axis.at(level).rests_on)
    few = [name.lower() for name in classes if _count(raw_data, name) < fewest]
    if few:
        return None, f"there are fewer than {fewest} {' and '.join(few)} cells"
    return level, ""


def _count(raw_data: Mapping[str, Any], name: str) -> int:
    return raw_data.get(f"count_{name}") or 0


def _tokens(levels: Mapping[str, Level | None], raw_data: Mapping[str, Any], fewest: int) -> Iterator[str]:
    """Yield the tokens of each axis."""
    known = phenotypes()
    for name, axis in known.axes.items():
        level = levels[name]
        if level is None:
            continue
        yield from axis.at(level).tokens
        if (name, level) == ("composition", "low"):
            immune, stroma = (raw_data.get(f"ratio_{cells}") or 0 for cells in ("Inflammatory", "Connective"))
            many = "Inflammatory" if immune > stroma else "Connective"
            if _count(raw_data, many) >= fewest:
                yield from known.low_purity.immune if immune > stroma else known.low_purity.stroma
        if name == "interaction" and _mostly_bystanders(raw_data):
            yield from known.bystander.tokens


def _mostly_bystanders(raw_data: Mapping[str, Any]) -> bool:
    """Whether few of the inflammatory cells are engaged; asked only where there are both kinds of cells."""
    engaged, inflammatory = raw_data.get("count_engaged_immune"), _count(raw_data, "Inflammatory")
    if engaged is None or not inflammatory:
        return False
    return engaged / inflammatory < phenotypes().bystander_below
