"""Answers on disk: each table as CSV, each figure as SVG, and all on one HTML page."""

import csv
import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

import histome
from histome.cohort.answers.page.answer import Answer, TableRow
from histome.names import shown
from histome.store.disk import writing

# Of a table, on the page; the file has all.
_ROWS = 15


def write_answers(
    folder: str | Path, title: str, answers: Sequence[Answer], *, lead: Sequence[str] = ()
) -> Path:
    """Write the answers into a folder, TABLE.csv, NAME.svg and index.html, and return the page.

    `lead` are paragraphs before the first answer. Everything that was read from files is shown as text.
    """
    out = Path(folder)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        for answer in answers:
            for name, rows in answer.tables.items():
                _write_rows(out / f"{name}.csv", rows)
            if answer.figure:
                (out / f"{answer.name}.svg").write_text(answer.figure, encoding="utf-8")
        template = _environment().get_template("page.html.j2")
        page = template.render(title=title, lead=lead, answers=answers, version=histome.__version__)
        (out / "index.html").write_text(page, encoding="utf-8")
    return out / "index.html"


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("histome.cohort.answers.page", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"number": _number, "shown": shown, "heading": _heading, "brief": _brief}
    return made


def _write_rows(path: Path, rows: Sequence[TableRow]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else ["nothing"], lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)


def _cell(value: object) -> object:
    """Return what a CSV holds: nothing for NaN, no text that a spreadsheet would run."""
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(float(value))
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@"):
        return f"'{shown(value)}"
    return shown(value) if isinstance(value, str) else value


def _number(value: object) -> str:
    """Return a table's entry as the page shows it: three significant digits, below 0.1 two."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if math.isnan(value):
            return ""
        size = abs(value)
        if 0 < size < 1e-4:
            return f"{value:.0e}"
        if size < 0.1:
            return f"{value:.2g}"
        return f"{value:.3g}" if size < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else shown(str(value))


def _brief(answer: Answer) -> Sequence[TableRow]:
    """Return the rows that the page shows."""
    rows = next(iter(answer.tables.values()), ()) if answer.brief is None else answer.brief
    return rows[:_ROWS]


def _heading(name: str) -> str:
    return name.replace("_", " ").replace("mm2", "mm²")
