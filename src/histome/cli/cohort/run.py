"""histome cohort run and status: slides in, a folder of profiles out, and where it stands."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from histome.cli import console
from histome.cli.cohort.live import live
from histome.config import Config
from histome.names import shown
from histome.pipeline import STAGES

if TYPE_CHECKING:
    from histome.cohort.ahead import Ahead

_Slides = Annotated[
    list[str],
    typer.Argument(
        metavar="SLIDE",
        help="Slides, folders, globs, addresses (s3://, gs://, https://) or a manifest: a CSV with a column "
        "path and, if any, slide, patient, organ, stain, mpp, exclude and your own.",
    ),
]
_Cluster = Annotated[
    str | None,
    typer.Option(
        help="Where, if not by processes of this machine: local:N, the address of a Dask scheduler "
        "(tcp://host:8786), or a TOML file for SLURM, PBS or LSF."
    ),
]


def run(
    slides: _Slides,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the cohort, a profile a slide.")],
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Slides at once; by default as many as CPUs and memory allow."),
    ] = None,
    cluster: _Cluster = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with settings of the profiles.")] = None,
    stages: Annotated[
        str | None,
        typer.Option(help=f"Bring only these, and those they need, up to date: {','.join(STAGES)}."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of each slide; by default its share of the CPUs.")
    ] = None,
    minutes: Annotated[float, typer.Option(min=0.01, help="Most that one slide may take.")] = 360.0,
    memory: Annotated[
        float | None, typer.Option(min=0.1, help="GB, most that one slide may take; by default no limit.")
    ] = None,
    tries: Annotated[int, typer.Option(min=1, help="Times that a slide is begun that crashes.")] = 2,
    cache: Annotated[
        Path | None, typer.Option(help="Folder for copies of remote slides; by default in the cohort's.")
    ] = None,
    cache_gb: Annotated[float, typer.Option(min=0.001, help="Most that the copies may take.")] = 50.0,
) -> int:
    """Profile many slides into one folder, each in a process of its own.

    What is there and still holds is not made again: run the same line after an interruption, or with more
    slides. One that fails does not end the others; it is listed with its reason, and the exit code is that of
    the worst.
    """
    from histome.cohort import CohortOptions, Limits, read_slides, run_cohort, worst_exit_code

    found = read_slides(slides)
    options = CohortOptions(
        config=Config.from_toml(config) if config else Config(),
        stages=STAGES if stages is None else tuple(name.strip() for name in stages.split(",")),
        workers=workers,
        threads=threads,
        cluster=cluster,
        tries=tries,
        limits=Limits(minutes, memory),
        cache_gb=cache_gb,
        cache=cache,
    )
    with live() as watch:
        status = run_cohort(found, out, options, watch=watch, expect=_tell_ahead)
    for line in _lines(status.to_json()):
        console.say(line)
    console.say(f"summary {status.out / 'summary.html'}")
    return worst_exit_code(status.exit_codes)


def _tell_ahead(ahead: "Ahead") -> None:
    console.say(ahead.line())


def status(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of a cohort.")],
    json: Annotated[bool, typer.Option("--json", help="Print status.json.")] = False,
) -> None:
    """Print where a cohort stands: how many slides are done, which run, which failed and why."""
    from histome.cohort import read_status

    found = read_status(out)
    if json:
        console.print_json(found)
        return
    console.print_result(f"{found['state']}, {found['updated']}")
    for line in _lines(found):
        console.print_result(line)


def _lines(status: Mapping[str, Any]) -> list[str]:
    """Return the counts in a line, then one for each slide that runs, failed or was refused."""
    counts = [f"{count} {state}" for state, count in status["counts"].items() if count]
    lines = [", ".join(counts) or "no slides"]
    for name, slide in status["slides"].items():
        if slide["state"] in ("failed", "refused"):
            lines.append(f"{shown(name)}: {slide['state']}: {shown(slide['reason'])}")
        elif slide["state"] == "running":
            lines.append(f"{shown(name)}: {slide['stage'] or 'begins'}")
    return lines
