"""What each comparison shows: its tables, with the words that say how the numbers were made."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from histome.errors import DataError
from histome.validation.raters.abstention import calibration_rows, coverage_rows, matched_rows
from histome.validation.raters.accuracy import (
    Drawing,
    Judge,
    answers_of_rater,
    narrowed,
    score_answers,
    score_study,
    truth_of,
)
from histome.validation.raters.alpha import Level, agreement
from histome.validation.raters.consensus import consensus_of
from histome.validation.raters.match import Matched
from histome.validation.raters.page import Section
from histome.validation.raters.strata import SMALL, heat_rows, spread, stratum_of, stratum_rows
from histome.validation.raters.votes import Votes

_OTHERS = ": of each rater against that of the others, and the model again beside them"


def condition_of(votes: Votes, name: str | None) -> str:
    """The condition named, or the only one; raises DataError where that is not clear."""
    if name is None and len(votes.codes) == 1:
        return next(iter(votes.codes))
    if name in votes.codes:
        return str(name)
    asked = "say which condition" if name is None else f"no condition {name!r}"
    raise DataError(f"{asked}; the votes have {', '.join(votes.codes)}.")


def agreement_sections(votes: Votes, drawing: Drawing, level: Level = "nominal") -> list[Section]:
    """Alpha and kappas, per condition, per class and between conditions."""
    rows = agreement(votes, rng=drawing.rng, draws=drawing.draws, level=level, units=drawing.units)
    groups = {
        "alpha": ("Krippendorff's alpha", "Over all labels and of each label against the rest"),
        "alpha difference": ("Difference between conditions", "On the same draws of the same cells"),
        "kappa": (
            "Fleiss' and Cohen's kappa",
            "Fleiss' on cells that all raters labeled, Cohen's on shared cells",
        ),
    }
    kinds = [row["measure"] if row["measure"].startswith("alpha") else "kappa" for row in rows]
    note = f"; {level} labels; `unsure` counts as no vote. n is the number of cells."
    return [
        Section(
            name.replace(" ", "_"),
            title,
            text + note,
            [row for row, kind in zip(rows, kinds, strict=True) if kind == name],
        )
        for name, (title, text) in groups.items()
        if name in kinds
    ]


def consensus_sections(votes: Votes, at_least: int) -> list[Section]:
    """The label of each cell and condition that most votes name, and how many have none."""
    cells, left_out = [], []
    for condition in votes.codes:
        found = consensus_of(votes, condition, at_least=at_least)
        names = [votes.labels[code] if code >= 0 else "" for code in found.codes]
        cells += [
            {"cell_id": item, "condition": condition, "label": name, "votes": int(number)}
            for item, name, number in zip(votes.items.tolist(), names, found.votes, strict=True)
        ]
        left_out += [
            {"condition": condition, "reason": reason, "cells": number, "of": len(names)}
            for reason, number in found.excluded().items()
        ]
    text = "Cells that have no consensus and are left out of every score, by reason."
    return [
        Section("left_out", "Cells without a consensus", text, left_out, figure=""),
        Section("consensus", "The consensus", "The label that most votes name.", cells, figure=""),
    ]


def score_sections(
    votes: Votes,
    model: Judge | None,
    drawing: Drawing,
    *,
    truth: str,
    rated: str,
    classes: Sequence[str] | None = None,
) -> list[Section]:
    """Model and raters against the consensus: macro F1, each class, differences."""
    rows = score_study(votes, model, drawing, truth=truth, rated=rated, classes=classes)
    text = (
        f"Votes of {rated} against the consensus of {truth}, by majority{_OTHERS if truth == rated else ''}. "
        "An abstention, `unsure` or a class that is not scored is a miss. n is the number of cells, of a "
        "class those that truly are of it."
    )
    missing = int((consensus_of(votes, truth).codes < 0).sum())
    if missing and any(row["truth"] == truth for row in rows):
        text += f" {missing} cells have no consensus of {truth} and are left out where that is the truth."
    whole = [row for row in rows if row["label"] == "all" and row["measure"] == "macro F1"]
    single = [row for row in whole if " - " not in row["judge"]]
    between = [row for row in rows if " - " in row["judge"]]
    each = [row for row in rows if " - " not in row["judge"] and row not in single]
    sections = [
        Section("macro_f1", "Macro F1", text, single),
        Section("by_class", "Each class, and balanced accuracy", text, each),
    ]
    less = (
        "The model less each rater, on the same cells and the same draws: above 0 the model is better. Both "
        "stand above, in the rows of the same truth."
    )
    return [*sections, *([Section("differences", "Differences", less, between)] if between else [])]


def abstention_sections(
    votes: Votes,
    model: Judge,
    drawing: Drawing,
    *,
    truth: str,
    rated: str,
    classes: Sequence[str] | None = None,
) -> list[Section]:
    """F1 against coverage, model and raters at matched coverage, calibration."""
    labels = tuple(classes or votes.labels)
    known = truth_of(votes, truth, labels).codes
    model = replace(model, codes=narrowed(model.codes, votes.labels, labels))
    figures, bins = calibration_rows(model, known, drawing)
    matched, without = [], []
    for name in votes.raters:
        rater = answers_of_rater(votes, rated, name)
        rater = replace(rater, codes=narrowed(rater.codes, votes.labels, labels))
        against = truth_of(votes, truth, labels, leave_out=name if truth == rated else None)
        matched += matched_rows(model, rater, against, labels, drawing)
        without += [name] if (against.codes < 0).all() else []
    text = "Each rater on the cells that they answered, and the model on as many of its surest cells"
    text += ", by the consensus of the other raters." if truth == rated else "."
    if without:
        text += f" No number of {', '.join(without)}: nobody else says what their cells are."
    return [
        Section(
            "coverage",
            "F1 against coverage",
            "Macro F1 of the surest cells of the model, by its confidence.",
            coverage_rows(model, known, labels, drawing),
            figure="curve",
        ),
        Section(
            "matched",
            "Model and raters at matched coverage",
            text,
            matched,
        ),
        Section("calibration", "Calibration", "0 is best for both.", figures),
        Section(
            "reliability",
            "Reliability",
            "Answers by their confidence, and the share right.",
            bins,
            figure="reliability",
        ),
    ]


def strata_sections(
    votes: Votes,
    model: Judge,
    drawing: Drawing,
    *,
    truth: str,
    by: Sequence[str],
    classes: Sequence[str] | None = None,
) -> list[Section]:
    """The model's macro F1 of each stratum and over all."""
    labels = tuple(classes or votes.labels)
    known = truth_of(votes, truth, labels).codes
    model = replace(model, codes=narrowed(model.codes, votes.labels, labels))
    rows = stratum_rows(model, known, labels, stratum_of(votes.columns, by), drawing)
    found = spread(rows)
    told = (
        f"The worst of {found['strata']} large enough is {found['worst']}, {found['spread']:.3f} under "
        f"the best ({found['best']})."
        if found
        else "Fewer than two strata are large enough to compare."
    )
    text = f"Macro F1, worst first. {told} Strata of fewer than {SMALL} cells are marked too small."
    whole = score_answers(model, known, labels, drawing)[:1]
    crossed = f"Macro F1 by {by[0]} and {by[1]}." if len(by) == 2 else ""
    return [
        Section("strata", f"By {' and '.join(by)}", text, rows),
        *([Section("heat_map", "Heat map", crossed, heat_rows(rows), figure="heat")] if crossed else []),
        Section("whole", "Over all strata", "On all cells with a consensus.", whole),
    ]


def drawing_of(votes: Votes, *, seed: int, draws: int, units: str | None, strata: str | None) -> Drawing:
    """How intervals are drawn, by columns of the votes.

    Raises DataError for a column that is not there, and for units that are not stated: they would be one.
    """
    columns = [None if name is None else stratum_of(votes.columns, [name]) for name in (units, strata)]
    blank = 0 if units is None else int((votes.columns[units] == "").sum())
    if blank:
        raise DataError(f"{blank:,} cells have no {units}: each needs one to be drawn with.")
    return Drawing(np.random.default_rng(seed), draws, *columns)


def match_sections(matched: Matched, within_um: float) -> list[Section]:
    """How many labels met a cell, the votes and answers on those cells, and the labels that met none."""
    counted = f"A label and a cell within {within_um:g} um are a pair, one to one."
    tables = {
        "counts": ("Labels and cells", counted, matched.counts),
        "votes": ("Votes", "For `validate agreement` and `score`.", matched.votes),
        "model": ("The model's answers", "Of cells that some label met; for `--model`.", matched.answers),
        "unmatched": ("Labels that met no cell", "The nuclei that the model missed.", matched.unmatched),
    }
    return [Section(name, *rest, figure="") for name, rest in tables.items()]
