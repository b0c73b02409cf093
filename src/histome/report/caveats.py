"""What a reader must know before believing a number: plain-word warnings, each with the number behind it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from histome.config import ReportConfig
from histome.metrics.format import MetricTable, format_count, format_number
from histome.models.card import Card
from histome.models.label_support import card_support, weakly_supported
from histome.models.tasks import CELL_TASKS
from histome.render.palette import CELL_LABELS
from histome.report.views import CellArrays
from histome.slide.mpp import Mpp

_FEW_CELLS = 200  # under this the 95 % interval of a share is wider than +-7 points


@dataclass(frozen=True)
class Caveat:
    """One warning: `caution` may change what the numbers mean, `note` says what they rest on."""

    level: Literal["caution", "note"]
    title: str
    text: str
    points: tuple[str, ...] = ()


@dataclass(frozen=True)
class CaveatInputs:
    """All that the warnings are derived from.

    Attributes
    ----------
    stain : mapping of str to float
        Means of the cells' optical densities by column.
    """

    metrics: MetricTable
    cells: CellArrays
    mpp: Mpp
    cards: Mapping[str, Card]
    stated: Sequence[str]
    broken_tiles: int = 0
    stain: Mapping[str, float] = field(default_factory=dict)


def find_caveats(inputs: CaveatInputs, config: ReportConfig) -> list[Caveat]:
    """Return the warnings of a profile, cautions first, otherwise in the order of the pipeline."""
    found = [
        *_about_pixels(inputs),
        *_about_quality(inputs.metrics, config),
        *_about_cells(inputs, config),
        *_about_models(inputs),
    ]
    known = {caveat.text for caveat in found}
    found += [Caveat("caution", "From the run", text) for text in inputs.stated if text not in known]
    return sorted(found, key=lambda caveat: caveat.level != "caution")


def _about_pixels(inputs: CaveatInputs) -> Iterator[Caveat]:
    mpp = inputs.mpp
    if mpp.estimated:
        yield Caveat(
            "caution",
            "Pixel size is an estimate",
            f"The file does not state its pixel size; {mpp.x:.4g} µm/px follows from the nominal "
            "magnification. Scanners differ from it by up to 30 %, areas and densities then by up to 70 %.",
        )
    finest = max((card.mpp for card in inputs.cards.values() if card.task in CELL_TASKS), default=None)
    if finest is not None and max(mpp.x, mpp.y) > 1.1 * finest:
        yield Caveat(
            "caution",
            "Scanned coarser than the nucleus model expects",
            f"The slide has {max(mpp.x, mpp.y):.3g} µm/px, the model works at {finest:.3g}: small nuclei "
            "are missed and shapes are smooth.",
        )
    if inputs.broken_tiles:
        yield Caveat(
            "caution",
            "Part of the file could not be read",
            f"{format_count(inputs.broken_tiles)} tile(s) are damaged. They are counted as no tissue.",
        )


def _about_quality(metrics: MetricTable, config: ReportConfig) -> Iterator[Caveat]:
    valid = metrics.get("RELATIVE_AREA_VALID_TISSUE")
    if valid is not None and valid.value is not None and valid.value < config.low_valid_percent:
        yield Caveat(
            "caution",
            "Much of the tissue was excluded",
            f"Only {format_number(valid.value)} % of the tissue passed quality control; the rest is out of "
            "focus, folded, inked or otherwise damaged and was not measured.",
        )
    if metrics.value("ABSOLUTE_AREA") > 0 and metrics.value("ABSOLUTE_AREA_CARCINOMA") == 0:
        yield Caveat(
            "note",
            "No carcinoma was found",
            "Every metric that refers to carcinoma is null or zero. If this is a tumor, look at the tissue "
            "overlay before you use any number.",
        )


def _about_cells(inputs: CaveatInputs, config: ReportConfig) -> Iterator[Caveat]:
    cells = inputs.cells
    if len(cells) == 0:
        yield Caveat("caution", "No cells were found", "Cell metrics are zero or null, with their reason.")
        return
    if len(cells) < _FEW_CELLS:
        yield Caveat(
            "note",
            "Few cells",
            f"Shares rest on {format_count(len(cells))} cells; a difference of a few percent means nothing.",
        )
    mean, abstained = float(cells.confidence.mean()), 100.0 * float(cells.abstained.mean())
    if mean < config.low_confidence:
        yield Caveat(
            "caution",
            "The cell classes are uncertain",
            f"The mean confidence is {format_number(mean, 2)}: at best that share of the classes is right.",
        )
    if abstained > config.high_abstained_percent:
        yield Caveat(
            "caution",
            "Many cells are left open",
            f"The model abstained on {format_number(abstained)} % of the cells. Counts include them under "
            "their most likely class; the column “Confident” leaves them out.",
        )


def _about_models(inputs: CaveatInputs) -> Iterator[Caveat]:
    for card in inputs.cards.values():
        weak = weakly_supported(card_support(card))
        if weak:
            names = ", ".join(
                f"{CELL_LABELS.get(name, name).lower()} ({support})" for name, support in weak.items()
            )
            yield Caveat(
                "note",
                "Classes learned from few labels of their own, or from none",
                f"Indirect means: only as a member of wider groups. Numbers of these are tentative and carry "
                f"a †: {names}.",
            )
        yield from _about_stain(card, inputs.stain)
        if card.limits:
            text = "What it never saw or hardly learned:"
            yield Caveat("note", f"Limits of the model “{card.name}”", text, card.limits)


def _about_stain(card: Card, stain: Mapping[str, float]) -> Iterator[Caveat]:
    """A mean outside the range of slide means in the card: `training.stain.<column> = [low, high]`."""
    for name, (low, high) in card.training.get("stain", {}).items():
        if name in stain and not low <= stain[name] <= high:
            yield Caveat(
                "caution",
                f"The stain is unlike what the model “{card.name}” learned from",
                f"The mean {name.replace('_', ' ')} is {format_number(stain[name])}; the slides "
                f"in training had {format_number(low)} to {format_number(high)}. Expect more errors.",
            )
