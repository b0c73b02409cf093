"""The grounded text of a slide: what a pathologist says of a tumor's microenvironment, from the metrics."""

from collections.abc import Callable, Iterator, Sequence

from histome.classes import CELL_CLASSES, TISSUE_CLASSES
from histome.narrative.facts import Facts
from histome.narrative.sentences import Sentence, Source, listed
from histome.narrative.slide_labels import PHENOTYPE_SHARES
from histome.narrative.writers.doubts import find_doubts
from histome.narrative.writers.words import cell_words, tissue_words

_MYELOID = ("macrophage", "granulocyte", "plasma_cell")
_FEW_TILES = 10  # under this a sentence says that there are few
_ALIKE = 1.25  # densities within a quarter of one another are called alike
# Axis -> label -> how a sentence says it; a label that is not here is left out.
_WORDS = {
    "composition": {"Low Tumour Purity": "low", "High Tumour Purity": "high"},
    "architecture": {
        "Clustered lymphocytes": "Lymphocytes are clustered",
        "Evenly spaced lymphocytes": "Lymphocytes are evenly spaced",
        "Intermediate": "Lymphocytes are spread as at random",
    },
}
_ZONES = {
    "TUMOR_CORE": "tumor core",
    "INNER_INVASIVE_MARGIN": "inner margin",
    "OUTER_INVASIVE_MARGIN": "outer margin",
}


def describe_slide(facts: Facts) -> list[Sentence]:
    """Return the sentences on a slide; every number printed is a metric's value, rounded, or its n."""
    return [sentence for topic in TOPICS for sentence in topic(facts)]


def _ranked(facts: Facts, form: str, names: Sequence[str]) -> list[str]:
    """Return the names whose metric is over 0, the largest first."""
    values = {name: facts.get(form.format(name.upper())) or 0.0 for name in names}
    return sorted((name for name in names if values[name] > 0), key=lambda name: -values[name])


def _composition(facts: Facts) -> Iterator[Sentence]:
    """Yield what was stated, areas, cells, and the extent of the carcinoma."""
    tell, topic = facts.tell, "composition"
    yield from _stated(facts)
    ranked = _ranked(facts, "RELATIVE_AREA_{}", TISSUE_CLASSES)
    tissues = [
        f"{{RELATIVE_AREA_{name}}} {'is ' * (k == 0)}{tissue_words(name)}" for k, name in enumerate(ranked)
    ]
    if tissues and facts.has("ABSOLUTE_AREA"):
        yield tell(f"Of {{ABSOLUTE_AREA}} of measured tissue, {listed(tissues)}.", topic)
    cells = [
        f"{{CELL_PERCENTAGE_{name.upper()}}} {cell_words(name)}"
        for name in _ranked(facts, "CELL_PERCENTAGE_{}", CELL_CLASSES)
    ]
    if cells:
        many = "cell" if facts.get("CELL_N_TOTAL") == 1 else "cells"
        yield tell(f"It holds {{CELL_N_TOTAL}} {many}: {listed(cells)}.", topic)
    yield from _carcinoma(facts)


def _stated(facts: Facts) -> Iterator[Sentence]:
    """Yield what the user said of the specimen."""
    if facts.stated:
        specimen, site, organ = (facts.stated.get(name) for name in ("specimen", "site", "organ"))
        of = {"primary": " of a primary tumor", "metastasis": " of a metastasis"}.get(str(site), "")
        place = f" {'in' if of else 'of'} the {organ}" if organ else ""
        text = f"{specimen or 'specimen'}{of}{place}"
        sources = tuple(Source(f"stated: {name}", value) for name, value in facts.stated.items())
        yield Sentence(f"Stated by the user: {text}.", sources, "composition")


def _carcinoma(facts: Facts) -> Iterator[Sentence]:
    tell, topic = facts.tell, "composition"
    regions = facts.get("REGION_COUNT_CARCINOMA")
    if regions == 0:
        yield tell(
            "No carcinoma was segmented, so nothing is said of its border or its infiltration.",
            topic,
            ["REGION_COUNT_CARCINOMA", "ABSOLUTE_AREA_CARCINOMA"],
        )
    elif regions is not None and facts.has("LARGEST_FILLED_AREA_CARCINOMA"):
        many = "s, the largest of" if regions > 1 else " of"
        text = f"Carcinoma forms {{REGION_COUNT_CARCINOMA}} region{many} {{LARGEST_FILLED_AREA_CARCINOMA}}"
        zone = "RELATIVE_AREA_TUMOR_CORE"
        small = zone in facts.values and not facts.has(zone)
        text += "; none is large enough for a core and margins to be drawn" if small else ""
        yield tell(f"{text}.", topic, [zone] if small else [])
    purity = _WORDS["composition"].get(str(facts.labels.get("composition")))
    if purity and regions != 0:
        yield tell(f"By cell count, tumor purity is {purity}.", topic, ["TUMOR_PURITY"])


def _immune(facts: Facts) -> Iterator[Sentence]:
    """Yield how many immune cells there are, where they lie and how they are arranged."""
    tell, has, topic = facts.tell, facts.has, "immune"
    if has("IMMUNE_CELL_FRACTION"):
        yield tell("Immune cells make up {IMMUNE_CELL_FRACTION:%} of all cells.", topic)
    yield from _phenotype(facts)
    yield from _sides(facts)
    yield from _zones(facts)
    if has("STROMAL_TIL_PERCENT", "INTRATUMORAL_TIL"):
        yield tell(
            "Stromal TILs cover {STROMAL_TIL_PERCENT} of the stroma by nuclear area, and the "
            "intratumoral TIL score, TILs per hundred carcinoma cells, is {INTRATUMORAL_TIL}.",
            topic,
        )
    if has("DISTANCE_TO_CARCINOMA_MEDIAN_LYMPHOCYTE"):
        text = "The median lymphocyte lies {DISTANCE_TO_CARCINOMA_MEDIAN_LYMPHOCYTE} from carcinoma."
        inside = facts.get("DISTANCE_TO_CARCINOMA_MEDIAN_LYMPHOCYTE") == 0
        text = "At least half of the lymphocytes lie within carcinoma." if inside else text
        yield tell(text, topic, ["DISTANCE_TO_CARCINOMA_MEDIAN_LYMPHOCYTE"] if inside else [])
    yield from _aggregates(facts)
    myeloid = _ranked(facts, "CELL_DENSITY_{}_STROMA", _MYELOID)
    if myeloid:
        parts = [f"{{CELL_DENSITY_{name.upper()}_STROMA}} for {cell_words(name)}" for name in myeloid]
        yield tell(f"Stromal density is {listed(parts)}.", topic)


def _phenotype(facts: Facts) -> Iterator[Sentence]:
    names = tuple(PHENOTYPE_SHARES.values())
    label = facts.labels.get("immune")
    if not facts.has(*names):
        if names[0] in facts.values:
            text = "No immune phenotype is given: too little carcinoma lies in any one place."
            yield facts.tell(text, "immune", names)
        return
    tiles = facts.samples.get(names[0], 0)
    few = (
        ("in the one tile there is, " if tiles == 1 else "in the few tiles there are, ")
        if tiles < _FEW_TILES
        else ""
    )
    lead = f"the tumor reads as {str(label).lower().replace(' ', '-')}"
    lead = lead if label in PHENOTYPE_SHARES else "no immune phenotype leads"
    yield facts.tell(
        f"{few}{lead}: {{{names[0]}:%}} of the tiles with tumor are "
        f"inflamed, {{{names[1]}:%}} excluded and {{{names[2]}:%}} desert (n = {{{names[0]}:n}}).",
        "immune",
        [Source("interpretation.immune", label)],
    )


def _sides(facts: Facts) -> Iterator[Sentence]:
    """Yield the density of lymphocytes in carcinoma beside that in stroma."""
    inside, outside = "CELL_DENSITY_LYMPHOCYTE_CARCINOMA", "CELL_DENSITY_LYMPHOCYTE_STROMA"
    if facts.has(inside, outside):
        a, b = facts.get(inside) or 0.0, facts.get(outside) or 0.0
        if max(a, b) <= _ALIKE * min(a, b):
            first, second = "about as dense", "as"
        else:
            first, second = "denser" if a > b else "sparser", "than"
        text = f"Lymphocytes are {first} in carcinoma ({{{inside}}}) {second} in stroma ({{{outside}}})."
        yield facts.tell(text, "immune")


def _zones(facts: Facts) -> Iterator[Sentence]:
    """Yield the density of lymphocytes across the zones round the tumor if there are any."""
    names = {zone: f"CELL_DENSITY_LYMPHOCYTE_IN_{zone}" for zone in _ZONES}
    parts = [f"{{{name}}} in the {_ZONES[zone]}" for zone, name in names.items() if facts.has(name)]
    if len(parts) > 1:
        yield facts.tell(f"Lymphocyte density is {listed(parts)}.", "immune")


def _aggregates(facts: Facts) -> Iterator[Sentence]:
    count = facts.get("LYMPHOID_AGGREGATE_COUNT")
    if count == 0:
        yield facts.tell("No lymphoid aggregate was found.", "immune", ["LYMPHOID_AGGREGATE_COUNT"])
    elif count is not None:
        many = "s cover" if count > 1 else " covers"
        yield facts.tell(
            f"{{LYMPHOID_AGGREGATE_COUNT}} lymphoid aggregate{many} {{LYMPHOID_AGGREGATE_AREA}}.",
            "immune",
        )


def _stroma(facts: Facts) -> Iterator[Sentence]:
    """Yield how much stroma there is, what it holds, and necrosis."""
    tell, has, topic = facts.tell, facts.has, "stroma"
    label = facts.labels.get("stroma")
    if has("TUMOR_STROMA_RATIO") and label:
        yield tell(
            f"Carcinoma has {{TUMOR_STROMA_RATIO}} times the area of stroma: {label.lower()} tissue.",
            topic,
            [Source("interpretation.stroma", label)],
        )
    if has("CELL_PERCENTAGE_FIBROBLAST_STROMA", "CELL_DENSITY_FIBROBLAST_STROMA"):
        yield tell(
            "Fibroblasts are {CELL_PERCENTAGE_FIBROBLAST_STROMA} of the cells in stroma, at a density "
            "there of {CELL_DENSITY_FIBROBLAST_STROMA}.",
            topic,
        )
    if facts.get("ABSOLUTE_AREA_NECROSIS") and has("NECROSIS_FRACTION_OF_TUMOR"):
        yield tell("Necrosis takes {NECROSIS_FRACTION_OF_TUMOR:%} of carcinoma and necrosis together.", topic)


def _architecture(facts: Facts) -> Iterator[Sentence]:
    """Yield how cells are arranged."""
    label = facts.labels.get("architecture")
    words = _WORDS["architecture"].get(str(label))
    if words:
        yield facts.tell(
            f"{words}: the distance to the nearest other one is {{CLARK_EVANS_LYMPHOCYTE}} "
            "times that of a random pattern.",
            "architecture",
            [Source("interpretation.architecture", label)],
        )
    if facts.has("MEAN_SPATIAL_ENTROPY", "SHANNON"):
        yield facts.tell(
            "The entropy of the cell classes is {MEAN_SPATIAL_ENTROPY} among nearest neighbors and "
            "{SHANNON} over the slide.",
            "architecture",
        )


def _morphology(facts: Facts) -> Iterator[Sentence]:
    """Yield the size, its spread, and the roundness of the tumor's nuclei, lymphocytes beside them."""
    area, spread = "NUCLEUS_AVG_AREA_CARCINOMA_CELL", "NUCLEUS_CV_AREA_CARCINOMA_CELL"
    if not facts.has(area):
        return
    text = f"Carcinoma nuclei have a mean area of {{{area}}}"
    text += f" with a coefficient of variation of {{{spread}}}" if facts.has(spread) else ""
    beside = "NUCLEUS_AVG_AREA_LYMPHOCYTE"
    text += f"; those of lymphocytes, for comparison, {{{beside}}}" if facts.has(beside) else ""
    yield facts.tell(f"{text}.", "morphology")


TOPICS: tuple[Callable[[Facts], Iterator[Sentence]], ...] = (
    _composition,
    _immune,
    _stroma,
    _architecture,
    _morphology,
    find_doubts,
)
