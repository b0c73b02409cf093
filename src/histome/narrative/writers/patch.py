"""The grounded paragraph of one patch: what its features, labels and tokens say, and nothing else."""

from collections.abc import Callable, Iterator

from histome.narrative.facts import Facts
from histome.narrative.sentences import Sentence, Source, listed
from histome.narrative.statements import statements
from histome.phenotype.axes import PANNUKE_CLASSES, phenotypes

_DISTANCE = "mean_dist_Inflammatory_to_Neoplastic"
# Axis -> label -> how a sentence says it; a label that is not here is left out.
_WORDS = {
    "composition": {
        "High Tumour Purity": "high",
        "Low Tumour Purity": "low",
        "Intermediate": "intermediate",
    },
    "immune": {
        "Immune Hot": "immune hot",
        "Immune Cold": "immune cold",
        "Moderate": "moderately infiltrated",
    },
    "interaction": {
        "Direct Contact": "in direct contact",
        "Proximal": "proximal",
        "Excluded": "excluded",
    },
    "stroma": {
        "Desmoplastic": "the patch is desmoplastic",
        "Stroma-Free": "the patch is stroma-free",
        "Intermediate": "the patch is neither desmoplastic nor stroma-free",
    },
    "architecture": {
        "Highly Mixed": "highly mixed",
        "Segregated": "segregated",
        "Intermediate": "neither highly mixed nor segregated",
    },
}

_SIZES = {"Large/Pleomorphic": "large on average", "Small/Monotonous": "small on average"}


def describe_patch(facts: Facts) -> list[Sentence]:
    """Return the sentences on a patch; a value that is null is said to be undefined, with its reason.

    First what was measured, then every doubt, then labels. Of a class of fewer than 20 cells they say counts
    and shares, and of a tumor nothing with fewer neoplastic cells. Where labels are to the letter of the
    published ones, these are told with their tokens however few the cells, and the doubts last.
    """
    doubts = list(statements(facts))
    if not facts.get("total_cell_count"):
        none = facts.tell("No nuclei were found in this patch.", "composition", ["total_cell_count"])
        return doubts if facts.left_out else [none, *doubts]
    counts, *told = (sentence for topic in TOPICS for sentence in topic(facts))
    if facts.compatible:
        return [counts, *told, *doubts]
    late = [doubt for doubt in doubts if doubt.topic == "interaction"]
    return [counts, *(doubt for doubt in doubts if doubt not in late), *told, *late]


def _words(facts: Facts, axis: str) -> str | None:
    """Return the label of an axis in words."""
    return _WORDS[axis].get(str(facts.labels.get(axis)))


def _tokens(facts: Facts, axis: str) -> tuple[str, list[Source]]:
    """Return the tokens of an axis in brackets, and the sources of its label and tokens.

    Only as published: a solid nest or fibrosis is nothing that shares and distances show.
    """
    if not facts.compatible:
        return "", [Source(f"interpretation.{axis}", facts.labels[axis])]
    known = phenotypes()
    labels = known.axes[axis]
    own = {*labels.low.tokens, *labels.intermediate.tokens, *labels.high.tokens}
    if axis == "composition":
        own |= {*known.low_purity.immune, *known.low_purity.stroma}
    if axis == "interaction":
        own |= set(known.bystander.tokens)
    tokens = [token for token in facts.tokens if token in own]
    sources = [Source(f"interpretation.{axis}", facts.labels[axis])]
    sources += [Source("generated_tokens", token) for token in tokens]
    words = listed([token.lower().replace("tumour", "tumor") for token in tokens])
    return f" ({words})" if words else "", sources


def _composition(facts: Facts) -> Iterator[Sentence]:
    """Yield the counts, then the purity."""
    counts = {name: facts.get(f"count_{name}") for name in PANNUKE_CLASSES}
    present = sorted((n for n in counts if counts[n]), key=lambda n: -(counts[n] or 0))
    parts = [f"{{count_{name}}} {name.lower()} ({{ratio_{name}:%}})" for name in present]
    absent = [name.lower() for name, count in counts.items() if count == 0]
    none = f"; no {listed(absent, 'or')} cell was found" if absent else ""
    silent = [f"count_{name}" for name, count in counts.items() if count == 0]
    nuclei = "nucleus" if facts.get("total_cell_count") == 1 else "nuclei"
    yield facts.tell(
        f"The patch holds {{total_cell_count}} {nuclei}: {listed(parts)}{none}.", "composition", silent
    )
    word = _words(facts, "composition")
    if word and not facts.few("Neoplastic"):
        tokens, sources = _tokens(facts, "composition")
        yield facts.tell(f"Tumor purity is {word}{tokens}.", "composition", ["ratio_Neoplastic", *sources])


def _immune(facts: Facts) -> Iterator[Sentence]:
    """Yield the immune status."""
    words = _words(facts, "immune")
    if words is None or not facts.has("ratio_Inflammatory"):
        return
    tokens, sources = _tokens(facts, "immune")
    lead = f"It is {words}{tokens}" if facts.compatible else f"The patch is {words}"
    if not facts.get("ratio_Inflammatory") and not facts.compatible:  # the counts say so
        yield facts.tell(f"{lead}.", "immune", ["ratio_Inflammatory", *sources])
        return
    yield facts.tell(
        f"{lead}: inflammatory cells are {{ratio_Inflammatory:%}} of all cells.", "immune", sources
    )
    if facts.has("immune_infiltration_fraction") and not facts.few("Neoplastic"):
        text = "Of the neoplastic and inflammatory cells, {immune_infiltration_fraction:%} are inflammatory."
        if facts.compatible:
            text = "The immune infiltration fraction is {immune_infiltration_fraction:%}."
        yield facts.tell(text, "immune")


def _interaction(facts: Facts) -> Iterator[Sentence]:
    """Yield where the inflammatory cells lie."""
    if not facts.has(_DISTANCE) or facts.few("Inflammatory", "Neoplastic"):
        return
    far = f"On average an inflammatory cell lies {{{_DISTANCE}}} from the nearest neoplastic cell"
    near = "; the closest lies {min_dist_Inflammatory_to_Neoplastic} away"
    yield facts.tell(f"{far}{near}.", "interaction")
    yield _engaged(facts)
    if words := _words(facts, "interaction"):
        tokens, sources = _tokens(facts, "interaction")
        yield facts.tell(f"The infiltrate is {words}{tokens}.", "interaction", sources)


def _engaged(facts: Facts) -> Sentence:
    """Return how many inflammatory cells are engaged."""
    silent = ["count_engaged_immune", "count_Inflammatory"]
    if not facts.get("count_engaged_immune"):
        return facts.tell("No inflammatory cell is engaged.", "interaction", silent)
    if facts.get("count_Inflammatory") == 1:
        return facts.tell("The inflammatory cell is engaged.", "interaction", silent)
    be = "is" if facts.get("count_engaged_immune") == 1 else "are"
    text = f"{{count_engaged_immune}} of the {{count_Inflammatory}} inflammatory cells {be} engaged."
    return facts.tell(text, "interaction")


def _stroma(facts: Facts) -> Iterator[Sentence]:
    """Yield the share of stroma."""
    words = _words(facts, "stroma")
    if words is None or not facts.has("ratio_Connective"):
        return
    few = facts.few("Neoplastic")
    if few and facts.labels["stroma"] != "Stroma-Free":  # desmoplastic is a tumor's stroma
        return
    tokens, sources = _tokens(facts, "stroma")
    text, of_both = "Connective cells are {ratio_Connective:%} of all cells", "{tumor_stroma_fraction:%}"
    told = facts.has("tumor_stroma_fraction") and not few
    if facts.compatible:
        text += f", and the tumor-stroma fraction is {of_both}" if told else ""
        yield facts.tell(f"{text}: {words}{tokens}.", "stroma", sources)
    elif not facts.get("ratio_Connective"):  # the counts say so
        yield facts.tell(f"{words}.", "stroma", ["ratio_Connective", *sources])
    else:
        yield facts.tell(f"{text}: {words}.", "stroma", sources)
        if told:
            yield facts.tell(f"Of the neoplastic and connective cells, {of_both} are neoplastic.", "stroma")


def _architecture(facts: Facts) -> Iterator[Sentence]:
    """Yield how the classes mix."""
    words = _words(facts, "architecture")
    one = sum(bool(facts.get(f"count_{name}")) for name in PANNUKE_CLASSES) == 1
    if one and not facts.compatible:  # cells of one class mix with no other
        return
    if words and facts.has("mean_spatial_entropy"):
        tokens, sources = _tokens(facts, "architecture")
        text = f"The cell classes are {words}{tokens}, with a mean spatial entropy of "
        yield facts.tell(f"{text}{{mean_spatial_entropy}}.", "architecture", sources)


def _morphology(facts: Facts) -> Iterator[Sentence]:
    """Yield the size of the nuclei."""
    if not facts.has("mean_area_Neoplastic") or facts.few("Neoplastic"):
        return
    label = facts.labels.get("morphology")
    tokens, sources = _tokens(facts, "morphology") if label else ("", [])
    text = "Neoplastic nuclei measure {mean_area_Neoplastic} on average"
    if facts.has("mean_area_Inflammatory") and not facts.few("Inflammatory"):
        text += " and inflammatory nuclei {mean_area_Inflammatory}"
    yield facts.tell(f"{text}.", "morphology")
    if label and label != "Intermediate":
        # The label is of their mean area alone; "small cell morphology" would be read as a diagnosis.
        words = f"{label.lower()}{tokens}" if facts.compatible else _SIZES[label]
        yield facts.tell(f"Neoplastic nuclei are {words}.", "morphology", sources)


TOPICS: tuple[Callable[[Facts], Iterator[Sentence]], ...] = (
    _composition,
    _immune,
    _interaction,
    _stroma,
    _architecture,
    _morphology,
)
