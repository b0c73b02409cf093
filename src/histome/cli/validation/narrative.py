"""histome validate narrative: scores of texts, and the agreement of two raters."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histome.cli import console
from histome.errors import UsageError
from histome.store.ownership import refuse_overwriting

if TYPE_CHECKING:
    from numpy.random import Generator

    from histome.validation.resampling import Estimate


def narrative(
    cases: Annotated[
        Path | None,
        typer.Argument(metavar="[CASES]", help="JSONL: hypothesis with reference, facts or both on a line."),
    ] = None,
    raters: Annotated[
        Path | None, typer.Option(help="CSV: the last two columns are two raters' labels, a row an item.")
    ] = None,
    sentences: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Write every judged sentence with its state and reason."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
) -> None:
    """Score narratives: BLEU-4, ROUGE-L, sentences that facts support; and Cohen's kappa of two raters.

    BLEU-4 and ROUGE-L are of the lines with a reference, the shares of sentences of those with facts.
    """
    if cases is None and raters is None:
        raise UsageError("give CASES, --raters or both")
    if sentences is not None:
        if cases is None:
            raise UsageError(f"--sentences {sentences}: there are no sentences without CASES; give them")
        refuse_overwriting(sentences, cases, raters)
    with console.extra("validate"):
        import numpy as np

        if cases is not None:
            _print_scores(cases, np.random.default_rng(seed), sentences)
        if raters is not None:
            _print_agreement(raters, np.random.default_rng(seed))


def _print_scores(path: Path, rng: "Generator", sentences: Path | None) -> None:
    from histome.validation.narrative import case_doubts, read_cases, score_narratives, write_sentences

    cases = read_cases(path)
    found = score_narratives(cases, rng=rng)
    for doubt in case_doubts(cases):
        console.warn(doubt)
    console.print_result(f"cases               {found.cases}, {found.with_reference} with a reference")
    none = "no reference was given"
    bleu = none if found.bleu_4 is None else f"{found.bleu_4:.2f}  ({found.bleu_signature})"
    console.print_result(f"BLEU-4              {bleu}")
    rouge = none if found.rouge_l is None else _with_interval(found.rouge_l)
    console.print_result(f"ROUGE-L             {rouge}")
    for state in ("supported", "contradicted", "not_checkable"):
        rate = getattr(found, state)
        told = found.undefined if rate is None else _with_interval(rate)
        console.print_result(f"{state.replace('_', ' '):<18}  {told}")
    console.print_result(f"sentences           {found.sentences}, of {found.with_facts} cases with facts")
    if sentences is not None:
        write_sentences(sentences, found.verdicts)


def _print_agreement(path: Path, rng: "Generator") -> None:
    from histome.validation.narrative import rater_agreement, rating_doubts, read_ratings

    ratings = read_ratings(path)
    for doubt in rating_doubts(ratings):
        console.warn(f"{path}: {doubt}")
    two = rater_agreement(ratings.first, ratings.second, rng=rng)
    kappa = f"not defined ({two.undefined})" if two.undefined else _with_interval(two.kappa)
    console.print_result(f"raters              {' and '.join(ratings.names)}, {two.items} items")
    console.print_result(f"Cohen's kappa       {kappa}, agreement {two.agreement:.3f}")


def _with_interval(estimate: "Estimate") -> str:
    value, low, high, n = estimate
    # Drawn from one, all draws are the same.
    told = f"95 % {low:.3f} to {high:.3f}" if n > 1 else "no interval"
    return f"{value:.3f}  ({told}, n = {n})"
