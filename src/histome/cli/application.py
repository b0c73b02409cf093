"""The application: every command in one tree, and how errors end it."""

import math
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

import histome
from histome.cli import console
from histome.cli.cohort import cohort
from histome.cli.demo import demo
from histome.cli.doctor import doctor
from histome.cli.embed import embed
from histome.cli.encoders import encoders
from histome.cli.export import export
from histome.cli.info import info
from histome.cli.metrics import metrics
from histome.cli.models import models
from histome.cli.narrative import narrative
from histome.cli.profile import profile
from histome.cli.tme import tme
from histome.cli.train import train
from histome.cli.validate import validate
from histome.cli.view import view
from histome.errors import Interrupted
from histome.store.ownership import refuse_overwriting

# Ctrl-C, the end of a scheduler's time, a closed terminal (Windows has no such signal).
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
# Shells and schedulers send the same signal to the process and to its group: within this, it is one.
_ONE_SIGNAL_S = 3.0
# After which a signal that was dropped is sent once more.
_AGAIN_S = 0.01

# May stand anywhere on the line; the value says whether an argument follows.
_EVERYWHERE = {"--quiet": False, "-q": False, "--debug": False, "--log": True}

_PROFILE_EXAMPLES = console.examples(
    "profile slide.svs",
    "profile *.svs -o out --organ breast",
    "profile field.png --mpp 0.25 --config settings.toml",
    "profile slide.svs --roi annotations.geojson --roi-exclude Necrosis",
    "profile slide.svs --nuclei cells.geojson --cells-model my-nuclei",
)
_EXPORT_EXAMPLES = console.examples(
    "export out/slide --to qupath",
    "export out/slide --to xlsx -o core.xlsx",
)
_VIEW_EXAMPLES = console.examples("view out", "view out --slides /data/slides", "view out/slide --port 8800")
_EMBED_EXAMPLES = console.examples(
    "embed slide.svs --encoder uni --weights pytorch_model.bin -o vectors",
    "embed slide.svs --encoder color-histogram -o vectors --layout parquet --clusters 8",
    "embed slide.svs --encoder uni -o vectors --profile out/slide --nuclei --stain macenko",
)
_INFO_EXAMPLES = console.examples("info slide.svs", "info field.png --mpp 0.25 --json")

app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)
app.command(epilog=_PROFILE_EXAMPLES)(profile)
app.command(epilog=_VIEW_EXAMPLES)(view)
app.command(epilog=console.examples("demo", "demo -o out/demo"))(demo)
app.command(epilog=console.examples("narrative out/slide", "narrative out/slide --no-sources"))(narrative)
app.command(epilog=_EXPORT_EXAMPLES)(export)
app.command(epilog=_EMBED_EXAMPLES)(embed)
app.command(epilog=_INFO_EXAMPLES)(info)
app.add_typer(models, name="models")
app.add_typer(encoders, name="encoders")
app.add_typer(metrics, name="metrics")
app.add_typer(cohort, name="cohort")
app.add_typer(tme, name="tme")
app.add_typer(train, name="train")
app.add_typer(validate, name="validate")
app.command(epilog=console.examples("doctor", "doctor --json"))(doctor)


@app.callback(invoke_without_command=True)
def options(
    context: typer.Context,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print nothing but results and errors.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print the traceback of an error.")] = False,
    log: Annotated[
        Path | None, typer.Option(help="Write a log to this file, one JSON object a line.")
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    """Measure a tumor's microenvironment from an H&E whole-slide image. For research use only.

    --quiet, --debug and --log FILE may stand anywhere on the line. Exit codes: 0 done, 1 failed, 2 wrong
    usage, 3 refused by quality control (no valid tissue, or no H&E), 4 refused for broken tiles, 128 + the
    signal's number when interrupted (130 Ctrl-C, 143 SIGTERM, 129 SIGHUP).
    """
    if log is not None:
        refuse_overwriting(log)
    console.configure(quiet=quiet, debug=debug, log=log)
    if version:
        console.print_result(f"histome {histome.__version__}")
    elif context.invoked_subcommand is None:
        console.print_result(context.get_help())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; every error is one line on stderr."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    with _signals_as_errors():
        code = _run(_options_first(given))
    sys.exit(code)


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
    except Interrupted as stop:
        return console.tell_stop(stop)
    except Exception as error:  # the last boundary: a bug, too, is told in one line
        return console.fail(error)
    return code if isinstance(code, int) else 0


@contextmanager
def _signals_as_errors() -> Iterator[None]:
    """Raise Interrupted in the block where a signal asks to end, so that all is left in order.

    A signal that somebody ignores or handles already (nohup, a program that embeds us) stays as it is. Where
    Python drops an error, as while something is let go of, the signal is sent once more.
    """
    last = -math.inf

    def stop(number: int, _: object) -> None:
        nonlocal last
        if time.monotonic() - last > _ONE_SIGNAL_S:
            last = time.monotonic()
            raise Interrupted(number)

    def drop(dropped: Any) -> None:
        nonlocal last
        if not isinstance(dropped.exc_value, Interrupted):
            usual_drop(dropped)
            return
        last -= _ONE_SIGNAL_S  # it has not been heard
        threading.Timer(_AGAIN_S, _send, (dropped.exc_value.exit_code - 128,)).start()

    usual = (signal.SIG_DFL, signal.default_int_handler)
    may = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in _SIGNALS if may}
    ours = {number: handler for number, handler in before.items() if handler in usual}
    for number in ours:
        signal.signal(number, stop)
    usual_drop, sys.unraisablehook = sys.unraisablehook, drop
    try:
        yield
    finally:
        sys.unraisablehook = usual_drop
        for number, handler in ours.items():
            # The second of two may be on its way while Python ends.
            signal.signal(number, handler if last == -math.inf else signal.SIG_IGN)


def _send(number: int) -> None:
    """Send a signal to the main thread, which it wakes where the system can do that."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        signal.raise_signal(number)
