"""How sure the model was of the classes."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from histome.metrics.declaration import SHARE, Family, Template, in_loops
from histome.metrics.results import Result, all_null, quotient, result
from histome.metrics.specimen import N_CELL_CLASSES, Specimen
from histome.metrics.uncertainty.blocks import Blocks, BlockSums, expected, moments_of, ratio, with_all

_NO_CONFIDENCE = "there are no {group} with a confidence"
_NO_CONFIDENCE_AT_ALL = "there are no cells with a confidence"
_FEWER_THAN_TWO = "there are fewer than two cells with a confidence"
_NOTHING_SAID = "the cells say nothing about abstention"
_NO_GROUP = "there are no {group}"
_NOT_JUDGED = "the model does not say what is strange to it, or there are too few cells at one place"

TEMPLATES = (
    *in_loops(
        ("group",),
        Template(
            "CONFIDENCE_MEAN_{group}",
            "1",
            "mean calibrated probability of the given class over {group}",
            (_NO_CONFIDENCE,),
            SHARE,
            smallest_sample=1,
            counts="{group} with a confidence",
        ),
        Template(
            "CONFIDENCE_P10_{group}",
            "1",
            "10th percentile of the calibrated probability of the given class over {group}",
            (_NO_CONFIDENCE,),
            SHARE,
            smallest_sample=1,
            counts="{group} with a confidence",
        ),
        Template(
            "ABSTAINED_COUNT_{group}",
            "cells",
            "number of {group} whose class the model abstained from",
            (_NOTHING_SAID,),
            counts="{group} whose class the model abstained from",
        ),
        Template(
            "ABSTAINED_FRACTION_{group}",
            "1",
            "share of {group} whose class the model abstained from",
            (_NOTHING_SAID, _NO_GROUP),
            SHARE,
            smallest_sample=1,
            derived="ABSTAINED_COUNT_(class) / CELL_COUNT_(class)",
            counts="{group}, abstained from or not",
        ),
    ),
    Template(
        "CONFIDENCE_MEDIAN_ALL",
        "1",
        "median calibrated probability of the given class over all cells",
        (_NO_CONFIDENCE_AT_ALL,),
        SHARE,
        smallest_sample=1,
        counts="cells with a confidence",
    ),
    Template(
        "CONFIDENCE_SD_ALL",
        "1",
        "standard deviation (n - 1) of the calibrated probability of the given class over all cells",
        (_FEWER_THAN_TWO,),
        smallest_sample=2,
        counts="cells with a confidence",
    ),
    Template(
        "STRANGENESS_MEDIAN_ALL",
        "1",
        "median distance of the surroundings of all cells from what the model learned, 1 at its limit",
        (_NOT_JUDGED,),
        smallest_sample=1,
        counts="cells whose strangeness is known",
    ),
    Template(
        "UNFAMILIAR_FRACTION_ALL",
        "1",
        "share of all cells whose strangeness is over 1",
        (_NOT_JUDGED,),
        SHARE,
        smallest_sample=1,
        counts="cells whose strangeness is known",
    ),
)


def certainty(specimen: Specimen) -> Mapping[str, Result]:
    """Measure confidence and abstention per class and over all cells; n is the number of cells."""
    return {**_confidence(specimen), **_abstention(specimen), **_strangeness(specimen)}


def _certainty_per_block(specimen: Specimen, blocks: Blocks) -> Mapping[str, BlockSums]:
    cells = specimen.cells
    found = moments_of(blocks, [cells.confidence], cells.label, (N_CELL_CLASSES,))
    n, first, second = (with_all(each[:, 0]) for each in (found.n, *found.sums))
    mean, sd = found.mean().value, found.sd().value
    sums = {
        "CONFIDENCE_MEAN_{group}": BlockSums(mean, (n, first)),
        "CONFIDENCE_SD_ALL": BlockSums(sd, (n[:, -1], first[:, -1], second[:, -1])),
    }
    if (strange := cells.strangeness) is not None:
        familiar = blocks.count(np.where(np.isfinite(strange), strange > 1, -1).astype(np.int64), (2,))
        sums["UNFAMILIAR_FRACTION_ALL"] = ratio(familiar[:, 1], familiar.sum(axis=1))
    # Where only the others are measured, the abstained lie in no block.
    if cells.abstained is None or specimen.origin:
        return sums
    counts = with_all(blocks.count(np.where(cells.abstained, cells.label, -1), (N_CELL_CLASSES,)))
    return sums | {
        "ABSTAINED_COUNT_{group}": expected(counts, blocks.tissue_mm2[:, 1:].sum(axis=1, keepdims=True)),
        "ABSTAINED_FRACTION_{group}": ratio(counts, with_all(blocks.per_class(specimen))),
    }


FAMILY = Family(
    "certainty",
    "Certainty",
    "Calibrated probability of the class that each cell was given, and the cells whose class the model "
    "abstained from. The abstained metrics always count all cells.",
    TEMPLATES,
    certainty,
    scanners="only as far as the model was calibrated on them",
    alias="U1",
    block_sums=_certainty_per_block,
    no_interval="quantiles are no function of sums over blocks of tissue",
)


def _confidence(specimen: Specimen) -> dict[str, Result]:
    """Return mean and 10th percentile per class and over all, and median and SD over all."""
    groups = N_CELL_CLASSES + 1
    found = np.full((4, groups), np.nan)
    n = np.zeros(groups, np.int64)
    for group, sample in enumerate(_samples(specimen)):
        n[group] = len(sample)
        if len(sample):
            sd = sample.std(ddof=1) if len(sample) > 1 else np.nan
            found[:, group] = sample.mean(), *np.percentile(sample, (10, 50)), sd
    none = (n == 0, _NO_CONFIDENCE)
    mean, low, middle, sd = found
    return {
        "CONFIDENCE_MEAN_{group}": result(mean, n, none),
        "CONFIDENCE_P10_{group}": result(low, n, none),
        "CONFIDENCE_MEDIAN_ALL": result(middle[-1], n[-1], (n[-1] == 0, _NO_CONFIDENCE_AT_ALL)),
        "CONFIDENCE_SD_ALL": result(sd[-1], n[-1], (n[-1] < 2, _FEWER_THAN_TWO)),
    }


def _samples(specimen: Specimen) -> list[NDArray[np.float64]]:
    """Return the known confidences of the nine classes, then of all cells."""
    confidence = specimen.cells.confidence
    if confidence is None:
        return [np.empty(0)] * (N_CELL_CLASSES + 1)
    known = np.isfinite(confidence)
    label, confidence = specimen.cells.label[known], confidence[known]
    return [*(confidence[label == k] for k in range(N_CELL_CLASSES)), confidence]


def _abstention(specimen: Specimen) -> dict[str, Result]:
    """Return number and share of abstained cells, over all cells even where only the others are measured."""
    whole = specimen.origin[0] if specimen.origin else specimen
    names = ("ABSTAINED_COUNT_{group}", "ABSTAINED_FRACTION_{group}")
    if whole.cells.abstained is None:
        return {name: all_null((N_CELL_CLASSES + 1,), _NOTHING_SAID) for name in names}
    abstained = np.bincount(whole.cells.label[whole.cells.abstained], minlength=N_CELL_CLASSES)
    counts, n = (np.append(each, each.sum()) for each in (abstained, whole.class_counts))
    return {
        names[0]: result(counts, n),
        names[1]: result(quotient(counts, n), n, (n == 0, _NO_GROUP)),
    }


def _strangeness(specimen: Specimen) -> dict[str, Result]:
    """Return the median strangeness of the cells and the share of those over the model's limit."""
    strange = specimen.cells.strangeness
    known = np.empty(0) if strange is None else strange[np.isfinite(strange)]
    n, none = len(known), (len(known) == 0, _NOT_JUDGED)
    median, share = (float(np.median(known)), float((known > 1).mean())) if n else (np.nan, np.nan)
    return {
        "STRANGENESS_MEDIAN_ALL": result(median, n, none),
        "UNFAMILIAR_FRACTION_ALL": result(share, n, none),
    }
