"""histome cohort: many slides, and what they say together."""

import typer

from histome.cli import console
from histome.cli.cohort.answers import add_answers
from histome.cli.cohort.run import run, status

__all__ = ["add_answers", "cohort", "run", "status"]

cohort = typer.Typer(help="Profile many slides, and answer from all of them.")
_RUN_EXAMPLES = console.examples(
    "cohort run slides/ -o out",
    "cohort run manifest.csv -o out --workers 4 --memory 8",
    "cohort run manifest.csv -o out --cluster slurm.toml",
)
cohort.command(epilog=_RUN_EXAMPLES)(run)
cohort.command(epilog=console.examples("cohort status out"))(status)
add_answers(cohort)


@cohort.callback()
def _group() -> None:
    """Profile many slides, and answer from all of them."""
