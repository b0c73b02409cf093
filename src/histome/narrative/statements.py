"""Sentences that rest on what was stated and on what the models say of themselves, not on metrics.

Writers print them, and the verifier knows them to the letter: another wording of them is not checkable.
"""

from collections.abc import Iterator

from histome.caveats import MANY_NOT_COUNTED
from histome.caveats.enough import FEWEST_TILES
from histome.metrics.format import format_count
from histome.narrative.facts import PATCH, Facts
from histome.narrative.sentences import Sentence, Source, listed
from histome.narrative.slide_labels import disagree, untrusted
from histome.narrative.units import print_feature, print_share
from histome.phenotype.axes import phenotypes

_MUCH_OPEN = 0.2  # share of cells left open, or out, that is worth a sentence; each slide has some
_LITTLE_VALID_PERCENT = 80.0
_FEW_NUCLEI = 200  # under this the 95 % interval of a share is wider than +-7 points


def statements(facts: Facts) -> Iterator[Sentence]:
    """Yield what was stated, and every doubt about these facts in particular."""
    if facts.kind is PATCH:
        yield from _patch_doubts(facts)
        return
    yield from _stated(facts)
    yield from _never_saw(facts)
    if untrusted(facts.get):
        text = "The surroundings of {UNFAMILIAR_FRACTION_ALL:%} of the cells are unlike those that the model "
        yield facts.tell(f"{text}learned from: the cell types are not to be trusted.", "uncertain")
    elif disagree(facts.get):
        text = "The models of cells and of tissue disagree here: types of cells need a look at the overlay."
        rests = ("CELL_COUNT_CARCINOMA_CELL", "CELL_COUNT_CARCINOMA_CELL_CARCINOMA")
        rests += ("CELL_COUNT_EPITHELIAL_CELL_CARCINOMA", "CELL_COUNT_FIBROBLAST_CARCINOMA")
        yield facts.tell(text, "uncertain", [name for name in rests if facts.has(name)])
    share = facts.get("RELATIVE_AREA_VALID_TISSUE")
    if share is not None and share < _LITTLE_VALID_PERCENT:
        yield facts.tell(
            "Only {RELATIVE_AREA_VALID_TISSUE} of the tissue passed quality control.", "uncertain"
        )
    left_out = facts.get("CELL_FRACTION_NOT_COUNTED")
    if left_out is not None and left_out > MANY_NOT_COUNTED:
        text = "Not counted are {CELL_N_NOT_COUNTED} cells in tissue called necrosis or blood"
        yield facts.tell(f"{text}: look at the overlay.", "uncertain", ["CELL_FRACTION_NOT_COUNTED"])
    yield from _few(facts, "CELL_N_TOTAL", ("cell", "cells"))
    name = "IMMUNE_INFLAMED_SHARE"
    tiles = facts.samples.get(name, 0)
    if facts.has(name) and 0 < tiles < FEWEST_TILES and not disagree(facts.get) and not untrusted(facts.get):
        many = "tile holds" if tiles == 1 else "tiles hold"
        text = f"Only {{{name}:n}} {many} tumor, too few for an immune phenotype."
        yield facts.tell(text, "uncertain")
    left_open = facts.get("ABSTAINED_FRACTION_ALL")
    if left_open is not None and left_open >= _MUCH_OPEN and not untrusted(facts.get):
        yield facts.tell(
            "The model was unsure of the type of {ABSTAINED_FRACTION_ALL:%} of the cells.", "uncertain"
        )


def _stated(facts: Facts) -> Iterator[Sentence]:
    """Yield what the user said of the specimen."""
    if facts.stated:
        specimen, site, organ = (facts.stated.get(name) for name in ("specimen", "site", "organ"))
        tumor = {"primary": "primary tumor", "metastasis": "metastasis"}.get(str(site))
        what = " of a ".join(filter(None, (specimen, tumor)))
        place = f" {'in' if tumor else 'of'} the {organ}" if organ else ""
        text = f"Stated by the user: {what}{place}." if what else f"Stated by the user: organ {organ}."
        yield Sentence(
            text, tuple(Source(f"stated: {name}", value) for name, value in facts.stated.items()), "measured"
        )


def _never_saw(facts: Facts) -> Iterator[Sentence]:
    """Yield the models that have never seen the organ that was stated."""
    organ = facts.stated.get("organ")
    unseen = [model for model, notes in facts.models.items() if notes.organs and organ not in notes.organs]
    if organ is not None and unseen:
        many = "models" if len(unseen) > 1 else "model"
        text = (
            f"The {listed(unseen)} {many} never saw {organ}, the organ that was stated: no number here holds."
        )
        sources = (Source(f"{model} card: organs", ", ".join(facts.models[model].organs)) for model in unseen)
        yield Sentence(text, (Source("stated: organ", organ), *sources), "uncertain")


def _few(facts: Facts, name: str, words: tuple[str, str]) -> Iterator[Sentence]:
    """Yield that there are so few that shares say little."""
    total = facts.get(name)
    if total and total < _FEW_NUCLEI:
        text = f"With {{{name}}} {words[total != 1]} in all, a difference of a few percent means nothing."
        yield facts.tell(text, "uncertain")


def _patch_doubts(facts: Facts) -> Iterator[Sentence]:
    """Yield what limits the numbers of a patch."""
    distance = "mean_dist_Inflammatory_to_Neoplastic"
    total = facts.get("total_cell_count")
    if not facts.h_and_e and not facts.compatible:
        text = "Quality control finds no tissue of H&E in this patch: if it is right, no number here holds."
        yield Sentence(text, (Source("h_and_e", "false"),), "uncertain")
    if facts.left_out:
        yield _left_out(facts, int(total or 0))
    if total and facts.abstained >= _MUCH_OPEN * total and not facts.compatible:
        text = f"The model was unsure of the type of {print_share(facts.abstained / total)} of the cells."
        yield Sentence(text, (Source("cells_abstained", facts.abstained, "cells"),), "uncertain")
    yield from _few(facts, "total_cell_count", ("nucleus", "nuclei"))
    if facts.units.get(distance) == "px" and facts.has(distance):
        text = "Lengths and areas are in pixels: they compare only between patches of one resolution."
        yield facts.tell(text, "uncertain", [distance])
    yield from _own_cuts(facts)
    why = facts.undefined.get(distance)
    if total and why and not facts.has(distance):
        text = f"A distance between immune and tumor cells is undefined: {why}."
        yield Sentence(text, (Source(f"raw_data.undefined.{distance}", why),), "interaction")


def _own_cuts(facts: Facts) -> Iterator[Sentence]:
    """Yield which labels the user's own limits decide, and what those are."""
    told, sources = [], []
    for name, axis in phenotypes().axes.items():
        if name in facts.own_cuts and facts.labels.get(name) is not None:
            unit, pair = facts.units.get(axis.value, ""), facts.own_cuts[name]
            low, high = (print_share(x) if unit == "1" else print_feature(axis.value, x, unit) for x in pair)
            told.append(f"{name} (low under {low}, high over {high})")
            sources += [Source(f"cuts.{name}", each, unit) for each in pair]
    if told:
        text = (
            f"The user's own limits decide the {'label' if len(told) == 1 else 'labels'} of {listed(told)}."
        )
        yield Sentence(text, tuple(sources), "uncertain")


def _left_out(facts: Facts, counted: int) -> Sentence:
    """Return how many nuclei no number counts, with their share of all where it is much."""
    n = facts.left_out
    number, share = format_count(n), n / (n + counted)
    nuclei = f"is {number} nucleus" if n == 1 else f"are {number} nuclei"
    much = counted and share >= _MUCH_OPEN and not facts.compatible
    of_all = f" ({print_share(share)} of all)" if much else ""
    others = "" if counted else "; no others were found"
    text = f"Left out of all numbers {nuclei}{of_all} of none of the five classes{others}."
    return Sentence(text, (Source("cells_left_out", n, "cells", number),), "composition")
