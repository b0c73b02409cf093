"""The tables of exit codes and of warnings in the documentation are those of the code."""

import re
from pathlib import Path

import histome.store.lock  # noqa: F401  errors of rooms are counted, too
from histome.caveats import CODES
from histome.errors import EXIT_CODES, HistomeError

PAGE = (Path(__file__).parents[1] / "docs" / "reference" / "codes.md").read_text(encoding="utf-8")


def subclasses(kind: type) -> set[type]:
    return {kind}.union(*map(subclasses, kind.__subclasses__()))


def table(head: str) -> list[str]:
    """The lines of the table under a heading of the page."""
    return re.findall(r"^\| .*$", PAGE.split(f"\n## {head}\n")[1].split("\n## ")[0], re.MULTILINE)[1:]


def test_every_error_has_an_exit_code_of_the_table() -> None:
    assert {kind.exit_code for kind in subclasses(HistomeError)} <= set(EXIT_CODES)


def test_the_table_of_exit_codes_is_that_of_the_code() -> None:
    assert table("Exit codes") == [f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items()]


def test_the_table_of_warnings_is_that_of_the_code() -> None:
    rows = [
        (f"`{name}`", code.severity, code.meaning, ", ".join(f"`{value}`" for value in code.values))
        for name, code in CODES.items()
    ]
    assert table("Warnings") == [f"| {' | '.join(row)} |" for row in rows]
