"""What a model can be made for: one row a task, looked up wherever tasks differ.

A row says what stands in a window's outputs, which thresholds of the card read it and how; the decoders
themselves stand in `cells.decode`, under the same names.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple

from histome.classes import CELL_CLASSES, QC_CLASSES, TISSUE_CLASSES

if TYPE_CHECKING:
    from histome.models.card import Card

Task = Literal["quality", "segmenter", "stardist", "hover", "star", "flow", "seed", "basin"]
Shape = tuple[int, ...]


class ModelOutput(NamedTuple):
    """One output of a network, float32 (1, channels, side, side).

    Attributes
    ----------
    name : str
        As the ONNX file has it.
    channels : int, "classes" or "n_rays"
        Their number, or the field of the card that it follows from.
    low, high : float
        Lowest and highest value.
    full_size : bool
        One value an input pixel; else one each `stride` pixels.
    """

    name: str
    channels: int | Literal["classes", "n_rays"]
    low: float = -inf
    high: float = inf
    full_size: bool = False

    def shape(self, card: "Card") -> Shape:
        """Return the shape that a card's model gives it."""
        counts = {"classes": len(card.classes), "n_rays": card.n_rays}
        channels = self.channels if isinstance(self.channels, int) else counts[self.channels]
        side = card.window_px if self.full_size else card.window_px // card.stride
        return (1, channels, side, side)


@dataclass(frozen=True)
class ModelTask:
    """Everything that a task decides.

    Attributes
    ----------
    finds : "quality", "tissue" or "cells"
        What the pipeline uses such a model for.
    outputs : tuple of ModelOutput
        Those it must have.
    decoder : str
        How the outputs become what it finds, in words.
    optional : tuple of ModelOutput
        Those it may have besides, all of them or none.
    thresholds : tuple of str
        Those of the card that the decoder uses.
    classes : tuple of str, or None
        The classes that the card must name, in this order. None: any, the first of them background, each
        other counted as one of our cell classes (`cell_classes` of the card).
    one_class : bool
        It tells nuclei from background and no more: the card names one class beside it.
    """

    finds: Literal["quality", "tissue", "cells"]
    outputs: tuple[ModelOutput, ...]
    decoder: str
    optional: tuple[ModelOutput, ...] = ()
    thresholds: tuple[str, ...] = ()
    classes: tuple[str, ...] | None = None
    one_class: bool = False


TASKS: Mapping[Task, ModelTask] = MappingProxyType(
    {
        "quality": ModelTask(
            finds="quality",
            outputs=(ModelOutput("probabilities", "classes", 0.0, 1.0),),
            decoder="each pixel is of its most probable class, or of what the rules say against it",
            classes=QC_CLASSES,
        ),
        "segmenter": ModelTask(
            finds="tissue",
            outputs=(ModelOutput("probabilities", "classes", 0.0, 1.0),),
            decoder="each pixel is of its most probable class",
            classes=TISSUE_CLASSES,
        ),
        "stardist": ModelTask(
            finds="cells",
            outputs=(
                ModelOutput("prob", 1, 0.0, 1.0),
                ModelOutput("dist", "n_rays", 0.0),
                ModelOutput("logits", "classes"),
            ),
            optional=(ModelOutput("mask", 1, 0.0, 1.0, full_size=True), ModelOutput("offset", 2)),
            decoder="star-convex polygons, the likeliest first; the optional outputs sharpen their outlines",
            thresholds=("prob", "nms", "abstain"),
            classes=CELL_CLASSES,
        ),
        "hover": ModelTask(
            finds="cells",
            outputs=(ModelOutput("classes", "classes", 0.0, 1.0), ModelOutput("hv", 2)),
            decoder="the foreground is split where the horizontal and vertical maps fall",
            thresholds=("prob", "split_per_um", "min_area_um2", "abstain"),
        ),
        "star": ModelTask(
            finds="cells",
            outputs=(
                ModelOutput("prob", 1, 0.0, 1.0),
                ModelOutput("dist", "n_rays", 0.0),
                ModelOutput("classes", "classes", 0.0, 1.0),
            ),
            decoder="star-convex polygons, the likeliest first, by the rules of StarDist's own package",
            thresholds=("prob", "nms", "abstain"),
        ),
        "flow": ModelTask(
            finds="cells",
            outputs=(ModelOutput("prob", 1, 0.0, 1.0), ModelOutput("flow", 2)),
            decoder="pixels that follow the flow to one place are a nucleus, by the rules of Cellpose",
            thresholds=("prob", "flow_error", "min_area_um2", "abstain"),
            one_class=True,
        ),
        "seed": ModelTask(
            finds="cells",
            outputs=(ModelOutput("seed", 1), ModelOutput("offset", 2), ModelOutput("spread", 2)),
            decoder="each seed asks the pixels around it whether they are its own, by the rules of InstanSeg",
            thresholds=("prob", "nms", "min_area_um2", "abstain"),
            one_class=True,
        ),
        "basin": ModelTask(
            finds="cells",
            outputs=(ModelOutput("classes", "classes", 0.0, 1.0), ModelOutput("parts", 3, 0.0, 1.0)),
            decoder="what is inside of nuclei is flooded to their borders, by the rules of HoVer-NeXt",
            thresholds=("abstain",),
        ),
    }
)
QC_TASKS: tuple[Task, ...] = tuple(name for name, task in TASKS.items() if task.finds == "quality")
TISSUE_TASKS: tuple[Task, ...] = tuple(name for name, task in TASKS.items() if task.finds == "tissue")
CELL_TASKS: tuple[Task, ...] = tuple(name for name, task in TASKS.items() if task.finds == "cells")


def expected_outputs(card: "Card") -> dict[str, Shape]:
    """Return the output shapes that the card's task must have, by name."""
    return {output.name: output.shape(card) for output in TASKS[card.task].outputs}


def optional_outputs(card: "Card") -> dict[str, Shape]:
    """Return the shapes of what a model of the card's task may give besides: all of them or none."""
    return {output.name: output.shape(card) for output in TASKS[card.task].optional}


def value_ranges(card: "Card") -> dict[str, tuple[float, float]]:
    """Return the lowest and highest value of each output that the card's task knows."""
    task = TASKS[card.task]
    return {output.name: (output.low, output.high) for output in (*task.outputs, *task.optional)}


def unfit_classes(card: "Card") -> str | None:
    """Return why the pipeline cannot use the card's classes, None where it can."""
    wanted = TASKS[card.task].classes
    if wanted is None or card.classes == wanted:
        return None
    return f"classes {', '.join(card.classes)}; a {card.task} has {', '.join(wanted)}"
