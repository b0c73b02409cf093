"""histome validate: compare with what people said."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histome.cli import console
from histome.errors import UsageError

if TYPE_CHECKING:
    from histome.validation.resampling import Estimate

validate = typer.Typer(help="Compare results with what people said.")


@validate.callback()
def validate_group() -> None:
    """Compare results with what people said."""


@validate.command()
def narrative(
    cases: Annotated[
        Path | None,
        typer.Argument(metavar="[CASES]", help="JSONL: reference, hypothesis and, if any, facts on a line."),
    ] = None,
    raters: Annotated[
        Path | None, typer.Option(help="CSV: the last two columns are two raters' labels, a row an item.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
) -> None:
    """Score narratives: BLEU-4, ROUGE-L, hallucination rate; and Cohen's kappa of two raters."""
    if cases is None and raters is None:
        raise UsageError("give CASES, --raters or both")
    with console.extra("validate"):
        import numpy as np

        from histome.validation import narrative as scores

        if cases is not None:
            found = scores.score_narratives(scores.read_cases(cases), rng=np.random.default_rng(seed))
            console.say(f"cases               {found.cases}")
            console.say(f"BLEU-4              {found.bleu_4:.2f}  ({found.bleu_signature})")
            console.say(f"ROUGE-L             {_with_interval(found.rouge_l)}")
            rate = found.hallucination_rate
            told = "no facts were given" if rate is None else _with_interval(rate)
            console.say(f"hallucination rate  {told}, {found.claims} claims")
        if raters is not None:
            two = scores.rater_agreement(*scores.read_ratings(raters), rng=np.random.default_rng(seed))
            console.say(f"Cohen's kappa       {_with_interval(two.kappa)}, agreement {two.agreement:.3f}")


def _with_interval(estimate: "Estimate") -> str:
    value, low, high, n = estimate
    return f"{value:.3f}  (95 % {low:.3f} to {high:.3f}, n = {n})"
