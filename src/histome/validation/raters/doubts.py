"""What a reader of scores should know first: what of the tables was not used, what is doubtful."""

import numpy as np

from histome.validation.raters.page import Row, Section
from histome.validation.raters.votes import Answers, Votes

# Fewer units drawn whole give intervals that are too narrow.
FEW_UNITS = 10


def cell_counts(votes: Votes, answers: Answers | None = None) -> Row:
    """Raters and labeled cells; of a model's answers (`read_answers`) how many nobody labeled, and back.

    Answers on cells without a vote, and votes on cells without an answer, are left out of every score.
    """
    counts = {"raters": len(votes.raters), "labeled_cells": len(votes.items)}
    if answers is None:
        return counts
    shared = int(np.isin(answers["cell_id"], votes.items).sum())
    abstained = int(np.sum(answers.get("abstained", 0)))
    return counts | {
        "answers": len(answers["cell_id"]),
        "nobody_labeled": len(answers["cell_id"]) - shared,
        "without_answer": len(votes.items) - shared,
        "abstained": abstained,
    }


def doubts_of(votes: Votes, answers: Answers | None = None, units: str | None = None) -> list[str]:
    """One line each: a single rater, few units, labels of the model that no vote has, abstentions alone.

    Parameters
    ----------
    units : str or None
        The column that is drawn whole.
    """
    found = []
    if len(votes.raters) == 1:
        found.append(f"one rater: the votes of {votes.raters[0]} stand alone, there is no consensus.")
    if units is not None and (number := len(np.unique(votes.columns[units]))) < FEW_UNITS:
        found.append(
            f"{number} values of {units} are drawn whole: under {FEW_UNITS} the intervals are too narrow."
        )
    if answers is None:
        return found
    names, of_each = np.unique(answers["label"], return_counts=True)
    unknown = [k for k, name in enumerate(names) if name not in votes.labels]
    if unknown:
        told = ", ".join(f"{str(names[k])!r} ({of_each[k]:,})" for k in unknown)
        found.append(f"labels of the model that no vote has count as misses: {told}.")
    if len(answers["label"]) and np.all(answers.get("abstained", False)):
        found.append("the model abstained on every cell: all its answers are misses.")
    return found


def cells_section(counts: Row, doubts: list[str]) -> Section:
    """Counts and doubts, for the top of a page."""
    text = " ".join(["Cells that only the raters or only the model have are left out.", *doubts])
    return Section("cells", "What is compared", text, [counts], figure="")
