"""One warning as run.json keeps it."""

from typing import Any, Literal, NamedTuple

Severity = Literal["alarm", "caution", "note"]


class Caveat(NamedTuple):
    """What a reader must know before believing a number.

    Attributes
    ----------
    code : str
        Its name for programs; `histome.caveats.CODES` explains each.
    severity : "alarm", "caution" or "note"
        The numbers are probably wrong; they may mean something else than they seem to; what they rest on.
    title, text : str
        For people, with the values.
    values : dict
        What it was derived from, as JSON.
    """

    code: str
    severity: Severity
    title: str
    text: str
    values: dict[str, Any]
