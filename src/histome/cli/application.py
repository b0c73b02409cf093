"""The application: every command in one tree, and how errors end it."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

import histome
from histome.cli import console
from histome.cli.demo import demo
from histome.cli.doctor import doctor
from histome.cli.info import info
from histome.cli.metrics import metrics
from histome.cli.models import models
from histome.cli.narrative import narrative
from histome.cli.profile import profile
from histome.cli.tme import tme
from histome.cli.train import train
from histome.cli.validate import validate

# May stand anywhere on the line; the value says whether an argument follows.
_EVERYWHERE = {"--quiet": False, "-q": False, "--debug": False, "--log": True}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
app.command()(profile)
app.command()(demo)
app.command()(narrative)
app.command()(info)
app.add_typer(models, name="models")
app.add_typer(metrics, name="metrics")
app.add_typer(tme, name="tme")
app.add_typer(train, name="train")
app.add_typer(validate, name="validate")
app.command()(doctor)


@app.callback(invoke_without_command=True)
def options(
    context: typer.Context,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print the traceback of an error.")] = False,
    log: Annotated[
        Path | None, typer.Option(help="Write a log to this file, one JSON object a line.")
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    """Measure a tumor's microenvironment from an H&E whole-slide image. For research use only.

    --quiet, --debug and --log FILE may stand anywhere on the line. Exit codes: 0 done, 1 failed, 2 wrong
    usage, 3 refused by quality control (no valid tissue, or no H&E), 4 refused for broken tiles.
    """
    console.configure(quiet=quiet, debug=debug, log=log)
    if version:
        console.print_result(f"histome {histome.__version__}")
    elif context.invoked_subcommand is None:
        console.print_result(context.get_help())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; every error is one line on stderr."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    sys.exit(_run(_options_first(given)))


def _options_first(given: list[str]) -> list[str]:
    """Move the options of every command to the front, where they are declared once."""
    front, rest, words = [], [], iter(given)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word.split("=")[0] not in _EVERYWHERE:
            rest.append(word)
        else:
            front.append(word)
            if _EVERYWHERE[word.split("=")[0]] and "=" not in word:
                front += [value for value in [next(words, None)] if value is not None]
    return front + rest


def _run(words: list[str]) -> int:
    try:
        code = app(words, prog_name="histome", standalone_mode=False)
    except typer.TyperException as error:
        return console.fail(error, hint=" (see histome --help)")
    except Exception as error:  # the last boundary: a bug, too, is told in one line
        return console.fail(error)
    return code if isinstance(code, int) else 0
