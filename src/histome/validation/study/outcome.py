"""What came back from a study, told at once: agreement, consensus, scores, strata, the panel."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from histome.errors import DataError
from histome.validation.raters.accuracy import (
    Judge,
    answers_of_model,
    answers_of_rater,
    narrowed,
    score_answers,
)
from histome.validation.raters.consensus import consensus_of
from histome.validation.raters.page import Section
from histome.validation.raters.sections import (
    abstention_sections,
    agreement_sections,
    condition_of,
    consensus_sections,
    drawing_of,
    score_sections,
    strata_sections,
)
from histome.validation.raters.votes import Votes, answers_of, votes_of
from histome.validation.study.collected import Collected

# Fewer slides give no interval when they are drawn whole.
FEWEST_SLIDES = 10
_NO_STRATA = ("slide", "region")


def collected_sections(found: Collected, *, draws: int, seed: int) -> list[Section]:
    """Everything that can be told of a study's answers, and its tables for the other commands.

    The last condition that somebody answered gives the truth, the votes of the first one are scored. Slides
    are drawn whole where there are `FEWEST_SLIDES`. What cannot be told has the reason in its place.
    """
    votes = votes_of(pa.Table.from_pylist(found.votes), "the votes")
    model = answers_of_model(votes, answers_of(pa.Table.from_pylist(found.answers), "the model's answers"))
    shown = [name for name in found.conditions if name in votes.codes]
    asked: dict[str, Any] = {"truth": condition_of(votes, shown[-1]), "rated": condition_of(votes, shown[0])}
    units = "slide" if len(np.unique(votes.columns["slide"])) >= FEWEST_SLIDES else None
    drawing = lambda: drawing_of(votes, seed=seed, draws=draws, units=units, strata=None)  # noqa: E731
    by = [name for name, of in votes.columns.items() if name not in _NO_STRATA and len(np.unique(of)) > 1]
    steps: list[tuple[str, Callable[[], list[Section]]]] = [
        ("agreement", lambda: agreement_sections(votes, drawing())),
        ("scores", lambda: score_sections(votes, model, drawing(), **asked)),
        ("abstention", lambda: abstention_sections(votes, model, drawing(), **asked)),
        *(
            (f"by {name}", lambda name=name: _by(votes, model, drawing(), asked["truth"], name))
            for name in by
        ),
    ]
    if found.panel:
        steps.append(("panel", lambda: _panel_sections(votes, model, found, drawing(), asked)))
    told = [section for name, make in steps for section in _told(name, make)]
    return [_counts(found), *told, *consensus_sections(votes, 2), *_tables(found)]


def _told(name: str, make: Callable[[], list[Section]]) -> list[Section]:
    try:
        return make()
    except DataError as error:
        return [Section(name.replace(" ", "_"), name.capitalize(), f"Not told: {error}", [], figure="")]


def _by(votes: Votes, model: Judge, drawing: Any, truth: str, name: str) -> list[Section]:
    (section, _whole) = strata_sections(votes, model, drawing, truth=truth, by=(name,))
    return [Section(f"by_{name}", section.title, section.text, section.rows)]


def _panel_sections(
    votes: Votes, model: Judge, found: Collected, drawing: Any, asked: dict[str, str]
) -> list[Section]:
    """The panel against the consensus, and model and raters against the panel, of the classes that it has."""
    rows = [row for row in found.panel if row["label"]]
    if not rows:
        raise DataError("the panel gave no nucleus a class.")
    known = {name: np.array([str(row[name]) for row in rows]) for name in ("cell_id", "label")}
    classes = [name for name in votes.labels if name in known["label"]]
    panel = answers_of_model(votes, known, "panel")
    raters = [answers_of_rater(votes, asked["rated"], name) for name in votes.raters]
    panel, *judges = (
        replace(judge, codes=narrowed(judge.codes, votes.labels, classes))
        for judge in (panel, model, *raters)
    )
    truth = narrowed(consensus_of(votes, asked["truth"]).codes, votes.labels, classes)
    agreed = score_answers(panel, truth, classes, drawing)
    molecular = np.where(panel.given, panel.codes, -1)
    scored = [row for judge in judges for row in score_answers(judge, molecular, classes, drawing)]
    text = f"Of nuclei that the panel gives one class: its labels against the consensus of {asked['truth']}."
    told = f"The model and the votes of {asked['rated']}, with the panel's labels as the truth."
    return [
        Section("panel", "The panel and the consensus", text, agreed),
        Section("against_panel", "Against the panel", told, [r for r in scored if r["label"] == "all"]),
    ]


def _counts(found: Collected) -> Section:
    text = "Labels by rater and condition; nuclei without a label count as not looked at."
    return Section("counts", "What came back", text, found.counts, figure="")


def _tables(found: Collected) -> Sequence[Section]:
    tables = {
        "votes": ("Votes", "For `validate agreement`, `consensus` and `score`.", found.votes),
        "model": ("The model's answers", "For `--model`.", found.answers),
    }
    return [Section(name, *rest, figure="") for name, rest in tables.items()]
