"""histome demo: a drawn slide with known answers, profiled and compared."""

from pathlib import Path
from typing import Annotated

import typer

from histome.cli import console


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the slide and its profile.")] = Path(
        "histome-demo"
    ),
    workers: Annotated[int | None, typer.Option(help="Threads; by default all CPUs allowed.")] = None,
) -> None:
    """Profile a drawn slide and compare with its truth."""
    from histome.checks import run_demo

    with console.bars() as watch:
        profile, scores = run_demo(out, workers=workers, progress=watch(Path("demo")))
    console.say(
        "The slide is drawn, not real: this tests the machinery. Its tissue map means nothing; accuracy on "
        "tissue is in the models' cards."
    )
    for score in scores:
        console.print_result(f"  {score.name:<34}{score.text}")
    console.say(f"report: {profile.report}")
