"""histome view: profiles in a browser."""

import signal
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from histome.cli import console
from histome.errors import Interrupted


def view(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder of profiles, or one profile.")] = Path(
        "histome-out"
    ),
    slides: Annotated[
        list[Path] | None,
        typer.Option(
            "--slides", help="The slides, or folders of them; OUT and the one above are looked into."
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
) -> int:
    """Look at profiles in a browser, on this machine only; Ctrl-C ends it.

    The address holds a token: whoever has it can see the slides while the command runs. From another
    machine: ssh -L PORT:127.0.0.1:PORT, with --port PORT.
    """
    with console.extra("viewer"):
        from histome.viewer import Server, Shelf

        server = Server(Shelf(out, slides or ()), port=port)
    with server:
        console.print_result(server.address)
        if not no_browser:
            webbrowser.open(server.address)
        try:
            server.wait()
        except Interrupted as stop:
            if stop.exit_code != 128 + signal.SIGINT:
                raise
    return 0
