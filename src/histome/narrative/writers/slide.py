"""The grounded text of a slide: what a pathologist says of a tumor's microenvironment, from the metrics."""

from collections.abc import Callable, Iterator, Sequence

from histome.caveats.enough import FEWEST_CELLS, FEWEST_TILES, few_in_little
from histome.classes import CELL_CLASSES, TISSUE_CLASSES
from histome.narrative.facts import Facts
from histome.narrative.sentences import Sentence, Source, listed
from histome.narrative.slide_labels import (
    FEWEST_IN_ALL,
    PHENOTYPE_SHARES,
    disagree,
    has_carcinoma,
    untrusted,
)
from histome.narrative.statements import statements
from histome.narrative.writers.words import cell_words, tissue_words

_LEAST_PERCENT = 1.0  # under this nothing is said of a tissue
_MOST_CLASSES = 6  # that are listed; the others are in the table
_MOST_SENTENCES = 12
_ALIKE = 1.25  # densities and areas within a quarter of one another are called alike
_TRACE = 20.0  # times as much: of the other there is a trace, whose border no map places so well
_FIELD_UM2 = 1e6  # less tissue is a field of view, not a section
_PURITY = {"Low Tumour Purity": "low", "High Tumour Purity": "high"}
_PHENOTYPES = {
    "Immune Inflamed": "immune-inflamed",
    "Immune Excluded": "immune-excluded",
    "Immune Desert": "an immune desert",
}
_PATTERNS = {
    "Clustered lymphocytes": "clustered",
    "Evenly spaced lymphocytes": "evenly spaced",
    "Intermediate": "randomly distributed",
}


def describe_slide(facts: Facts) -> list[Sentence]:
    """Return 12 sentences at most; every number printed is a metric's value, rounded, or its n.

    What was measured and whether it can be trusted, what it is made of, immune cells and where they lie,
    stroma, architecture, nuclei. Of carcinoma nothing is said where none was segmented, of the tumor's
    infiltration, stroma and nuclei nothing where the models disagree or types are not to be trusted.
    """
    if not facts.has("CELL_N_TOTAL", "ABSOLUTE_AREA"):
        return list(statements(facts))
    told = [sentence for topic in TOPICS for sentence in topic(facts)]
    for spare in (_confidence, _distance, _fibroblasts, _spread, _aggregates):
        if len(told) > _MOST_SENTENCES:
            extra = list(spare(facts))
            told = [sentence for sentence in told if sentence not in extra]
    return told


def _cells_enough(facts: Facts, *names: str) -> bool:
    return all((facts.get(f"CELL_COUNT_{name.upper()}") or 0) >= FEWEST_CELLS for name in names)


def _can_place(facts: Facts) -> bool:
    """Whether cells can be said to lie in the carcinoma or not."""
    return has_carcinoma(facts.get) and not disagree(facts.get) and not untrusted(facts.get)


def _measured(facts: Facts) -> Iterator[Sentence]:
    """Yield what was measured, what was stated, and what is doubtful."""
    many = "cell" if facts.get("CELL_N_TOTAL") == 1 else "cells"
    what = "field" if (facts.get("ABSOLUTE_AREA") or 0.0) < _FIELD_UM2 else "section"
    yield facts.tell(f"The {what} holds {{CELL_N_TOTAL}} {many} on {{ABSOLUTE_AREA}} of tissue.", "measured")
    told = [*statements(facts)]
    if (facts.get("CELL_N_TOTAL") or 0) >= FEWEST_IN_ALL and not untrusted(facts.get):
        told += _confidence(facts)
    yield from sorted(told, key=lambda one: one.topic == "uncertain")


def _confidence(facts: Facts) -> Iterator[Sentence]:
    if facts.has("CONFIDENCE_MEAN_ALL"):
        yield facts.tell("The mean confidence of the cell types is {CONFIDENCE_MEAN_ALL}.", "measured")


def _ranked(facts: Facts, form: str, names: Sequence[str], least: float) -> list[str]:
    """Return the names whose metric is at least so much, the largest first."""
    values = {name: facts.get(form.format(name.upper())) or 0.0 for name in names}
    return sorted((name for name in names if values[name] >= least), key=lambda name: -values[name])


def _composition(facts: Facts) -> Iterator[Sentence]:
    """Yield the tissues, the extent of the carcinoma, and the cells."""
    tissues = _ranked(facts, "RELATIVE_AREA_{}", TISSUE_CLASSES, _LEAST_PERCENT)
    if has_carcinoma(facts.get) and "CARCINOMA" not in tissues and facts.has("RELATIVE_AREA_CARCINOMA"):
        tissues.append("CARCINOMA")  # of which more is said below
    parts = [f"{tissue_words(name)} {{RELATIVE_AREA_{name}}}" for name in tissues]
    if parts:
        first = parts[0].replace(" {", " covers {")
        yield facts.tell(f"{listed([first, *parts[1:]])} of the tissue.", "composition")
    yield from _carcinoma(facts)
    yield from _classes(facts)


def _carcinoma(facts: Facts) -> Iterator[Sentence]:
    regions = facts.get("REGION_COUNT_CARCINOMA")
    if facts.get("ABSOLUTE_AREA_CARCINOMA") == 0:
        yield facts.tell("No carcinoma was segmented.", "composition", ["ABSOLUTE_AREA_CARCINOMA"])
    elif regions and facts.has("LARGEST_FILLED_AREA_CARCINOMA"):
        largest = "; the largest region measures {LARGEST_FILLED_AREA_CARCINOMA}" if regions > 1 else ""
        many = "regions" if regions > 1 else "region"
        yield facts.tell(f"The carcinoma forms {{REGION_COUNT_CARCINOMA}} {many}{largest}.", "composition")


def _classes(facts: Facts) -> Iterator[Sentence]:
    """Yield the shares of the classes of which there are enough cells."""
    named = [name for name in CELL_CLASSES if _cells_enough(facts, name)]
    named = [name for name in named if name != "carcinoma_cell" or has_carcinoma(facts.get)]
    listed_first = _ranked(facts, "CELL_PERCENTAGE_{}", named, 0.0)[:_MOST_CLASSES]
    cells = [f"{{CELL_PERCENTAGE_{name.upper()}}} {cell_words(name)}" for name in listed_first]
    if cells:
        yield facts.tell(f"Of the cells, {_with_be(cells)}.", "composition")
    purity = _PURITY.get(str(facts.labels.get("composition")))
    if purity:
        yield facts.tell(f"Tumor purity is {purity}.", "composition", ["TUMOR_PURITY"])


def _with_be(parts: Sequence[str]) -> str:
    """Return a list whose first item has its verb: "50 % are a, 25 % b and 5 % c"."""
    first = parts[0].replace("} ", "} are ", 1)
    return listed([first, *parts[1:]])


def _immune(facts: Facts) -> Iterator[Sentence]:
    """Yield how many immune cells there are, and where they lie."""
    if facts.has("IMMUNE_CELL_FRACTION") and (facts.get("CELL_N_TOTAL") or 0) >= FEWEST_IN_ALL:
        if facts.get("IMMUNE_CELL_FRACTION") == 0:
            yield facts.tell("No immune cells were found.", "immune", ["IMMUNE_CELL_FRACTION"])
        else:
            yield facts.tell("Immune cells make up {IMMUNE_CELL_FRACTION:%} of all cells.", "immune")
    if _can_place(facts):
        yield from _phenotype(facts)
        yield from _sides(facts)
        yield from _distance(facts)
    yield from _aggregates(facts)


def _phenotype(facts: Facts) -> Iterator[Sentence]:
    names = tuple(PHENOTYPE_SHARES.values())
    tiles, label = facts.samples.get(names[0], 0), facts.labels.get("immune")
    if not facts.has(*names) or tiles < FEWEST_TILES:
        return
    lead = f"The tumor is {_PHENOTYPES[str(label)]}: " if label in PHENOTYPE_SHARES else ""
    yield facts.tell(
        f"{lead}{{{names[0]}:%}} of the {{{names[0]}:n}} tiles with tumor are inflamed, "
        f"{{{names[1]}:%}} excluded and {{{names[2]}:%}} desert.",
        "immune",
        [Source("interpretation.immune", label)] if lead else [],
    )


def _told_there(facts: Facts, tissue: str) -> bool:
    """Whether there are lymphocytes, or tissue, enough for a density of them."""
    n = facts.get(f"CELL_COUNT_LYMPHOCYTE_{tissue}") or 0
    return not few_in_little(int(n), facts.get(f"ABSOLUTE_AREA_{tissue}"))


def _sides(facts: Facts) -> Iterator[Sentence]:
    """Yield the density of lymphocytes in carcinoma beside that in stroma."""
    inside, outside = "CELL_DENSITY_LYMPHOCYTE_CARCINOMA", "CELL_DENSITY_LYMPHOCYTE_STROMA"
    told = _cells_enough(facts, "lymphocyte") and facts.has(inside, outside)
    if not told or not all(_told_there(facts, tissue) for tissue in ("CARCINOMA", "STROMA")):
        return
    a, b = facts.get(inside) or 0.0, facts.get(outside) or 0.0
    if max(a, b) <= _ALIKE * min(a, b):
        first, second = "about as dense", "as"
    else:
        first, second = "denser" if a > b else "sparser", "than"
    text = f"Lymphocytes are {first} in carcinoma ({{{inside}}}) {second} in stroma ({{{outside}}})."
    if max(a, b) > 0:
        yield facts.tell(text, "immune")


def _distance(facts: Facts) -> Iterator[Sentence]:
    name = "DISTANCE_TO_CARCINOMA_MEDIAN_LYMPHOCYTE"
    if facts.get(name) and _cells_enough(facts, "lymphocyte"):
        yield facts.tell(f"The median lymphocyte lies {{{name}}} from the carcinoma.", "immune")


def _aggregates(facts: Facts) -> Iterator[Sentence]:
    """Yield the lymphoid aggregates; in a small field one, drawn round its cells, can exceed the tissue."""
    count, area_mm2 = facts.get("LYMPHOID_AGGREGATE_COUNT"), facts.get("LYMPHOID_AGGREGATE_AREA")
    if not count or area_mm2 is None:
        return
    first = (
        "In all, {LYMPHOID_AGGREGATE_COUNT} lymphoid aggregates" if count > 1 else "One lymphoid aggregate"
    )
    if 1e6 * area_mm2 <= (facts.get("ABSOLUTE_AREA") or 0.0):
        end = " cover" if count > 1 else " covers"
        text = f"{first}{end} {{LYMPHOID_AGGREGATE_AREA}}."
    else:
        text = f"{first} {'were' if count > 1 else 'was'} found."
    yield facts.tell(text, "immune", ["LYMPHOID_AGGREGATE_COUNT"])


def _stroma(facts: Facts) -> Iterator[Sentence]:
    """Yield how much stroma there is, and what it holds."""
    label, ratio = facts.labels.get("stroma"), facts.get("TUMOR_STROMA_RATIO") or 0.0
    areas = [facts.get(f"RELATIVE_AREA_{tissue}") or 0.0 for tissue in ("CARCINOMA", "STROMA")]
    if label and min(areas) >= _LEAST_PERCENT and 1 / _TRACE <= ratio <= _TRACE:
        even = 1 / _ALIKE <= ratio <= _ALIKE
        yield facts.tell(
            f"Carcinoma has {{TUMOR_STROMA_RATIO}} times the area of stroma"
            f"{'' if even else f': {label.lower()} tissue'}.",
            "stroma",
            [] if even else [Source("interpretation.stroma", label)],
        )
    yield from _fibroblasts(facts)


def _fibroblasts(facts: Facts) -> Iterator[Sentence]:
    inside = facts.get("CELL_COUNT_FIBROBLAST_STROMA") or 0
    if inside >= FEWEST_CELLS and facts.has("CELL_PERCENTAGE_FIBROBLAST_STROMA"):
        yield facts.tell(
            "Fibroblasts make up {CELL_PERCENTAGE_FIBROBLAST_STROMA} of the cells in the stroma.", "stroma"
        )


def _architecture(facts: Facts) -> Iterator[Sentence]:
    """Yield how lymphocytes are arranged; in an aggregate neighbors are a nucleus apart, and evenly so."""
    label = facts.labels.get("architecture")
    words = _PATTERNS.get(str(label))
    hidden = label != "Clustered lymphocytes" and facts.get("LYMPHOID_AGGREGATE_COUNT")
    if words and not hidden:
        yield facts.tell(
            f"Lymphocytes are {words}, with a Clark-Evans index of {{CLARK_EVANS_LYMPHOCYTE}}.",
            "architecture",
            [Source("interpretation.architecture", label)],
        )


def _morphology(facts: Facts) -> Iterator[Sentence]:
    """Yield the size of nuclei, those of the tumor or else of the epithelium beside those of lymphocytes."""
    epithelium = "carcinoma_cell" if _can_place(facts) else "epithelial_cell"
    words = {"carcinoma_cell": "carcinoma", "epithelial_cell": "epithelial", "lymphocyte": "lymphocyte"}
    named = [
        name
        for name in (epithelium, "lymphocyte")
        if _cells_enough(facts, name) and facts.has(f"NUCLEUS_AVG_AREA_{name.upper()}")
    ]
    parts = [f"{words[name]} nuclei {{NUCLEUS_AVG_AREA_{name.upper()}}}" for name in named]
    if parts:
        first = parts[0].replace(" {", " measure {") + " on average"
        yield facts.tell(f"{listed([first, *parts[1:]])}.", "morphology")
    yield from _spread(facts)


def _spread(facts: Facts) -> Iterator[Sentence]:
    name = "NUCLEUS_CV_AREA_CARCINOMA_CELL"
    if facts.has(name) and _can_place(facts) and _cells_enough(facts, "carcinoma_cell"):
        text = f"The coefficient of variation of carcinoma nuclear area is {{{name}}}."
        yield facts.tell(text, "morphology")


TOPICS: tuple[Callable[[Facts], Iterator[Sentence]], ...] = (
    _measured,
    _composition,
    _immune,
    _stroma,
    _architecture,
    _morphology,
)
