"""What is uncertain in the numbers of a slide, and why."""

import re
from collections.abc import Callable, Iterator, Sequence

from histome.caveats import models_disagree
from histome.classes import CELL_CLASSES, TISSUE_CLASSES
from histome.models.label_support import read_support, weakly_supported
from histome.narrative.facts import Facts
from histome.narrative.sentences import Sentence, Source, listed
from histome.narrative.writers.words import cell_words, tissue_words

# Under these a sentence says that there is little to go by.
_LITTLE_VALID_PERCENT, _LITTLE_VALID_MM2, _FEW_CELLS = 80.0, 1.0, 20
_MOSTLY_UNFAMILIAR = 0.5


def find_doubts(facts: Facts) -> Iterator[Sentence]:
    """Yield every doubt, of the topic "uncertain"."""
    for doubt in DOUBTS:
        yield from doubt(facts)


def _tell(facts: Facts, template: str, also: Sequence[str | Source] = ()) -> Sentence:
    return facts.tell(template, "uncertain", also)


def _little_tissue(facts: Facts) -> Iterator[Sentence]:
    share, area = facts.get("RELATIVE_AREA_VALID_TISSUE"), facts.get("VALID_AREA")
    if share is not None and share < _LITTLE_VALID_PERCENT:
        yield _tell(facts, "Only {RELATIVE_AREA_VALID_TISSUE} of the tissue passed quality control.")
    if area is not None and area < _LITTLE_VALID_MM2:
        yield _tell(facts, "Only {VALID_AREA} of valid tissue was there to measure, a small sample.")


def _unfamiliar(facts: Facts) -> Iterator[Sentence]:
    """Yield that the surroundings of most cells are unlike any that the model learned from."""
    name = "UNFAMILIAR_FRACTION_ALL"
    share = facts.get(name)
    if share is not None and share > _MOSTLY_UNFAMILIAR:
        yield _tell(
            facts,
            f"The surroundings of {{{name}:%}} of the cells are unlike those that the model learned from: "
            "the cell types are not to be trusted.",
        )


def _abstained(facts: Facts) -> Iterator[Sentence]:
    if not facts.has("ABSTAINED_COUNT_ALL", "ABSTAINED_FRACTION_ALL", "CONFIDENCE_MEAN_ALL"):
        return
    left_open = "cell" if facts.get("ABSTAINED_COUNT_ALL") == 1 else "cells"
    yield _tell(
        facts,
        f"The model abstained on {{ABSTAINED_COUNT_ALL}} {left_open} ({{ABSTAINED_FRACTION_ALL:%}}), counted "
        "under the likeliest class; its mean confidence in a class is {CONFIDENCE_MEAN_ALL:%}.",
    )
    confidence = {name: facts.get(f"CONFIDENCE_MEAN_{name.upper()}") for name in CELL_CLASSES}
    known = {
        name: value
        for name, value in confidence.items()
        if value is not None and (facts.get(f"CELL_COUNT_{name.upper()}") or 0) >= _FEW_CELLS
    }
    if len(known) > 1:
        least = min(known, key=lambda name: known[name])
        yield _tell(
            facts, f"It is least sure of {cell_words(least)} ({{CONFIDENCE_MEAN_{least.upper()}:%}})."
        )


def _disagreement(facts: Facts) -> Iterator[Sentence]:
    """Yield that the tissue model sees no carcinoma where the cell model sees carcinoma cells."""
    inside, every = "CELL_COUNT_CARCINOMA_CELL_CARCINOMA", "CELL_COUNT_CARCINOMA_CELL"
    a, b = facts.get(inside), facts.get(every)
    if a is None or b is None or not models_disagree(b, a):
        return
    few = f"Only {{{inside}}}" if a else "None"
    yield _tell(
        facts,
        f"{few} of the {{{every}}} cells classed as carcinoma cells lie in tissue classed as carcinoma: "
        "the models disagree, and every number on the tumor needs a look at the overlay.",
        [] if a else [inside],
    )


def _classes(facts: Facts) -> Iterator[Sentence]:
    """Yield the classes that the nuclei model learned without labels of their own, or from few."""
    for model, notes in facts.models.items():
        weak = weakly_supported(read_support(notes.labels))
        indirect = [name for name, support in weak.items() if support.kind == "indirect"]
        few = [name for name in weak if name not in indirect]
        for names, how in ((indirect, "without labels of their own"), (few, "from few labels")):
            if names:
                yield _learned(facts, model, names, how)


def _learned(facts: Facts, model: str, names: Sequence[str], how: str) -> Sentence:
    counts = [f"CELL_COUNT_{name.upper()}" for name in names]
    labels = facts.models[model].labels
    sources = [Source(f"{model} card: training.labels.{name}", labels[name]) for name in names]
    text = f"{listed([cell_words(name) for name in names])} were learned {how}"
    found = [name for name in counts if facts.get(name)]
    end = "their numbers are tentative" if found else "that the model named none is no sign of their absence"
    return _tell(facts, f"{text}: {end}.", [*counts, *sources])


def _tissues(facts: Facts) -> Iterator[Sentence]:
    """Yield the tissues that were not found and that a model's limits name."""
    limits = [(model, line) for model, notes in facts.models.items() for line in notes.limits]
    absent = [name for name in TISSUE_CLASSES if facts.get(f"ABSOLUTE_AREA_{name}") == 0]
    named = {
        name: (model, line)
        for name in absent
        for model, line in limits
        if re.match(rf"{tissue_words(name)}s?\b", line, re.I)
    }
    if named:
        sources = [Source(f"{model} card: limits", line) for model, line in dict.fromkeys(named.values())]
        words = listed([tissue_words(name) for name in named], "or")
        yield _tell(
            facts,
            f"No {words} was segmented, which the model hardly learned: that is no sign of absence.",
            [*(f"ABSOLUTE_AREA_{name}" for name in named), *sources],
        )


def _never_seen(facts: Facts) -> Iterator[Sentence]:
    """Yield the organs and preparations that a model has never seen, the stated one first."""
    organ = facts.stated.get("organ")
    unseen = [model for model, notes in facts.models.items() if notes.organs and organ not in notes.organs]
    if organ is not None and unseen:
        many = "models" if len(unseen) > 1 else "model"
        text = (
            f"The {listed(unseen)} {many} never saw {organ}, the organ that was stated: no number here holds."
        )
        sources = (Source(f"{model} card: organs", ", ".join(facts.models[model].organs)) for model in unseen)
        yield Sentence(text, (Source("stated: organ", organ), *sources), "uncertain")
    for model, notes in facts.models.items():
        for line in notes.limits:
            if line.lower().startswith("never saw") and not re.search(r"\d", line):
                names = line.split(":", 1)[-1].strip().rstrip(".")
                text = f"The {model} model never saw {names}: of such tissue nothing here holds."
                yield Sentence(text, (Source(f"{model} card: limits", line),), "uncertain")


DOUBTS: tuple[Callable[[Facts], Iterator[Sentence]], ...] = (
    _little_tissue,
    _unfamiliar,
    _abstained,
    _disagreement,
    _classes,
    _tissues,
    _never_seen,
)
