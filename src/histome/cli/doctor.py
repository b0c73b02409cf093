"""histome doctor: what is installed, and whether it works."""

from typing import Annotated

import typer

from histome.cli import console


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> int:
    """Check Python, libraries, models and processors."""
    from histome.checks import examine

    findings = examine()
    if not json:
        return console.say_findings(findings)
    console.print_json([finding._asdict() for finding in findings])
    return 0 if all(finding.fine for finding in findings) else 1
