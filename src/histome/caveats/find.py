"""Which doubts there are of a run, from what run.json says of it: a rule a code, or a few."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from histome.caveats.codes import caveat
from histome.caveats.enough import FEWEST_CELLS
from histome.config import WarningsConfig
from histome.metrics.format import format_count, format_number
from histome.models.card import Card
from histome.models.label_support import card_support, support_texts, weakly_supported
from histome.models.tasks import CELL_TASKS
from histome.slide.broken import broken_tiles_line
from histome.slide.reader import pages_line
from histome.store.caveat import Caveat

# Fewer carcinoma cells than this share of the cells in carcinoma: one of the two models is wrong.
_LEAST_CARCINOMA_SHARE = 0.2
# In real fields of 20 nuclei or more, with the right um/px none had smaller ones and 2 of 85 smoother ones,
# both of frozen sections; with half of it 43 of 71 are told, with twice 27 of 91, with four times 68 of 97.
_ENOUGH_NUCLEI, _SMALLEST_UM2, _SMOOTHEST_UM2 = 20, 9.5, 1500.0
# The emptiest of those fields, of bone, had 95 cells per mm2, a field of fat 70.
_ENOUGH_MM2, _FEWEST_PER_MM2 = 0.2, 40.0
# What `qc.stain.unlike_h_and_e` says, in words.
_LOOKS = {
    "one color": "The tissue has one color only, as with a single stain, in a gray or in an empty picture.",
    "another color": "The tissue is not red to violet.",
    "brown": "A brown or yellow stain takes part, as in immunohistochemistry (DAB), or the channels red and "
    "blue are exchanged.",
}
_MEASURED = {
    "hematoxylin_od_mean": "the hematoxylin of nuclei (optical density)",
    "hematoxylin_od_sd": "the standard deviation of hematoxylin within a nucleus",
    "eosin_od_mean": "the eosin of nuclei (optical density)",
}
MANY_NOT_COUNTED = _MANY_LEFT_OUT = 0.2
_FEW_NAMES = 3
_GRAVEST_FIRST = ("alarm", "caution", "note")


@dataclass(frozen=True)
class Observed:
    """All that the warnings are derived from.

    Attributes
    ----------
    run : mapping
        run.json as far as it is known: a part that a stage tells is missing until the stage is done.
    cards : sequence of Card
        The models of the run.
    limits : WarningsConfig
        Where warnings begin.
    """

    run: Mapping[str, Any]
    cards: Sequence[Card]
    limits: WarningsConfig

    def part(self, name: str) -> Mapping[str, Any]:
        """Return what run.json says under a name; empty where it does not yet."""
        return self.run.get(name) or {}


Rule = Callable[[Observed], Iterator[Caveat]]


def find_caveats(observed: Observed) -> list[Caveat]:
    """Return the warnings, the gravest first, otherwise in the order of the pipeline."""
    found = [each for rule in RULES for each in rule(observed)]
    return sorted(found, key=lambda each: _GRAVEST_FIRST.index(each.severity))


def models_disagree(
    carcinoma_cells: float,
    in_carcinoma: float,
    *,
    cells_in_carcinoma: float,
    epithelial: float,
    fibroblasts: float,
) -> bool:
    """Whether most carcinoma cells lie outside of carcinoma, or others are what it mostly holds.

    Those others are cells of any kind (carcinoma cells are fewer than a fifth), or epithelial cells or
    fibroblasts in carcinoma (either are more). Of fewer than 20 carcinoma cells, and of carcinoma with fewer
    than 20 cells, nothing is asked.
    """
    outside = carcinoma_cells >= FEWEST_CELLS and in_carcinoma < 0.5 * carcinoma_cells
    strange = in_carcinoma < max(_LEAST_CARCINOMA_SHARE * cells_in_carcinoma, epithelial, fibroblasts)
    return outside or (strange and cells_in_carcinoma >= FEWEST_CELLS)


def _colors(observed: Observed) -> Iterator[Caveat]:
    quality = observed.part("quality")
    if looks := quality.get("unlike_h_and_e"):
        yield caveat(
            "NOT_H_AND_E",
            f"{_LOOKS[looks]} The models know hematoxylin and eosin only: nothing here holds, and every "
            "cell is left open.",
            looks_like=looks,
            colors=quality["colors"],
        )


def _resolution(observed: Observed) -> Iterator[Caveat]:
    mpp = observed.part("slide").get("mpp", {})
    if mpp.get("estimated"):
        yield caveat(
            "RESOLUTION_ESTIMATED",
            f"The file does not state its pixel size; {mpp['x']:.4g} um/px follows from the nominal "
            "magnification. Scanners differ from it by up to 30 %, areas and densities then by up to 70 %.",
            mpp=mpp["x"],
        )
    else:
        yield from (caveat("RESOLUTION_NOTE", f"{note}.") for note in mpp.get("notes", ()))
    finest = max((card.mpp for card in observed.cards if card.task in CELL_TASKS), default=None)
    if finest is not None and mpp and max(mpp["x"], mpp["y"]) > 1.1 * finest:
        from histome.qc.focus import focus_is_blind  # loads OpenCV, for which a finished profile has no use

        coarse = max(mpp["x"], mpp["y"])
        blind = " Focus cannot be judged: no area out of focus is found." if focus_is_blind(coarse) else ""
        yield caveat(
            "RESOLUTION_COARSE",
            f"The slide has {coarse:.3g} um/px, the model works at {finest:.3g}: small nuclei are missed and "
            f"shapes are smooth.{blind}",
            mpp=coarse,
            model_mpp=finest,
        )


def _implausible(observed: Observed) -> Iterator[Caveat]:
    """Nuclei that no tissue has. A field of fat may be all but empty, hence the least area and number."""
    cells, valid_mm2 = observed.part("cells"), observed.part("quality").get("valid_mm2")
    count, median, contrast = (
        cells.get(name) for name in ("counted", "median_nucleus_um2", "nuclear_contrast")
    )
    if not count or not valid_mm2 or median is None or contrast is None:
        return
    per_mm2, x = cells["count"] / valid_mm2, observed.part("slide")["mpp"]["x"]
    smooth_um2 = median / contrast**2 if contrast else float("inf")
    if count >= _ENOUGH_NUCLEI and median < _SMALLEST_UM2:
        reason = f"Half of the nuclei are under {format_number(median)} µm²: {x:.3g} um/px is too small."
    elif count >= _ENOUGH_NUCLEI and smooth_um2 > _SMOOTHEST_UM2:
        reason = (
            f"The nuclei are smoother than their size allows (median {format_number(median)} µm²): {x:.3g} "
            "um/px is too large, or the section was frozen or is blurred."
        )
    elif valid_mm2 >= _ENOUGH_MM2 and per_mm2 < _FEWEST_PER_MM2:
        reason = f"There are {format_number(per_mm2)} cells per mm² of valid tissue at {x:.3g} um/px."
    else:
        return
    yield caveat(
        "RESOLUTION_IMPLAUSIBLE",
        f"{reason} A wrong resolution makes every area, density, nucleus and class wrong.",
        mpp=x,
        median_nucleus_um2=median,
        nuclear_contrast=contrast,
        cells_per_mm2=per_mm2,
    )


def _file(observed: Observed) -> Iterator[Caveat]:
    slide = observed.part("slide")
    broken = slide.get("broken_tiles", {})
    if tiles := broken.get("count"):
        share = broken.get("tissue_share")
        yield caveat("BROKEN_TILES", f"{broken_tiles_line(tiles, share)}.", tiles=tiles, tissue_share=share)
    yield from (caveat("FILE_NOTE", f"{note}.") for note in slide.get("notes", ()))
    if (pages := slide.get("pages", 1)) > 1:
        yield caveat("PAGES_NOT_READ", f"{pages_line(pages)}.", pages=pages)
    for name, stage in observed.part("stages").items():
        yield from (caveat("RUN_NOTE", line, stage=name) for line in stage.get("warnings", ()))


def _given(observed: Observed) -> Iterator[Caveat]:
    """What was read beside the slide."""
    if roi := observed.part("roi"):
        file, names = roi["file"], [region["name"] for region in roi["regions"]]
        told = f"Only {', '.join(names[:_FEW_NAMES])}" if names else "All but what is to be left out"
        more = f" and {len(names) - _FEW_NAMES} more regions" if len(names) > _FEW_NAMES else ""
        text = f"{told}{more} of {file} was measured; numbers on the slide are of all of it together."
        if lines := roi["not_measured"]:
            text = f"{text} Not measured: {'; '.join(lines)}."
            yield caveat("REGIONS_NOT_MEASURED", text, regions=names, file=file, not_measured=lines)
        else:
            yield caveat("REGIONS_OF_INTEREST", text, regions=names, file=file)
    if nuclei := observed.part("nuclei"):
        values = {name: nuclei[name] for name in ("file", "count", "measured")}
        measured, every = (format_count(values[name]) for name in ("measured", "count"))
        told = f"{measured} of {every} nuclei of {values['file']}"
        if values["measured"] < (1 - _MANY_LEFT_OUT) * values["count"]:
            text = f"Only {told} lie in valid tissue: are they in px of level 0, and of this slide?"
            yield caveat("NUCLEI_LEFT_OUT", text, **values)
        else:
            text = f"{told} lie in valid tissue and were classified there; no others were looked for."
            yield caveat("NUCLEI_GIVEN", text, **values)


def _quality(observed: Observed) -> Iterator[Caveat]:
    share = observed.part("quality").get("valid_percent")
    if share is not None and share < observed.limits.low_valid_percent:
        yield caveat(
            "MUCH_EXCLUDED",
            f"Only {format_number(share)} % of the tissue passed quality control; the rest is out of focus, "
            "folded, inked or otherwise damaged and was not measured.",
            valid_percent=share,
        )


def _specimen(observed: Observed) -> Iterator[Caveat]:
    stated = observed.part("config").get("slide", {})
    organ = stated.get("organ")
    if organ is None:
        text = "Whether the models ever saw such tissue is not known; state the organ with --organ."
        yield caveat("ORGAN_NOT_STATED", text)
    elif unseen := [card.name for card in observed.cards if card.organs and organ not in card.organs]:
        many = "models" if len(unseen) > 1 else "model"
        yield caveat(
            "ORGAN_NOT_SEEN",
            f"The {many} “{'” and “'.join(unseen)}” never saw {organ}: classes of tissues and cells, "
            "and every number on them, may be wrong. Believe only what you see on the overlays.",
            organ=organ,
            models=unseen,
        )
    if stated.get("specimen") == "cytology":
        text = "Smears have no tissues, zones or regions, and no model here learned from them."
        yield caveat("SPECIMEN_NOT_SEEN", text, specimen="cytology")


def _tissue(observed: Observed) -> Iterator[Caveat]:
    areas = observed.part("tissue").get("mm2", {})
    total = sum(areas.values())
    if total > 0 and areas["CARCINOMA"] == 0:
        yield caveat(
            "NO_CARCINOMA",
            "Every metric that refers to carcinoma is null or zero. If this is a tumor, look at the tissue "
            "overlay before you use any number.",
            tissue_mm2=total,
        )


def _cells(observed: Observed) -> Iterator[Caveat]:
    cells, limits = observed.part("cells"), observed.limits
    every, count = cells.get("count", 0), cells.get("counted")
    if undecided := {name: n for name, n in cells.get("undecided", {}).items() if n}:
        told = "; ".join(f"{format_count(n)} {name}" for name, n in undecided.items())
        text = f"The model has no held-out score of the classes of {told} (column “reported”)."
        yield caveat("TYPES_UNDECIDED", text, undecided=undecided)
    if every and every - count > MANY_NOT_COUNTED * every:
        yield caveat(
            "CELLS_NOT_COUNTED",
            f"{format_count(every - count)} of {format_count(every)} cells lie in tissue called necrosis or "
            "blood and enter no metric: if the overlay shows another tissue there, numbers are too low.",
            cells=every,
            not_counted=every - count,
        )
    if not count:
        if count == every:
            area = observed.part("quality").get("valid_mm2")
            yield caveat("NO_CELLS", "Cell metrics are zero or null, with their reason.", valid_mm2=area)
        return
    if count < limits.few_cells:
        text = f"Shares rest on {format_count(count)} cells; a difference of a few percent means nothing."
        yield caveat("SMALL_SAMPLE", text, cells=count)
    if (strange := cells["unfamiliar_percent"]) is not None and strange > limits.high_unfamiliar_percent:
        median = cells["strangeness_median"]
        yield caveat(
            "TYPES_UNFAMILIAR",
            f"What lies around {format_number(strange)} % of the cells (stain, sizes of nuclei, certainty) "
            f"is unlike what the model learned from (median distance {format_number(median)}, its limit is "
            "1): an organ, scanner or stain that it does not know. Do not use numbers by cell type; these "
            "cells are left open.",
            unfamiliar_percent=strange,
            strangeness_median=median,
        )
    mean, left_open = cells["confidence_mean"], cells["abstained_percent"]
    if mean < limits.low_confidence:
        text = f"The mean confidence is {format_number(mean, 2)}: at best that share of the classes is right."
        yield caveat("LOW_CONFIDENCE", text, confidence_mean=mean)
    if left_open > limits.high_abstained_percent:
        yield caveat(
            "MANY_ABSTAINED",
            f"The model abstained on {format_number(left_open)} % of the cells. Counts include them under "
            "their most likely class; the column “Confident” leaves them out.",
            abstained_percent=left_open,
        )


def _disagreement(observed: Observed) -> Iterator[Caveat]:
    cells = observed.part("cells")
    every, inside = cells.get("carcinoma_cells", 0), cells.get("in_carcinoma", 0)
    there, benign, fibroblasts = (
        cells.get(f"{name}_in_carcinoma", 0) for name in ("cells", "epithelial", "fibroblasts")
    )
    if models_disagree(every, inside, cells_in_carcinoma=there, epithelial=benign, fibroblasts=fibroblasts):
        yield caveat(
            "MODELS_DISAGREE",
            f"{format_count(inside)} of the {format_count(every)} cells classed as carcinoma cells lie in "
            f"tissue classed as carcinoma, of the {format_count(there)} cells there {format_count(benign)} "
            f"are epithelial and {format_count(fibroblasts)} fibroblasts: every number on the tumor needs a "
            "look at the overlay.",
            carcinoma_cells=every,
            in_carcinoma=inside,
            cells_in_carcinoma=there,
            epithelial_in_carcinoma=benign,
            fibroblasts_in_carcinoma=fibroblasts,
        )


def _corrected(observed: Observed) -> Iterator[Caveat]:
    edits = observed.part("edits")
    if any(edits.values()):
        lost = (
            f" {format_count(edits['not_found'])} edited cells were not found again."
            if edits["not_found"]
            else ""
        )
        text = (
            f"By people, {format_count(edits['relabeled'])} cells were given their class and "
            f"{format_count(edits['excluded_regions'])} regions were excluded.{lost}"
        )
        yield caveat("CORRECTED", text, **edits)


def _stain(observed: Observed) -> Iterator[Caveat]:
    """A mean outside the range of slide means in the card: `training.stain.<column> = [low, high]`."""
    means = observed.part("cells").get("stain", {})
    for card in observed.cards:
        outside = {
            name: {"mean": means[name], "low": low, "high": high}
            for name, (low, high) in card.training.get("stain", {}).items()
            if means.get(name) is not None and not low <= means[name] <= high
        }
        told = [
            f"{_MEASURED[name]} is {format_number(at['mean'])} on average (in training "
            f"{format_number(at['low'])} to {format_number(at['high'])})"
            for name, at in outside.items()
        ]
        if outside:
            text = f"Of the model “{card.name}”: {'; '.join(told)}. Expect more errors."
            yield caveat("STAIN_OUTSIDE_TRAINING", text, model=card.name, outside=outside)


def _models(observed: Observed) -> Iterator[Caveat]:
    for card in observed.cards:
        if weak := weakly_supported(card_support(card)):
            words = {name.lower().replace("_", " "): support for name, support in weak.items()}
            names = ", ".join(f"{name} ({support})" for name, support in words.items())
            yield caveat(
                "FEW_LABELS",
                "Indirect means: only as a member of wider groups. Numbers of these are tentative and carry "
                f"a †: {names}.",
                model=card.name,
                classes=support_texts(weak),
            )
        if card.limits:
            text = f"What the model “{card.name}” never saw or hardly learned: {'; '.join(card.limits)}."
            yield caveat("MODEL_LIMITS", text, model=card.name, limits=list(card.limits))


RULES: tuple[Rule, ...] = (
    _colors,
    _implausible,
    _resolution,
    _file,
    _given,
    _corrected,
    _quality,
    _specimen,
    _tissue,
    _cells,
    _disagreement,
    _stain,
    _models,
)
